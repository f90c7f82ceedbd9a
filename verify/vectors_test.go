// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"maps"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/golden"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// vectorSet is testdata/golden, with the trusted root of all vectors.
type vectorSet struct {
	*golden.Set
	roots *verify.TrustedRoot
}

var openVectors = sync.OnceValues(func() (vectorSet, error) {
	set, err := golden.Open("../testdata/golden")
	if err != nil {
		return vectorSet{}, err
	}
	roots, err := trust.Load(set.TrustedRoot())
	return vectorSet{set, roots}, err
})

func vectors(t testing.TB) vectorSet {
	t.Helper()
	set, err := openVectors()
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Vectors) == 0 || len(set.Keys) == 0 {
		t.Fatal("no vectors or no keys")
	}
	return set
}

// policy asks for everything that the vector says.
func (s vectorSet) policy(t testing.TB, v golden.Vector) verify.Policy {
	t.Helper()
	policy, err := s.Policy(v, s.roots)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func (s vectorSet) candidates(t testing.TB, v golden.Vector, d digest.Digest) []verify.Candidate {
	t.Helper()
	signatures, err := s.Signatures(v, d)
	if err != nil {
		t.Fatal(err)
	}
	var candidates []verify.Candidate
	for _, sig := range signatures {
		candidates = append(candidates, verify.Candidate{Bundle: sig.Bundle, Payload: sig.Payload, Annotations: sig.Annotations})
	}
	return candidates
}

// TestVectorsVerify holds that everything that was signed in a vector is
// accepted, each of its signatures, with a policy that asks for all there is.
func TestVectorsVerify(t *testing.T) {
	t.Parallel()
	set := vectors(t)
	for _, v := range set.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			verifier := newVerifier(t, set.policy(t, v))
			for _, d := range v.Signed {
				candidates := set.candidates(t, v, d)
				if len(candidates) != v.Signers {
					t.Fatalf("%s: %d signatures, want %d", d, len(candidates), v.Signers)
				}
				image := verify.Image{Name: v.Repository, Target: ocispec.Descriptor{Digest: d}}
				result, err := verifier.Verify(t.Context(), image, candidates)
				if err != nil {
					t.Fatal(err)
				}
				for _, sig := range result.Signatures {
					holdsVector(t, v, sig)
				}
			}
		})
	}
}

// holdsVector compares a verdict with what the vector says.
func holdsVector(t *testing.T, v golden.Vector, sig verify.Signature) {
	t.Helper()
	if sig.Err != nil {
		t.Errorf("does not verify: %v", sig.Err)
		return
	}
	if want := v.Form == golden.Bundle; (sig.Form == verify.FormBundle) != want {
		t.Errorf("is of the form %s, want a bundle: %t", sig.Form, want)
	}
	if want := v.Identity; want == nil {
		if sig.KeyID == "" || sig.Identity != nil {
			t.Errorf("was made by %q, %v, want a key", sig.KeyID, sig.Identity)
		}
	} else if got := sig.Identity; got == nil || got.Subject != want.Subject || got.Issuer != want.Issuer || got.GitHub != verify.GitHubWorkflow(want.GitHub) {
		t.Errorf("was made by %v, want %v", got, want)
	}
	if !maps.Equal(sig.Claims.Annotations, v.Annotations) {
		t.Errorf("has the annotations %v, want %v", sig.Claims.Annotations, v.Annotations)
	}
	stamped := false
	for _, timestamp := range sig.Timestamps {
		stamped = stamped || timestamp.Source == verify.TimestampFromAuthority
	}
	if stamped != v.Timestamp {
		t.Errorf("has the times %v, want one of an authority: %t", sig.Timestamps, v.Timestamp)
	}
}
