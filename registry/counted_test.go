// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package registry_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/worktest"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// TestAThousandHostileSignatures: a registry that lists many signatures made to be
// costly hides no good one after them, and ten times as many cost ten times as much.
func TestAThousandHostileSignatures(t *testing.T) {
	for _, place := range hostilePlaces {
		for kind := range hostileKinds {
			t.Run(place.name+", "+kind, func(t *testing.T) {
				work := func(n int) uint64 {
					j, v := newHostileTest(t, place, kind, n)
					c := newClient(t, registry.Config{})
					return worktest.Allocated(func() {
						result, err := c.VerifyImage(t.Context(), j.image, v, registry.WithEverySignature())
						bad := slices.DeleteFunc(result.Signatures, func(s verify.Signature) bool { return s.Err == nil })
						if err != nil || len(bad) != n {
							t.Errorf("a good one after %d hostile ones: %d bad, %v", n, len(bad), err)
						}
					})
				}
				work(1)
				if few, many := work(100), work(1000); many > 12*few {
					t.Errorf("%d bytes allocated for 1000, and %d for 100", many, few)
				}
			})
		}
	}
}

// TestNotFoundElsewhereLosesNoSignature has one ping after the other answer 404
// while a second signature is added to the first, until there are no more.
func TestNotFoundElsewhereLosesNoSignature(t *testing.T) {
	t.Parallel()
	n := int64(0)
	for signAroundMissingPing(t, n) {
		n++
	}
	if n == 0 {
		t.Error("no ping was made")
	}
}

// TestReferencesAreNotRepeatedAsTheyAre: a reference may come from a project that is
// somebody else's, and an error goes to a terminal.
func TestReferencesAreNotRepeatedAsTheyAre(t *testing.T) {
	t.Parallel()
	c := newClient(t, registry.Config{})
	verifier := verifierOf(t, newKey(t))
	for _, ref := range []string{
		"app\x1b]0;title\aB", "host.example/UP\u202eER", "host.example/app:\x1b[2J",
		strings.Repeat("a", 1<<20), strings.Repeat("a.", 1<<19) + "example/app",
		"app@" + strings.Repeat("a+", 1<<19) + "a:" + strings.Repeat("0", 64),
	} {
		_, err := c.Verify(t.Context(), ref, verifier)
		wantFamily(t, err, verify.ErrMisconfigured)
		_, _, resolved := c.VerifyingResolver(verifier).Resolve(t.Context(), ref)
		wantFamily(t, resolved, verify.ErrMisconfigured)
		for _, text := range []string{err.Error(), resolved.Error()} {
			if len(text) > 10_000 || strings.ContainsAny(text, "\x1b\a\u202e") {
				t.Errorf("%.40q: %d bytes: %.100q", ref, len(text), text)
			}
		}
	}
}

// TestLayoutReadsOnlySoMuch: many large manifests are refused together.
func TestLayoutReadsOnlySoMuch(t *testing.T) {
	t.Parallel()
	o := newOCIDir(t)
	image := o.image("a")
	o.list(image, annotationKind, cosignKindPrefix+"image")
	padding := strings.Repeat(" ", 1<<20-4096)
	for i := range 34 {
		text := fmt.Sprintf(`{"mediaType":%q,"annotations":{"i":"%d"},"subject":%s}`, ocispec.MediaTypeImageManifest, i, descJSON(image))
		desc := o.blob(ocispec.MediaTypeImageManifest, text+padding)
		o.Manifests = append(o.Manifests, desc)
	}
	o.save()
	_, err := lookUpLayout(t.Context(), o.resolver())
	wantText(t, err, "manifests of the layout in bytes is larger than")

	// Unlisted, where cosign saved.
	o.Manifests = o.Manifests[:1]
	o.save()
	_, err = lookUpLayout(t.Context(), o.resolver())
	wantText(t, err, "manifests of the layout in bytes is larger than")

	// Elsewhere they are not looked at.
	o.Manifests[0].Annotations = nil
	o.save()
	if _, err = lookUpLayout(t.Context(), o.resolver()); err != nil {
		t.Error(err)
	}
}

// TestLayoutReadsSignaturesFirst: what is no signature, by its descriptor, takes
// nothing away from what may be one.
func TestLayoutReadsSignaturesFirst(t *testing.T) {
	t.Parallel()
	o, key := newOCIDir(t), newKey(t)
	image := o.image("a")
	for i := range 10 {
		desc := o.blob(ocispec.MediaTypeImageManifest, fmt.Sprintf(`{"annotations":{"i":"%d"},"subject":%s}`, i, descJSON(image))+strings.Repeat(" ", 4<<20-4096))
		desc.ArtifactType = "application/spdx+json"
		o.Manifests = append(o.Manifests, desc)
	}
	o.list(image, ocispec.AnnotationRefName, "v1")
	c := layoutClient(t, o.dir)
	if _, err := c.Sign(t.Context(), layoutRef, signerOf(t, key)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Verify(t.Context(), layoutRef, verifierOf(t, key)); err != nil {
		t.Error(err)
	}
}

// TestListsThatAmplifyInMemory runs alone, since it measures. A descriptor takes
// three bytes in the answer and more than two hundred in memory.
func TestListsThatAmplifyInMemory(t *testing.T) {
	list := func(field string, size, n int) []byte {
		return fmt.Appendf(nil, `{"schemaVersion":2,"annotations":{"n":"%d"},%q:[{}%s]}`, n, field, strings.Repeat(",{}", size/3))
	}
	tests := []struct {
		name  string
		place string
		// answers are what the place is, by the last element of their paths.
		answers func(desc ocispec.Descriptor) map[string][]byte
	}{
		{"the referrers API lists millions", "referrers API", func(desc ocispec.Descriptor) map[string][]byte {
			return map[string][]byte{desc.Digest.String(): list("manifests", 4<<20-200, 0)}
		}},
		{"the referrers tag lists millions", "referrers tag", func(desc ocispec.Descriptor) map[string][]byte {
			return map[string][]byte{tagOf(desc.Digest): list("manifests", 4<<20-200, 0)}
		}},
		{"the signature tag has millions of layers", "signature tag", func(desc ocispec.Descriptor) map[string][]byte {
			return map[string][]byte{tagOf(desc.Digest) + ".sig": list("layers", 4<<20-200, 0)}
		}},
		{"layers that are no descriptors, in many referrers", "referrers API", func(desc ocispec.Descriptor) map[string][]byte {
			answers := map[string][]byte{}
			index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
			for n := range 64 {
				b := fmt.Appendf(nil, `{"n":%d,"layers":[0%s]}`, n, strings.Repeat(",0", 16383))
				answers[digest.FromBytes(b).String()] = b
				index.Manifests = append(index.Manifests, ocispec.Descriptor{
					MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(b), Size: int64(len(b)),
				})
			}
			answers[desc.Digest.String()], _ = json.Marshal(index)
			return answers
		}},
		{"many lists of layers in one manifest", "signature tag", func(desc ocispec.Descriptor) map[string][]byte {
			layers := `,"layers":[0` + strings.Repeat(",0", 16383) + `]`
			b := `{"a":0` + strings.Repeat(layers, (4<<20-100)/len(layers)) + `}`
			return map[string][]byte{tagOf(desc.Digest) + ".sig": []byte(b)}
		}},
		{"layers with many annotations, in many referrers", "referrers API", func(desc ocispec.Descriptor) map[string][]byte {
			answers := map[string][]byte{digest.FromString("p").String(): []byte("p")}
			index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
			annotations := manyAnnotations(2 << 20)
			for n := range 8 {
				b := fmt.Appendf(nil, `{"n":%d,"layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","digest":%q,"size":1,%s}]}`,
					n, digest.FromString("p"), annotations)
				answers[digest.FromBytes(b).String()] = b
				index.Manifests = append(index.Manifests, ocispec.Descriptor{
					MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(b), Size: int64(len(b)),
				})
			}
			answers[desc.Digest.String()], _ = json.Marshal(index)
			return answers
		}},
		{"referrers with many annotations", "referrers API", func(desc ocispec.Descriptor) map[string][]byte {
			entry := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":2,%s,%s}`, ocispec.MediaTypeImageManifest, desc.Digest, manyAnnotations(1<<20), manyAnnotations(1<<20))
			return map[string][]byte{desc.Digest.String(): []byte(`{"manifests":[` + entry + `]}`)}
		}},
		{"each of many referrers has many layers", "referrers API", func(desc ocispec.Descriptor) map[string][]byte {
			answers := map[string][]byte{}
			index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
			for n := range 8 {
				b := list("layers", 1<<20-200, n)
				answers[digest.FromBytes(b).String()] = b
				index.Manifests = append(index.Manifests, ocispec.Descriptor{
					MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(b), Size: int64(len(b)),
				})
			}
			answers[desc.Digest.String()], _ = json.Marshal(index)
			return answers
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			reg := newTestRegistry(t, true)
			c := newClient(t, registry.Config{})
			cd, ctx := newStore(t)
			desc := putImage(ctx, t, cd, "image")
			pushUnsigned(ctx, t, c, cd, reg.ref("app:v1"), desc)
			answers := test.answers(desc)
			reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				b, ok := answers[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
				if !ok || strings.HasSuffix(r.URL.Path, "/manifests/"+desc.Digest.String()) {
					next.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
				_, _ = w.Write(b)
			})
			n := allocated(func() {
				_, err := c.Verify(ctx, reg.ref("app:v1"), verifierOf(t, newKey(t)))
				wantFamily(t, err, verify.ErrRejected)
				wantText(t, err, "limit exceeded: number of ")
			})
			if n > 128<<20 {
				t.Errorf("%d bytes were allocated", n)
			}
		})
	}
}

// TestMemoryAmongJunk runs alone, since it measures: what was checked is not
// kept, and what is read is not read many times over.
func TestMemoryAmongJunk(t *testing.T) {
	const n, size = 1000, 64 << 10
	for _, place := range []junkPlace{junkPlaces[0], junkPlaces[6]} {
		t.Run(place.name, func(t *testing.T) {
			j := newJunkTest(t)
			rest := make([]byte, size)
			good := goodPiece(place.form)
			var pieces []piece
			numbers := map[string]int{} // by the paths of the blobs
			for i := range n {
				layer := bigJunk(place.form, size, i)
				pieces = append(pieces, piece{layer: layer, number: 2*i + 1})
				numbers["/v2/app/blobs/"+layer.Digest.String()] = i
			}
			place.fill(j.shelf, "app", j.image.Target, append(pieces, good))
			var held atomic.Uint64
			before := heap()
			j.reg.onRequest(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				if number, ok := numbers[r.URL.Path]; ok {
					n, _ := fmt.Fprint(w, number)
					_, _ = w.Write(rest[n:])
					return
				}
				if strings.HasSuffix(r.URL.Path, "/blobs/"+good.layer.Digest.String()) {
					held.Store(heap()) // the good one is read last
				}
				j.ServeHTTP(w, r)
			})
			var result *verify.Result
			var err error
			total := allocated(func() { result, err = j.verify(t, verify.Limits{TotalBytes: 128 << 20}, registry.Config{}) })
			wantAcceptedAmong(t, result, err)
			t.Logf("%d kB allocated and %d kB held, for %d kB", total>>10, (held.Load()-min(held.Load(), before))>>10, n*size>>10)
			if most := before + 16<<20; held.Load() > most || held.Load() == 0 {
				t.Errorf("%d bytes are held, want %d at most", held.Load(), most)
			}
			if most := uint64(8 * n * size); total > most {
				t.Errorf("%d bytes were allocated, want %d at most", total, most)
			}
		})
	}
}

// TestOversizedSignatureManifest: another signer's manifest grew beyond what is
// read. That is not the same as that there is none.
func TestOversizedSignatureManifest(t *testing.T) {
	t.Parallel()
	reg, c, verifier, desc := signedImage(t, true, signing.Legacy)
	tag := tagOf(desc.Digest) + ".sig"
	var m map[string]any
	if err := json.Unmarshal(getRaw(t, reg, "app", tag), &m); err != nil {
		t.Fatal(err)
	}
	m["annotations"] = map[string]string{"pad": strings.Repeat("x", limits.Manifest)}
	big, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	putRaw(t, reg, "app", tag, ocispec.MediaTypeImageManifest, big)

	_, err = c.Verify(t.Context(), reg.ref("app:v1"), verifier)
	wantFamily(t, err, verify.ErrRejected)
	wantText(t, err, "limit exceeded")
	_, err = c.Sign(t.Context(), reg.ref("app:v1"), signerOf(t, newKey(t)), registry.WithForm(signing.Legacy))
	wantFamily(t, err, verify.ErrRejected)
	wantText(t, err, "limit exceeded")
	if got := reg.digestOf(t, "app", tag); got != digest.FromBytes(big) {
		t.Errorf("what was under the tag was replaced by %s", got)
	}
}

// TestTooManyCandidatesOverManyManifests: the number of signatures is limited
// for all manifests together.
func TestTooManyCandidatesOverManyManifests(t *testing.T) {
	t.Parallel()
	const manifests = 8
	reg := newTestRegistry(t, true)
	c := newClient(t, registry.Config{})
	cd, ctx := newStore(t)
	desc := putImage(ctx, t, cd, "image")
	pushUnsigned(ctx, t, c, cd, reg.ref("app:v1"), desc)
	// Of this size none is fetched, but each is one that could be.
	layer := fmt.Sprintf(`{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","digest":%q,"size":%d}`, digest.FromString(""), 1<<40)
	for n := range manifests {
		putRaw(t, reg, "app", "", ocispec.MediaTypeImageManifest, fmt.Appendf(nil,
			`{"schemaVersion":2,"mediaType":%q,"annotations":{"n":"%d"},"subject":%s,"layers":[%s]}`,
			ocispec.MediaTypeImageManifest, n, descJSON(desc), layer+strings.Repeat(","+layer, 499)))
	}
	result, err := c.Verify(ctx, reg.ref("app:v1"), verifierOf(t, newKey(t)))
	wantFamily(t, err, verify.ErrRejected)
	if n := len(result.Signatures); n == 0 || n > limits.Candidates+manifests {
		t.Errorf("%d signatures in the result", n)
	}
	var limited bool
	for _, s := range result.Signatures {
		limited = limited || s.Err != nil && strings.Contains(s.Err.Error(), "number of signatures")
	}
	if !limited {
		t.Error("the result does not say that there are more")
	}
}

// A registry can make any number of signatures of one, by what is in them and not
// signed.
func TestKeptSignaturesAreBounded(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	image := putImage(n.ctx, t, n.cd, "app")
	record(n, image)
	const foreign = "containerd.io/gc.ref.content.referrer.sha256.0123456789ab"
	sbom := putJSON(n.ctx, t, n.cd, ocispec.MediaTypeImageManifest, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/spdx+json"}`)
	n.label(image.Digest, foreign, sbom.Digest.String())

	results := n.results(image, limits.KeptSignatures+8, signing.Bundle)
	n.keep(results...)
	if kept := len(n.kept(image.Digest)); kept != limits.KeptSignatures+1 {
		t.Errorf("%d signatures are kept beside what is not ours, want %d", kept-1, limits.KeptSignatures)
	}
	if !slices.Contains(n.kept(image.Digest), sbom.Digest) {
		t.Error("what somebody else keeps was pushed out")
	}
	n.collect()
	n.down()
	last := results[len(results)-1]
	n.keep(last) // and it is there already
	blobs := n.count()
	n.collect()
	if n.count() != blobs {
		t.Error("keeping left something to collect")
	}

	many := *last
	many.Signatures = nil
	for i := range 2 * limits.KeptSignatures {
		s := last.Signatures[0]
		s.Candidate.Bundle = append(slices.Clone(s.Candidate.Bundle), strings.Repeat(" ", i+1)...)
		many.Signatures = append(many.Signatures, s)
	}
	n.keep(&many)
	if kept := len(n.kept(image.Digest)); kept != limits.KeptSignatures+1 {
		t.Errorf("%d signatures are kept of one result, want %d", kept-1, limits.KeptSignatures)
	}
}

func TestSignatureRepositoriesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"UPPER", "host/app:tag", "host/app@sha256:" + strings.Repeat("a", 64), "https://host/app", "host/../app", "host/app ", "host/app\n"} {
		_, err := registry.New(registry.Config{SignatureRepository: name})
		wantFamily(t, err, verify.ErrMisconfigured)
		reg, c, verifier, _ := signedImage(t, true, signing.Bundle)
		_, err = c.Verify(t.Context(), reg.ref("app:v1"), verifier, registry.WithSignatureRepository(name))
		wantFamily(t, err, verify.ErrMisconfigured)
		_, err = c.Sign(t.Context(), reg.ref("app:v1"), signerOf(t, newKey(t)), registry.WithSignatureRepository(name))
		wantFamily(t, err, verify.ErrMisconfigured)
	}
}
