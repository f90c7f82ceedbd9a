// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// authorization is what a user agreed to, until the client comes for its token.
type authorization struct {
	user      string
	scopes    []string
	nonce     string
	challenge string

	redirectURI string
}

// authorize sends the browser back with a code at once. With deny=1, which is
// of this provider only, the user refuses.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	redirect, err := url.Parse(q.Get("redirect_uri"))
	// RFC 6749 section 4.1.2.1: nobody is sent to where the client may not be.
	switch {
	case err != nil || !loopback(redirect):
		http.Error(w, "redirect_uri is not on loopback", http.StatusBadRequest)
		return
	case q.Get("client_id") != ClientID:
		http.Error(w, "client_id is unknown", http.StatusBadRequest)
		return
	}

	answer := redirect.Query()
	if state := q.Get("state"); state != "" {
		answer.Set("state", state)
	}
	if e := checkAuthorization(q); e != nil {
		answer.Set("error", e.Code)
		answer.Set("error_description", e.Description)
	} else {
		code := rand.Text()
		p.mu.Lock()
		p.codes[code] = authorization{
			user:        cmp.Or(q.Get("login_hint"), DefaultUser),
			scopes:      strings.Fields(q.Get("scope")),
			nonce:       q.Get("nonce"),
			challenge:   q.Get("code_challenge"),
			redirectURI: q.Get("redirect_uri"),
		}
		p.mu.Unlock()
		answer.Set("code", code)
	}
	redirect.RawQuery = answer.Encode()
	http.Redirect(w, r, redirect.String(), http.StatusFound)
}

// checkAuthorization wants more than the standards do: a client that is
// careful sends a state and a code challenge.
func checkAuthorization(q url.Values) *oauthError {
	switch {
	case q.Get("response_type") != "code":
		return &oauthError{Code: "unsupported_response_type"}
	case !slices.Contains(strings.Fields(q.Get("scope")), "openid"):
		return &oauthError{Code: "invalid_scope", Description: "scope lacks openid"}
	case q.Get("state") == "":
		return &oauthError{Code: "invalid_request", Description: "state is missing"}
	case q.Get("code_challenge") == "" || q.Get("code_challenge_method") != "S256":
		return &oauthError{Code: "invalid_request", Description: "code_challenge with the method S256 is missing"}
	case q.Get("deny") == "1":
		return &oauthError{Code: "access_denied"}
	}
	return nil
}

// codeGrant is the authorization code grant of RFC 6749 section 4.1.3.
func (p *Provider) codeGrant(form url.Values) (claims, *oauthError) {
	p.mu.Lock()
	a, ok := p.codes[form.Get("code")]
	delete(p.codes, form.Get("code")) // Also if what follows fails: a code is good for one attempt.
	p.mu.Unlock()
	switch {
	case !ok:
		return nil, &oauthError{Code: "invalid_grant", Description: "code is unknown, or was used"}
	case form.Get("redirect_uri") != a.redirectURI:
		return nil, &oauthError{Code: "invalid_grant", Description: "redirect_uri is another"}
	case !a.verifies(form.Get("code_verifier")):
		return nil, &oauthError{Code: "invalid_grant", Description: "code_verifier does not match"}
	}
	return p.authorizedClaims(a), nil
}

// verifies is RFC 7636 section 4.6.
func (a authorization) verifies(verifier string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:]) == a.challenge
}

func (p *Provider) authorizedClaims(a authorization) claims {
	c := p.userClaims(a.user, a.scopes)
	if a.nonce != "" {
		c["nonce"] = a.nonce
	}
	return c
}

func loopback(u *url.URL) bool {
	return u.Scheme == "http" && slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, u.Hostname())
}
