// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"maps"
	"net/http"
	"strings"
	"time"
)

const (
	actionsPath       = "/actions"
	actionsAPIVersion = "2.0"

	repository = "example/app"
	branch     = "refs/heads/main"
	commit     = "5d41402abc4b2a76b9719d911017c592ab4b2a76"
	workflow   = repository + "/.github/workflows/release.yml@" + branch
)

// run is the workflow run that every token is for, in the claims of GitHub.
var run = claims{
	"sub":                   "repo:" + repository + ":ref:" + branch,
	"actor":                 "name",
	"actor_id":              "1001",
	"base_ref":              "",
	"event_name":            "push",
	"head_ref":              "",
	"job_workflow_ref":      workflow,
	"job_workflow_sha":      commit,
	"ref":                   branch,
	"ref_protected":         "true",
	"ref_type":              "branch",
	"repository":            repository,
	"repository_id":         "2002",
	"repository_owner":      "example",
	"repository_owner_id":   "3003",
	"repository_visibility": "public",
	"run_attempt":           "1",
	"run_id":                "4004",
	"run_number":            "5",
	"runner_environment":    "github-hosted",
	"sha":                   commit,
	"workflow":              "release",
	"workflow_ref":          workflow,
	"workflow_sha":          commit,
}

func (p *Provider) actionsClaims(audience string) claims {
	now := time.Now()
	c := maps.Clone(run)
	c["iss"] = p.ActionsURL
	c["aud"] = audience
	c["jti"] = rand.Text()
	c["iat"] = now.Unix()
	c["nbf"] = now.Unix()
	c["exp"] = now.Add(tokenLife).Unix()
	return c
}

func (p *Provider) actionsDiscovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                p.ActionsURL,
		"jwks_uri":                              p.ActionsURL + jwksPath,
		"response_types_supported":              []string{"id_token"},
		"scopes_supported":                      []string{"openid"},
		"subject_types_supported":               []string{"public", "pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

// actionsToken is what a workflow asks. The API version is in the URL that it
// was given, and gone if it wrote the query anew.
func (p *Provider) actionsToken(w http.ResponseWriter, r *http.Request) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare([]byte(token), []byte(p.ActionsRequestToken)) != 1 {
		http.Error(w, "the request token is missing or wrong", http.StatusUnauthorized)
		return
	}
	q := r.URL.Query()
	if q.Get("api-version") != actionsAPIVersion {
		http.Error(w, "api-version is not "+actionsAPIVersion, http.StatusBadRequest)
		return
	}
	value, err := p.key.sign(p.actionsClaims(cmp.Or(q.Get("audience"), "https://github.com/example")))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"count": len(value), "value": value})
}
