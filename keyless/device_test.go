// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/verify"
)

func TestDevice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuerInMemory(t)
		i.polls = []string{"authorization_pending", "slow_down", "authorization_pending"}
		var output user
		var opened []string
		token, err := keyless.Device(keyless.DeviceConfig{
			OIDCClient: i.client(), Output: &output,
			Open: func(_ context.Context, address string) error {
				opened = append(opened, address)
				return errNoBrowser // which is no reason to give up
			},
		}).Token(t.Context(), "sigstore")
		if err != nil || strings.Count(token, ".") != 2 {
			t.Fatalf("token %q, %v", token, err)
		}
		if want := "To log in, open this page in a browser and enter the code ABCD-EFGH:\n\n    https://issuer.example/device\n\n"; output.text != want {
			t.Errorf("the user was told %q, want %q", output.text, want)
		}
		if len(opened) != 1 || opened[0] != "https://issuer.example/device?user_code=ABCD-EFGH" {
			t.Errorf("opened %q", opened)
		}
		if i.requested.Get("client_id") != "sigstore" || i.requested.Get("scope") != "openid email" {
			t.Errorf("asked for %v", i.requested)
		}
		var waits []time.Duration
		for n := range len(i.times) - 1 {
			waits = append(waits, i.times[n+1].Sub(i.times[n]))
		}
		// RFC 8628, section 3.5: slow_down adds five seconds, for good.
		if len(waits) != 3 || waits[0] != 5*time.Second || waits[1] != 10*time.Second || waits[2] != 10*time.Second {
			t.Errorf("waits of %v, want 5s, 10s and 10s", waits)
		}
	})
}

// TestDeviceMaliciousIssuer: no reply panics, hangs, or writes what a terminal
// would obey.
func TestDeviceMaliciousIssuer(t *testing.T) {
	t.Parallel()
	device := func(name string, value any) func(*issuer) {
		return func(i *issuer) { i.device = change(name, value) }
	}
	const path = "/device/code"
	for name, c := range map[string]struct {
		issuer func(*issuer)
		kind   error // nil: the login succeeds
		want   string
	}{
		"escape sequence in code":    {device("user_code", "\x1b[2JABCD\u202e"), nil, ""},
		"escape sequence in URL":     {device("verification_uri", "https://issuer.example/\x1b[2J"), verify.ErrInconclusive, "verification_uri"},
		"escape sequence in link":    {device("verification_uri_complete", "https://issuer.example/\x1b[2J"), verify.ErrInconclusive, "verification_uri_complete"},
		"bidirectional URL":          {device("verification_uri", "https://iss\u202euer.example/"), verify.ErrInconclusive, "characters that no URL has"},
		"URL is a file":              {device("verification_uri", "file://host/etc/passwd"), verify.ErrInconclusive, "neither an https nor an http URL"},
		"link is a script":           {device("verification_uri_complete", "javascript:alert(1)"), verify.ErrInconclusive, "verification_uri_complete"},
		"URL over plain HTTP":        {device("verification_uri", "http://other.example/"), verify.ErrInconclusive, "plain HTTP"},
		"URL of this machine":        {device("verification_uri", "http://localhost/"), verify.ErrInconclusive, "plain HTTP"},
		"no URL":                     {device("verification_uri", nil), verify.ErrInconclusive, "verification_uri"},
		"no link":                    {device("verification_uri_complete", nil), nil, ""},
		"no device code":             {device("device_code", nil), verify.ErrInconclusive, "no code"},
		"no user code":               {device("user_code", "\x1b"), verify.ErrInconclusive, "no code"},
		"no interval":                {device("interval", nil), nil, ""},
		"negative interval":          {device("interval", -1), nil, ""},
		"endless interval":           {device("interval", int64(1)<<62), verify.ErrInconclusive, "expired before it was entered"},
		"no expiry":                  {device("expires_in", nil), nil, ""},
		"endless expiry":             {device("expires_in", int64(1)<<62), nil, ""},
		"expires before the user is": {device("expires_in", 4), verify.ErrInconclusive, "expired before it was entered"},
		"expires while he is":        {func(i *issuer) { i.polls = repeat("authorization_pending", 1000) }, verify.ErrInconclusive, "expired before it was entered"},
		"expires, says the issuer":   {func(i *issuer) { i.polls = []string{"expired_token"} }, verify.ErrInconclusive, "expired_token"},
		"denied":                     {func(i *issuer) { i.polls = []string{"access_denied"} }, verify.ErrInconclusive, "access_denied"},
		"client is unknown":          {func(i *issuer) { i.polls = []string{"unauthorized_client"} }, verify.ErrMisconfigured, "unauthorized_client"},
		"reply is no JSON":           {answer(path, http.StatusOK, "\x1b[2J"), verify.ErrInconclusive, "not the JSON"},
		"refused":                    {answer(path, http.StatusBadRequest, `{"error":"invalid_scope"}`), verify.ErrMisconfigured, "invalid_scope"},
		"no device flow":             {metadata("device_authorization_endpoint", nil), verify.ErrMisconfigured, "no device authorization endpoint"},
		"another issuer":             {metadata("issuer", "https://other.example"), verify.ErrMisconfigured, "of another issuer"},
		"token of another":           {claim("iss", "https://other.example"), verify.ErrInconclusive, "different provider"},
		"token unsigned":             {func(i *issuer) { i.sign = compact(`{"alg":"none"}`, "") }, verify.ErrInconclusive, "ID token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				i := newIssuerInMemory(t)
				c.issuer(i)
				var output user
				token, err := keyless.Device(keyless.DeviceConfig{OIDCClient: i.client(), Output: &output}).Token(t.Context(), "sigstore")
				if c.kind == nil && err != nil {
					t.Fatal(err)
				}
				if c.kind != nil {
					wantError(t, err, c.kind, c.want, "https://issuer.example")
				}
				if (token == "") != (err != nil) {
					t.Errorf("token %q, %v", token, err)
				}
				if strings.ContainsAny(output.text, "\x1b\u202e") {
					t.Errorf("written to the terminal: %q", output.text)
				}
			})
		})
	}
}

func repeat(text string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = text
	}
	return all
}

// TestDeviceOutage: a login goes on after a network was away for a while, and not
// for ever.
func TestDeviceOutage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		down func(w http.ResponseWriter) // what the token endpoint does while it is down
		want string
	}{
		"unavailable": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }, "status 503"},
		"no network":  {nil, "network is unreachable"},
	} {
		for _, comes := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					i := newIssuerInMemory(t)
					began := time.Now()
					down := func(r *http.Request) bool {
						return r.URL.Path == "/token" && (!comes || time.Since(began) < 20*time.Second)
					}
					i.before = func(w http.ResponseWriter, r *http.Request) bool {
						if !down(r) {
							return false
						}
						c.down(w)
						return true
					}
					client := i.client()
					if c.down == nil {
						i.before = nil
						client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
							if down(r) {
								return nil, errors.New("network is unreachable")
							}
							return i.transport.RoundTrip(r)
						})
					}
					_, err := keyless.Device(keyless.DeviceConfig{OIDCClient: client, Output: io.Discard}).Token(t.Context(), "sigstore")
					if comes && err != nil {
						t.Fatal(err)
					}
					if !comes {
						wantError(t, err, verify.ErrInconclusive, c.want)
					}
				})
			})
		}
	}
}

func TestDeviceCannotBeShown(t *testing.T) {
	t.Parallel()
	i := newIssuerInMemory(t)
	_, err := keyless.Device(keyless.DeviceConfig{OIDCClient: i.client()}).Token(t.Context(), "sigstore")
	wantError(t, err, verify.ErrMisconfigured, "no Output")
	_, err = keyless.Device(keyless.DeviceConfig{OIDCClient: i.client(), Output: brokenWriter{errors.New("terminal is gone")}}).Token(t.Context(), "sigstore")
	wantError(t, err, verify.ErrInconclusive, "terminal is gone")
}

func TestDeviceCancelled(t *testing.T) {
	t.Parallel()
	for name, configure := range map[string]func(*keyless.DeviceConfig, *issuer, context.CancelFunc){
		"while the user logs in": func(c *keyless.DeviceConfig, _ *issuer, cancel context.CancelFunc) {
			c.Output = &user{act: func(string) { cancel() }}
		},
		"while the browser is open": func(c *keyless.DeviceConfig, _ *issuer, cancel context.CancelFunc) {
			c.Open = func(ctx context.Context, _ string) error {
				cancel()
				<-ctx.Done()
				return ctx.Err()
			}
		},
		"while the issuer hangs": func(_ *keyless.DeviceConfig, i *issuer, cancel context.CancelFunc) {
			i.before = hang("/device/code", cancel)
		},
		"while it is asked for the token": func(_ *keyless.DeviceConfig, i *issuer, cancel context.CancelFunc) {
			i.before = hang("/token", cancel)
			i.device = change("interval", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			config := keyless.DeviceConfig{OIDCClient: i.client(), Output: io.Discard}
			configure(&config, i, cancel)
			_, err := keyless.Device(config).Token(ctx, "sigstore")
			wantError(t, err, verify.ErrInconclusive, "context canceled")
		})
	}
}
