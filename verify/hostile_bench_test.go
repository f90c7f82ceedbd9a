// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cosignkit/cosignkit/verify"
)

// BenchmarkVerifyHostile has a good candidate after many whose signatures are good,
// and whose log entries or timestamps are hostile.
func BenchmarkVerifyHostile(b *testing.B) {
	for name, alter := range hostileEvidence(b) {
		for _, form := range forms {
			v, hostile, good := hostileAmong(b, form, alter)
			for _, n := range []int{10, 100, 1000} {
				b.Run(fmt.Sprintf("%s/%s/%d", name, form, n), func(b *testing.B) {
					candidates := append(slices.Repeat([]verify.Candidate{hostile}, n), good)
					b.ReportAllocs()
					for b.Loop() {
						if _, err := v.Verify(b.Context(), theImage(), candidates); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n+1), "µs/candidate")
				})
			}
		}
	}
}
