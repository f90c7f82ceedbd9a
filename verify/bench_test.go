// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/elliptic"
	"fmt"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

func BenchmarkVerifyBundle(b *testing.B) {
	for _, kind := range goldenKinds {
		b.Run(kind, func(b *testing.B) { benchmarkOne(b, goldenVerifier(b, kind), goldenBundle(b, "cosign3", kind)) })
	}
}

func BenchmarkVerifyLegacy(b *testing.B) {
	for _, kind := range goldenKinds {
		b.Run(kind, func(b *testing.B) { benchmarkOne(b, goldenVerifier(b, kind), goldenLegacy(b, "cosign3", kind)) })
	}
}

// BenchmarkVerifyIdentity has what releases of cosign signed with an identity, and all
// that they show beside: a certificate, log entries, and timestamps.
func BenchmarkVerifyIdentity(b *testing.B) {
	set := vectors(b)
	for _, v := range set.Vectors {
		if v.Identity == nil || v.Signers != 1 {
			continue
		}
		b.Run(v.Name, func(b *testing.B) {
			verifier, d := newVerifier(b, set.policy(b, v)), v.Signed[0]
			candidates := set.candidates(b, v, d)
			image := verify.Image{Name: v.Repository, Target: ocispec.Descriptor{Digest: d}}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := verifier.Verify(b.Context(), image, candidates); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchmarkOne(b *testing.B, v verify.Verifier, candidate verify.Candidate) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), theImage(), []verify.Candidate{candidate}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyCandidates has one good candidate, the last, after many by
// other keys. The time per candidate must not grow with their number.
func BenchmarkVerifyCandidates(b *testing.B) {
	key := keys["P-256"]()
	v := newVerifier(b, policyOf(key))
	for _, form := range forms {
		good, bad := signed(b, key, form), signed(b, newECDSA(elliptic.P256()), form)
		for _, n := range []int{10, 100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", form, n), func(b *testing.B) {
				candidates := make([]verify.Candidate, n)
				for i := range candidates {
					candidates[i] = bad
				}
				candidates[n-1] = good
				b.ReportAllocs()
				for b.Loop() {
					if _, err := v.Verify(b.Context(), theImage(), candidates); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/candidate")
			})
		}
	}
}

// BenchmarkVerifyKeys has one candidate by the last of many keys.
func BenchmarkVerifyKeys(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			policy := policyOf()
			for range n - 1 {
				policy.Keys = append(policy.Keys, newECDSA(elliptic.P256()).Public())
			}
			key := keys["P-256"]()
			policy.Keys = append(policy.Keys, key.Public())
			benchmarkOne(b, newVerifier(b, policy), signed(b, key, signing.Bundle))
		})
	}
}
