// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// indexOf is an index with entries of any kind.
func indexOf(entries ...ocispec.Descriptor) []byte {
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: entries}
	index.SchemaVersion = 2
	b, err := json.Marshal(index)
	if err != nil {
		panic(err)
	}
	return b
}

// TestJunkThatNamesASignatureDoesNotHideIt: who may list referrers, but has no
// key, lists a good signature in a way in which it cannot be read.
func TestJunkThatNamesASignatureDoesNotHideIt(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"referrers API", "referrers tag"} {
		for _, form := range []signing.Form{signing.Legacy, signing.Bundle} {
			for junk, alter := range map[string]func(*ocispec.Descriptor){
				"with a wrong size":       func(d *ocispec.Descriptor) { d.Size = 1 },
				"with a huge size":        func(d *ocispec.Descriptor) { d.Size = 1 << 40 },
				"with a negative size":    func(d *ocispec.Descriptor) { d.Size = -1 },
				"as something else":       func(d *ocispec.Descriptor) { d.MediaType = "application/octet-stream" },
				"as an attestation":       func(d *ocispec.Descriptor) { d.ArtifactType = "application/vnd.in-toto+json" },
				"first, and again after":  func(d *ocispec.Descriptor) { d.Size++ },
				"with another annotation": func(d *ocispec.Descriptor) { d.Annotations = map[string]string{"a": "b"} },
			} {
				t.Run(fmt.Sprintf("%s lists a %s %s", place, form, junk), func(t *testing.T) {
					t.Parallel()
					// The signature is where the junk is not.
					reg, c, verifier, desc := signedImage(t, form == signing.Bundle && place == "referrers tag", form)
					var entry ocispec.Descriptor
					if form == signing.Legacy {
						b := getRaw(t, reg, "app", tagOf(desc.Digest)+".sig")
						entry = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(b), Size: int64(len(b))}
					} else {
						result, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
						if err != nil {
							t.Fatal(err)
						}
						entry = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: result.Signatures[0].Origin.Manifest, Size: 1000}
					}
					alter(&entry)
					match := lookUps[place]
					reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
						if !match(r) {
							next.ServeHTTP(w, r)
							return
						}
						serving(indexOf(entry, entry))(w, r)
					})
					if _, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

// TestHugeEntriesLeaveTheBudgetOfTheOthers: what is read for one verification is
// limited, and entries that are large, or say so, must not use that up.
func TestHugeEntriesLeaveTheBudgetOfTheOthers(t *testing.T) {
	t.Parallel()
	entry := func(n int, size int64) ocispec.Descriptor {
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint("junk ", n)), Size: size}
	}
	t.Run("a size that no referrer may have, in the same list", func(t *testing.T) {
		t.Parallel()
		reg, c, verifier, _ := signedImage(t, true, signing.Bundle)
		referrersAnswer(reg, func(w http.ResponseWriter, _ *http.Request, index ocispec.Index) {
			var junk []ocispec.Descriptor
			for n := range 100 {
				junk = append(junk, entry(n, 64<<20))
			}
			index.Manifests = append(junk, index.Manifests...)
			writeIndex(w, index)
		})
		if _, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier); err != nil {
			t.Error(err)
		}
	})
	t.Run("a size that overflows, in the same list", func(t *testing.T) {
		t.Parallel()
		reg, c, verifier, _ := signedImage(t, true, signing.Bundle)
		referrersAnswer(reg, func(w http.ResponseWriter, _ *http.Request, index ocispec.Index) {
			index.Manifests = append([]ocispec.Descriptor{entry(0, 1<<63-1), entry(1, 1<<63-1), entry(2, -1<<63)}, index.Manifests...)
			writeIndex(w, index)
		})
		if _, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier); err != nil {
			t.Error(err)
		}
	})
	t.Run("as much as is read, in another place", func(t *testing.T) {
		t.Parallel()
		reg, c, verifier, _ := signedImage(t, true, signing.Legacy)
		var junk []ocispec.Descriptor
		for n := range 31 { // and the list itself
			junk = append(junk, entry(n, 1<<20))
		}
		var mu sync.Mutex
		asked, all := map[string]bool{}, make(chan struct{})
		reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			switch {
			case lookUps["referrers tag"](r):
				serving(indexOf(junk...))(w, r)
			case lookUps["signature tag"](r):
				// The good signature comes last.
				select {
				case <-all:
				case <-r.Context().Done():
				}
				next.ServeHTTP(w, r)
			default:
				mu.Lock()
				for _, d := range junk {
					if strings.HasSuffix(r.URL.Path, "/manifests/"+d.Digest.String()) && !asked[r.URL.Path] {
						if asked[r.URL.Path] = true; len(asked) == len(junk) {
							close(all)
						}
					}
				}
				mu.Unlock()
				next.ServeHTTP(w, r)
			}
		})
		err := returns(t, func() error {
			_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// repeating signs once and returns the same signature again, as a signer does
// whose algorithm is deterministic.
type repeating struct {
	signing.Signer
	once       sync.Once
	signatures []signing.Signature
	err        error
}

func (r *repeating) Sign(ctx context.Context, request signing.Request) ([]signing.Signature, error) {
	r.once.Do(func() { r.signatures, r.err = r.Signer.Sign(ctx, request) })
	return r.signatures, r.err
}

// TestWrongSizeEntryOfOurOwnSignatureIsReplaced: somebody lists our signature
// with a size under which it cannot be read. That it is listed already is then
// no reason not to list it.
func TestWrongSizeEntryOfOurOwnSignatureIsReplaced(t *testing.T) {
	t.Parallel()
	t.Run("legacy", func(t *testing.T) {
		t.Parallel()
		reg := newTestRegistry(t, true)
		c := newClient(t, registry.Config{})
		cd, ctx := newStore(t)
		key := newKey(t)
		signer := &repeating{Signer: signerOf(t, key)}
		desc := putImage(ctx, t, cd, "image")
		if _, err := hooks.Push(ctx, c, cd.Client, reg.ref("app:v1"), desc, signer, nil, registry.WithForm(signing.Legacy)); err != nil {
			t.Fatal(err)
		}
		tag := tagOf(desc.Digest) + ".sig"
		var m ocispec.Manifest
		if err := json.Unmarshal(getRaw(t, reg, "app", tag), &m); err != nil {
			t.Fatal(err)
		}
		m.Layers[0].Size++
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		putRaw(t, reg, "app", tag, ocispec.MediaTypeImageManifest, b)
		_, err = c.Verify(ctx, reg.ref("app:v1"), verifierOf(t, key))
		wantFamily(t, err, verify.ErrRejected)
		if _, err := hooks.Push(ctx, c, cd.Client, reg.ref("app:v2"), desc, signer, nil, registry.WithForm(signing.Legacy)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Verify(ctx, reg.ref("app:v2"), verifierOf(t, key)); err != nil {
			t.Errorf("tagged without a signature that can be read: %v", err)
		}
	})
	for name, alter := range map[string]func(*ocispec.Descriptor){
		"bundle":                         func(d *ocispec.Descriptor) { d.Size++ },
		"bundle as of another type":      func(d *ocispec.Descriptor) { d.ArtifactType = "application/vnd.in-toto+json" },
		"bundle as of another mediatype": func(d *ocispec.Descriptor) { d.MediaType = ocispec.MediaTypeImageLayer },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := newTestRegistry(t, false)
			c := newClient(t, registry.Config{})
			cd, ctx := newStore(t)
			key := newKey(t)
			desc := putImage(ctx, t, cd, "image")
			pushUnsigned(ctx, t, c, cd, reg.ref("app:v1"), desc)
			var raced atomic.Bool
			reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				next.ServeHTTP(w, r)
				_, d, ok := strings.Cut(r.URL.Path, "/manifests/sha256:")
				if r.Method != http.MethodPut || !ok || raced.Swap(true) {
					return
				}
				// The manifest is there and about to be listed: be faster.
				entry := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.Digest("sha256:" + d),
					Size: r.ContentLength, ArtifactType: "application/vnd.dev.sigstore.bundle.v0.3+json"}
				alter(&entry)
				put, err := http.NewRequestWithContext(r.Context(), http.MethodPut, "/v2/app/manifests/"+tagOf(desc.Digest), strings.NewReader(string(indexOf(entry))))
				if err != nil {
					panic(err)
				}
				put.Header.Set("Content-Type", ocispec.MediaTypeImageIndex)
				rec := newRecorder()
				next.ServeHTTP(rec, put)
				if rec.status != http.StatusCreated {
					t.Errorf("status %d", rec.status)
				}
			})
			if _, err := c.Sign(ctx, reg.ref("app:v1"), signerOf(t, key)); err != nil {
				t.Fatal(err)
			}
			if !raced.Load() {
				t.Error("nothing was listed before")
			}
			if _, err := c.Verify(ctx, reg.ref("app:v1"), verifierOf(t, key)); err != nil {
				t.Errorf("signed without a signature that can be read: %v", err)
			}
		})
	}
}

// TestWhatIsNotOursUnderATagIsNotOverwritten has somebody else keep another
// kind of document where signatures are listed.
func TestWhatIsNotOursUnderATagIsNotOverwritten(t *testing.T) {
	t.Parallel()
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"layers":[]}`, ocispec.MediaTypeImageManifest)
	tests := []struct {
		name, suffix, mediaType string
		form                    signing.Form
		data                    func(ocispec.Descriptor) []byte
	}{
		{"an index under the signature tag", ".sig", ocispec.MediaTypeImageIndex, signing.Legacy, func(d ocispec.Descriptor) []byte { return indexOf(d) }},
		{"an index that is none under the signature tag", ".sig", ocispec.MediaTypeImageManifest, signing.Legacy, func(ocispec.Descriptor) []byte { return []byte("{") }},
		{"a list of another type under the signature tag", ".sig", ocispec.MediaTypeImageManifest, signing.Legacy, func(ocispec.Descriptor) []byte { return []byte(`{"layers":{}}`) }},
		{"a manifest under the referrers tag", "", ocispec.MediaTypeImageManifest, signing.Bundle, func(ocispec.Descriptor) []byte { return manifest }},
		{"no JSON under the referrers tag", "", ocispec.MediaTypeImageManifest, signing.Bundle, func(ocispec.Descriptor) []byte { return []byte("<html>") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			reg := newTestRegistry(t, false)
			c := newClient(t, registry.Config{})
			cd, ctx := newStore(t)
			desc := putImage(ctx, t, cd, "image")
			pushUnsigned(ctx, t, c, cd, reg.ref("app:v1"), desc)
			tag := tagOf(desc.Digest) + test.suffix
			before := putRaw(t, reg, "app", tag, test.mediaType, test.data(desc))
			if _, err := c.Sign(ctx, reg.ref("app:v1"), signerOf(t, newKey(t)), registry.WithForm(test.form)); err == nil {
				t.Error("signed")
			}
			if got := reg.digestOf(t, "app", tag); got != before {
				t.Errorf("replaced by %s", got)
			}
		})
	}
}

// TestNotFoundElsewhereIsNotUnsigned: a 404 of the ping, or of a token server,
// says nothing about signatures.
func TestNotFoundElsewhereIsNotUnsigned(t *testing.T) {
	t.Parallel()
	for transport, config := range map[string]registry.Config{
		"containerd":           {},
		"go-containerregistry": {Resolver: registry.RemoteResolver(nil, []name.Option{name.Insecure})},
	} {
		for _, what := range []string{"ping", "token server"} {
			if transport == "containerd" && what == "ping" {
				continue // it does not ping
			}
			t.Run(transport+", "+what, func(t *testing.T) {
				t.Parallel()
				reg, _, verifier, desc := signedImage(t, true, signing.Legacy)
				if what == "ping" {
					reg.failing(http.StatusNotFound, func(r *http.Request) bool { return r.URL.Path == "/v2/" })
				} else {
					withTokens(reg, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
				}
				c := newClient(t, config)
				_, err := c.VerifyImage(t.Context(), verify.Image{Name: reg.ref("app:v1"), Target: desc}, verifier)
				wantFamily(t, err, verify.ErrInconclusive)
			})
		}
	}
}

// signAroundMissingPing reports whether there was an n-th ping.
func signAroundMissingPing(t *testing.T, n int64) bool {
	t.Helper()
	reg, _, verifier, desc := signedImage(t, true, signing.Legacy)
	var pings atomic.Int64
	reg.failing(http.StatusNotFound, func(r *http.Request) bool { return r.URL.Path == "/v2/" && pings.Add(1) == n+1 })
	c := newClient(t, registry.Config{Resolver: registry.RemoteResolver(nil, []name.Option{name.Insecure})})
	_, err := c.SignImage(t.Context(), verify.Image{Name: reg.ref("app:v1"), Target: desc}, signerOf(t, newKey(t)), registry.WithForm(signing.Legacy))
	if pings.Load() <= n {
		return false
	}
	want := 2
	if err != nil {
		wantFamily(t, err, verify.ErrInconclusive)
		want = 1
	}
	reg.onRequest(nil)
	var m ocispec.Manifest
	if err := json.Unmarshal(getRaw(t, reg, "app", tagOf(desc.Digest)+".sig"), &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Layers) < want {
		t.Errorf("ping %d: %d signatures, want %d", n+1, len(m.Layers), want)
	}
	if _, err := newClient(t, registry.Config{}).Verify(t.Context(), reg.ref("app:v1"), verifier); err != nil {
		t.Errorf("ping %d: the first signature is lost: %v", n+1, err)
	}
	return true
}
