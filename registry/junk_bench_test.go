// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"crypto"
	"errors"
	"fmt"
	"runtime/metrics"
	"testing"
	"time"

	gcrname "github.com/google/go-containerregistry/pkg/name"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// benchPlaces are the places of the benchmarks, by short names.
var benchPlaces = []struct {
	name  string
	place junkPlace
}{
	{"referrers-API", junkPlaces[0]},
	{"referrers-API-pages-of-10", junkPlaces[2]},
	{"referrers-tag", junkPlaces[3]},
	{"artifact-manifests", junkPlaces[4]},
	{"artifact-layers", junkPlaces[5]},
	{"signature-tag", junkPlaces[6]},
}

// BenchmarkVerifyJunk verifies an image with signatures by another key, and after
// them one that is good, or none. The registry is in the same process, and is in
// what is allocated.
func BenchmarkVerifyJunk(b *testing.B) {
	for _, p := range benchPlaces {
		for _, n := range []int{10, 100, 1000} {
			for _, outcome := range []string{"accepted", "rejected"} {
				b.Run(fmt.Sprintf("%s/%d/%s", p.name, n, outcome), func(b *testing.B) {
					benchmarkJunk(b, p.place, n, outcome == "accepted")
				})
			}
		}
	}
}

func benchmarkJunk(b *testing.B, place junkPlace, n int, accepted bool) {
	j := newJunkTest(b)
	pieces := junkOf(place.form, n, otherKey)
	if accepted {
		pieces = append(pieces, goodPiece(place.form))
	}
	place.fill(j.shelf, "app", j.image.Target, pieces)
	measure(b, j, junkVerifier(b, verify.Limits{}), accepted)
}

// BenchmarkVerifyHostile verifies an image with hostile signatures, and after them
// one that is good.
func BenchmarkVerifyHostile(b *testing.B) {
	for _, place := range hostilePlaces {
		for kind := range hostileKinds {
			for _, n := range []int{100, 1000} {
				b.Run(fmt.Sprintf("%s/%s/%d", place.name, kind, n), func(b *testing.B) {
					j, verifier := newHostileTest(b, place, kind, n)
					measure(b, j, verifier, true)
				})
			}
		}
	}
}

func measure(b *testing.B, j *junkTest, verifier verify.Verifier, accepted bool) {
	c, candidates := newClient(b, registry.Config{}), 0
	once := func() {
		result, err := c.VerifyImage(b.Context(), j.image, verifier)
		if accepted && err != nil || !accepted && !errors.Is(err, verify.ErrRejected) {
			b.Fatal(err)
		}
		candidates += len(result.Signatures)
	}
	once() // connections are made, and what is missing is known
	j.reg.record()
	candidates = 0
	b.ReportAllocs()
	for b.Loop() {
		once()
	}
	b.ReportMetric(float64(len(j.reg.recorded()))/float64(b.N), "requests/op")
	b.ReportMetric(float64(candidates)/float64(b.N), "candidates/op")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(max(candidates, 1)), "ns/candidate")
	b.ReportMetric(float64(peakOf(once)), "peak-B")
}

// peakOf is how much the heap grows while f runs, what is garbage already
// included.
func peakOf(f func()) uint64 {
	live := func() uint64 {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64()
	}
	before := heap()
	done, peak := make(chan struct{}), make(chan uint64)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		highest := before
		for {
			highest = max(highest, live())
			select {
			case <-done:
				peak <- highest - before
				return
			case <-tick.C:
			}
		}
	}()
	f()
	close(done)
	return <-peak
}

// BenchmarkCosignJunk is BenchmarkVerifyJunk/signature-tag by the loop of cosign,
// which looks at this form alone.
func BenchmarkCosignJunk(b *testing.B) {
	for _, n := range []int{10, 100, 300} {
		for _, by := range []string{"cosign", "cosignkit"} {
			b.Run(fmt.Sprintf("%d/%s", n, by), func(b *testing.B) {
				place := junkPlaces[6]
				if by == "cosignkit" {
					benchmarkJunk(b, place, n, true)
					return
				}
				j := newJunkTest(b)
				place.fill(j.shelf, "app", j.image.Target, append(junkOf(signing.Legacy, n, otherKey), goodPiece(signing.Legacy)))
				ref, err := gcrname.ParseReference(j.image.Name)
				if err != nil {
					b.Fatal(err)
				}
				verifier, err := signature.LoadVerifier(theJunkKeys().right.Public(), crypto.SHA256)
				if err != nil {
					b.Fatal(err)
				}
				j.reg.record()
				b.ReportAllocs()
				for b.Loop() {
					verified, _, err := cosign.VerifyImageSignatures(b.Context(), ref, &cosign.CheckOpts{
						SigVerifier: verifier, ClaimVerifier: cosign.SimpleClaimVerifier, IgnoreTlog: true, Offline: true,
					})
					if err != nil || len(verified) != 1 {
						b.Fatalf("%d signatures verified, %v", len(verified), err)
					}
				}
				b.ReportMetric(float64(len(j.reg.recorded()))/float64(b.N), "requests/op")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*(n+1)), "ns/candidate")
			})
		}
	}
}
