// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/pkg/browser"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// trustFlags are the flags that say whose certificates, logs and timestamps are
// trusted.
type trustFlags struct{ path string }

func (t *trustFlags) flags(f *pflag.FlagSet) {
	f.StringVar(&t.path, "trusted-root", "", "trusted root in JSON, a `FILE`; without it SIGSTORE_ROOT_FILE and its kin, or TUF")
}

// roots are those of the file that was given, else of the environment, else of
// TUF, which is Sigstore's public instance unless the environment says otherwise.
func (t *trustFlags) roots(a *app, f *pflag.FlagSet) (verify.TrustedRoots, *trust.TUF, error) {
	if f.Changed("trusted-root") {
		root, err := trust.Load(t.path)
		return root, nil, err
	}
	root, ok, err := trust.FromEnvironment()
	if err != nil || ok {
		return root, nil, err
	}
	config, err := trust.TUFConfigFromEnvironment()
	if err != nil {
		return nil, nil, err
	}
	config.Logger = a.log
	tuf, err := trust.NewTUF(config)
	return tuf, tuf, err
}

// serviceFlags are the flags that say which services record a signature.
type serviceFlags struct {
	trust         trustFlags
	signingConfig string
	urls          keyless.ServiceURLs
	token         string
	yes           bool
}

// names of the flags that are of use only with a service.
var serviceFlagNames = []string{
	"trusted-root", "signing-config", "fulcio-url", "rekor-url", "timestamp-server-url", "oidc-issuer", "identity-token", "yes",
}

func (s *serviceFlags) flags(f *pflag.FlagSet) {
	s.trust.flags(f)
	f.StringVar(&s.signingConfig, "signing-config", "", "signing config in JSON, a `FILE`; without it and the URLs, that of TUF")
	f.StringVar(&s.urls.Fulcio, "fulcio-url", "", "`URL` of the certificate authority")
	f.StringVar(&s.urls.Rekor, "rekor-url", "", "`URL` of the transparency log, Rekor v1")
	f.StringVar(&s.urls.Timestamp, "timestamp-server-url", "", "`URL` of the timestamp authority, with its path")
	f.StringVar(&s.urls.OIDCIssuer, "oidc-issuer", "", "`URL` of the OpenID Connect issuer to log in at")
	f.StringVar(&s.token, "identity-token", "", "identity token, or a file with one; without it that of the environment, or log in")
	f.BoolVarP(&s.yes, "yes", "y", false, "agree to what is published for ever")
}

// client returns what records signatures, once the user has agreed to it.
func (s *serviceFlags) client(ctx context.Context, a *app, f *pflag.FlagSet) (*keyless.Client, *keyless.SigningConfig, error) {
	if !s.yes {
		if err := a.consent(ctx); err != nil {
			return nil, nil, err
		}
	}
	roots, tuf, err := s.trust.roots(a, f)
	if err != nil {
		return nil, nil, err
	}
	config, err := s.config(ctx, f, tuf)
	if err != nil {
		return nil, nil, err
	}
	client, err := keyless.New(keyless.Config{SigningConfig: config, TrustedRoots: roots, Consent: true, Logger: a.log})
	return client, config, err
}

func (s *serviceFlags) config(ctx context.Context, f *pflag.FlagSet, tuf *trust.TUF) (*keyless.SigningConfig, error) {
	given := s.urls != keyless.ServiceURLs{}
	switch {
	case given && f.Changed("signing-config"):
		return nil, usageError{errors.New("--signing-config and the URLs of services exclude each other")}
	case given:
		return keyless.NewSigningConfig(s.urls)
	case f.Changed("signing-config"):
		return keyless.LoadSigningConfig(s.signingConfig)
	case tuf != nil:
		return keyless.FetchSigningConfig(ctx, tuf)
	default:
		return nil, usageError{errors.New("a trusted root of one's own needs --signing-config, or the URLs of its services")}
	}
}

// tokens are where the identity comes from: what was given, what the machine
// gives, or a person who logs in.
func (s *serviceFlags) tokens(a *app, f *pflag.FlagSet, config *keyless.SigningConfig) (keyless.TokenSource, error) {
	if f.Changed("identity-token") {
		if strings.Count(s.token, ".") == 2 && strings.HasPrefix(s.token, "ey") {
			return keyless.StaticToken(s.token), nil
		}
		return keyless.TokenFile(s.token), nil
	}
	ambient := keyless.Ambient(keyless.AmbientConfig{})
	if !a.interactive() {
		return ambient, nil
	}
	issuer, err := config.OIDCIssuer()
	if err != nil {
		return ambient, nil //nolint:nilerr // nowhere to log in
	}
	// What opens the browser writes what it likes.
	browser.Stdout, browser.Stderr = io.Discard, io.Discard
	return keyless.FirstOf(ambient, keyless.Browser(keyless.BrowserConfig{
		OIDCClient: keyless.OIDCClient{Issuer: issuer},
		Open:       func(_ context.Context, url string) error { return browser.OpenURL(url) },
		Output:     a.stderr,
	})), nil
}

// interactive reports whether a person is there to answer.
func (a *app) interactive() bool {
	terminal, ok := a.stdin.(*os.File)
	return ok && term.IsTerminal(int(terminal.Fd()))
}

// consent shows what is published, and asks on a terminal.
func (a *app) consent(ctx context.Context) error {
	if _, err := io.WriteString(a.stderr, keyless.PublicRecord+"\n"); err != nil {
		return err
	}
	if !a.interactive() {
		return usageError{errors.New("nobody agreed to that; --yes does")}
	}
	answer, err := a.ask(ctx, a.stdin.(*os.File), "Do you agree? Type yes: ")
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(answer)) != "yes" {
		return usageError{errors.New("not agreed to; nothing was signed")}
	}
	return nil
}
