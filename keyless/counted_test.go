// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package keyless

import (
	"testing"

	"github.com/cosignkit/cosignkit/internal/worktest"
)

// TestRepliesCostLinearWork counts what hostile replies make each decoder allocate.
// It counts for the whole process, and so runs alone.
func TestRepliesCostLinearWork(t *testing.T) {
	for name, d := range decoders(t) {
		t.Run(name, func(t *testing.T) {
			if err := d.decode(d.seed); err != nil {
				t.Fatalf("the honest reply: %v", err)
			}
			worktest.Run(t, worktest.Decoder{
				Decode:  func(b []byte) { _ = d.decode(b) },
				Seeds:   [][]byte{d.seed},
				PerByte: 512, Fixed: 1 << 18,
			})
		})
	}
}
