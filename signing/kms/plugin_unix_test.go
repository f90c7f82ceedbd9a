// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package kms_test

import (
	"crypto"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	sigkms "github.com/sigstore/sigstore/pkg/signature/kms"

	"github.com/cosignkit/cosignkit/signing/kms"
	"github.com/cosignkit/cosignkit/verify"
)

// TestNoProgramIsRun is with a program in PATH that sigstore's registry would run.
func TestNoProgramIsRun(t *testing.T) {
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	program := "#!/bin/sh\n: > '" + trace + "'\n"
	if err := os.WriteFile(filepath.Join(dir, "sigstore-kms-evil"), []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)

	const ref = "evil://key"
	_, err := kms.PrivateKey(t.Context(), ref)
	wantFamily(t, err, verify.ErrMisconfigured)
	_, err = kms.PublicKey(t.Context(), ref)
	wantFamily(t, err, verify.ErrMisconfigured)
	if _, err := os.Stat(trace); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the program was run: %v", err)
	}

	// That the trap works.
	service, err := sigkms.Get(t.Context(), ref, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = service.PublicKey()
	if _, err := os.Stat(trace); err != nil {
		t.Errorf("sigstore's registry did not run it either: %v", err)
	}
}
