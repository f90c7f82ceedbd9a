// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package verify_test

import (
	"context"
	"runtime"
	"slices"
	"testing"

	"github.com/cosignkit/cosignkit/internal/worktest"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// TestVerifyDoesLinearWork counts what a verification allocates for hostile changes
// to signatures with every kind of evidence.
func TestVerifyDoesLinearWork(t *testing.T) {
	of := func(form signing.Form, prepare ...func(*attempt)) (verify.Verifier, verify.Image, verify.Candidate) {
		a := newAttempt(form)
		for _, f := range prepare {
			f(a)
		}
		a.accepted(t)
		return a.verifier(t), a.image, a.candidate(t)
	}
	stamped := func(a *attempt) { a.policy.TimestampThreshold = 1; a.stamps = []stamp{{ours.tsa, noon}} }
	for name, prepare := range map[string][]func(*attempt){
		"identity": {stamped}, "key": {(*attempt).byKey, stamped}, "identity, Rekor v2": {(*attempt).inRekorV2}, "key alone": {(*attempt).byKey, func(a *attempt) {
			a.policy.InsecureIgnoreTransparencyLog = true
		}},
	} {
		v, image, candidate := of(signing.Bundle, prepare...)
		t.Run(name, func(t *testing.T) {
			worktest.Run(t, worktest.Decoder{
				Decode: func(b []byte) {
					_, _ = v.Verify(context.Background(), image, []verify.Candidate{{Bundle: b}})
				},
				Seeds: [][]byte{candidate.Bundle}, PerByte: 256, Fixed: 2 << 20,
			})
		})
	}
	v, image, candidate := of(signing.Legacy, stamped)
	for _, key := range []string{sigKey, certificateKey, chainKey, logKey, timestampKey} {
		t.Run("annotation "+key, func(t *testing.T) {
			seed := candidate.Annotations[key]
			if seed == "" {
				seed = candidate.Annotations[certificateKey]
			}
			worktest.Run(t, worktest.Decoder{
				Decode: func(b []byte) {
					c := verify.Candidate{Payload: candidate.Payload, Annotations: map[string]string{}}
					for k, value := range candidate.Annotations {
						c.Annotations[k] = value
					}
					c.Annotations[key] = string(b)
					_, _ = v.Verify(context.Background(), image, []verify.Candidate{c})
				},
				Seeds: [][]byte{[]byte(seed)}, PerByte: 256, Fixed: 2 << 20,
			})
		})
	}
	t.Run("trusted root", func(t *testing.T) {
		worktest.Run(t, worktest.Decoder{
			Decode: func(b []byte) { _, _ = trust.Parse(b) },
			Seeds:  [][]byte{readFile(t, "../testdata/golden", "trusted_root.json")}, PerByte: 256, Fixed: 2 << 20,
		})
	})
}

// TestAThousandHostileCandidates: the good one after them is found, and ten times as
// many cost ten times as much.
func TestAThousandHostileCandidates(t *testing.T) {
	for name, alter := range hostileEvidence(t) {
		for _, form := range forms {
			t.Run(name+", "+string(form), func(t *testing.T) {
				v, hostile, good := hostileAmong(t, form, alter)
				work := func(n int) uint64 {
					candidates := append(slices.Repeat([]verify.Candidate{hostile}, n), good)
					return worktest.Allocated(func() {
						if result, err := v.Verify(t.Context(), theImage(), candidates); err != nil || result.Signatures[0].Err == nil || result.Signatures[n].Err != nil {
							t.Errorf("a good one after %d hostile ones: %v", n, err)
						}
					})
				}
				work(1)
				if few, many := work(100), work(1000); many > 11*few {
					t.Errorf("%d bytes allocated for 1000, and %d for 100", many, few)
				}
			})
		}
	}
}

// TestPublicKeysCostLinearWork counts for the whole process, and so runs alone.
func TestPublicKeysCostLinearWork(t *testing.T) {
	key := pkix(t, keys["P-256"]().Public())
	worktest.Run(t, worktest.Decoder{
		Decode: func(b []byte) { _, _ = verify.ParsePublicKey(b) }, PerByte: 256, Fixed: 1 << 16,
		Seeds: [][]byte{key, pemOf("PUBLIC KEY", key)},
	})
}

// TestLegacyNeedsLittleMemory: there may be thousands of candidates, and io.Copy
// would take 32 KiB to hash each. It is not parallel, to measure nothing else.
func TestLegacyNeedsLittleMemory(t *testing.T) {
	const times, most = 100, 24 << 10
	verifier, candidate := goldenVerifier(t, "ecdsa-p256"), goldenLegacy(t, "cosign3", "ecdsa-p256")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		wantAccepted(t, verifier, candidate)
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / times; each > most {
		t.Errorf("a verification takes %d bytes, want at most %d", each, most)
	}
}
