// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"github.com/sigstore/sigstore-go/pkg/tuf"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/files"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// The targets of a Sigstore TUF repository.
const (
	targetTrustedRoot   = "trusted_root.json"
	targetSigningConfig = "signing_config.v0.2.json"
)

// TUFConfig configures [NewTUF]. The zero TUFConfig is Sigstore's public
// instance.
type TUFConfig struct {
	// Mirror is the URL of the TUF repository. Empty means
	// https://tuf-repo-cdn.sigstore.dev. Metadata is signed, so http will do.
	Mirror string

	// InitialRoot is the root metadata from which trust starts, root.json. Nil
	// means that of Sigstore's public instance, which is embedded.
	InitialRoot []byte

	// CacheDir keeps what was fetched, for several repositories and in the
	// layout of cosign and sigstore-go. Empty means .sigstore/root in the
	// user's home directory. One that cannot be written is done without.
	CacheDir string

	// Transport fetches. Nil means [http.DefaultTransport].
	Transport http.RoundTripper

	// Logger is told when a refresh fails and the last good copy is used. Nil
	// discards it.
	Logger *slog.Logger
}

// TUFConfigFromEnvironment is the TUFConfig that these variables ask for:
//
//	TUF_MIRROR     URL of the repository
//	TUF_ROOT       directory of the cache
//	TUF_ROOT_JSON  path of the root metadata from which trust starts
//
// A variable that is set and empty is misconfigured.
func TUFConfigFromEnvironment() (TUFConfig, error) {
	var config TUFConfig
	for name, set := range map[string]func(string) error{
		"TUF_MIRROR": func(v string) error { config.Mirror = v; return nil },
		"TUF_ROOT":   func(v string) error { config.CacheDir = v; return nil },
		"TUF_ROOT_JSON": func(v string) (err error) {
			config.InitialRoot, err = files.Read(v, limits.TrustedRoot, "root metadata")
			return err
		},
	} {
		value, ok := os.LookupEnv(name)
		if !ok {
			continue
		}
		err := errors.New("is empty")
		if value != "" {
			err = set(value)
		}
		if err != nil {
			return TUFConfig{}, fault.New(ErrMisconfigured, opOpenRoot, name, "", err)
		}
	}
	return config, nil
}

// TUF gives the trusted root and the signing config of a TUF repository
// (https://theupdateframework.github.io/specification). It fetches when it is
// first asked, and then at most once a day, across all processes that share its
// cache. When a refresh fails, also because the mirror offers metadata that is
// expired or older than what was seen before, the last good copy is used until
// its metadata expires. It is safe for concurrent use and starts no goroutine.
type TUF struct {
	config TUFConfig
	client *http.Client
	// turn holds one token: who has it may look at and change current.
	turn    chan struct{}
	current *snapshot
}

var _ TrustedRoots = (*TUF)(nil)

// snapshot is what one state of the repository says.
type snapshot struct {
	root          *TrustedRoot
	signingConfig []byte
	// until is when to look for a newer one.
	until time.Time
}

// NewTUF returns a source of trusted roots. It reads and fetches nothing yet. A
// configuration that cannot be used is misconfigured.
func NewTUF(config TUFConfig) (*TUF, error) {
	const op = "new TUF client"
	if config.Mirror == "" {
		config.Mirror = tuf.DefaultMirror
	}
	if u, err := url.Parse(config.Mirror); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fault.New(ErrMisconfigured, op, "", "", fmt.Errorf("%.256q is not the URL of a repository", config.Mirror))
	}
	if config.InitialRoot == nil {
		config.InitialRoot = tuf.DefaultRoot()
	}
	if len(config.InitialRoot) == 0 || len(config.InitialRoot) > limits.TrustedRoot {
		return nil, fault.New(ErrMisconfigured, op, config.Mirror, "", errors.New("no usable root metadata"))
	}
	if err := checkRootMetadata(config.InitialRoot); err != nil {
		return nil, fault.New(ErrMisconfigured, op, config.Mirror, "root metadata", err)
	}
	if config.CacheDir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, fault.New(ErrMisconfigured, op, config.Mirror, "cache", err)
		}
		config.CacheDir = filepath.Join(home, ".sigstore", "root")
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	t := &TUF{config: config, client: &http.Client{Transport: config.Transport}, turn: make(chan struct{}, 1)}
	t.turn <- struct{}{}
	return t, nil
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
// JSON. See keyless.ParseSigningConfig.
func (t *TUF) SigningConfig(ctx context.Context) ([]byte, error) {
	s, err := t.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if s.signingConfig == nil {
		return nil, fault.New(ErrMisconfigured, "fetch signing config", t.config.Mirror, "", errors.New("the repository has none"))
	}
	return s.signingConfig, nil
}

// snapshot lets one goroutine at a time work, each no longer than its own
// context lasts.
func (t *TUF) snapshot(ctx context.Context) (*snapshot, error) {
	const op = "fetch trusted root"
	select {
	case <-t.turn:
		defer func() { t.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, fault.New(ErrInconclusive, op, t.config.Mirror, "", ctx.Err())
	}
	if t.current != nil && time.Now().Before(t.current.until) {
		return t.current, nil
	}
	s, err := t.load(ctx)
	if err != nil {
		return nil, fault.New(ErrInconclusive, op, t.config.Mirror, "", err)
	}
	t.current = s
	return s, nil
}

// load takes the copy on disk while it is fresh, the mirror's state when it is
// not, and the copy again when the mirror cannot be used.
func (t *TUF) load(ctx context.Context) (*snapshot, error) {
	unlock, locked, err := t.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	fetched, known := t.lastFetch()
	if age := time.Since(fetched); known && age >= 0 && age < limits.TUFRefresh {
		if s, err := t.open(diskFetcher{t.dir()}, false); err == nil {
			s.until = fetched.Add(limits.TUFRefresh)
			return s, nil
		}
	}
	s, fetchErr := t.fetch(ctx, locked)
	if fetchErr == nil {
		s.until = time.Now().Add(limits.TUFRefresh)
		return s, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err = t.open(diskFetcher{t.dir()}, false)
	if err != nil {
		return nil, fmt.Errorf("%w; and there is no good copy: %w", fetchErr, err)
	}
	t.config.Logger.Warn("the trusted root could not be refreshed, using the last good copy",
		"mirror", t.config.Mirror, "error", fault.OneLine(fetchErr.Error()))
	s.until = time.Now().Add(limits.TUFRetry)
	return s, nil
}

// fetch brings the cache up to date, if it may write it.
func (t *TUF) fetch(ctx context.Context, cache bool) (*snapshot, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limits.TUFTimeout, errors.New("the mirror took too long"))
	defer cancel()
	if cache {
		t.dropUnreadable()
	}
	return t.open(&mirrorFetcher{ctx: ctx, client: t.client, keep: t.dir(), cache: cache}, cache)
}

// open runs the whole of TUF's client workflow on what fetcher gives, from the
// initial root: what is on disk is trusted no more than what a mirror says.
func (t *TUF) open(fetcher fetcher, cache bool) (s *snapshot, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("metadata is not well formed: %.256v", r)
		}
	}()
	client, err := tuf.New(&tuf.Options{
		Root:              t.config.InitialRoot,
		CachePath:         t.config.CacheDir,
		RepositoryBaseURL: t.config.Mirror,
		DisableLocalCache: !cache,
		Fetcher:           fetcher,
	})
	if err != nil {
		return nil, err
	}
	b, err := client.GetTarget(targetTrustedRoot)
	if err != nil {
		return nil, err
	}
	s = &snapshot{}
	if s.root, err = ParseTrustedRoot(b); err != nil {
		return nil, err
	}
	// Older repositories have no signing config; who needs one is told.
	if b, err := client.GetTarget(targetSigningConfig); err == nil {
		s.signingConfig = b
	}
	return s, nil
}

// dir is where sigstore-go keeps the metadata of this repository.
func (t *TUF) dir() string {
	return filepath.Join(t.config.CacheDir, tuf.URLToPath(t.config.Mirror))
}

// lastFetch is when this process, or another one of the same cache, fetched.
func (t *TUF) lastFetch() (time.Time, bool) {
	config, err := tuf.LoadConfig(t.dir() + ".json")
	if err != nil {
		return time.Time{}, false
	}
	return config.LastTimestamp, true
}

// lock keeps other processes from writing the cache at the same time. It reports
// false where there is no cache to write.
func (t *TUF) lock(ctx context.Context) (unlock func(), locked bool, err error) {
	nothing := func() {}
	if err := os.MkdirAll(t.config.CacheDir, 0o700); err != nil {
		return nothing, false, nil //nolint:nilerr // done without, as documented
	}
	lock := flock.New(t.dir() + ".lock")
	locked, err = lock.TryLockContext(ctx, limits.TUFLockPoll)
	if ctx.Err() != nil {
		return nothing, false, ctx.Err()
	}
	if err != nil || !locked {
		return nothing, false, nil //nolint:nilerr // a file system without locks, or a read-only one
	}
	return func() { _ = lock.Unlock() }, true, nil
}
