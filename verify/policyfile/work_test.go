// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package policyfile_test

import (
	"testing"

	"github.com/cosignkit/cosignkit/internal/worktest"
	"github.com/cosignkit/cosignkit/verify/policyfile"
)

// TestPolicyFilesCostLinearWork counts what hostile files make the parsers allocate.
// It counts for the whole process, and so runs alone.
func TestPolicyFilesCostLinearWork(t *testing.T) {
	for name, d := range map[string]worktest.Decoder{
		"ours": {
			Decode: func(b []byte) { _, _ = policyfile.Parse(b, "", policyfile.Config{}) },
			Seeds: [][]byte{
				[]byte(`{"version": 1, "default": "reject", "rules": [{"scope": "a.example", "reject": true}]}`),
				[]byte("%TAG !a! b\n"),
			},
		},
		"of containers": {
			Decode: func(b []byte) { _, _ = policyfile.ParseContainers(b, "", policyfile.Config{}) },
			Seeds:  [][]byte{[]byte(testdata(t, docker("registry.example", signedByKey)))},
		},
	} {
		// Each problem that is found takes text. Under the race detector a regular
		// expression makes its machine anew each time.
		d.PerByte, d.Fixed = 8192, 1<<20
		t.Run(name, func(t *testing.T) { worktest.Run(t, d) })
	}
}
