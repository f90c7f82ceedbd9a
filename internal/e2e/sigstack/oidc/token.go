// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"
)

const (
	grantCode   = "authorization_code"
	grantDevice = "urn:ietf:params:oauth:grant-type:device_code"
	grantClient = "client_credentials"
)

// oauthError is an error as RFC 6749 section 5.2 puts it.
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	c, e := p.grant(r)
	if e != nil {
		status := http.StatusBadRequest
		if e.Code == "invalid_client" {
			w.Header().Set("WWW-Authenticate", `Basic realm="token"`)
			status = http.StatusUnauthorized
		}
		writeJSON(w, status, e)
		return
	}
	idToken, err := p.key.sign(c)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"id_token":     idToken,
		"access_token": rand.Text(), // There is nothing here that it opens.
		"token_type":   "Bearer",
		"expires_in":   int(tokenLife.Seconds()),
	})
}

func (p *Provider) grant(r *http.Request) (claims, *oauthError) {
	if err := r.ParseForm(); err != nil {
		return nil, &oauthError{Code: "invalid_request", Description: err.Error()}
	}
	grant := r.PostForm.Get("grant_type")
	if e := p.authenticate(r, grant == grantClient); e != nil {
		return nil, e
	}
	switch grant {
	case grantCode:
		return p.codeGrant(r.PostForm)
	case grantDevice:
		return p.deviceGrant(r.PostForm)
	case grantClient:
		return p.userClaims(MachineUser, []string{"email"}), nil
	case "":
		return nil, &oauthError{Code: "invalid_request", Description: "grant_type is missing"}
	}
	return nil, &oauthError{Code: "unsupported_grant_type"}
}

// MachineUser is whom the client credentials grant is for.
const MachineUser = "machine@example.com"

// authenticate is RFC 6749 section 2.3.1. A client that shows a secret, must or
// not, has to show the right one.
func (p *Provider) authenticate(r *http.Request, secretRequired bool) *oauthError {
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		if secret != "" {
			return &oauthError{Code: "invalid_request", Description: "the client authenticates in two ways"}
		}
		var err error
		if id, err = url.QueryUnescape(user); err != nil {
			return &oauthError{Code: "invalid_client"}
		}
		if secret, err = url.QueryUnescape(password); err != nil {
			return &oauthError{Code: "invalid_client"}
		}
	} else if strings.HasPrefix(r.Header.Get("Authorization"), "Basic") {
		return &oauthError{Code: "invalid_client"}
	}
	known := subtle.ConstantTimeCompare([]byte(secret), []byte(p.ClientSecret)) == 1
	if id != ClientID || !known && (secret != "" || secretRequired) {
		return &oauthError{Code: "invalid_client"}
	}
	return nil
}
