// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"path/filepath"
	"testing"

	"github.com/cosignkit/cosignkit/internal/worktest"
	"github.com/cosignkit/cosignkit/verify"
)

// TestKeysAndRootsCostLinearWork counts what hostile files make each decoder allocate.
// It counts for the whole process, and so runs alone.
func TestKeysAndRootsCostLinearWork(t *testing.T) {
	key := pkix(t, keys["P-256"]().Public())
	for name, d := range map[string]worktest.Decoder{
		"public key": {
			Decode: func(b []byte) { _, _ = verify.ParsePublicKey(b) }, PerByte: 256, Fixed: 1 << 16,
			Seeds: [][]byte{key, pemOf("PUBLIC KEY", key)},
		},
		"trusted root in PEM": {
			Decode: func(b []byte) {
				_, _ = verify.ParsePEMs(verify.PEMs{Fulcio: b})
				_, _ = verify.ParsePEMs(verify.PEMs{Rekor: b})
				_, _ = verify.ParsePEMs(verify.PEMs{Timestamp: b})
			}, PerByte: 512, Fixed: 1 << 18,
			Seeds: [][]byte{pemParts.root, pemParts.key, join(pemParts.leaf, pemParts.intermediate, pemParts.root)},
		},
		"trusted root in JSON": {
			Decode: func(b []byte) { _, _ = verify.ParseTrustedRoot(b) }, PerByte: 512, Fixed: 1 << 20,
			Seeds: [][]byte{readFile(t, filepath.Join(publicGood, "trusted_root.json"))},
		},
	} {
		t.Run(name, func(t *testing.T) { worktest.Run(t, d) })
	}
}
