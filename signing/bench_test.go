// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package signing_test

import (
	"testing"

	"github.com/cosignkit/cosignkit/signing"
)

func BenchmarkSignBundle(b *testing.B) { benchmarkSign(b, signing.Bundle) }
func BenchmarkSignLegacy(b *testing.B) { benchmarkSign(b, signing.Legacy) }

func benchmarkSign(b *testing.B, form signing.Form) {
	for _, kind := range goldenKinds {
		b.Run(kind, func(b *testing.B) {
			signer := newSigner(b, openGolden(b, kind))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := signer.Sign(b.Context(), request(form)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
