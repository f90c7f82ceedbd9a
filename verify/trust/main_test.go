// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/cosignkit/cosignkit/internal/fault/faulttest"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wantFamily wants an error of a family, and of no other.
var wantFamily = faulttest.Want

// publicGood is material that Sigstore's public instance made; its README says
// where it was published.
const publicGood = "../../testdata/public-good"

func publicRoot(t *testing.T) *verify.TrustedRoot {
	t.Helper()
	r, err := trust.Load(filepath.Join(publicGood, "trusted_root.json"))
	must(t, err)
	return r
}

// verifyPublished verifies a signature that is in publicGood.
func verifyPublished(t *testing.T, signature string, policy verify.Policy) error {
	t.Helper()
	verifier, err := verify.New(policy)
	if err != nil {
		return err
	}
	candidate := verify.Candidate{
		Origin:  verify.Origin{Source: verify.SourceSignatureTag},
		Payload: readFile(t, publicGood, signature, "payload.json"),
	}
	must(t, json.Unmarshal(readFile(t, publicGood, signature, "annotations.json"), &candidate.Annotations))
	result, err := verifier.Verify(t.Context(), verify.Image{
		Name: "registry.example/app:v1",
		Target: ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Size: 1,
			Digest: digest.Digest("sha256:0489474da8ea22426ece86ace6c1c0026ab2fd3cdfbbd62b7e94650266c37d9a"),
		},
	}, []verify.Candidate{candidate})
	if result == nil || result.Accepted != (err == nil) {
		t.Errorf("result is %+v besides the error %v", result, err)
	}
	return err
}

func verifyPublicGood(t *testing.T, roots verify.TrustedRoots) error {
	t.Helper()
	return verifyPublished(t, "legacy-keyless", verify.Policy{
		Identities:   []verify.Identity{{Subject: "mitr@redhat.com", Issuer: "https://github.com/login/oauth"}},
		TrustedRoots: roots,
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, elements ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elements...))
	must(t, err)
	return b
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	must(t, os.WriteFile(path, content, 0o600))
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return b
}
