// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package keyfile reads key material from where a key reference says it is.
package keyfile

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cosignkit/cosignkit/internal/limits"
)

const envScheme = "env://"

// Read returns the bytes that ref names: a path, or env://NAME for the value of
// an environment variable. Any other scheme is an error: nothing is fetched and
// no plug-in is run.
func Read(ref string) ([]byte, error) {
	if name, ok := strings.CutPrefix(ref, envScheme); ok {
		return readEnv(name)
	}
	if scheme, _, ok := strings.Cut(ref, "://"); ok {
		return nil, fmt.Errorf("key references of scheme %q are not supported", scheme)
	}
	if ref == "" {
		return nil, errors.New("empty key reference")
	}
	return readFile(ref)
}

func readEnv(name string) ([]byte, error) {
	value, ok := os.LookupEnv(name)
	switch {
	case name == "":
		return nil, errors.New("no variable named after env://")
	case !ok:
		return nil, errors.New("environment variable is not set")
	case value == "":
		return nil, errors.New("environment variable is empty")
	case len(value) > limits.KeyFile:
		return nil, limits.Exceeded("key in bytes", limits.KeyFile)
	}
	return []byte(value), nil
}

// readFile refuses what is not a regular file: opening a named pipe or a
// terminal can block for ever, and no context reaches into open(2).
func readFile(path string) ([]byte, error) {
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
	f, err := os.Open(path)
	if err != nil {
		return nil, cause(err)
	}
	defer func() { _ = f.Close() }()
	b, err := limits.ReadAll(f, limits.KeyFile, "key file")
	if err != nil {
		return nil, cause(err)
	}
	if len(b) == 0 {
		return nil, errors.New("is empty")
	}
	return b, nil
}

// cause drops the operation and the path from err; callers name the file.
func cause(err error) error {
	if pathErr := (*os.PathError)(nil); errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
