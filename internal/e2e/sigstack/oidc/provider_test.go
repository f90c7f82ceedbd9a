// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package oidc_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/cosignkit/cosignkit/internal/e2e/sigstack/oidc"
)

// redirect is where nobody listens: the tests do not follow.
const redirect = "http://127.0.0.1:1/callback"

// serve returns a provider, and a client of it that knows it by discovery.
func serve(t *testing.T) (*oidc.Provider, *goidc.Provider, oauth2.Config) {
	t.Helper()
	var p *oidc.Provider
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	var err error
	if p, err = oidc.New(server.URL); err != nil {
		t.Fatal(err)
	}
	discovered, err := goidc.NewProvider(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return p, discovered, oauth2.Config{
		ClientID:    oidc.ClientID,
		Endpoint:    discovered.Endpoint(),
		RedirectURL: redirect,
		Scopes:      []string{"openid", "email"},
	}
}

// answer has the user follow a link to the provider, and returns what he brings
// back to the client.
func answer(t *testing.T, link string) url.Values {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	location, err := response.Location()
	if err != nil {
		t.Fatalf("%s, and %v", response.Status, err)
	}
	return location.Query()
}

// visit has the user open a link, and returns the status.
func visit(t *testing.T, link string) int {
	t.Helper()
	response, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

type idClaims struct {
	Subject  string `json:"sub"`
	Email    string `json:"email"`
	Verified bool   `json:"email_verified"`
	Nonce    string `json:"nonce"`
}

// verify checks the ID token of an answer of the token endpoint.
func verify(t *testing.T, issuer *goidc.Provider, token *oauth2.Token) idClaims {
	t.Helper()
	raw, _ := token.Extra("id_token").(string)
	verified, err := issuer.Verifier(&goidc.Config{ClientID: oidc.ClientID}).Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	var c idClaims
	if err := verified.Claims(&c); err != nil {
		t.Fatal(err)
	}
	return c
}
