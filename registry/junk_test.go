// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// This file has junk beside good signatures: in each place, of each kind, up to
// each limit and beyond. See hostile_test.go for registries that are hostile
// themselves.

const (
	junkBundleType   = "application/vnd.dev.sigstore.bundle.v0.3+json"
	junkArtifactType = "application/vnd.dev.cosign.artifact.sig.v1+json"
)

// junkPlace is a form of signatures, in a place where they live.
type junkPlace struct {
	name string
	form signing.Form
	// fill puts signatures of image where they belong, in order.
	fill func(s *shelf, repo string, image ocispec.Descriptor, pieces []piece)
	// counted is what is counted there.
	counted string
}

func referrerPages(size int) junkPlace {
	name := "bundles, referrers API"
	if size > 0 {
		name += fmt.Sprintf(" in pages of %d", size)
	}
	return junkPlace{name, signing.Bundle, func(s *shelf, repo string, image ocispec.Descriptor, pieces []piece) {
		s.hasAPI, s.pageSize = true, size
		s.referrers[repo] = s.refer(repo, junkBundleType, image, pieces)
	}, "number of referrers"}
}

var junkPlaces = []junkPlace{
	referrerPages(0),
	referrerPages(100),
	referrerPages(10),
	{"bundles, referrers tag", signing.Bundle, func(s *shelf, repo string, image ocispec.Descriptor, pieces []piece) {
		s.putManifest(repo, ocispec.MediaTypeImageIndex, indexOf(s.refer(repo, junkBundleType, image, pieces)...), tagOf(image.Digest))
	}, "number of referrers"},
	{"artifacts, a manifest each", signing.Legacy, func(s *shelf, repo string, image ocispec.Descriptor, pieces []piece) {
		s.hasAPI = true
		s.referrers[repo] = s.refer(repo, junkArtifactType, image, pieces)
	}, "number of referrers"},
	{"artifact, one manifest", signing.Legacy, func(s *shelf, repo string, image ocispec.Descriptor, pieces []piece) {
		entry := s.putManifest(repo, ocispec.MediaTypeImageManifest, manifestOf(&image, junkArtifactType, 0, s.layersIn(repo, pieces)...))
		entry.ArtifactType = junkArtifactType
		s.hasAPI = true
		s.referrers[repo] = []ocispec.Descriptor{entry}
	}, "number of signatures"},
	{"signature tag", signing.Legacy, func(s *shelf, repo string, image ocispec.Descriptor, pieces []piece) {
		s.putManifest(repo, ocispec.MediaTypeImageManifest, manifestOf(nil, "", 0, s.layersIn(repo, pieces)...), signatureTagOf(image))
	}, "number of signatures"},
}

func signatureTagOf(image ocispec.Descriptor) string { return tagOf(image.Digest) + ".sig" }

// junkKeys are the signers of this file: the right one, and another.
type junkKeys struct{ right, wrong *ecdsa.PrivateKey }

var theJunkKeys = sync.OnceValue(func() junkKeys {
	var keys [2]*ecdsa.PrivateKey
	for i := range keys {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return junkKeys{keys[0], keys[1]}
})

// junkImage is the image that all signatures of this file are about.
func junkImage() (ocispec.Descriptor, []byte) {
	b := manifestOf(nil, "", 0)
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(b), Size: int64(len(b))}, b
}

func signedBy(key *ecdsa.PrivateKey, message []byte) []byte {
	sum := sha256.Sum256(message)
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		panic(err)
	}
	return sig
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// bundleOver is a bundle over what an in-toto statement says about a digest.
func bundleOver(key *ecdsa.PrivateKey, predicateType string, d digest.Digest) piece {
	statement := mustJSON(map[string]any{
		"_type": "https://in-toto.io/Statement/v1", "predicateType": predicateType, "predicate": map[string]any{},
		"subject": []any{map[string]any{"digest": map[string]string{"sha256": d.Encoded()}}},
	})
	sig := signedBy(key, fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(cosigntypes.IntotoPayloadType), cosigntypes.IntotoPayloadType, len(statement), statement))
	return newPiece(junkBundleType, mustJSON(map[string]any{
		"mediaType": junkBundleType, "verificationMaterial": map[string]any{"publicKey": map[string]any{}},
		"dsseEnvelope": map[string]any{
			"payload": statement, "payloadType": cosigntypes.IntotoPayloadType,
			"signatures": []any{map[string]any{"sig": sig}},
		},
	}), nil)
}

// legacyOver is a legacy signature over any payload.
func legacyOver(key *ecdsa.PrivateKey, payload []byte) piece {
	return newPiece(cosigntypes.SimpleSigningMediaType, payload, map[string]string{
		static.SignatureAnnotationKey: base64.StdEncoding.EncodeToString(signedBy(key, payload)),
	})
}

func legacyPayload(kind string, d digest.Digest, annotations map[string]string) []byte {
	return mustJSON(map[string]any{
		"critical": map[string]any{
			"identity": map[string]string{"docker-reference": "registry.example/app"},
			"image":    map[string]string{"docker-manifest-digest": d.String()}, "type": kind,
		},
		"optional": annotations,
	})
}

const legacyPayloadType = "cosign container image signature"

// signatureOf is a good signature, if key is the right one; numbered, so that no
// two are the same.
func signatureOf(form signing.Form, key *ecdsa.PrivateKey, d digest.Digest, number int) piece {
	if form == signing.Bundle {
		return bundleOver(key, cosigntypes.CosignSignPredicateType, d)
	}
	return legacyOver(key, legacyPayload(legacyPayloadType, d, map[string]string{"number": strconv.Itoa(number)}))
}

// junkKind is a kind of junk, and what a rejection says of it.
type junkKind struct {
	name     string
	make     func(form signing.Form, image digest.Digest, number int) piece
	ofBundle string
	ofLegacy string
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // which never fails
	return b
}

// mediaTypeOf is that of a layer.
func mediaTypeOf(form signing.Form) string {
	if form == signing.Bundle {
		return junkBundleType
	}
	return cosigntypes.SimpleSigningMediaType
}

var junkKinds = []junkKind{
	{
		name: "random bytes", ofBundle: "bundle: JSON:", ofLegacy: "does not verify with the key",
		make: func(form signing.Form, _ digest.Digest, _ int) piece {
			p := newPiece(mediaTypeOf(form), randomBytes(512), nil)
			p.layer.Annotations = map[string]string{static.SignatureAnnotationKey: base64.StdEncoding.EncodeToString(randomBytes(72))}
			return p
		},
	},
	{
		name: "JSON of a wrong shape", ofBundle: "bundle", ofLegacy: "json: cannot unmarshal",
		make: func(form signing.Form, _ digest.Digest, n int) piece {
			shape := []string{`[%d]`, `{"mediaType":[%d]}`, `{"dsseEnvelope":{"payload":%d}}`}[n%3]
			if form == signing.Legacy {
				shape = []string{`[%d]`, `{"critical":[%d]}`, `{"critical":{"image":{"docker-manifest-digest":%d}}}`}[n%3]
				return legacyOver(theJunkKeys().right, fmt.Appendf(nil, shape, n))
			}
			return newPiece(junkBundleType, fmt.Appendf(nil, shape, n), nil)
		},
	},
	{
		name: "by another key", ofBundle: "does not verify with the key", ofLegacy: "does not verify with the key",
		make: func(form signing.Form, image digest.Digest, n int) piece {
			return signatureOf(form, theJunkKeys().wrong, image, n)
		},
	},
	{
		name: "attestations by the right key", ofBundle: "is not a signature", ofLegacy: `payload of type "attestation"`,
		make: func(form signing.Form, image digest.Digest, n int) piece {
			if form == signing.Legacy {
				return legacyOver(theJunkKeys().right, legacyPayload("attestation", image, map[string]string{"number": strconv.Itoa(n)}))
			}
			return bundleOver(theJunkKeys().right, "https://slsa.dev/provenance/v1", image)
		},
	},
	{
		name: "replayed from other images", ofBundle: "does not match", ofLegacy: "digest",
		make: func(form signing.Form, _ digest.Digest, n int) piece {
			return signatureOf(form, theJunkKeys().right, digest.FromString(strconv.Itoa(n)), n)
		},
	},
	{
		name: "empty", ofBundle: "bundle", ofLegacy: "the layer carries no signature",
		make: func(form signing.Form, _ digest.Digest, _ int) piece {
			return newPiece(mediaTypeOf(form), []byte{}, nil)
		},
	},
	{
		name: "listed and not there", ofBundle: "it is listed and not there", ofLegacy: "it is listed and not there",
		make: func(form signing.Form, image digest.Digest, n int) piece {
			p := signatureOf(form, theJunkKeys().right, image, n)
			p.absent = true
			return p
		},
	},
	{
		name: "listed with a wrong size", ofBundle: "does not match its descriptor", ofLegacy: "does not match its descriptor",
		make: func(form signing.Form, image digest.Digest, n int) piece {
			p := signatureOf(form, theJunkKeys().right, image, n)
			p.miscounted = true
			return p
		},
	},
	{
		name: "too large", ofBundle: "limit exceeded: signature in bytes is larger than 1048576", ofLegacy: "limit exceeded: signature in bytes is larger than 262144",
		make: func(form signing.Form, _ digest.Digest, n int) piece {
			// Nobody should even ask for it.
			d := digest.FromString(fmt.Sprint("too large ", n))
			return piece{layer: ocispec.Descriptor{MediaType: mediaTypeOf(form), Digest: d, Size: 1<<20 + 1 + int64(n)}}
		},
	},
	{
		name: "with a certificate that is white space", ofBundle: "does not verify with the key", ofLegacy: "does not verify with the key",
		make: func(form signing.Form, image digest.Digest, n int) piece {
			p := signatureOf(form, theJunkKeys().wrong, image, n)
			p.layer.Annotations = withAnnotation(p.layer.Annotations, static.CertificateAnnotationKey, " \n")
			return p
		},
	},
	{
		name: "with a log entry whose body is a number", ofBundle: "does not verify with the key", ofLegacy: "does not verify with the key",
		make: func(form signing.Form, image digest.Digest, n int) piece {
			p := signatureOf(form, theJunkKeys().wrong, image, n)
			p.layer.Annotations = withAnnotation(p.layer.Annotations, static.BundleAnnotationKey,
				`{"SignedEntryTimestamp":"AAAA","Payload":{"body":1,"integratedTime":1,"logIndex":1,"logID":"00"}}`)
			return p
		},
	},
}

func withAnnotation(all map[string]string, key, value string) map[string]string {
	all = maps.Clone(all)
	if all == nil {
		all = map[string]string{}
	}
	all[key] = value
	return all
}

// junkOf makes n pieces of junk, of each of the kinds in turn.
func junkOf(form signing.Form, n int, kinds ...junkKind) []piece {
	image, _ := junkImage()
	var all []piece
	for i := range n {
		p := kinds[i%len(kinds)].make(form, image.Digest, i)
		p.number = i + 1
		if len(kinds) > 1 {
			p.number = i/len(kinds) + 1 // so that each kind has odd and even ones
		}
		all = append(all, p)
	}
	return all
}

// aThousand are pieces of junk of every kind, made once.
var aThousand = map[signing.Form]func() []piece{
	signing.Bundle: sync.OnceValue(func() []piece { return junkOf(signing.Bundle, 1000, junkKinds...) }),
	signing.Legacy: sync.OnceValue(func() []piece { return junkOf(signing.Legacy, 1000, junkKinds...) }),
}

// goodPiece is the one good signature.
func goodPiece(form signing.Form) piece {
	image, _ := junkImage()
	p := signatureOf(form, theJunkKeys().right, image.Digest, 0)
	p.number = 1_000_001
	return p
}

// junkTest is a registry with the image app:v1 and what is filled in.
type junkTest struct {
	*shelf
	reg   *testRegistry
	image verify.Image
}

func newJunkTest(t testing.TB) *junkTest {
	t.Helper()
	image, b := junkImage()
	j := &junkTest{shelf: newShelf(), reg: newTestRegistry(t, false)}
	j.image = verify.Image{Name: j.reg.ref("app:v1"), Target: image}
	j.putManifest("app", image.MediaType, b, "v1")
	j.open(j.reg)
	return j
}

// verify verifies with the right key and limits.
func (j *junkTest) verify(t testing.TB, l verify.Limits, config registry.Config, opts ...registry.VerifyOption) (*verify.Result, error) {
	t.Helper()
	return newClient(t, config).VerifyImage(t.Context(), j.image, junkVerifier(t, l), opts...)
}

func junkVerifier(t testing.TB, l verify.Limits) verify.Verifier {
	t.Helper()
	return limitedVerifier(t, verify.Policy{InsecureIgnoreTransparencyLog: true, Limits: l}, theJunkKeys().right)
}

func limitedVerifier(t testing.TB, p verify.Policy, keys ...*ecdsa.PrivateKey) verify.Verifier {
	t.Helper()
	for _, key := range keys {
		p.Keys = append(p.Keys, key.Public())
	}
	v, err := verify.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wantAcceptedAmong checks that the image is accepted for the good signature.
func wantAcceptedAmong(t *testing.T, result *verify.Result, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("not accepted: %v", err)
		return
	}
	last := result.Signatures[len(result.Signatures)-1]
	if !result.Accepted || last.Err != nil || last.KeyID == "" {
		t.Errorf("accepted for %+v", last)
	}
}

// wantRejectedFor checks that a rejection is one line that says why.
func wantRejectedFor(t *testing.T, err error, whys ...string) {
	t.Helper()
	if err == nil {
		t.Error("accepted")
		return
	}
	wantFamily(t, err, verify.ErrRejected)
	text := err.Error()
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(text) > 2500 {
		t.Errorf("%d bytes, not one short line: %.300q", len(text), text)
	}
	if !slices.ContainsFunc(whys, func(why string) bool { return strings.Contains(text, why) }) {
		t.Errorf("error does not say %q: %v", whys, err)
	}
}

// wantNothingAskedFor checks that what is too large was not fetched.
func (j *junkTest) wantNothingAskedFor(t *testing.T, pieces []piece) {
	t.Helper()
	asked := map[string]bool{}
	for _, r := range j.reg.recorded() {
		asked[r[strings.LastIndex(r, "/")+1:]] = true
	}
	for _, p := range pieces {
		if p.data == nil && asked[p.layer.Digest.String()] {
			t.Errorf("what is said to have %d bytes was asked for", p.layer.Size)
			return
		}
	}
}

// junkRepositories are where the signatures are, and how a verifier is told.
var junkRepositories = []struct {
	name, repo string
	config     func(*testRegistry) registry.Config
	opts       func(*testRegistry) []registry.VerifyOption
}{
	{"the image's repository", "app", nil, nil},
	{"the client's repository", "signatures", func(reg *testRegistry) registry.Config {
		return registry.Config{SignatureRepository: reg.ref("signatures")}
	}, nil},
	{"the call's repository", "signatures", nil, func(reg *testRegistry) []registry.VerifyOption {
		return []registry.VerifyOption{registry.WithSignatureRepository(reg.ref("signatures"))}
	}},
}

// TestAThousandJunkSignatures: no more than a thousand others, whatever they are,
// hide a good signature, wherever in the list it is.
func TestAThousandJunkSignatures(t *testing.T) {
	t.Parallel()
	for _, place := range junkPlaces {
		for _, in := range junkRepositories {
			positions := map[string]int{"last": 1000}
			switch {
			case in.repo == "app":
				positions = map[string]int{"first": 0, "in the middle": 500, "last": 1000, "nowhere": -1}
			case in.opts != nil:
				positions = map[string]int{"nowhere": -1}
			}
			for where, at := range positions {
				if in.opts != nil && place.name != junkPlaces[0].name && place.name != junkPlaces[6].name {
					continue // as with the client's repository
				}
				t.Run(fmt.Sprintf("%s, %s, the good one %s", place.name, in.name, where), func(t *testing.T) {
					t.Parallel()
					j := newJunkTest(t)
					pieces := aThousand[place.form]()
					if at >= 0 {
						pieces = slices.Insert(slices.Clone(pieces), at, goodPiece(place.form))
					}
					place.fill(j.shelf, in.repo, j.image.Target, pieces)
					var config registry.Config
					if in.config != nil {
						config = in.config(j.reg)
					}
					var opts []registry.VerifyOption
					if in.opts != nil {
						opts = in.opts(j.reg)
					}
					result, err := j.verify(t, verify.Limits{}, config, opts...)
					j.wantNothingAskedFor(t, pieces)
					if at >= 0 {
						wantAcceptedAmong(t, result, err)
						return
					}
					wantRejectedFor(t, err, "limit exceeded: signature in bytes")
					wantText(t, err, "and 997 more")
				})
			}
		}
	}
}

// TestKindsOfJunk: each kind alone hides no good signature, and is named where
// there is none.
func TestKindsOfJunk(t *testing.T) {
	t.Parallel()
	for _, place := range junkPlaces {
		for _, kind := range junkKinds {
			t.Run(place.name+", "+kind.name, func(t *testing.T) {
				t.Parallel()
				pieces := junkOf(place.form, 24, kind)
				for _, at := range []int{-1, 0, 12, 24} {
					j := newJunkTest(t)
					all := pieces
					if at >= 0 {
						all = slices.Insert(slices.Clone(pieces), at, goodPiece(place.form))
					}
					place.fill(j.shelf, "app", j.image.Target, all)
					result, err := j.verify(t, verify.Limits{}, registry.Config{})
					j.wantNothingAskedFor(t, all)
					if at >= 0 {
						wantAcceptedAmong(t, result, err)
						continue
					}
					why := kind.ofBundle
					if place.form == signing.Legacy {
						why = kind.ofLegacy
					}
					wantRejectedFor(t, err, why)
				}
			})
		}
	}
}

// otherKey is the junk that cannot be told from a good signature unread.
var otherKey = junkKinds[2]

// threeThousand are more pieces of junk than are looked at, made once. For most
// of them nothing can be asked for.
var threeThousand = map[signing.Form]func() []piece{
	signing.Bundle: sync.OnceValue(func() []piece { return muchJunk(signing.Bundle) }),
	signing.Legacy: sync.OnceValue(func() []piece { return muchJunk(signing.Legacy) }),
}

func muchJunk(form signing.Form) []piece {
	all := junkOf(form, 100, junkKinds[0])
	for i := range 2900 {
		p := newPiece(mediaTypeOf(form), []byte("nameless"), nil)
		p.number, p.nameless = 1000+i, true
		all = append(all, p)
	}
	return all
}

// TestMoreJunkThanIsLookedAt: what comes after the limit is not found, and the
// rejection says that there is more. A policy can have more of it looked at.
func TestMoreJunkThanIsLookedAt(t *testing.T) {
	t.Parallel()
	for _, place := range junkPlaces {
		t.Run(place.name, func(t *testing.T) {
			t.Parallel()
			j := newJunkTest(t)
			place.fill(j.shelf, "app", j.image.Target, append(slices.Clone(threeThousand[place.form]()), goodPiece(place.form)))
			result, err := j.verify(t, verify.Limits{}, registry.Config{})
			wantRejectedFor(t, err, fmt.Sprintf("limit exceeded: %s is larger than %d", place.counted, limits.Candidates))
			wantLimit(t, result, err)
			result, err = j.verify(t, verify.Limits{Candidates: 3001}, registry.Config{})
			wantAcceptedAmong(t, result, err)
		})
	}
}

// wantLimit checks that what kept an image from being accepted is a limit, for
// errors.Is: that of the verification, or of one of what it has found.
func wantLimit(t *testing.T, result *verify.Result, err error) {
	t.Helper()
	if errors.Is(err, verify.ErrLimit) {
		return
	}
	if result == nil || !slices.ContainsFunc(result.Signatures, func(s verify.Signature) bool { return errors.Is(s.Err, verify.ErrLimit) }) {
		t.Errorf("error is %v, want the limit", err)
	}
}

// TestMoreJunkThanIsLookedAtElsewhere: each place of each repository has limits
// of its own.
func TestMoreJunkThanIsLookedAtElsewhere(t *testing.T) {
	t.Parallel()
	bundles, tag, layers := junkPlaces[0], junkPlaces[3], junkPlaces[6]
	for _, test := range []struct {
		name       string
		junk, good junkPlace
		in         string
	}{
		{"bundles before layers", bundles, layers, "app"},
		{"layers before bundles", layers, bundles, "app"},
		{"a referrers tag before layers", tag, layers, "app"},
		{"layers before the same of the other repository", layers, layers, "signatures"},
		{"bundles before the same of the other repository", bundles, bundles, "signatures"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			j := newJunkTest(t)
			test.junk.fill(j.shelf, "app", j.image.Target, threeThousand[test.junk.form]())
			test.good.fill(j.shelf, test.in, j.image.Target, []piece{goodPiece(test.good.form)})
			result, err := j.verify(t, verify.Limits{}, registry.Config{SignatureRepository: j.reg.ref("signatures")})
			wantAcceptedAmong(t, result, err)
		})
	}
}

// TestFewCandidatesAreAllowed: a policy can have less looked at than is usual.
func TestFewCandidatesAreAllowed(t *testing.T) {
	t.Parallel()
	few := verify.Limits{Candidates: 10}
	for _, place := range junkPlaces {
		t.Run(place.name, func(t *testing.T) {
			t.Parallel()
			for n, ok := range map[int]bool{0: true, 9: true, 10: false, 20: false} {
				j := newJunkTest(t)
				pieces := append(junkOf(place.form, n, otherKey), goodPiece(place.form))
				place.fill(j.shelf, "app", j.image.Target, pieces)
				result, err := j.verify(t, few, registry.Config{})
				if ok {
					wantAcceptedAmong(t, result, err)
					continue
				}
				wantRejectedFor(t, err, "limit exceeded: "+place.counted+" is larger than 10")
				wantLimit(t, result, err)
			}
		})
	}
}

// TestPagesAreCounted: a list of many pages is one of many requests.
func TestPagesAreCounted(t *testing.T) {
	t.Parallel()
	j := newJunkTest(t)
	place := referrerPages(1)
	// Attestations that are listed as what they are cost no more than the page.
	place.fill(j.shelf, "app", j.image.Target, append(junkOf(signing.Bundle, 20, otherKey), goodPiece(signing.Bundle)))
	for i := range 20 {
		j.referrers["app"][i].Annotations = map[string]string{"dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1"}
	}
	result, err := j.verify(t, verify.Limits{Candidates: 20}, registry.Config{})
	wantRejectedFor(t, err, "limit exceeded: number of pages of referrers is larger than 20")
	wantLimit(t, result, err)
	result, err = j.verify(t, verify.Limits{Candidates: 21}, registry.Config{})
	wantAcceptedAmong(t, result, err)
}

// TestMoreCandidatesThanOneListHas: a limit that is raised is raised for one long
// list as well.
func TestMoreCandidatesThanOneListHas(t *testing.T) {
	t.Parallel()
	const n = 17_000
	for _, place := range []junkPlace{junkPlaces[0], junkPlaces[3], junkPlaces[6]} {
		t.Run(place.name, func(t *testing.T) {
			t.Parallel()
			j := newJunkTest(t)
			place.fill(j.shelf, "app", j.image.Target, []piece{goodPiece(place.form)})
			// Of a size that is not fetched, and yet may be one that is.
			var junk []ocispec.Descriptor
			for i := range n {
				junk = append(junk, ocispec.Descriptor{MediaType: mediaTypeOf(place.form), Digest: digest.FromString(strconv.Itoa(i)), Size: 1 << 40})
			}
			switch place.name {
			case "signature tag":
				var m ocispec.Manifest
				if err := json.Unmarshal(j.manifests["app/"+signatureTagOf(j.image.Target)].data, &m); err != nil {
					t.Fatal(err)
				}
				j.putManifest("app", ocispec.MediaTypeImageManifest, manifestOf(nil, "", 0, append(junk, m.Layers...)...), signatureTagOf(j.image.Target))
			case "bundles, referrers tag":
				var index ocispec.Index
				if err := json.Unmarshal(j.manifests["app/"+tagOf(j.image.Target.Digest)].data, &index); err != nil {
					t.Fatal(err)
				}
				j.putManifest("app", ocispec.MediaTypeImageIndex, indexOf(append(junk, index.Manifests...)...), tagOf(j.image.Target.Digest))
			default:
				j.referrers["app"] = append(junk, j.referrers["app"]...)
			}
			l := verify.Limits{Candidates: n + 1, Manifest: 16 << 20}
			result, err := j.verify(t, l, registry.Config{})
			wantAcceptedAmong(t, result, err)
		})
	}
}

// heap returns what is alive.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// bigJunkBlock is of what all large junk consists, but for its first bytes.
func bigJunkBlock(number, size int) []byte {
	b := make([]byte, size)
	copy(b, strconv.Itoa(number))
	return b
}

func bigJunk(form signing.Form, size, number int) ocispec.Descriptor {
	desc := ocispec.Descriptor{MediaType: mediaTypeOf(form), Digest: digest.FromBytes(bigJunkBlock(number, size)), Size: int64(size)}
	desc.Annotations = map[string]string{static.SignatureAnnotationKey: "AAAA", "number": strconv.Itoa(number)}
	return desc
}
