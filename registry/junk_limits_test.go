// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// limitTest is something that one policy refuses for its limits, and another,
// with other limits, accepts.
type limitTest struct {
	name string
	fill func(t *testing.T, j *junkTest)
	// refused and accepted are the two; one of them is the default.
	refused, accepted verify.Limits
	says              string
	// policy is that of the key, unless it is set.
	policy verify.Policy
}

// ofForm fills in a good signature at a place, and changes what is listed.
func ofForm(place junkPlace, alter func(t *testing.T, j *junkTest)) func(t *testing.T, j *junkTest) {
	return func(t *testing.T, j *junkTest) {
		t.Helper()
		place.fill(j.shelf, "app", j.image.Target, []piece{goodPiece(place.form)})
		if alter != nil {
			alter(t, j)
		}
	}
}

// ofPiece fills in one piece.
func ofPiece(place junkPlace, p piece) func(t *testing.T, j *junkTest) {
	return func(t *testing.T, j *junkTest) {
		t.Helper()
		p.number = 1
		place.fill(j.shelf, "app", j.image.Target, []piece{p})
	}
}

// padded is a document in JSON that has n bytes more.
func padded(b []byte, n int) []byte {
	return slices.Concat([]byte(`{"pad":"`), []byte(strings.Repeat("x", n)), []byte(`",`), b[1:])
}

// padManifest makes a manifest larger by 5 MiB, and lists it with that size.
func padManifest(names ...func(*junkTest) string) func(t *testing.T, j *junkTest) {
	return func(t *testing.T, j *junkTest) {
		t.Helper()
		for _, name := range names {
			at := "app/" + name(j)
			m, ok := j.manifests[at]
			if !ok {
				t.Fatalf("nothing at %s", at)
			}
			entry := j.putManifest("app", m.mediaType, padded(m.data, 5<<20), name(j))
			if list := j.referrers["app"]; len(list) == 1 {
				entry.ArtifactType = list[0].ArtifactType
				list[0] = entry
			}
		}
	}
}

func nameOfReferrer(j *junkTest) string     { return j.referrers["app"][0].Digest.String() }
func nameOfReferrersTag(j *junkTest) string { return tagOf(j.image.Target.Digest) }
func nameOfSignatures(j *junkTest) string   { return signatureTagOf(j.image.Target) }

// bigBundle is a good bundle of n bytes and more.
func bigBundle(n int) piece {
	p := goodPiece(signing.Bundle)
	return newPiece(junkBundleType, append(slices.Clone(p.data), strings.Repeat(" ", n)...), nil)
}

func bigPayload(n int) piece {
	image, _ := junkImage()
	return legacyOver(theJunkKeys().right, legacyPayload(legacyPayloadType, image.Digest, map[string]string{"pad": strings.Repeat("x", n)}))
}

func bigAnnotation(n int) piece {
	p := goodPiece(signing.Legacy)
	p.layer.Annotations = withAnnotation(p.layer.Annotations, static.ChainAnnotationKey, strings.Repeat(" ", n))
	return p
}

// manyBytes are bundles of which each is within the limits, the good one last.
func manyBytes(t *testing.T, j *junkTest) {
	t.Helper()
	var pieces []piece
	for i := range 60 {
		p := bigBundle(700 << 10)
		p.data = append([]byte(strconv.Itoa(i)), p.data...)
		p = newPiece(junkBundleType, p.data, nil)
		p.number = 2*i + 1
		pieces = append(pieces, p)
	}
	// The good one is as large: what is left over may be enough for a small one.
	good := bigBundle(700 << 10)
	good.number = 1_000_001
	junkPlaces[0].fill(j.shelf, "app", j.image.Target, append(pieces, good))
}

var limitTests = []limitTest{
	{
		name: "Manifest, signature tag, lowered", fill: ofForm(junkPlaces[6], nil),
		refused: verify.Limits{Manifest: 300}, says: "manifest in bytes is larger than 300",
	},
	{
		name: "Manifest, signature tag, raised", fill: ofForm(junkPlaces[6], padManifest(nameOfSignatures)),
		accepted: verify.Limits{Manifest: 8 << 20}, says: "manifest in bytes is larger than 4194304",
	},
	{
		name: "Manifest, referrers tag, lowered", fill: ofForm(junkPlaces[3], nil),
		refused: verify.Limits{Manifest: 300}, says: "manifest in bytes is larger than 300",
	},
	{
		name: "Manifest, referrers tag, raised", fill: ofForm(junkPlaces[3], padManifest(nameOfReferrersTag)),
		accepted: verify.Limits{Manifest: 8 << 20}, says: "manifest in bytes is larger than 4194304",
	},
	{
		name: "Manifest, list of referrers, lowered", fill: ofForm(junkPlaces[0], nil),
		refused: verify.Limits{Manifest: 300}, says: "list of referrers in bytes is larger than 300",
	},
	{
		name: "Manifest, list of referrers, raised", fill: ofForm(junkPlaces[0], func(_ *testing.T, j *junkTest) {
			j.referrers["app"][0].Annotations = map[string]string{"pad": strings.Repeat("x", 5<<20)}
		}),
		accepted: verify.Limits{Manifest: 8 << 20}, says: "list of referrers in bytes is larger than 4194304",
	},
	{
		name: "Manifest, a referrer, lowered", fill: ofForm(junkPlaces[0], nil),
		refused: verify.Limits{Manifest: 500}, says: "manifest in bytes is larger than 500",
	},
	{
		name: "Manifest, a referrer, raised", fill: ofForm(junkPlaces[0], padManifest(nameOfReferrer)),
		accepted: verify.Limits{Manifest: 8 << 20}, says: "manifest in bytes is larger than 4194304",
	},
	{
		name: "Payload, lowered", fill: ofForm(junkPlaces[6], nil),
		refused: verify.Limits{Payload: 50}, says: "signature in bytes is larger than 50",
	},
	{
		name: "Payload, raised", fill: ofPiece(junkPlaces[6], bigPayload(300<<10)),
		accepted: verify.Limits{Payload: 1 << 20}, says: "signature in bytes is larger than 262144",
	},
	{
		name: "Payload of an artifact, raised", fill: ofPiece(junkPlaces[4], bigPayload(6<<20)),
		accepted: verify.Limits{Payload: 8 << 20}, says: "signature in bytes is larger than 262144",
	},
	{
		name: "Bundle, lowered", fill: ofForm(junkPlaces[0], nil),
		refused: verify.Limits{Bundle: 100}, says: "signature in bytes is larger than 100",
	},
	{
		name: "Bundle, raised", fill: ofPiece(junkPlaces[0], bigBundle(6<<20)),
		accepted: verify.Limits{Bundle: 8 << 20}, says: "signature in bytes is larger than 1048576",
	},
	{
		name: "Bundle, an annotation, lowered", fill: ofForm(junkPlaces[6], nil),
		refused: verify.Limits{Bundle: 50}, says: "annotation " + static.SignatureAnnotationKey + " in bytes is larger than 50",
	},
	{
		name: "Bundle, an annotation, raised", fill: ofPiece(junkPlaces[6], bigAnnotation(1<<20+1)),
		accepted: verify.Limits{Bundle: 2 << 20}, says: "annotation " + static.ChainAnnotationKey + " in bytes is larger than 1048576",
	},
	{
		name: "Candidates, lowered", fill: ofPlaces(3),
		refused: verify.Limits{Candidates: 3}, says: "number of referrers is larger than 3",
	},
	{
		name: "Candidates, raised", fill: ofPlaces(2100),
		accepted: verify.Limits{Candidates: 2200}, says: "number of referrers is larger than 2048",
	},
	{
		name: "TotalBytes, lowered", fill: ofForm(junkPlaces[0], nil),
		refused: verify.Limits{TotalBytes: 1000}, says: "signatures of the image in bytes is larger than 1000",
	},
	{
		name: "TotalBytes, signature tag, lowered", fill: ofForm(junkPlaces[6], nil),
		refused: verify.Limits{TotalBytes: 500}, says: "signatures of the image in bytes is larger than 500",
	},
	{
		name: "TotalBytes, raised", fill: manyBytes,
		accepted: verify.Limits{TotalBytes: 64 << 20}, says: "signatures of the image in bytes is larger than 33554432",
	},
}

// ofPlaces fills in junk before the good signature, which nothing is read for.
func ofPlaces(n int) func(t *testing.T, j *junkTest) {
	return func(t *testing.T, j *junkTest) {
		t.Helper()
		var junk []ocispec.Descriptor
		for i := range n {
			junk = append(junk, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(strconv.Itoa(i))})
		}
		ofForm(junkPlaces[0], nil)(t, j)
		j.referrers["app"] = append(junk, j.referrers["app"]...)
	}
}

// TestLimits: each limit of a policy holds, lower or higher than usual.
func TestLimits(t *testing.T) {
	t.Parallel()
	for _, test := range slices.Concat(limitTests, chainTests(t)) {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			j := newJunkTest(t)
			test.fill(t, j)
			if test.policy.Identities == nil {
				test.policy = verify.Policy{InsecureIgnoreTransparencyLog: true}
				test.policy.Keys = append(test.policy.Keys, theJunkKeys().right.Public())
			}
			c := newClient(t, registry.Config{})
			test.policy.Limits = test.refused
			result, err := c.VerifyImage(t.Context(), j.image, limitedVerifier(t, test.policy))
			wantRejectedFor(t, err, "limit exceeded: "+test.says)
			wantLimit(t, result, err)
			test.policy.Limits = test.accepted
			result, err = c.VerifyImage(t.Context(), j.image, limitedVerifier(t, test.policy))
			if err != nil || !result.Accepted {
				t.Errorf("not accepted: %v", err)
			}
		})
	}
}

// golden is an image with one signature that cosign made with an identity.
type golden struct {
	image, signatures ocispec.Descriptor
	imageData         []byte
	manifest          ocispec.Manifest
	layer             []byte
}

func readGolden(t *testing.T, name string) (g golden) {
	t.Helper()
	read := func(v any, elements ...string) []byte {
		b, err := os.ReadFile(filepath.Join(append([]string{"..", "testdata", "golden", name}, elements...)...))
		if err == nil && v != nil {
			err = json.Unmarshal(b, v)
		}
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var index ocispec.Index
	read(&index, "index.json")
	for _, m := range index.Manifests {
		if m.Annotations[ocispec.AnnotationRefName] == "image" {
			g.image = m
		} else {
			g.signatures = m
		}
	}
	g.imageData = read(nil, "blobs", "sha256", g.image.Digest.Encoded())
	read(&g.manifest, "blobs", "sha256", g.signatures.Digest.Encoded())
	g.layer = read(nil, "blobs", "sha256", g.manifest.Layers[0].Digest.Encoded())
	return g
}

// fill puts the golden image in the place of the test's, with one layer.
func (g golden) fill(j *junkTest, layer piece) {
	j.image.Target = ocispec.Descriptor{MediaType: g.image.MediaType, Digest: g.image.Digest, Size: g.image.Size}
	j.putManifest("app", g.image.MediaType, g.imageData)
	place := junkPlaces[6]
	if layer.layer.MediaType == junkBundleType {
		place = junkPlaces[0]
	}
	layer.number = 1
	place.fill(j.shelf, "app", j.image.Target, []piece{layer})
}

// chainTests are about certificates that come with signatures by identities:
// those that lead nowhere are no harm, and no use, however many they are.
func chainTests(t *testing.T) []limitTest {
	t.Helper()
	var vectors struct {
		Vectors []struct {
			Name     string
			Identity struct{ Subject, Issuer string }
		}
	}
	b, err := os.ReadFile(filepath.Join("..", "testdata", "golden", "vectors.json"))
	if err == nil {
		err = json.Unmarshal(b, &vectors)
	}
	if err != nil {
		t.Fatal(err)
	}
	roots, err := trust.Load(filepath.Join("..", "testdata", "golden", "trusted_root.json"))
	if err != nil {
		t.Fatal(err)
	}
	var tests []limitTest
	for _, v := range vectors.Vectors {
		policy := verify.Policy{TrustedRoots: roots, Identities: []verify.Identity{{Subject: v.Identity.Subject, Issuer: v.Identity.Issuer}}}
		var chained func(t *testing.T, n int) func(*testing.T, *junkTest)
		switch v.Name {
		case "v2.2.4-legacy-keyless-rekor-v1":
			chained = func(t *testing.T, n int) func(*testing.T, *junkTest) {
				g := readGolden(t, v.Name)
				all := g.manifest.Layers[0].Annotations
				all[static.ChainAnnotationKey] = strings.Repeat(strings.TrimSpace(all[static.ChainAnnotationKey])+"\n", n-1)
				return func(_ *testing.T, j *junkTest) { g.fill(j, newPiece(cosigntypes.SimpleSigningMediaType, g.layer, all)) }
			}
		case "v2.6.5-bundle-keyless-rekor-v1":
			chained = func(t *testing.T, n int) func(*testing.T, *junkTest) {
				g := readGolden(t, v.Name)
				b := bundleWithChain(t, g.layer, n)
				return func(_ *testing.T, j *junkTest) { g.fill(j, newPiece(junkBundleType, b, nil)) }
			}
		default:
			continue
		}
		tests = append(tests,
			limitTest{
				name: "Chain, " + v.Name + ", lowered", fill: chained(t, 2), policy: policy,
				refused: verify.Limits{Chain: 1}, says: "number of certificates is larger than 1",
			}, limitTest{
				name: "Chain, " + v.Name + ", raised", fill: chained(t, 30), policy: policy,
				accepted: verify.Limits{Chain: 30}, says: "number of certificates is larger than 16",
			})
	}
	if len(tests) != 4 {
		t.Fatalf("%d tests of chains, want 4", len(tests))
	}
	return tests
}

// bundleWithChain has the certificate of a bundle come with others, to be n.
func bundleWithChain(t *testing.T, b []byte, n int) []byte {
	t.Helper()
	var bundle map[string]any
	if err := json.Unmarshal(b, &bundle); err != nil {
		t.Fatal(err)
	}
	stranger := map[string]any{"rawBytes": strangeAuthority(t)}
	material := bundle["verificationMaterial"].(map[string]any)
	all := []any{material["certificate"]}
	for len(all) < n {
		all = append(all, stranger)
	}
	delete(material, "certificate")
	material["x509CertificateChain"] = map[string]any{"certificates": all}
	return mustJSON(bundle)
}

// strangeAuthority is the certificate of an authority that another has issued.
func strangeAuthority(t *testing.T) []byte {
	t.Helper()
	keys := theJunkKeys()
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template("a stranger"), template("its authority"), keys.wrong.Public(), keys.right)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// deadlines notes until when each request may take.
type deadlines struct {
	http.RoundTripper
	mu       sync.Mutex
	earliest time.Time
}

func (d *deadlines) RoundTrip(r *http.Request) (*http.Response, error) {
	d.mu.Lock()
	if until, _ := r.Context().Deadline(); d.earliest.IsZero() || until.Before(d.earliest) {
		d.earliest = until
	}
	d.mu.Unlock()
	return d.RoundTripper.RoundTrip(r)
}

// TestTimeIsLimited: a verification ends by itself, as inconclusive, when a
// registry never answers; how long it may take is the policy's to say.
func TestTimeIsLimited(t *testing.T) {
	t.Parallel()
	t.Run("lowered", func(t *testing.T) {
		t.Parallel()
		for _, opts := range [][]registry.VerifyOption{nil, {registry.WithEverySignature()}} {
			j := newJunkTest(t)
			j.reg.onRequest(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() })
			err := returns(t, func() error {
				_, err := j.verify(t, verify.Limits{Timeout: 10 * time.Millisecond}, registry.Config{}, opts...)
				return err
			})
			wantFamily(t, err, verify.ErrInconclusive)
			wantText(t, err, "limit exceeded: time of the verification is larger than 10ms")
			if !errors.Is(err, verify.ErrLimit) {
				t.Errorf("error is %v, want the limit", err)
			}
		}
	})
	t.Run("raised", func(t *testing.T) {
		t.Parallel()
		for l, reaches := range map[time.Duration]bool{0: false, 24 * time.Hour: true} {
			j := newJunkTest(t)
			junkPlaces[0].fill(j.shelf, "app", j.image.Target, []piece{goodPiece(signing.Bundle)})
			transport := &http.Transport{}
			t.Cleanup(transport.CloseIdleConnections)
			noted := &deadlines{RoundTripper: transport}
			u, err := url.Parse(j.reg.url)
			if err != nil {
				t.Fatal(err)
			}
			hosts := func(string) ([]docker.RegistryHost, error) {
				return []docker.RegistryHost{{
					Client: &http.Client{Transport: noted}, Host: u.Host, Scheme: u.Scheme, Path: "/v2",
					Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve | docker.HostCapabilityReferrers,
				}}, nil
			}
			begin := time.Now()
			if _, err := j.verify(t, verify.Limits{Timeout: l}, registry.Config{Hosts: hosts}); err != nil {
				t.Fatal(err)
			}
			if got := noted.earliest.After(begin.Add(23 * time.Hour)); got != reaches || noted.earliest.IsZero() {
				t.Errorf("limit %v: requests may take until %v after %v", l, noted.earliest, begin)
			}
		}
	})
}

// TestLimitsAreChecked: what is no limit is not taken for none.
func TestLimitsAreChecked(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]verify.Limits{
		"Manifest": {Manifest: -1}, "Payload": {Payload: -1}, "Bundle": {Bundle: -1}, "Chain": {Chain: -1},
		"Candidates": {Candidates: -1}, "TotalBytes": {TotalBytes: -1}, "Time": {Timeout: -1},
	} {
		key := theJunkKeys().right.Public()
		policy := verify.Policy{InsecureIgnoreTransparencyLog: true, Limits: l}
		policy.Keys = append(policy.Keys, key)
		_, err := verify.New(policy)
		wantFamily(t, err, verify.ErrMisconfigured)
		wantText(t, err, "limit "+name)
	}
}
