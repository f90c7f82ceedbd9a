// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// mint answers with any token that a test may want; sigstack.Mint documents
// the query.
func (p *Provider) mint(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	key := p.key
	if q.Get("forge") == "1" {
		key = p.forgedKey
	}
	q.Del("forge")
	c, err := p.minted(q)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	token, err := key.sign(c)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprint(w, token)
}

func (p *Provider) minted(q url.Values) (claims, error) {
	c := p.userClaims(DefaultUser, []string{"email"})
	if q.Get("iss") == p.ActionsURL {
		c = p.actionsClaims(ClientID)
	} else if q.Get("email") != "" {
		c = p.userClaims(q.Get("email"), []string{"email"})
	}
	for name, values := range q {
		switch {
		case len(values) > 1:
			c[name] = values
		case values[0] == "":
			delete(c, name)
		case name == "exp" || name == "nbf" || name == "iat":
			seconds, err := strconv.Atoi(values[0])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			c[name] = time.Now().Unix() + int64(seconds)
		case name == "email_verified":
			verified, err := strconv.ParseBool(values[0])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			c[name] = verified
		default:
			c[name] = values[0]
		}
	}
	return c, nil
}
