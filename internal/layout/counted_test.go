// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package layout

import (
	"testing"

	"github.com/cosignkit/cosignkit/internal/worktest"
)

// TestLayoutsCostLinearWork counts what hostile files make each decoder allocate. It
// counts for the whole process, and so runs alone.
func TestLayoutsCostLinearWork(t *testing.T) {
	dir := t.TempDir()
	index := func(b []byte) {
		l := layoutWith(t, dir, b)
		_, _ = l.Index()
		_ = l.Close()
	}
	for name, d := range map[string]worktest.Decoder{
		"manifest": {Decode: decodeManifest, Seeds: [][]byte{[]byte(someManifest)}, PerByte: 512, Fixed: 1 << 16},
		"index":    {Decode: index, Seeds: [][]byte{[]byte(someIndex)}, PerByte: 512, Fixed: 1 << 16},
	} {
		t.Run(name, func(t *testing.T) { worktest.Run(t, d) })
	}
}
