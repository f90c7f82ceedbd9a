// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/verify"
)

// TestClientCredentials: the secret goes where the issuer takes it, and only
// there.
func TestClientCredentials(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		methods any
		inBody  bool
	}{
		"issuer does not say": {nil, false},
		"issuer takes both":   {[]string{"client_secret_post", "client_secret_basic"}, false},
		"issuer takes a form": {[]string{"client_secret_post"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			i.metadata = change("token_endpoint_auth_methods_supported", c.methods)
			i.claims = change("aud", "robot")
			client := i.client()
			client.ClientID, client.ClientSecret = "robot", clientSecret
			token, err := keyless.ClientCredentials(keyless.ClientCredentialsConfig{OIDCClient: client}).Token(t.Context(), "robot")
			if err != nil || strings.Count(token, ".") != 2 {
				t.Fatalf("token %q, %v", token, err)
			}
			form := i.forms[0]
			if form.Get("grant_type") != "client_credentials" || form.Get("scope") != "openid email" {
				t.Errorf("asked for %v", form)
			}
			if inBody := form.Get("client_secret") == clientSecret && form.Get("client_id") == "robot"; inBody != c.inBody {
				t.Errorf("secret in the form: %t, want %t", inBody, c.inBody)
			}
			if inHeader := len(i.users) == 1 && i.users[0] == "robot"; inHeader == c.inBody || len(i.forms) != 1 {
				t.Errorf("users %q in %d requests", i.users, len(i.forms))
			}
		})
	}
}

func TestClientCredentialsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		issuer func(*issuer)
		secret string
		kind   error
		want   string
	}{
		"no secret":        {nil, "", verify.ErrMisconfigured, "no ClientSecret"},
		"another secret":   {nil, "other", verify.ErrMisconfigured, "invalid_client"},
		"no metadata":      {metadata("issuer", ""), clientSecret, verify.ErrMisconfigured, "of another issuer"},
		"no ID token":      {reply("id_token", nil), clientSecret, verify.ErrInconclusive, "no id_token"},
		"another audience": {claim("aud", "robot"), clientSecret, verify.ErrInconclusive, "audience"},
		"forged":           {func(i *issuer) { i.sign = compact(`{"alg":"RS256"}`, "x") }, clientSecret, verify.ErrInconclusive, "no key of the issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			if c.issuer != nil {
				c.issuer(i)
			}
			client := i.client()
			client.ClientSecret = c.secret
			_, err := keyless.ClientCredentials(keyless.ClientCredentialsConfig{OIDCClient: client, Scopes: []string{"openid"}}).Token(t.Context(), "sigstore")
			wantError(t, err, c.kind, c.want)
			if c.secret != "" && strings.Contains(err.Error(), c.secret) {
				t.Errorf("the secret is in the error: %v", err)
			}
		})
	}
}

// TestInsecureAllowHTTP: plain HTTP to another machine takes the caller's word.
func TestInsecureAllowHTTP(t *testing.T) {
	t.Parallel()
	i := newIssuerInMemory(t)
	i.url = "http://issuer.example"
	client := i.client()
	client.ClientSecret = clientSecret
	_, err := keyless.ClientCredentials(keyless.ClientCredentialsConfig{OIDCClient: client}).Token(t.Context(), "sigstore")
	wantError(t, err, verify.ErrMisconfigured, "plain HTTP")
	client.InsecureAllowHTTP = true
	if _, err := keyless.ClientCredentials(keyless.ClientCredentialsConfig{OIDCClient: client}).Token(t.Context(), "sigstore"); err != nil {
		t.Error(err)
	}
}

// TestClientIsForAnotherAudience: a token that would be refused is not asked for.
func TestClientIsForAnotherAudience(t *testing.T) {
	t.Parallel()
	client := keyless.OIDCClient{Issuer: "https://issuer.example", ClientID: "robot", ClientSecret: clientSecret, Transport: noNetwork(t)}
	_, err := keyless.ClientCredentials(keyless.ClientCredentialsConfig{OIDCClient: client}).Token(t.Context(), "sigstore")
	wantError(t, err, verify.ErrMisconfigured, `"robot"`, `"sigstore"`)
}

// TestNoIssuer: none is taken for that of the public instance.
func TestNoIssuer(t *testing.T) {
	t.Parallel()
	client := keyless.OIDCClient{ClientSecret: clientSecret, Transport: noNetwork(t)}
	_, err := keyless.ClientCredentials(keyless.ClientCredentialsConfig{OIDCClient: client}).Token(t.Context(), "sigstore")
	wantError(t, err, verify.ErrMisconfigured, "no issuer is set")
}

func noNetwork(t *testing.T) http.RoundTripper {
	t.Helper()
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		t.Errorf("request to %s", r.URL)
		return nil, errors.New("no network")
	})
}
