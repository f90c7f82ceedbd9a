// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/verify"
)

func TestStaticToken(t *testing.T) {
	t.Parallel()
	token, err := keyless.StaticToken(" a.b.c\n").Token(t.Context(), "sigstore")
	if err != nil || token != "a.b.c" {
		t.Errorf("token %q, %v", token, err)
	}
	_, err = keyless.StaticToken(" \n").Token(t.Context(), "sigstore")
	wantError(t, err, verify.ErrMisconfigured, "is empty")
}

func TestTokenFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	source := keyless.TokenFile(path)
	_, err := source.Token(t.Context(), "sigstore")
	if wantError(t, err, verify.ErrMisconfigured, path); !errors.Is(err, keyless.ErrNoToken) {
		t.Errorf("not ErrNoToken: %v", err)
	}
	// It is read each time.
	for content, want := range map[string]string{
		"a.b.c\n": "", "": "is empty", " \n": "is empty", strings.Repeat("x", 1<<17): "limit exceeded",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		token, err := source.Token(t.Context(), "sigstore")
		if want == "" {
			if err != nil || token != "a.b.c" {
				t.Errorf("token %q, %v", token, err)
			}
			continue
		}
		if wantError(t, err, verify.ErrMisconfigured, want); errors.Is(err, keyless.ErrNoToken) {
			t.Errorf("others would be asked: %v", err)
		}
	}
}

func TestTokenFromEnvironment(t *testing.T) {
	t.Setenv("SIGSTORE_ID_TOKEN", " a.b.c\n")
	token, err := keyless.TokenFromEnvironment().Token(t.Context(), "sigstore")
	if err != nil || token != "a.b.c" {
		t.Errorf("token %q, %v", token, err)
	}
	t.Setenv("SIGSTORE_ID_TOKEN", "")
	_, err = keyless.TokenFromEnvironment().Token(t.Context(), "sigstore")
	wantError(t, err, verify.ErrMisconfigured, "SIGSTORE_ID_TOKEN: is empty")
	unset(t, "SIGSTORE_ID_TOKEN")
	_, err = keyless.TokenFromEnvironment().Token(t.Context(), "sigstore")
	if wantError(t, err, verify.ErrMisconfigured); !errors.Is(err, keyless.ErrNoToken) {
		t.Errorf("not ErrNoToken: %v", err)
	}
}

// unset leaves a variable unset until the test ends.
func unset(t *testing.T, name string) {
	t.Helper()
	t.Setenv(name, "") // to have it restored
	if err := os.Unsetenv(name); err != nil {
		t.Fatal(err)
	}
}

type sourceFunc func() (string, error)

func (f sourceFunc) Token(context.Context, string) (string, error) { return f() }

func TestFirstOf(t *testing.T) {
	t.Parallel()
	nothing := sourceFunc(func() (string, error) { return "", keyless.ErrNoToken })
	failure := errors.New("no permission")
	fails := sourceFunc(func() (string, error) { return "", failure })
	never := sourceFunc(func() (string, error) {
		t.Error("asked after one that had an answer")
		return "", nil
	})
	for name, c := range map[string]struct {
		sources []keyless.TokenSource
		token   string
		err     error
	}{
		"none":              {nil, "", keyless.ErrNoToken},
		"none has one":      {[]keyless.TokenSource{nothing, nothing}, "", keyless.ErrNoToken},
		"the second":        {[]keyless.TokenSource{nothing, keyless.StaticToken("x"), never}, "x", nil},
		"an error is final": {[]keyless.TokenSource{nothing, fails, never}, "", failure},
		"in another":        {[]keyless.TokenSource{keyless.FirstOf(nothing), keyless.StaticToken("x")}, "x", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token, err := keyless.FirstOf(c.sources...).Token(t.Context(), "sigstore")
			if token != c.token || !errors.Is(err, c.err) {
				t.Errorf("token %q, %v; want %q, %v", token, err, c.token, c.err)
			}
		})
	}
}

func TestAmbient(t *testing.T) {
	inWorkflow(t, "", "")
	unset(t, "SIGSTORE_ID_TOKEN")
	_, err := keyless.Ambient(keyless.AmbientConfig{}).Token(t.Context(), "sigstore")
	if wantError(t, err, verify.ErrMisconfigured); !errors.Is(err, keyless.ErrNoToken) {
		t.Errorf("not ErrNoToken: %v", err)
	}
	for _, c := range []struct {
		want  string
		setUp func()
	}{
		{"more", func() {}},
		{"actions", func() { inWorkflow(t, "https://actions.example/", requestToken) }},
		{"environment", func() { t.Setenv("SIGSTORE_ID_TOKEN", "environment") }},
	} {
		c.setUp()
		token, err := keyless.Ambient(keyless.AmbientConfig{
			Transport: inMemory{body(http.StatusOK, `{"value":"actions"}`)},
			More:      []keyless.TokenSource{keyless.StaticToken("more")},
		}).Token(t.Context(), "sigstore")
		if err != nil || token != c.want {
			t.Errorf("token %q, %v; want %q", token, err, c.want)
		}
	}
}
