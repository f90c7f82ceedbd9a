// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyfile_test

import (
	"testing"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/keyfile"
)

func BenchmarkOpen(b *testing.B) {
	for _, kind := range []string{"ecdsa-p256", "rsa-4096"} {
		b.Run(kind, func(b *testing.B) {
			pem := readFile(b, goldenKey(kind))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := keyfile.Parse(b.Context(), pem, signing.Passphrase([]byte(goldenPassphrase))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
