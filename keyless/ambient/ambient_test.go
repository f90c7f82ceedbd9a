// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package ambient

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sigstore/cosign/v2/pkg/providers"
	"go.uber.org/goleak"

	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// provider is enabled unless it is nil.
type provider func(ctx context.Context, audience string) (string, error)

func (p provider) Enabled(context.Context) bool { return p != nil }

func (p provider) Provide(ctx context.Context, audience string) (string, error) {
	return p(ctx, audience)
}

func sourceOf(entries ...providers.ProviderEntry) keyless.TokenSource {
	return source{func() []providers.ProviderEntry { return entries }}
}

func gives(token string) provider {
	return func(_ context.Context, audience string) (string, error) { return token + " for " + audience, nil }
}

func fails(err error) provider {
	return func(context.Context, string) (string, error) { return "", err }
}

func TestProviders(t *testing.T) {
	t.Parallel()
	failure := errors.New("\x1b[2J" + strings.Repeat("x", 9000))
	off := providers.ProviderEntry{Name: "off", Provider: provider(nil)}
	on := providers.ProviderEntry{Name: "on", Provider: gives("token")}
	for name, c := range map[string]struct {
		entries []providers.ProviderEntry
		token   string
		kind    error
		cause   error
	}{
		"none":           {nil, "", verify.ErrMisconfigured, keyless.ErrNoToken},
		"none at home":   {[]providers.ProviderEntry{off}, "", verify.ErrMisconfigured, keyless.ErrNoToken},
		"the second":     {[]providers.ProviderEntry{off, on}, "token for sigstore", nil, nil},
		"the first of 2": {[]providers.ProviderEntry{on, {Name: "two", Provider: gives("two")}}, "token for sigstore", nil, nil},
		"ours are not asked": {[]providers.ProviderEntry{
			{Name: "github-actions", Provider: gives("x")}, {Name: "envvar", Provider: gives("x")}, {Name: "filesystem", Provider: gives("x")},
		}, "", verify.ErrMisconfigured, keyless.ErrNoToken},
		"an error is final": {[]providers.ProviderEntry{{Name: "fails", Provider: fails(failure)}, on}, "", verify.ErrInconclusive, failure},
		"no token":          {[]providers.ProviderEntry{{Name: "empty", Provider: fails(nil)}}, "", verify.ErrInconclusive, nil},
		"panics": {[]providers.ProviderEntry{{Name: "panics", Provider: provider(func(context.Context, string) (string, error) {
			panic("out of range")
		})}}, "", verify.ErrInconclusive, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token, err := sourceOf(c.entries...).Token(t.Context(), "sigstore")
			if token != c.token || !errors.Is(err, c.kind) || c.cause != nil && !errors.Is(err, c.cause) {
				t.Errorf("token %q, %v", token, err)
			}
			if err != nil && (strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 1000) {
				t.Errorf("not fit for a terminal: %q", err)
			}
		})
	}
}

// TestCancelled: a source returns when its context ends, whatever the provider
// does.
func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	defer close(release)
	deaf := provider(func(context.Context, string) (string, error) {
		cancel()
		<-release
		return "late", nil
	})
	for range 2 { // while it asks, and before
		token, err := sourceOf(providers.ProviderEntry{Name: "deaf", Provider: deaf}).Token(ctx, "sigstore")
		if token != "" || !errors.Is(err, verify.ErrInconclusive) || !errors.Is(err, context.Canceled) {
			t.Errorf("token %q, %v", token, err)
		}
	}
}

// TestRegistered: what the package says is linked is.
func TestRegistered(t *testing.T) {
	t.Setenv("BUILDKITE_AGENT_ACCESS_TOKEN", "")
	t.Setenv("SPIFFE_ENDPOINT_SOCKET", filepath.Join(t.TempDir(), "none"))
	var names []string
	for _, entry := range providers.Providers() {
		names = append(names, entry.Name)
	}
	for _, want := range []string{"buildkite-agent", "spiffe"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not registered: %q", want, names)
		}
	}
	if _, err := Providers().Token(t.Context(), "sigstore"); !errors.Is(err, keyless.ErrNoToken) {
		t.Errorf("error is %v", err)
	}
}

// TestSPIFFE: the provider is asked where there is a socket, here of nobody.
func TestSPIFFE(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "api.sock")
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BUILDKITE_AGENT_ACCESS_TOKEN", "")
	t.Setenv("SPIFFE_ENDPOINT_SOCKET", socket)
	_, err := Providers().Token(t.Context(), "sigstore")
	if !errors.Is(err, verify.ErrInconclusive) || errors.Is(err, keyless.ErrNoToken) || !strings.Contains(err.Error(), "spiffe") {
		t.Errorf("error is %v", err)
	}
}
