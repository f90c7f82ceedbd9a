// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"crypto/sha256"
	"errors"
	"path/filepath"
	"strings"

	"github.com/cosignkit/cosignkit/internal/files"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// sources reads the files that a policy names, each once, and remembers what it
// read: see [Watch].
type sources struct {
	dir  string
	read map[string]*content
	all  []source
}

type content struct {
	b   []byte
	err error
}

// source is a file as a policy was made of it.
type source struct {
	path string
	sum  [sha256.Size]byte
}

// path is where a file is that is named in a policy of dir.
func (s *sources) path(name string) (string, error) {
	switch {
	case strings.HasPrefix(name, "env://"):
		return "", errors.New("want a path: a policy is what its file says, whatever the environment")
	case strings.Contains(name, "://"):
		return "", errors.New("want a path")
	case filepath.IsAbs(name):
		return filepath.Clean(name), nil
	default:
		return filepath.Join(s.dir, name), nil
	}
}

// file returns the content of a file that is named in the policy.
func (s *sources) file(name string, limit int64, what string) ([]byte, error) {
	path, err := s.path(name)
	if err != nil {
		return nil, err
	}
	return s.load(path, limit, what)
}

func (s *sources) load(path string, limit int64, what string) ([]byte, error) {
	if c := s.read[path]; c != nil {
		if int64(len(c.b)) > limit {
			return nil, limits.Exceeded(what+" in bytes", limit)
		}
		return c.b, c.err
	}
	b, err := files.Read(path, limit, what)
	if errors.Is(err, limits.ErrExceeded) {
		return nil, err // another use of the same file may take more
	}
	if s.read == nil {
		s.read = map[string]*content{}
	}
	s.read[path] = &content{b, err}
	if err == nil {
		s.all = append(s.all, source{path, sha256.Sum256(b)})
	}
	return b, err
}
