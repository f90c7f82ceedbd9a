// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"cmp"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	deviceLife     = 5 * time.Minute
	deviceInterval = time.Second
	deviceSlowDown = 5 * time.Second // by so much, says RFC 8628 section 3.5
)

// device is a device flow under way, and what became of it.
type device struct {
	authorization
	userCode string
	state    string // the error that the client gets; none once the user agreed
	expires  time.Time
	interval time.Duration
	polled   time.Time
}

// startDevice is the device authorization request of RFC 8628 section 3.1. It
// takes a code challenge, which the RFC does not know and Sigstore's clients
// send.
func (p *Provider) startDevice(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if err := r.ParseForm(); err != nil {
		writeJSON(w, http.StatusBadRequest, oauthError{Code: "invalid_request", Description: err.Error()})
		return
	}
	if e := p.authenticate(r, false); e != nil {
		writeJSON(w, http.StatusUnauthorized, e)
		return
	}
	d := &device{
		authorization: authorization{scopes: strings.Fields(r.PostForm.Get("scope")), challenge: r.PostForm.Get("code_challenge")},
		userCode:      rand.Text()[:4] + "-" + rand.Text()[:4],
		state:         "authorization_pending",
		expires:       p.Now().Add(deviceLife),
		interval:      deviceInterval,
	}
	switch {
	case !slices.Contains(d.scopes, "openid"):
		writeJSON(w, http.StatusBadRequest, oauthError{Code: "invalid_scope", Description: "scope lacks openid"})
		return
	case d.challenge != "" && r.PostForm.Get("code_challenge_method") != "S256":
		writeJSON(w, http.StatusBadRequest, oauthError{Code: "invalid_request", Description: "code_challenge_method is not S256"})
		return
	}
	deviceCode := rand.Text()
	p.mu.Lock()
	p.devices[deviceCode] = d
	p.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{
		"device_code":               deviceCode,
		"user_code":                 d.userCode,
		"verification_uri":          p.URL + "/device",
		"verification_uri_complete": p.URL + "/device?" + url.Values{"user_code": {d.userCode}}.Encode(),
		"expires_in":                int(deviceLife.Seconds()),
		"interval":                  int(deviceInterval.Seconds()),
	})
}

// approveDevice is where the user goes. Beside user_code and login_hint it
// takes deny=1, expire=1, which ends the flow's time, and slow=1, which makes
// the client's next request one too early.
func (p *Provider) approveDevice(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.devices {
		if d.userCode != q.Get("user_code") {
			continue
		}
		switch {
		case q.Get("deny") == "1":
			d.state = "access_denied"
		case q.Get("expire") == "1":
			d.expires = p.Now()
		case q.Get("slow") == "1":
			d.polled = p.Now().Add(time.Hour)
		default:
			d.user, d.state = cmp.Or(q.Get("login_hint"), DefaultUser), ""
		}
		return
	}
	http.Error(w, "user_code is unknown", http.StatusBadRequest)
}

// deviceGrant is RFC 8628 section 3.4.
func (p *Provider) deviceGrant(form url.Values) (claims, *oauthError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	deviceCode := form.Get("device_code")
	d, ok := p.devices[deviceCode]
	if !ok {
		return nil, &oauthError{Code: "invalid_grant", Description: "device_code is unknown, or was used"}
	}
	now := p.Now()
	early := now.Before(d.polled.Add(d.interval))
	d.polled = now
	switch {
	case !now.Before(d.expires):
		return nil, &oauthError{Code: "expired_token"}
	case early:
		d.interval += deviceSlowDown
		return nil, &oauthError{Code: "slow_down"}
	case d.state != "":
		return nil, &oauthError{Code: d.state}
	}
	delete(p.devices, deviceCode)
	if d.challenge != "" && !d.verifies(form.Get("code_verifier")) {
		return nil, &oauthError{Code: "invalid_grant", Description: "code_verifier does not match"}
	}
	return p.authorizedClaims(d.authorization), nil
}
