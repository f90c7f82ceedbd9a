// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package files reads the files that users name, and replaces files whole.
package files

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// Read returns the content of a regular file of at least one and at most limit
// bytes. It refuses what is not a regular file: opening a named pipe or a
// terminal can block for ever, and no context reaches into open(2). Errors leave
// out the path, which callers know how to name.
func Read(path string, limit int64, what string) ([]byte, error) {
	if path == "" {
		return nil, errors.New("empty path")
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, cause(err)
	}
	if info.IsDir() {
		return nil, errors.New("is a directory")
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	// Files of the kernel's, such as /proc/kmsg, say so too, and may block as a pipe
	// does.
	if info.Size() == 0 {
		return nil, errors.New("is empty")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, cause(err)
	}
	defer func() { _ = f.Close() }()
	b, err := limits.ReadAll(f, limit, what)
	if err != nil {
		return nil, cause(err)
	}
	if len(b) == 0 { // since it was looked at
		return nil, errors.New("is empty")
	}
	return b, nil
}

// Replace writes a file that its owner alone may read. No reader finds half of
// it, and a machine that loses its power has the old content or the new.
func Replace(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		_ = os.Remove(path) // nothing can be renamed to it
	}
	if err := os.Rename(f.Name(), path); err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return nil
}

func cause(err error) error {
	if pathErr := (*os.PathError)(nil); errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
