// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package trust_test

import (
	"path/filepath"
	"testing"

	"github.com/cosignkit/cosignkit/internal/worktest"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// TestTrustedRootsCostLinearWork counts what hostile files make each decoder allocate.
// It counts for the whole process, and so runs alone.
func TestTrustedRootsCostLinearWork(t *testing.T) {
	for name, d := range map[string]worktest.Decoder{
		"trusted root in PEM": {
			Decode: func(b []byte) {
				_, _ = trust.ParsePEMs(trust.PEMs{Fulcio: b})
				_, _ = trust.ParsePEMs(trust.PEMs{Rekor: b})
				_, _ = trust.ParsePEMs(trust.PEMs{Timestamp: b})
			}, PerByte: 512, Fixed: 1 << 18,
			Seeds: [][]byte{pemParts.root, pemParts.key, join(pemParts.leaf, pemParts.intermediate, pemParts.root)},
		},
		"trusted root in JSON": {
			Decode: func(b []byte) { _, _ = trust.Parse(b) }, PerByte: 512, Fixed: 1 << 20,
			Seeds: [][]byte{readFile(t, filepath.Join(publicGood, "trusted_root.json"))},
		},
	} {
		t.Run(name, func(t *testing.T) { worktest.Run(t, d) })
	}
}
