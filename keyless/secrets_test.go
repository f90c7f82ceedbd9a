// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/verify"
)

// redirectAway has the issuer's address path redirect to another server, and fails
// the test if that one is asked.
func redirectAway(t *testing.T, i *issuer, path string, status int) {
	t.Helper()
	i.transport = watched(i.transport, func(r *http.Request) {
		if r.URL.Host == "elsewhere.example" {
			t.Errorf("%s %s is sent, with %d bytes", r.Method, r.URL, r.ContentLength)
		}
	})
	i.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == path {
			http.Redirect(w, r, "https://elsewhere.example"+path, status)
		}
		return r.URL.Path == path
	}
}

func watched(next http.RoundTripper, watch func(*http.Request)) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		watch(r)
		return next.RoundTrip(r)
	})
}

// TestLoginSecretsFollowNoRedirect: the code with its verifier, the device code and
// the client's secret are for the endpoints that the issuer's metadata names.
func TestLoginSecretsFollowNoRedirect(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		t.Run(fmt.Sprintf("browser, %d", status), func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			redirectAway(t, i, "/token", status)
			pages := make(chan page, 1)
			_, err := keyless.Browser(keyless.BrowserConfig{OIDCClient: i.client(), Open: visit(pages)}).Token(t.Context(), "sigstore")
			wantError(t, err, verify.ErrInconclusive, "redirects")
		})
		for _, path := range []string{"/token", "/device/code"} {
			t.Run(fmt.Sprintf("device, %s, %d", path, status), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					i := newIssuerInMemory(t)
					redirectAway(t, i, path, status)
					var output user
					_, err := keyless.Device(keyless.DeviceConfig{OIDCClient: i.client(), Output: &output}).Token(t.Context(), "sigstore")
					wantError(t, err, verify.ErrInconclusive, "redirects")
				})
			})
		}
		for _, method := range []string{"client_secret_basic", "client_secret_post"} {
			t.Run(fmt.Sprintf("client credentials, %s, %d", method, status), func(t *testing.T) {
				t.Parallel()
				i := newIssuerInMemory(t)
				i.metadata = change("token_endpoint_auth_methods_supported", []string{method})
				redirectAway(t, i, "/token", status)
				client := i.client()
				client.ClientSecret = clientSecret
				_, err := keyless.ClientCredentials(keyless.ClientCredentialsConfig{OIDCClient: client}).Token(t.Context(), "sigstore")
				wantError(t, err, verify.ErrInconclusive, "redirects")
			})
		}
	}
}

// TestEndpointsOfATLSIssuer can be on another host, and are over TLS whatever is
// allowed of issuers that are not.
func TestEndpointsOfATLSIssuer(t *testing.T) {
	t.Parallel()
	for endpoint, allowed := range map[string]bool{
		"https://tokens.example/token": true,
		"http://issuer.example/token":  false,
		"http://tokens.example/token":  false,
		"http://127.0.0.1/token":       false,
	} {
		for _, insecure := range []bool{false, true} {
			i := newIssuerInMemory(t)
			i.metadata = change("token_endpoint", endpoint)
			sent := 0
			i.transport = watched(i.transport, func(r *http.Request) {
				if r.URL.Path == "/token" {
					sent++
				}
			})
			client := i.client()
			client.ClientSecret, client.InsecureAllowHTTP = clientSecret, insecure
			_, err := keyless.ClientCredentials(keyless.ClientCredentialsConfig{OIDCClient: client}).Token(t.Context(), "sigstore")
			if allowed {
				if err != nil || sent != 1 {
					t.Errorf("%s: sent %d times, %v", endpoint, sent, err)
				}
				continue
			}
			wantError(t, err, verify.ErrMisconfigured, "token endpoint", "plain HTTP")
			if sent > 0 {
				t.Errorf("%s: the secret is sent", endpoint)
			}
		}
	}
}

// TestURLSecretsAreInNoError: addresses of services can hold passwords and API keys.
func TestURLSecretsAreInNoError(t *testing.T) {
	for _, address := range []string{
		"https://me:s3cret@service.example", "https://s3cret@service.example", "me:s3cret@service.example",
		"https://me:s3cret@service.example:x", "ftp://me:s3cret@service.example", "https://service.example/\x7f?key=s3cret",
	} {
		inWorkflow(t, address, requestToken)
		for name, attempt := range map[string]func() error{
			"signing config": func() error { _, err := keyless.NewSigningConfig(keyless.ServiceURLs{Rekor: address}); return err },
			"look-up":        func() error { _, err := keyless.NewLogLookup(keyless.LogLookupConfig{URL: address}); return err },
			"issuer": func() error {
				client := keyless.OIDCClient{Issuer: address, ClientSecret: "x", Transport: noNetwork(t)}
				_, err := keyless.ClientCredentials(keyless.ClientCredentialsConfig{OIDCClient: client}).Token(t.Context(), "sigstore")
				return err
			},
			"GitHub Actions": func() error {
				_, err := keyless.GitHubActions(keyless.GitHubActionsConfig{Transport: noNetwork(t)}).Token(t.Context(), "sigstore")
				return err
			},
		} {
			if err := attempt(); err == nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s, %q: %v", name, address, err)
			}
		}
	}
}
