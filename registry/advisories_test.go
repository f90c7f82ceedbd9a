// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// This file holds what is guaranteed of a client in the light of advisories about
// others, each beside an image without the flaw, which is accepted. Those about
// signatures are in package verify.

const (
	payloadType = "application/vnd.dev.cosign.simplesigning.v1+json"
	bundleType  = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// getBlob asks the registry for a blob, past everything under test.
func getBlob(t *testing.T, reg *testRegistry, desc ocispec.Descriptor) []byte {
	t.Helper()
	resp, err := http.Get(reg.url + "/v2/app/blobs/" + desc.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("get %s: %s, %v", desc.Digest, resp.Status, err)
	}
	return b
}

// putLayer uploads what is to be a layer, past everything under test.
func putLayer(t *testing.T, reg *testRegistry, mediaType string, b []byte) ocispec.Descriptor {
	t.Helper()
	repo, err := name.NewRepository(reg.host + "/app")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteLayer(repo, static.NewLayer(b, types.MediaType(mediaType)), remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
}

// attachLayers attaches a manifest with layers to an image, in the place of its
// legacy signatures, or else as one more referrer.
func attachLayers(t *testing.T, reg *testRegistry, form signing.Form, image ocispec.Descriptor, layers ...ocispec.Descriptor) {
	t.Helper()
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: ocispec.DescriptorEmptyJSON, Layers: layers}
	m.SchemaVersion = 2
	tag := tagOf(image.Digest) + ".sig"
	if form == signing.Bundle {
		m.Subject, m.ArtifactType, tag = &image, bundleType, ""
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	putRaw(t, reg, "app", tag, ocispec.MediaTypeImageManifest, b)
}

// goodLayer is the layer of the one signature of an image.
func goodLayer(t *testing.T, reg *testRegistry, c *registry.Client, verifier verify.Verifier) ocispec.Descriptor {
	t.Helper()
	result, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
	if err != nil {
		t.Fatal(err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(getRaw(t, reg, "app", result.Signatures[0].Origin.Manifest.String()), &m); err != nil {
		t.Fatal(err)
	}
	return m.Layers[0]
}

// unsignedImage is a registry with one image, app:v1, that nobody has signed.
func unsignedImage(t *testing.T) (*testRegistry, *registry.Client, ocispec.Descriptor) {
	t.Helper()
	reg := newTestRegistry(t, true)
	c := newClient(t, registry.Config{})
	cd, ctx := newStore(t)
	desc := putImage(ctx, t, cd, "image")
	pushUnsigned(ctx, t, c, cd, reg.ref("app:v1"), desc)
	return reg, c, desc
}

// TestAdvisoryGHSA_88jx_383q_w4qc: how large an attachment is, or says it is,
// costs neither memory nor the image that it is attached to.
func TestAdvisoryGHSA_88jx_383q_w4qc(t *testing.T) {
	t.Parallel()
	for form, kind := range map[signing.Form]struct {
		mediaType string
		limit     int64
	}{signing.Legacy: {payloadType, limits.Payload}, signing.Bundle: {bundleType, limits.Bundle}} {
		large := digest.FromString("large")
		for name, junk := range map[string]struct {
			size int64
			// endless is what the registry sends, whatever it said.
			endless bool
		}{
			"a byte too large":            {size: kind.limit + 1},
			"of a terabyte":               {size: 1 << 40},
			"of more than 64 bits can do": {size: 1<<63 - 1},
			"of less than nothing":        {size: -1},
			"endless":                     {size: kind.limit, endless: true},
		} {
			t.Run(name+" "+string(form), func(t *testing.T) {
				t.Parallel()
				attachment := ocispec.Descriptor{MediaType: kind.mediaType, Digest: large, Size: junk.size,
					Annotations: map[string]string{signatureAnnotation: "AAAA"}}
				var asked, sent atomic.Int64
				serve := func(reg *testRegistry) {
					reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
						if !strings.HasSuffix(r.URL.Path, large.String()) {
							next.ServeHTTP(w, r)
							return
						}
						asked.Add(1)
						sent.Add(sendUpTo(w, bytes.Repeat([]byte(" "), 1<<16), 64<<20))
					})
				}
				// Alone it is no signature.
				reg, c, desc := unsignedImage(t)
				attachLayers(t, reg, form, desc, attachment)
				serve(reg)
				_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifierOf(t, newKey(t)))
				wantFamily(t, err, verify.ErrRejected)
				if junk.endless {
					wantText(t, err, "content does not match")
				} else {
					wantText(t, err, "limit exceeded")
				}
				// Beside a good one it is no harm.
				reg, c, verifier, desc := signedImage(t, true, form)
				attachLayers(t, reg, form, desc, attachment, goodLayer(t, reg, c, verifier))
				serve(reg)
				result, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
				if err != nil || !result.Accepted {
					t.Errorf("a good signature beside it: %v", err)
				}
				if n := asked.Load(); (n > 0) != junk.endless {
					t.Errorf("%d requests for it", n)
				}
				if n := sent.Load(); n > 16<<20 {
					t.Errorf("%d bytes were taken", n)
				}
			})
		}
	}
}

// TestAdvisoryGHSA_95pr_fxf5_86gv: how many signatures a manifest or a list says
// that there are is limited, and does not cost the image where the good one is
// within the limit or in another place.
func TestAdvisoryGHSA_95pr_fxf5_86gv(t *testing.T) {
	t.Parallel()
	const tooMany = limits.Candidates + 1
	junk := func(t *testing.T, reg *testRegistry, mediaType string, n int) []ocispec.Descriptor {
		t.Helper()
		layer := putLayer(t, reg, mediaType, []byte("{}"))
		layer.Annotations = map[string]string{signatureAnnotation: "AAAA"}
		return slices.Repeat([]ocispec.Descriptor{layer}, n)
	}
	wantLimited := func(t *testing.T, reg *testRegistry, result *verify.Result, err error) {
		t.Helper()
		wantFamily(t, err, verify.ErrRejected)
		if result == nil || !slices.ContainsFunc(result.Signatures, func(s verify.Signature) bool { return errors.Is(s.Err, verify.ErrLimit) }) {
			t.Errorf("that there are more is in no result beside %v", err)
		}
		if n := len(reg.recorded()); n > limits.Candidates+32 {
			t.Errorf("%d requests", n)
		}
	}
	for form, mediaType := range map[signing.Form]string{signing.Legacy: payloadType, signing.Bundle: bundleType} {
		t.Run("in a manifest "+string(form), func(t *testing.T) {
			t.Parallel()
			reg, c, desc := unsignedImage(t)
			attachLayers(t, reg, form, desc, junk(t, reg, mediaType, tooMany)...)
			reg.record()
			result, err := c.Verify(t.Context(), reg.ref("app:v1"), verifierOf(t, newKey(t)))
			wantLimited(t, reg, result, err)
		})
		t.Run("in a manifest, and the good one last "+string(form), func(t *testing.T) {
			t.Parallel()
			reg, c, verifier, desc := signedImage(t, true, form)
			good := goodLayer(t, reg, c, verifier)
			attachLayers(t, reg, form, desc, append(junk(t, reg, mediaType, 200), good)...)
			if _, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier); err != nil {
				t.Error(err)
			}
		})
		t.Run("in another place than the good one "+string(form), func(t *testing.T) {
			t.Parallel()
			other := map[signing.Form]signing.Form{signing.Legacy: signing.Bundle, signing.Bundle: signing.Legacy}[form]
			reg, c, verifier, desc := signedImage(t, true, other)
			attachLayers(t, reg, form, desc, junk(t, reg, mediaType, tooMany)...)
			if _, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier); err != nil {
				t.Error(err)
			}
		})
	}
	for n, limited := range map[int]bool{100: false, tooMany: true} {
		t.Run(fmt.Sprintf("in a list of %d referrers, and the good one last", n), func(t *testing.T) {
			t.Parallel()
			reg, c, verifier, _ := signedImage(t, true, signing.Bundle)
			var list ocispec.Index
			manifests := map[string][]byte{}
			for i := range n {
				b := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"layers":[],"annotations":{"n":"%d"}}`, ocispec.MediaTypeImageManifest, i)
				d := digest.FromBytes(b)
				manifests["/v2/app/manifests/"+d.String()] = b
				list.Manifests = append(list.Manifests, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: int64(len(b))})
			}
			result, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
			if err != nil {
				t.Fatal(err)
			}
			good := result.Signatures[0].Origin.Manifest
			list.Manifests = append(list.Manifests, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: good,
				Size: int64(len(getRaw(t, reg, "app", good.String())))})
			reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				switch b, ok := manifests[r.URL.Path]; {
				case lookUps["referrers API"](r):
					writeIndex(w, list)
				case ok:
					w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
					_, _ = w.Write(b)
				default:
					next.ServeHTTP(w, r)
				}
			})
			reg.record()
			result, err = c.Verify(t.Context(), reg.ref("app:v1"), verifier)
			if limited {
				wantLimited(t, reg, result, err)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// attestationOf is a bundle over a statement about an image, by key.
func attestationOf(t *testing.T, key *ecdsa.PrivateKey, predicateType string, image digest.Digest) []byte {
	t.Helper()
	const intoto = "application/vnd.in-toto+json"
	statement, err := json.Marshal(map[string]any{
		"_type": "https://in-toto.io/Statement/v1", "predicateType": predicateType, "predicate": map[string]any{},
		"subject": []any{map[string]any{"digest": map[string]string{"sha256": image.Encoded()}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(intoto), intoto, len(statement), statement))
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]any{
		"mediaType": bundleType, "verificationMaterial": map[string]any{"publicKey": map[string]any{}},
		"dsseEnvelope": map[string]any{"payload": statement, "payloadType": intoto, "signatures": []any{map[string]any{"sig": sig}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestAdvisoryGHSA_vjxv_45g9_9296: what a registry says that a referrer is does
// not make an attestation a signature.
func TestAdvisoryGHSA_vjxv_45g9_9296(t *testing.T) {
	t.Parallel()
	const signType, provenance = "https://sigstore.dev/cosign/sign/v1", "https://slsa.dev/provenance/v1"
	for name, test := range map[string]struct {
		predicateType string
		alter         func(*ocispec.Descriptor)
		why           string // empty where it is accepted
	}{
		"a signature":    {signType, func(*ocispec.Descriptor) {}, ""},
		"an attestation": {provenance, func(*ocispec.Descriptor) {}, "is not a signature"},
		"listed as a signature": {provenance, func(d *ocispec.Descriptor) {
			d.Annotations = map[string]string{"dev.sigstore.bundle.predicateType": signType}
		}, "is not a signature"},
		"listed as of no type":         {provenance, func(d *ocispec.Descriptor) { d.ArtifactType, d.Annotations = "", nil }, "is not a signature"},
		"listed as a legacy signature": {provenance, func(d *ocispec.Descriptor) { d.ArtifactType = "application/vnd.dev.cosign.artifact.sig.v1+json" }, "is not a signature"},
		"listed as what it is": {provenance, func(d *ocispec.Descriptor) {
			d.Annotations = map[string]string{"dev.sigstore.bundle.predicateType": provenance}
		}, "no signatures found"},
		"a signature, listed as of no type": {signType, func(d *ocispec.Descriptor) { d.ArtifactType, d.Annotations = "", nil }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg, c, desc := unsignedImage(t)
			key := newKey(t)
			attachLayers(t, reg, signing.Bundle, desc, putLayer(t, reg, bundleType, attestationOf(t, key, test.predicateType, desc.Digest)))
			referrersAnswer(reg, func(w http.ResponseWriter, _ *http.Request, index ocispec.Index) {
				for i := range index.Manifests {
					test.alter(&index.Manifests[i])
				}
				writeIndex(w, index)
			})
			_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifierOf(t, key))
			if test.why == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFamily(t, err, verify.ErrRejected)
			wantText(t, err, test.why)
		})
	}
}

// TestAdvisoryGHSA_2r43_6962_xcw5: a verdict is on a digest. That a name was
// acceptable says nothing once it stands for another image, to whomever it is that
// asks, and what is run is what was verified.
func TestAdvisoryGHSA_2r43_6962_xcw5(t *testing.T) {
	t.Parallel()
	reg := newTestRegistry(t, true)
	c := newClient(t, registry.Config{})
	source, ctx := newStore(t)
	key := newKey(t)
	verifier := verifierOf(t, key)
	ref := reg.ref("app:v1")
	a, b := putImage(ctx, t, source, "A"), putImage(ctx, t, source, "B")
	if _, err := hooks.Push(ctx, c, source.Client, ref, a, signerOf(t, key), nil, registry.WithForm(signing.Both)); err != nil {
		t.Fatal(err)
	}
	for range 3 { // once more than any cache needs to be warm
		result, err := c.Verify(ctx, ref, verifier)
		if err != nil || result.Image.Target.Digest != a.Digest {
			t.Fatalf("A: %v, %+v", err, result)
		}
	}
	pulled, ctxPulled := newStore(t)
	if _, _, err := hooks.Pull(ctxPulled, c, pulled.Client, ref, verifier, nil); err != nil {
		t.Fatal(err)
	}
	resolver := c.VerifyingResolver(verifier)
	if _, desc, err := resolver.Resolve(ctx, ref); err != nil || desc.Digest != a.Digest {
		t.Fatalf("A: %v, %v", err, desc)
	}

	// The name now stands for B, and all that was attached to A is attached to it.
	pushUnsigned(ctx, t, c, source, ref, b)
	var m ocispec.Manifest
	if err := json.Unmarshal(getRaw(t, reg, "app", tagOf(a.Digest)+".sig"), &m); err != nil {
		t.Fatal(err)
	}
	attachLayers(t, reg, signing.Legacy, b, m.Layers...)
	var index ocispec.Index
	if err := json.Unmarshal(getReferrers(t, reg, a.Digest), &index); err != nil || len(index.Manifests) == 0 {
		t.Fatalf("%v, %+v", err, index)
	}
	for _, d := range index.Manifests {
		var m ocispec.Manifest
		if err := json.Unmarshal(getRaw(t, reg, "app", d.Digest.String()), &m); err != nil {
			t.Fatal(err)
		}
		attachLayers(t, reg, signing.Bundle, b, m.Layers...)
	}

	rejectsB := func(t *testing.T, result *verify.Result, err error) {
		t.Helper()
		wantFamily(t, err, verify.ErrRejected)
		wantText(t, err, "no signature is acceptable")
		if result == nil || result.Accepted || result.Image.Target.Digest != b.Digest || len(result.Signatures) != 2 {
			t.Errorf("result is %+v", result)
		}
		if pinned, err := result.Pinned(); err == nil {
			t.Errorf("pinned as %s", pinned)
		}
	}
	t.Run("the name again", func(t *testing.T) {
		result, err := c.Verify(t.Context(), ref, verifier)
		rejectsB(t, result, err)
	})
	t.Run("the same name with the other digest", func(t *testing.T) {
		result, err := c.VerifyImage(t.Context(), verify.Image{Name: ref, Target: b}, verifier)
		rejectsB(t, result, err)
		result, err = c.VerifyImage(t.Context(), verify.Image{Name: ref, Target: a}, verifier)
		if err != nil || result.Image.Target.Digest != a.Digest {
			t.Errorf("A: %v, %+v", err, result)
		}
	})
	t.Run("the name and a digest", func(t *testing.T) {
		result, err := c.Verify(t.Context(), ref+"@"+a.Digest.String(), verifier)
		if err != nil || result.Image.Target.Digest != a.Digest {
			t.Errorf("A: %v, %+v", err, result)
		}
		result, err = c.Verify(t.Context(), ref+"@"+b.Digest.String(), verifier)
		rejectsB(t, result, err)
	})
	t.Run("pull into a store that has A under the name", func(t *testing.T) {
		_, result, err := hooks.Pull(ctxPulled, c, pulled.Client, ref, verifier, nil)
		rejectsB(t, result, err)
		image, err := pulled.ImageService().Get(ctxPulled, ref)
		if err != nil || image.Target.Digest != a.Digest {
			t.Errorf("the store has %+v, %v", image.Target, err)
		}
		if _, err := pulled.ContentStore().Info(ctxPulled, b.Digest); err == nil {
			t.Error("B was fetched")
		}
	})
	t.Run("one resolver twice", func(t *testing.T) {
		_, _, err := resolver.Resolve(t.Context(), ref)
		wantFamily(t, err, verify.ErrRejected)
	})
	t.Run("many at once, A and B in turn", func(t *testing.T) {
		var all sync.WaitGroup
		for _, image := range slices.Repeat([]ocispec.Descriptor{a, b}, 8) {
			all.Go(func() {
				result, err := c.VerifyImage(t.Context(), verify.Image{Name: ref, Target: image}, verifier)
				if accepted := err == nil; accepted != (image.Digest == a.Digest) || result.Image.Target.Digest != image.Digest {
					t.Errorf("%s: %v", image.Digest, err)
				}
			})
		}
		all.Wait()
	})
}

// getReferrers asks the registry, past everything under test, for the referrers
// of a digest.
func getReferrers(t *testing.T, reg *testRegistry, d digest.Digest) []byte {
	t.Helper()
	resp, err := http.Get(reg.url + "/v2/app/referrers/" + d.String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("referrers of %s: %s, %v", d, resp.Status, err)
	}
	return b
}
