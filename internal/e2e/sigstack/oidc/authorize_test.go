// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package oidc_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

func TestCode(t *testing.T) {
	t.Parallel()
	_, issuer, config := serve(t)
	verifier := oauth2.GenerateVerifier()
	link := config.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier), goidc.Nonce("nonce"),
		oauth2.SetAuthURLParam("login_hint", "person@example.com"))
	got := answer(t, link)
	if got.Get("state") != "state" {
		t.Errorf("the answer is %v", got)
	}
	token, err := config.Exchange(t.Context(), got.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if c := verify(t, issuer, token); c != (idClaims{"user-person", "person@example.com", true, "nonce"}) {
		t.Errorf("claims are %+v", c)
	}
	_, err = config.Exchange(t.Context(), got.Get("code"), oauth2.VerifierOption(verifier))
	refused(t, err, http.StatusBadRequest, "invalid_grant")
}

func TestCodeRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*oauth2.Config)
		option oauth2.AuthCodeOption
		status int
		code   string
	}{
		"verifier":    {option: oauth2.VerifierOption(oauth2.GenerateVerifier()), status: 400, code: "invalid_grant"},
		"no verifier": {option: oauth2.SetAuthURLParam("code_verifier", ""), status: 400, code: "invalid_grant"},
		"redirect":    {change: func(c *oauth2.Config) { c.RedirectURL += "2" }, status: 400, code: "invalid_grant"},
		"client":      {change: func(c *oauth2.Config) { c.ClientID = "other" }, status: 401, code: "invalid_client"},
		"secret":      {change: func(c *oauth2.Config) { c.ClientSecret = "wrong" }, status: 401, code: "invalid_client"},
		"grant type":  {option: oauth2.SetAuthURLParam("grant_type", "password"), status: 400, code: "unsupported_grant_type"},
		"no type":     {option: oauth2.SetAuthURLParam("grant_type", ""), status: 400, code: "invalid_request"},
		"code":        {option: oauth2.SetAuthURLParam("code", "other"), status: 400, code: "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, config := serve(t)
			config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
			verifier := oauth2.GenerateVerifier()
			code := answer(t, config.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier))).Get("code")
			options := []oauth2.AuthCodeOption{oauth2.VerifierOption(verifier)}
			if test.option != nil {
				options = append(options, test.option)
			}
			if test.change != nil {
				test.change(&config)
			}
			_, err := config.Exchange(t.Context(), code, options...)
			refused(t, err, test.status, test.code)
		})
	}
}

func TestAuthorizeRefused(t *testing.T) {
	t.Parallel()
	_, _, config := serve(t)
	link, err := url.Parse(config.AuthCodeURL("state", oauth2.S256ChallengeOption("verifier")))
	if err != nil {
		t.Fatal(err)
	}
	with := func(name, value string) string {
		u, q := *link, link.Query()
		q.Set(name, value)
		u.RawQuery = q.Encode()
		return u.String()
	}
	for _, test := range []struct{ name, value, want string }{
		{"response_type", "id_token", "unsupported_response_type"},
		{"scope", "email", "invalid_scope"},
		{"state", "", "invalid_request"},
		{"code_challenge", "", "invalid_request"},
		{"code_challenge_method", "plain", "invalid_request"},
		{"deny", "1", "access_denied"},
	} {
		got := answer(t, with(test.name, test.value))
		if got.Get("error") != test.want || got.Has("code") {
			t.Errorf("%s=%s: %v; want %s", test.name, test.value, got, test.want)
		}
	}
	for _, test := range []struct{ name, value string }{
		{"client_id", "other"},
		{"redirect_uri", ""},
		{"redirect_uri", "http://example.com/"},
		{"redirect_uri", "https://127.0.0.1/"},
	} {
		if got := visit(t, with(test.name, test.value)); got != http.StatusBadRequest {
			t.Errorf("%s=%s: status %d, and not of an error that stays here", test.name, test.value, got)
		}
	}
}

func refused(t *testing.T, err error, status int, code string) {
	t.Helper()
	var e *oauth2.RetrieveError
	if !errors.As(err, &e) || e.Response.StatusCode != status || e.ErrorCode != code {
		t.Errorf("got %v; want %d %s", err, status, code)
	}
}
