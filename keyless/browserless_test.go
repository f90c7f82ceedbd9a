// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/verify"
)

var errNoBrowser = errors.New("no browser is installed")

func cannotOpen(context.Context, string) error { return errNoBrowser }

// user reads what is written to it, and calls act with the URL in it.
type user struct {
	text string
	act  func(address string)
}

func (u *user) Write(b []byte) (int, error) {
	u.text += string(b)
	if address := regexp.MustCompile(`https?://\S+`).FindString(string(b)); address != "" && u.act != nil {
		u.act(address)
	}
	return len(b), nil
}

// TestBrowserIsElsewhere: the user opens the URL, as the program cannot.
func TestBrowserIsElsewhere(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(context.Context, string) error{"Open is nil": nil, "Open fails": cannotOpen} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			pages := make(chan page, 1)
			var done = make(chan error, 1)
			output := &user{act: func(address string) {
				go func() { done <- visit(pages)(context.Background(), address) }()
			}}
			_, err := keyless.Browser(keyless.BrowserConfig{OIDCClient: i.client(), Open: open, Output: output}).Token(t.Context(), "sigstore")
			if err := errors.Join(err, <-done); err != nil {
				t.Fatal(err)
			}
			checkPage(t, <-pages, http.StatusOK, "You are logged in")
			if !strings.HasPrefix(output.text, "To log in, open this page in a browser:\n\n    "+i.url+"/auth?") {
				t.Errorf("the user was told %q", output.text)
			}
		})
	}
}

func TestBrowserOutOfBand(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(context.Context, string) error{"Open is nil": nil, "Open fails": cannotOpen} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			output := &user{act: func(address string) {
				u, err := url.Parse(address)
				if err != nil {
					t.Error(err)
				}
				i.requested = u.Query()
			}}
			_, err := keyless.Browser(keyless.BrowserConfig{
				OIDCClient: i.client(), Open: open, Output: output, ConnectorID: "connector",
				ReadCode: func(context.Context) (string, error) { return " the code\n", nil },
			}).Token(t.Context(), "sigstore")
			if err != nil {
				t.Fatal(err)
			}
			if got := i.requested.Get("redirect_uri"); got != "urn:ietf:wg:oauth:2.0:oob" {
				t.Errorf("redirect_uri is %q", got)
			}
			if i.requested.Get("connector_id") != "connector" || !strings.Contains(output.text, "enter the code that it shows") {
				t.Errorf("the user was told %q", output.text)
			}
		})
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestBrowserCannotBeShown(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	code := func(code string, err error) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return code, err }
	}
	broken := brokenWriter{errors.New("terminal is gone")}
	for name, c := range map[string]struct {
		config keyless.BrowserConfig
		kind   error
		want   string
	}{
		"no Output":               {keyless.BrowserConfig{Open: cannotOpen}, verify.ErrMisconfigured, "no browser is installed"},
		"no Output for the code":  {keyless.BrowserConfig{Open: cannotOpen, ReadCode: code("x", nil)}, verify.ErrMisconfigured, "Output is not set"},
		"Output fails":            {keyless.BrowserConfig{Open: cannotOpen, Output: broken}, verify.ErrInconclusive, "terminal is gone"},
		"Output fails, with code": {keyless.BrowserConfig{Output: broken, ReadCode: code("x", nil)}, verify.ErrInconclusive, "terminal is gone"},
		"no code":                 {keyless.BrowserConfig{Output: io.Discard, ReadCode: code(" \n", nil)}, verify.ErrMisconfigured, "no code was entered"},
		"another code":            {keyless.BrowserConfig{Output: io.Discard, ReadCode: code("x", nil)}, verify.ErrInconclusive, "code is another"},
		"ReadCode fails":          {keyless.BrowserConfig{Output: io.Discard, ReadCode: code("", io.ErrUnexpectedEOF)}, verify.ErrInconclusive, "unexpected EOF"},
		"cancelled, but code":     {keyless.BrowserConfig{Output: &user{act: func(string) { cancel() }}, ReadCode: code("x", nil)}, verify.ErrInconclusive, "context canceled"},
	} {
		i := newIssuer(t)
		c.config.OIDCClient = i.client()
		t.Run(name, func(t *testing.T) {
			ctx := ctx
			if !strings.Contains(name, "cancelled") {
				ctx = t.Context()
			}
			_, err := keyless.Browser(c.config).Token(ctx, "sigstore")
			wantError(t, err, c.kind, c.want)
		})
	}
}

// TestBrowserCancelled: nothing is left of a login that ends early.
func TestBrowserCancelled(t *testing.T) {
	t.Parallel()
	waits := func(cancel context.CancelFunc) func(context.Context, string) error {
		return func(ctx context.Context, _ string) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}
	}
	for name, configure := range map[string]func(*keyless.BrowserConfig, *issuer, context.CancelFunc){
		"while the user logs in": func(c *keyless.BrowserConfig, _ *issuer, cancel context.CancelFunc) {
			c.Open = waits(cancel)
		},
		"while the user logs in, with code": func(c *keyless.BrowserConfig, _ *issuer, cancel context.CancelFunc) {
			c.Open, c.Output = waits(cancel), io.Discard
			c.ReadCode = func(context.Context) (string, error) { return "", errors.New("nobody is here") }
		},
		"while the user reads": func(c *keyless.BrowserConfig, _ *issuer, cancel context.CancelFunc) {
			c.Output = &user{act: func(string) { cancel() }}
		},
		"while the issuer hangs": func(c *keyless.BrowserConfig, i *issuer, cancel context.CancelFunc) {
			i.before = hang("/.well-known/openid-configuration", cancel)
			c.Output = io.Discard
		},
		"while the code is exchanged": func(c *keyless.BrowserConfig, i *issuer, cancel context.CancelFunc) {
			i.before = hang("/token", cancel)
			c.Open = visit(make(chan page, 1))
		},
		"while keys are fetched": func(c *keyless.BrowserConfig, i *issuer, cancel context.CancelFunc) {
			i.before = hang("/keys", cancel)
			c.Open = visit(make(chan page, 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			config := keyless.BrowserConfig{OIDCClient: i.client()}
			configure(&config, i, cancel)
			_, err := keyless.Browser(config).Token(ctx, "sigstore")
			wantError(t, err, verify.ErrInconclusive, "context canceled")
			if !errors.Is(err, context.Canceled) {
				t.Errorf("not the context's error: %v", err)
			}
		})
	}
}

// hang calls then, and answers when the client is gone.
func hang(path string, then func()) func(http.ResponseWriter, *http.Request) bool {
	return func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != path {
			return false
		}
		// The server sees that the client is gone once it has the whole request.
		_, _ = io.Copy(io.Discard, r.Body)
		then()
		<-r.Context().Done()
		return true
	}
}

func TestBrowserCancelledBefore(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, source := range map[string]keyless.TokenSource{
		"browser": keyless.Browser(keyless.BrowserConfig{Output: io.Discard}),
		"device":  keyless.Device(keyless.DeviceConfig{Output: io.Discard}),
		"static":  keyless.StaticToken("x"),
		"github":  keyless.GitHubActions(keyless.GitHubActionsConfig{}),
		"secret":  keyless.ClientCredentials(keyless.ClientCredentialsConfig{}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := source.Token(ctx, "sigstore")
			wantError(t, err, verify.ErrInconclusive, "context canceled")
		})
	}
}
