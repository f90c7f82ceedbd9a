// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/cosignkit/cosignkit/verify"
)

const (
	goldenKeys       = "../testdata/keys"
	goldenSignatures = "../testdata/signatures"
)

var goldenKinds = []string{"ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-4096", "ed25519"}

func readFile(t testing.TB, elements ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func goldenVerifier(t testing.TB, kinds ...string) verify.Verifier {
	t.Helper()
	policy := verify.Policy{InsecureIgnoreTransparencyLog: true}
	for _, kind := range kinds {
		key, err := verify.LoadPublicKey(filepath.Join(goldenKeys, kind+".pub"))
		if err != nil {
			t.Fatal(err)
		}
		policy.Keys = append(policy.Keys, key)
	}
	return newVerifier(t, policy)
}

func goldenBundle(t testing.TB, tool, kind string) verify.Candidate {
	t.Helper()
	return verify.Candidate{Bundle: readFile(t, goldenSignatures, tool+"-"+kind+".bundle.json")}
}

func goldenLegacy(t testing.TB, tool, kind string) verify.Candidate {
	t.Helper()
	c := verify.Candidate{Payload: readFile(t, goldenSignatures, tool+"-"+kind+".payload")}
	if err := json.Unmarshal(readFile(t, goldenSignatures, tool+"-"+kind+".annotations.json"), &c.Annotations); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSignaturesByTheCLIsVerify covers the algorithms that the CLIs choose for
// themselves: SHA-384 and SHA-512 for the larger curves, and Ed25519ph.
func TestSignaturesByTheCLIsVerify(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"cosign2", "cosign3"} {
		for _, kind := range goldenKinds {
			annotations := map[string]string{"env": "golden", "run": "7"}
			t.Run(tool+" "+kind+" legacy", func(t *testing.T) {
				t.Parallel()
				result := wantAccepted(t, goldenVerifier(t, kind), goldenLegacy(t, tool, kind))
				if got := result.Signatures[0]; !maps.Equal(got.Claims.Annotations, annotations) || got.Form != verify.FormLegacy {
					t.Errorf("claims are %+v in the form %q", got.Claims, got.Form)
				}
			})
			t.Run(tool+" "+kind+" bundle", func(t *testing.T) {
				t.Parallel()
				want := annotations
				if tool == "cosign2" {
					want = nil // it drops them
				}
				result := wantAccepted(t, goldenVerifier(t, kind), goldenBundle(t, tool, kind))
				if got := result.Signatures[0]; !maps.Equal(got.Claims.Annotations, want) || got.Form != verify.FormBundle {
					t.Errorf("claims are %+v in the form %q", got.Claims, got.Form)
				}
			})
		}
	}
}

// TestPayloadsIsWhatCosignPrints compares with the standard output of cosign
// verify. There is one difference: cosign prints the reference that it was
// asked about as the docker-reference of a bundle, which nobody signed.
func TestPayloadsIsWhatCosignPrints(t *testing.T) {
	t.Parallel()
	for form, candidate := range map[string]verify.Candidate{
		"legacy": goldenLegacy(t, "cosign3", "ecdsa-p256"),
		"bundle": goldenBundle(t, "cosign3", "ecdsa-p256"),
	} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			payloads, err := wantAccepted(t, goldenVerifier(t, "ecdsa-p256"), candidate).Payloads()
			if err != nil {
				t.Fatal(err)
			}
			got, want := decode(t, payloads), decode(t, readFile(t, goldenSignatures, "cosign3-ecdsa-p256.verify-"+form+".json"))
			if form == "bundle" {
				want[0]["critical"].(object)["identity"] = object{"docker-reference": ""}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("printed\n%v\nwant\n%v", got, want)
			}
		})
	}
}

func decode(t testing.TB, b []byte) []object {
	t.Helper()
	var v []object
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return v
}
