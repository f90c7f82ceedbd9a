// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package embedded_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestDirectoryIsPrivate(t *testing.T) {
	root := filepath.Join(t.TempDir(), "new", "store")
	open(t, root)
	for name, want := range map[string]fs.FileMode{root: 0o700, filepath.Join(root, "meta.db"): 0o600} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
}
