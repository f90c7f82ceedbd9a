// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/sigstore/sigstore-go/pkg/tuf"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/files"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
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
	// directory. The client does without a cache that it cannot write or lock,
	// and without a home directory.
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
			return TUFConfig{}, fault.New(verify.ErrMisconfigured, opOpenRoot, variable.name, "", err)
		}
	}
	return config, nil
}

// TUF gives the trusted root and the signing config of a TUF repository
// (https://theupdateframework.github.io/specification). It fetches when it is
// first asked, and then once a day, across all processes that share its cache;
// sooner where the metadata expires sooner. Each file counts from the moment that
// it was verified, even if the refresh fails later. When a refresh fails, the
// last good copy is used until its metadata expires, unless a newer root revoked
// its keys. It is safe for concurrent use and starts no goroutine.
type TUF struct {
	config TUFConfig
	client *http.Client
	base   string // the mirror, without the slash at its end
	dir    string // the cache of this repository; empty if there is none

	current atomic.Pointer[contents]
	// failure is the last one that was not the end of a caller's context.
	failure atomic.Pointer[fault.Error]
	// turn holds one token: who has it may fetch, and use what follows.
	turn chan struct{}
	seen state // every file that was verified, the newest of each name
	good state // the files of the last whole state
}

var _ verify.TrustedRoots = (*TUF)(nil)

// NewTUF returns a source of trusted roots. It reads and fetches nothing yet. A
// configuration that cannot be used is misconfigured.
func NewTUF(config TUFConfig) (*TUF, error) {
	const op = "new TUF client"
	if config.Mirror == "" {
		config.Mirror = tuf.DefaultMirror
	}
	if config.InitialRoot == nil && config.Mirror != tuf.DefaultMirror {
		// Nobody can guess whose repository it is.
		return nil, fault.New(verify.ErrMisconfigured, op, "", "", errors.New("a mirror needs the initial root of its repository"))
	}
	if config.InitialRoot == nil {
		config.InitialRoot = PublicInitialRoot()
	}
	if err := checkMirror(config.Mirror); err != nil {
		return nil, fault.New(verify.ErrMisconfigured, op, "", "mirror", err)
	}
	config.InitialRoot = bytes.Clone(config.InitialRoot)
	if len(config.InitialRoot) > limits.TrustedRoot {
		return nil, fault.New(verify.ErrMisconfigured, op, config.Mirror, "", limits.Exceeded("root metadata in bytes", limits.TrustedRoot))
	}
	if err := checkRootMetadata(config.InitialRoot); err != nil {
		return nil, fault.New(verify.ErrMisconfigured, op, config.Mirror, "root metadata", err)
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	t := &TUF{
		config: config,
		client: &http.Client{Transport: config.Transport},
		base:   strings.TrimRight(config.Mirror, "/"),
		turn:   make(chan struct{}, 1),
		seen:   state{},
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
		return fmt.Errorf("%.256q is not the http or https URL of a repository, without credentials and query", fault.HideSecrets(mirror))
	}
	return nil
}

// TrustedRoot implements [verify.TrustedRoots]. It is inconclusive when there is
// neither a good copy nor a way to fetch one.
func (t *TUF) TrustedRoot(ctx context.Context) (*verify.TrustedRoot, error) {
	c, err := t.contents(ctx)
	if err != nil {
		return nil, err
	}
	return c.root, nil
}

// SigningConfig returns the signing config v0.2 of the same repository, in
// JSON. See keyless.ParseSigningConfig. It is misconfigured when the repository
// has none.
func (t *TUF) SigningConfig(ctx context.Context) ([]byte, error) {
	c, err := t.contents(ctx)
	if err != nil {
		return nil, err
	}
	if c.signingConfig == nil {
		return nil, fault.New(verify.ErrMisconfigured, "fetch signing config", t.config.Mirror, "", errors.New("the repository has none"))
	}
	return bytes.Clone(c.signingConfig), nil
}
