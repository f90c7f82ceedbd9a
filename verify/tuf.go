// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"github.com/sigstore/sigstore-go/pkg/tuf"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/files"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// TUFConfig configures [NewTUF]. The zero TUFConfig is Sigstore's public
// instance.
type TUFConfig struct {
	// Mirror is the URL of the TUF repository. Empty means
	// https://tuf-repo-cdn.sigstore.dev. Metadata is signed, so over plain HTTP
	// it can be withheld until it expires, and not be changed.
	Mirror string

	// InitialRoot is the root metadata from which trust starts, root.json.
	// Required with a Mirror; for one of Sigstore's public instance it is
	// [PublicInitialRoot], which is also what nil means without a Mirror.
	InitialRoot []byte

	// CacheDir keeps what was fetched, for several repositories and in the
	// layout of sigstore-go. Empty means .sigstore/root in the user's home
	// directory. One that cannot be written or locked is done without, and so
	// is one of a user without a home directory.
	CacheDir string

	// Transport fetches. Nil means [http.DefaultTransport].
	Transport http.RoundTripper

	// Logger is told when a refresh fails and the last good copy is used, and
	// when the cache cannot be written. Nil discards it.
	Logger *slog.Logger
}

// PublicInitialRoot returns the root metadata of Sigstore's public instance from
// which trust starts, which is embedded.
func PublicInitialRoot() []byte { return tuf.DefaultRoot() }

// TUFConfigFromEnvironment is the TUFConfig that these variables ask for:
//
//	TUF_MIRROR     URL of the repository
//	TUF_ROOT       directory of the cache
//	TUF_ROOT_JSON  path of the root metadata from which trust starts
//
// A variable that is set and empty is misconfigured. The mirror that cosign
// initialize remembers in its cache is not used.
func TUFConfigFromEnvironment() (TUFConfig, error) {
	var config TUFConfig
	for _, variable := range []struct {
		name string
		set  func(string) error
	}{
		{"TUF_MIRROR", func(v string) error { config.Mirror = v; return nil }},
		{"TUF_ROOT", func(v string) error { config.CacheDir = v; return nil }},
		{"TUF_ROOT_JSON", func(v string) (err error) {
			config.InitialRoot, err = files.Read(v, limits.TrustedRoot, "root metadata")
			return err
		}},
	} {
		value, ok := os.LookupEnv(variable.name) //nolint:forbidigo // docs/environment.md lists it
		if !ok {
			continue
		}
		err := errors.New("is empty")
		if value != "" {
			err = variable.set(value)
		}
		if err != nil {
			return TUFConfig{}, fault.New(ErrMisconfigured, opOpenRoot, variable.name, "", err)
		}
	}
	return config, nil
}

// TUF gives the trusted root and the signing config of a TUF repository
// (https://theupdateframework.github.io/specification). It fetches when it is
// first asked, and then once a day, across all processes that share its cache;
// sooner where the metadata expires sooner. When a refresh fails, also because
// the mirror offers metadata that is expired or older than what was seen
// before, the last good copy is used until its metadata expires. It is safe for
// concurrent use and starts no goroutine.
type TUF struct {
	config TUFConfig
	client *http.Client
	base   string // the mirror, without the slash at its end
	dir    string // the cache of this repository; empty if there is none

	current atomic.Pointer[snapshot]
	// failure is the last one that was not the end of a caller's context.
	failure atomic.Pointer[fault.Error]
	// turn holds one token: who has it may fetch, and change current and failure.
	turn chan struct{}
}

var _ TrustedRoots = (*TUF)(nil)

// snapshot is what one state of the repository says.
type snapshot struct {
	root          *TrustedRoot
	signingConfig []byte // nil if there is none
	files         state
	// expires is when the first of its metadata does.
	expires time.Time
	// since and lasts say how long it is used without looking for a newer one.
	since time.Time
	lasts time.Duration
}

func (s *snapshot) usable() bool { return s != nil && time.Now().Before(s.expires) }
func (s *snapshot) fresh() bool  { return s.usable() && isWithin(s.since, s.lasts) }

// isWithin goes by the wall clock, unlike time.Since: the other one stands still
// while the machine sleeps. Where the wall clock was set back, nothing is fresh.
func isWithin(since time.Time, lasts time.Duration) bool {
	age := time.Now().Round(0).Sub(since)
	return age >= 0 && age < lasts
}

// NewTUF returns a source of trusted roots. It reads and fetches nothing yet. A
// configuration that cannot be used is misconfigured.
func NewTUF(config TUFConfig) (*TUF, error) {
	const op = "new TUF client"
	if config.Mirror == "" {
		config.Mirror = tuf.DefaultMirror
	}
	if config.InitialRoot == nil && config.Mirror != tuf.DefaultMirror {
		// Whose repository it is cannot be guessed.
		return nil, fault.New(ErrMisconfigured, op, "", "", errors.New("a mirror needs the initial root of its repository"))
	}
	if config.InitialRoot == nil {
		config.InitialRoot = PublicInitialRoot()
	}
	if err := checkMirror(config.Mirror); err != nil {
		return nil, fault.New(ErrMisconfigured, op, "", "mirror", err)
	}
	config.InitialRoot = bytes.Clone(config.InitialRoot)
	if len(config.InitialRoot) > limits.TrustedRoot {
		return nil, fault.New(ErrMisconfigured, op, config.Mirror, "", limits.Exceeded("root metadata in bytes", limits.TrustedRoot))
	}
	if err := checkRootMetadata(config.InitialRoot); err != nil {
		return nil, fault.New(ErrMisconfigured, op, config.Mirror, "root metadata", err)
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	t := &TUF{
		config: config,
		client: &http.Client{Transport: config.Transport},
		base:   strings.TrimRight(config.Mirror, "/"),
		turn:   make(chan struct{}, 1),
	}
	t.turn <- struct{}{}
	if t.config.CacheDir == "" {
		// Services are often started without a home directory.
		if home, err := os.UserHomeDir(); err == nil {
			t.config.CacheDir = filepath.Join(home, ".sigstore", "root")
		}
	}
	if t.config.CacheDir != "" {
		t.dir = filepath.Join(t.config.CacheDir, tuf.URLToPath(config.Mirror))
	}
	return t, nil
}

// checkMirror wants a URL that names of files can be added to. One with a
// password would show it in messages and in the name of the cache.
func checkMirror(mirror string) error {
	u, err := url.Parse(mirror)
	if err != nil {
		return errors.New("is not a URL")
	}
	if name := tuf.URLToPath(mirror); name == "." || !filepath.IsLocal(name) {
		return errors.New("names no host") // and is no name of a directory in the cache
	}
	if u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%.256q is not the http or https URL of a repository, without credentials and query", u.Redacted())
	}
	return nil
}

// TrustedRoot implements [TrustedRoots]. It is inconclusive when there is
// neither a good copy nor a way to fetch one.
func (t *TUF) TrustedRoot(ctx context.Context) (*TrustedRoot, error) {
	s, err := t.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return s.root, nil
}

// SigningConfig returns the signing config v0.2 of the same repository, in
// JSON. See keyless.ParseSigningConfig. It is misconfigured when the repository
// has none.
func (t *TUF) SigningConfig(ctx context.Context) ([]byte, error) {
	s, err := t.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if s.signingConfig == nil {
		return nil, fault.New(ErrMisconfigured, "fetch signing config", t.config.Mirror, "", errors.New("the repository has none"))
	}
	return bytes.Clone(s.signingConfig), nil
}

// snapshot lets one goroutine at a time look for a newer state, each no longer
// than its own context lasts. The others use the last one meanwhile; if there
// is none, they wait, and share a failure: otherwise each would wait for the
// mirror again, one after the other.
func (t *TUF) snapshot(ctx context.Context) (*snapshot, error) {
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
			return nil, fault.New(ErrInconclusive, op, t.config.Mirror, "", ctx.Err())
		}
	}
	defer func() { t.turn <- struct{}{} }()
	if s := t.current.Load(); s.fresh() {
		return s, nil
	}
	if f := t.failure.Load(); f != failed {
		return nil, f
	}
	s, err := t.load(ctx)
	if err != nil {
		f := fault.New(ErrInconclusive, op, t.config.Mirror, "", err)
		if ctx.Err() == nil {
			t.failure.Store(f)
		}
		return nil, f
	}
	t.current.Store(s)
	return s, nil
}

// load takes the copy on disk while it is fresh, the mirror's state when it is
// not, and the last good copy when the mirror cannot be used.
func (t *TUF) load(ctx context.Context) (*snapshot, error) {
	if s := t.freshCopy(); s != nil {
		return s, nil
	}
	unlock, lockErr := t.lock(ctx)
	if lockErr == nil {
		defer unlock()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	// Another process may have fetched while this one waited for the lock.
	if s := t.freshCopy(); s != nil {
		return s, nil
	}

	copies := []reader{directory(t.dir)}
	if s := t.current.Load(); s != nil {
		copies = append(copies, s.files)
	}
	roots := t.knownRoots(copies)
	var good *snapshot
	var noCopy error
	for _, c := range copies {
		if good, noCopy = t.open(roots, fromCopy(c)); noCopy == nil {
			break
		}
	}

	timeout := limits.TUFTimeout
	if noCopy == nil {
		timeout = share(ctx)
	}
	s, err := t.fetch(ctx, timeout, roots, copies)
	switch {
	case err == nil:
		s.since, s.lasts = time.Now().Round(0), limits.TUFRefresh
		if lockErr == nil {
			lockErr = t.store(s)
		}
		if lockErr != nil {
			t.warn("the cache of the trusted root cannot be written", lockErr)
		}
		return s, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case noCopy != nil:
		return nil, fmt.Errorf("%w; and there is no good copy: %w", err, noCopy)
	}
	t.warn("the trusted root could not be refreshed, using the last good copy", err)
	good.since, good.lasts = time.Now().Round(0), limits.TUFRetry
	return good, nil
}

// freshCopy is the copy on disk, or nil if it is not to be used without a look
// at the mirror. It needs no lock: what another process writes meanwhile is whole
// files, and a mixture of two states does not verify.
func (t *TUF) freshCopy() *snapshot {
	since := t.lastFetch()
	if !isWithin(since, limits.TUFRefresh) {
		return nil
	}
	disk := directory(t.dir)
	s, err := t.open(t.knownRoots([]reader{disk}), fromCopy(disk))
	if err != nil {
		return nil
	}
	s.since, s.lasts = since, limits.TUFRefresh
	return s
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
// is bounded, whatever the others do: without the lock nothing is written.
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

// lastFetch is when this process, or another one of the same cache, fetched. It
// is the zero time if that is not known.
func (t *TUF) lastFetch() time.Time {
	if t.dir == "" {
		return time.Time{}
	}
	var config tuf.Config
	b, err := files.Read(t.dir+".json", limits.TUFMetadata, "time of the last fetch")
	if err != nil || json.Unmarshal(b, &config) != nil {
		return time.Time{}
	}
	return config.LastTimestamp
}
