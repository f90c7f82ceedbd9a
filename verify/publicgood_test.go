// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// publicGood is material that Sigstore's public instance made; its README says
// where it was published.
const publicGood = "../testdata/public-good"

// published is the image that both legacy signatures are for.
const published = digest.Digest("sha256:0489474da8ea22426ece86ace6c1c0026ab2fd3cdfbbd62b7e94650266c37d9a")

func publicRoot(t *testing.T) *verify.TrustedRoot {
	t.Helper()
	r, err := trust.Load(filepath.Join(publicGood, "trusted_root.json"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func readLegacy(t *testing.T, dir string) verify.Candidate {
	t.Helper()
	c := verify.Candidate{Origin: verify.Origin{Source: verify.SourceSignatureTag}}
	var err error
	if c.Payload, err = os.ReadFile(filepath.Join(publicGood, dir, "payload.json")); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(publicGood, dir, "annotations.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &c.Annotations); err != nil {
		t.Fatal(err)
	}
	return c
}

func publishedImage() verify.Image {
	return verify.Image{
		Name:   "registry.example/app:v1",
		Target: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: published, Size: 1},
	}
}

func TestPublicGoodKeyless(t *testing.T) {
	t.Parallel()
	who := verify.Identity{Subject: "mitr@redhat.com", Issuer: "https://github.com/login/oauth"}
	for name, test := range map[string]struct {
		change func(*verify.Policy, *verify.Candidate, *verify.Image)
		reason string
	}{
		"accepted": {},
		"by regular expressions": {change: func(p *verify.Policy, _ *verify.Candidate, _ *verify.Image) {
			p.Identities = []verify.Identity{{SubjectRegexp: `.*@redhat\.com`, IssuerRegexp: `https://github\.com/.*`}}
		}},
		"among several identities": {change: func(p *verify.Policy, _ *verify.Candidate, _ *verify.Image) {
			p.Identities = append([]verify.Identity{{Subject: "name@example.com", Issuer: who.Issuer}}, p.Identities...)
		}},
		"another subject": {change: func(p *verify.Policy, _ *verify.Candidate, _ *verify.Image) {
			p.Identities[0].Subject = "mitr@redhat.co"
		}, reason: `signed by "mitr@redhat.com"`},
		"another issuer": {change: func(p *verify.Policy, _ *verify.Candidate, _ *verify.Image) {
			p.Identities[0].Issuer = "https://accounts.google.com"
		}, reason: `issuer`},
		"a pattern that matches a part": {change: func(p *verify.Policy, _ *verify.Candidate, _ *verify.Image) {
			p.Identities[0] = verify.Identity{SubjectRegexp: `mitr@redhat`, Issuer: who.Issuer}
		}, reason: `signed by "mitr@redhat.com"`},
		"another image": {change: func(_ *verify.Policy, _ *verify.Candidate, i *verify.Image) {
			i.Target.Digest = digest.FromString("another")
		}, reason: "digest"},
		"no log entry": {change: func(_ *verify.Policy, c *verify.Candidate, _ *verify.Image) {
			delete(c.Annotations, "dev.sigstore.cosign/bundle")
		}, reason: "not enough verified log entries"},
		"two logs": {change: func(p *verify.Policy, _ *verify.Candidate, _ *verify.Image) {
			p.LogThreshold = 2
		}, reason: "not enough verified log entries"},
		"a timestamp": {change: func(p *verify.Policy, _ *verify.Candidate, _ *verify.Image) {
			p.TimestampThreshold = 1
		}, reason: "threshold not met for verified signed timestamps"},
		"an hour later": {change: func(_ *verify.Policy, c *verify.Candidate, _ *verify.Image) {
			c.Annotations["dev.sigstore.cosign/bundle"] = strings.Replace(
				c.Annotations["dev.sigstore.cosign/bundle"], "1674247893", "1674251493", 1)
		}, reason: "not enough verified log entries"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy := verify.Policy{Identities: []verify.Identity{who}, TrustedRoots: publicRoot(t)}
			candidate, image := readLegacy(t, "legacy-keyless"), publishedImage()
			if test.change != nil {
				test.change(&policy, &candidate, &image)
			}
			verifier, err := verify.New(policy)
			if err != nil {
				t.Fatal(err)
			}
			result, err := verifier.Verify(t.Context(), image, []verify.Candidate{candidate})
			if test.reason != "" {
				wantReason(t, err, test.reason)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			s := result.Signatures[0]
			if s.Identity == nil || s.Identity.Subject != who.Subject || s.Identity.Issuer != who.Issuer {
				t.Errorf("signed by %+v", s.Identity)
			}
			if len(s.Timestamps) != 1 || s.Timestamps[0].Time.Unix() != 1674247893 {
				t.Errorf("timestamps are %+v", s.Timestamps)
			}
		})
	}
}

func TestPublicGoodKeyWithLogEntry(t *testing.T) {
	t.Parallel()
	key, err := verify.LoadPublicKey(filepath.Join(publicGood, "legacy-key", "cosign2.pub"))
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := verify.New(verify.Policy{Keys: []crypto.PublicKey{key}, TrustedRoots: publicRoot(t)})
	if err != nil {
		t.Fatal(err)
	}
	c := readLegacy(t, "legacy-key")
	if _, err := verifier.Verify(t.Context(), publishedImage(), []verify.Candidate{c}); err != nil {
		t.Error(err)
	}
	delete(c.Annotations, "dev.sigstore.cosign/bundle")
	_, err = verifier.Verify(t.Context(), publishedImage(), []verify.Candidate{c})
	wantReason(t, err, "not enough verified log entries")
	// An entry of the log that is real, and of another signature.
	c.Annotations["dev.sigstore.cosign/bundle"] = readLegacy(t, "legacy-keyless").Annotations["dev.sigstore.cosign/bundle"]
	_, err = verifier.Verify(t.Context(), publishedImage(), []verify.Candidate{c})
	wantReason(t, err, "transparency log signature does not match")
}

// TestPublicGoodBundles: they are no image signatures, and everything but that
// is good.
func TestPublicGoodBundles(t *testing.T) {
	t.Parallel()
	for file, test := range map[string]struct {
		digest   digest.Digest
		identity verify.Identity
		reason   string
	}{
		"oci-attestation.sigstore.json": {
			"sha256:732112270d7e59418a8c080b134b24cabd67d250d0d0147a97ed95ba5c280aa4",
			verify.Identity{Subject: "cody@soyland.com", Issuer: "https://github.com/login/oauth"},
			"is not a signature",
		},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(filepath.Join(publicGood, "bundles", file))
			if err != nil {
				t.Fatal(err)
			}
			verifier, err := verify.New(verify.Policy{Identities: []verify.Identity{test.identity}, TrustedRoots: publicRoot(t)})
			if err != nil {
				t.Fatal(err)
			}
			image := publishedImage()
			image.Target.Digest = test.digest
			_, err = verifier.Verify(t.Context(), image, []verify.Candidate{{Bundle: b}})
			wantReason(t, err, test.reason)
		})
	}
}

func wantReason(t *testing.T, err error, reason string) {
	t.Helper()
	wantFamily(t, err, verify.ErrRejected)
	if !strings.Contains(err.Error(), reason) {
		t.Errorf("reason is %q, want one that says %q", err, reason)
	}
}
