// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

const (
	// ClientID is the one client, and the audience of its tokens. It needs no
	// secret but for the client credentials grant.
	ClientID = "sigstore"

	// DefaultUser is whoever follows a link without login_hint.
	DefaultUser = "name@example.com"

	discoveryPath = "/.well-known/openid-configuration"
	jwksPath      = "/.well-known/jwks"
)

// Provider is the two issuers.
type Provider struct {
	// URL is the issuer of people.
	URL string

	// ClientSecret is for the client credentials grant.
	ClientSecret string

	// ActionsURL is the issuer of workflows, which has no token endpoint.
	ActionsURL string

	// ActionsRequestURL and ActionsRequestToken are what a workflow asks for
	// tokens with.
	ActionsRequestURL, ActionsRequestToken string

	// Now is the clock of device flows.
	Now func() time.Time

	key, forgedKey *signer
	routes         http.ServeMux

	mu      sync.Mutex
	codes   map[string]authorization
	devices map[string]*device // by device code
}

// New returns a provider that is to be served at url.
func New(url string) (*Provider, error) {
	p := &Provider{
		URL:                 url,
		ClientSecret:        rand.Text(),
		ActionsURL:          url + actionsPath,
		ActionsRequestURL:   url + actionsPath + "/token?api-version=" + actionsAPIVersion,
		ActionsRequestToken: rand.Text(),
		Now:                 time.Now,
		codes:               map[string]authorization{},
		devices:             map[string]*device{},
	}
	var err error
	if p.key, err = newSigner(); err != nil {
		return nil, err
	}
	if p.forgedKey, err = newSigner(); err != nil {
		return nil, err
	}

	p.routes.HandleFunc("GET "+discoveryPath, p.discovery)
	p.routes.HandleFunc("GET "+jwksPath, p.jwks)
	p.routes.HandleFunc("GET /auth", p.authorize)
	p.routes.HandleFunc("POST /token", p.token)
	p.routes.HandleFunc("POST /device/code", p.startDevice)
	p.routes.HandleFunc("GET /device", p.approveDevice)
	p.routes.HandleFunc("GET /mint", p.mint)
	p.routes.HandleFunc("GET "+actionsPath+discoveryPath, p.actionsDiscovery)
	p.routes.HandleFunc("GET "+actionsPath+jwksPath, p.jwks)
	p.routes.HandleFunc("GET "+actionsPath+"/token", p.actionsToken)
	return p, nil
}

func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.routes.ServeHTTP(w, r) }

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                p.URL,
		"jwks_uri":                              p.URL + jwksPath,
		"authorization_endpoint":                p.URL + "/auth",
		"token_endpoint":                        p.URL + "/token",
		"device_authorization_endpoint":         p.URL + "/device/code",
		"grant_types_supported":                 []string{grantCode, grantDevice, grantClient},
		"response_types_supported":              []string{"code"},
		"code_challenge_methods_supported":      []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"none", "client_secret_basic", "client_secret_post"},
		"scopes_supported":                      []string{"openid", "email"},
		"claims_supported":                      []string{"aud", "email", "email_verified", "exp", "iat", "iss", "sub"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

func (p *Provider) jwks(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, p.key.public)
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // A client that went away is no error here.
}
