// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/gofrs/flock"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// contents is what one state of the repository says.
type contents struct {
	root          *verify.TrustedRoot
	signingConfig []byte // nil if there is none
	files         state
	// expires is when the first of its metadata does.
	expires time.Time
	// since and lasts say how long it is used without looking for a newer one.
	since time.Time
	lasts time.Duration
}

func (c *contents) usable() bool { return c != nil && time.Now().Before(c.expires) }
func (c *contents) fresh() bool  { return c.usable() && isWithin(c.since, c.lasts) }

// isWithin goes by the wall clock, unlike time.Since: the other one stands still
// while the machine sleeps. Nothing is fresh after the wall clock was set back.
func isWithin(since time.Time, lasts time.Duration) bool {
	age := time.Now().Round(0).Sub(since)
	return age >= 0 && age < lasts
}

// contents lets one goroutine at a time look for a newer state, each no longer
// than its own context lasts. The others use the last state meanwhile. Without one
// they wait, and share a failure: otherwise each would wait for the mirror again,
// one after the other.
func (t *TUF) contents(ctx context.Context) (*contents, error) {
	const op = "fetch trusted root"
	last, failed := t.current.Load(), t.failure.Load()
	if last.fresh() {
		return last, nil
	}
	select {
	case <-t.turn:
	default:
		if last.usable() {
			return last, nil
		}
		select {
		case <-t.turn:
		case <-ctx.Done():
			return nil, fault.New(verify.ErrInconclusive, op, t.config.Mirror, "", ctx.Err())
		}
	}
	defer func() { t.turn <- struct{}{} }()
	if c := t.current.Load(); c.fresh() {
		return c, nil
	}
	if f := t.failure.Load(); f != failed {
		return nil, f
	}
	c, err := t.load(ctx)
	if err != nil {
		f := fault.New(verify.ErrInconclusive, op, t.config.Mirror, "", err)
		if ctx.Err() == nil {
			t.current.Store(nil)
			t.failure.Store(f)
		}
		return nil, f
	}
	t.good = c.files
	t.current.Store(c)
	return c, nil
}

// load takes the copy on disk while it is fresh, the mirror's state when it is
// not, and the last good copy when the mirror cannot be used.
func (t *TUF) load(ctx context.Context) (*contents, error) {
	if c := t.freshCopy(); c != nil {
		return c, nil
	}
	unlock, lockErr := t.lock(ctx)
	if lockErr == nil {
		defer unlock()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	// Another process may have fetched while this one waited for the lock.
	if c := t.freshCopy(); c != nil {
		return c, nil
	}

	timeout := limits.TUFTimeout
	h := &history{tuf: t, locked: lockErr == nil, err: lockErr}
	if _, err := t.goodCopy(); err == nil {
		timeout = share(ctx)
	}
	c, err := t.refresh(ctx, timeout, h)
	if err == nil {
		c.since, c.lasts = time.Now().Round(0), limits.TUFRefresh
		h.finish(c)
	}
	if h.err != nil {
		t.warn("the cache of the trusted root cannot be written", h.err)
	}
	if err == nil {
		return c, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	// The refresh may have found that the keys of a copy were revoked.
	good, noCopy := t.goodCopy()
	if noCopy != nil {
		return nil, fmt.Errorf("%w; and there is no good copy: %w", err, noCopy)
	}
	t.warn("the trusted root could not be refreshed, using the last good copy", err)
	good.since, good.lasts = time.Now().Round(0), limits.TUFRetry
	return good, nil
}

// freshCopy is the copy on disk, or nil if it is not to be used without a look
// at the mirror. It needs no lock: what another process writes meanwhile is whole
// files, and a mixture of two states does not verify.
func (t *TUF) freshCopy() *contents {
	since := t.disk().lastFetch()
	if !isWithin(since, limits.TUFRefresh) {
		return nil
	}
	c, err := t.open(t.disk())
	if err != nil {
		return nil
	}
	c.since, c.lasts = since, limits.TUFRefresh
	return c
}

// goodCopy is the newest whole state that verifies with the newest root. The
// error is that of the cache, which comes first.
func (t *TUF) goodCopy() (*contents, error) {
	c, err := t.open(t.disk())
	for _, other := range []reader{t.disk().aside(), t.good} {
		if err == nil {
			return c, nil
		}
		if c, otherErr := t.open(other); otherErr == nil {
			return c, nil
		}
	}
	return c, err
}

// open runs the client workflow on a copy alone: what is on disk is trusted no
// more than what a mirror says.
func (t *TUF) open(from reader) (c *contents, err error) {
	err = guard(func() error {
		w, err := t.workflow(fromCopy(from))
		if err != nil {
			return err
		}
		c, err = w.run()
		return err
	})
	return c, err
}

// refresh runs the client workflow on the mirror. Files that were verified before
// are the measure.
func (t *TUF) refresh(ctx context.Context, timeout time.Duration, h *history) (c *contents, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errors.New("the mirror took too long"))
	defer cancel()
	err = guard(func() error {
		w, err := t.workflow(fromMirror(ctx, t.client, t.base))
		if err != nil {
			return err
		}
		w.keep = h.keep
		w.copies = t.copies()
		if err := w.newRoots(); err != nil {
			return err
		}
		c, err = w.run()
		return err
	})
	return c, err
}

func (t *TUF) warn(what string, err error) {
	t.config.Logger.Warn(what, "mirror", t.config.Mirror, "error", fault.OneLine(err.Error()))
}

// share is how long a step may take that others can follow. It leaves them half
// of the time that the caller has: a mirror that hangs must not use up the time
// in which the last good copy could be used.
func share(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(limits.TUFTimeout, time.Until(deadline)/2)
	}
	return limits.TUFTimeout
}

// lock keeps other processes from writing the cache at the same time. The wait
// is bounded, whatever the others do: without the lock only roots are written.
func (t *TUF) lock(ctx context.Context) (unlock func(), err error) {
	if t.dir == "" {
		return nil, errNoCache
	}
	if err := os.MkdirAll(t.config.CacheDir, 0o700); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, share(ctx), errors.New("another process keeps it locked"))
	defer cancel()
	lock := flock.New(t.dir + ".lock")
	locked, err := lock.TryLockContext(ctx, limits.LockPoll)
	if locked {
		// The file stays: who waits has it open, and would lock another one than
		// who comes next.
		return func() { _ = lock.Unlock() }, nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return nil, err
}

// fetch gets a file: name is its name in the cache, path that on the mirror.
type fetch func(name, path string, limit int64) ([]byte, error)

func fromCopy(from reader) fetch {
	return func(name, _ string, limit int64) ([]byte, error) {
		b, err := from.read(name, limit)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return b, nil
	}
}

// statusError is an answer of the mirror's other than 200.
type statusError struct {
	path string
	code int
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: the mirror answered %d", e.path, e.code)
}

func fromMirror(ctx context.Context, client *http.Client, base string) fetch {
	return func(name, path string, limit int64) ([]byte, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/"+path, nil)
		if err != nil {
			return nil, err
		}
		response, err := client.Do(request)
		if err != nil {
			return nil, causeOr(ctx, err)
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			return nil, &statusError{path: path, code: response.StatusCode}
		}
		b, err := limits.ReadAll(response.Body, limit, name)
		if err != nil {
			return nil, causeOr(ctx, err)
		}
		return b, nil
	}
}

func causeOr(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}
