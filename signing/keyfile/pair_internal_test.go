// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TestCopyNew is about file systems without hard links, which are not at hand
// where the tests run.
func TestCopyNew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	temp, name := filepath.Join(dir, "temp"), filepath.Join(dir, "cosign.key")
	if err := copyNew(temp, name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("copying a file that is missing: %v", err)
	}
	if err := placeNew(temp, name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("placing a file that is missing: %v", err)
	}
	if err := os.WriteFile(temp, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := copyNew(temp, name); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(temp, []byte("second"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := copyNew(temp, name); !errors.Is(err, fs.ErrExist) {
		t.Errorf("copying over a file: %v, want fs.ErrExist", err)
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != "first" {
		t.Errorf("file holds %q, %v", b, err)
	}
	if info, err := os.Stat(name); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
}
