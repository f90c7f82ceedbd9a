// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package oidc_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	goidc "github.com/coreos/go-oidc/v3/oidc"
)

func TestActions(t *testing.T) {
	t.Parallel()
	p, _, _ := serve(t)
	get := func(link, authorization string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
		if err != nil {
			t.Fatal(err)
		}
		if authorization != "" {
			request.Header.Set("Authorization", authorization)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var body struct {
			Count int
			Value string
		}
		if response.StatusCode == http.StatusOK {
			if err := json.NewDecoder(response.Body).Decode(&body); err != nil || body.Count != len(body.Value) {
				t.Errorf("got %+v, %v", body, err)
			}
		}
		return response.StatusCode, body.Value
	}

	link := p.ActionsRequestURL + "&audience=sigstore"
	status, token := get(link, "bearer "+p.ActionsRequestToken)
	if status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	issuer, err := goidc.NewProvider(t.Context(), p.ActionsURL)
	if err != nil {
		t.Fatal(err)
	}
	verified, err := issuer.Verifier(&goidc.Config{ClientID: "sigstore"}).Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if verified.Subject != "repo:example/app:ref:refs/heads/main" {
		t.Errorf("the subject is %s", verified.Subject)
	}

	for _, authorization := range []string{"", "bearer", "bearer wrong", "basic " + p.ActionsRequestToken} {
		if status, _ := get(link, authorization); status != http.StatusUnauthorized {
			t.Errorf("Authorization %q: %d", authorization, status)
		}
	}
	lost, _, _ := strings.Cut(p.ActionsRequestURL, "?")
	if status, _ := get(lost+"?audience=sigstore", "bearer "+p.ActionsRequestToken); status != http.StatusBadRequest {
		t.Errorf("without the query that it had: %d", status)
	}
}
