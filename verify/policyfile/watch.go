// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/files"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// Watcher applies a policy file as it is at each time.
type Watcher struct {
	load   func() (*Policy, error)
	limits verify.Limits

	current atomic.Pointer[watched]
	turn    sync.Mutex // who has it may change current
}

var (
	_ verify.Verifier        = (*Watcher)(nil)
	_ verify.Selector        = (*Watcher)(nil)
	_ verify.LimitedVerifier = (*Watcher)(nil)
)

// Watch returns a verifier that applies the policy file at path, which load reads:
// [Load] or [LoadContainers]. Nothing is read yet; ask for the Policy to see whether
// it is well formed.
//
// Before each use, it looks by stat whether the file, or a key or a trusted root
// that it names, has changed, and reads all of them again if so. While any of it
// cannot be read, every image is misconfigured: it does not go on with an older
// policy. A verification uses one state of the file from its beginning to its end.
//
// Replace the file by renaming another one onto it, as Kubernetes does with what it
// mounts: of one that is being written, the first part may be well formed and say
// something else.
func Watch(path string, load func(path string, config Config) (*Policy, error), config Config) *Watcher {
	return &Watcher{
		load:   func() (*Policy, error) { return load(path, config) },
		limits: config.Limits.WithDefaults(),
	}
}

// Policy returns the policy as it is now.
func (w *Watcher) Policy() (*Policy, error) {
	if c := w.current.Load(); c.isFresh() {
		return c.policy, nil
	}
	w.turn.Lock()
	defer w.turn.Unlock()
	c := w.current.Load()
	if c.isFresh() {
		return c.policy, nil
	}
	c, err := w.refresh(c)
	w.current.Store(c)
	if err != nil {
		return nil, err
	}
	return c.policy, nil
}

// Limits implements [verify.LimitedVerifier].
func (w *Watcher) Limits() verify.Limits { return w.limits }

// Select implements [verify.Selector].
func (w *Watcher) Select(ctx context.Context, image verify.Image) (verify.Selection, error) {
	p, err := w.Policy()
	if err != nil {
		return verify.Selection{}, err
	}
	return p.Select(ctx, image)
}

// Verify implements [verify.Verifier].
func (w *Watcher) Verify(ctx context.Context, image verify.Image, candidates []verify.Candidate) (*verify.Result, error) {
	p, err := w.Policy()
	if err != nil {
		return nil, err
	}
	return p.Verify(ctx, image, candidates)
}

// refresh returns a state that is fresh, if it can. What has other times and the
// same content stays the same policy, with the trusted root that it has fetched.
func (w *Watcher) refresh(old *watched) (*watched, error) {
	if old != nil {
		if c := watch(old.policy); c != nil {
			return c, nil
		}
	}
	p, err := w.load()
	if err == nil && p == nil {
		err = errors.New("no policy was loaded")
	}
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opRead, "", "", err)
	}
	if c := watch(p); c != nil {
		return c, nil
	}
	return nil, fault.New(verify.ErrMisconfigured, opRead, "", "", errors.New("a file changes while it is read"))
}

// watched is a policy with what the files that it was made of looked like.
type watched struct {
	policy *Policy
	infos  []fs.FileInfo // of policy.sources
	// since is from when on a file that changes looks different.
	since time.Time
}

// tick is more than the resolution of the times of any file system: two writes
// within it may leave a file with the same time.
const tick = 2 * time.Second

// watch returns nil unless the files are what p was made of. It looks at them first
// and reads them then: what changes after the look looks different the next time.
func watch(p *Policy) *watched {
	c := &watched{policy: p, since: time.Now().Add(-tick)}
	for _, s := range p.sources {
		info, err := os.Stat(s.path)
		if err != nil {
			return nil
		}
		c.infos = append(c.infos, info)
	}
	for _, s := range p.sources {
		b, err := files.Read(s.path, limits.PolicyFile, "file")
		if err != nil || sha256.Sum256(b) != s.sum {
			return nil
		}
	}
	return c
}

// isFresh reports whether the files are still the same, and would look different if
// they were not. A file that was written a moment before it was read, or in the
// future, may have been written again.
func (c *watched) isFresh() bool {
	if c == nil {
		return false
	}
	for i, s := range c.policy.sources {
		then := c.infos[i]
		now, err := os.Stat(s.path)
		if err != nil || !os.SameFile(then, now) || then.Size() != now.Size() ||
			!then.ModTime().Equal(now.ModTime()) || then.ModTime().After(c.since) {
			return false
		}
	}
	return true
}
