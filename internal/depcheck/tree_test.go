// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package depcheck

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const (
	module = "github.com/cosignkit/cosignkit"
	// root is the top of the repository, from the directory that tests run in.
	root = "../.."
)

// libraryDirs hold what users import, next to the package at the top. Package compose
// is a module of its own.
var libraryDirs = []string{"signing", "verify", "keyless", "registry", composeDir}

const composeDir = "compose"

// moduleDir returns the directory of the module that has the package of that path.
func moduleDir(importPath string) string {
	if importPath == module+"/"+composeDir {
		return path.Join(root, composeDir)
	}
	return root
}

// treeFiles returns the files of the repository whose names end in suffix, as
// slash-separated paths from the top, those of nested modules included.
//
// It looks at each file on the way: the go command keys cached test results by
// the files that a test looked at, and does not see what a child process read.
func treeFiles(t *testing.T, suffix string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && file != root && (name == "testdata" || name == "vendor" || strings.HasPrefix(name, ".")) {
			return fs.SkipDir
		}
		if !entry.IsDir() && strings.HasSuffix(name, suffix) {
			if _, err := os.Stat(file); err != nil {
				return err
			}
			relative, err := filepath.Rel(root, file)
			if err != nil {
				return err
			}
			files = append(files, filepath.ToSlash(relative))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// under reports whether file lies in the directory dir, or below it.
func under(file, dir string) bool {
	return strings.HasPrefix(path.Clean(file)+"/", dir+"/")
}
