// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/verify"
)

const requestToken = "the-request-token"

// inWorkflow sets what GitHub's runner sets.
func inWorkflow(t *testing.T, address, token string) {
	t.Helper()
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", address)
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", token)
	t.Setenv("GITHUB_ACTIONS", "")
}

func TestGitHubActions(t *testing.T) {
	const audience = "a b&audience=c"
	for name, address := range map[string]string{
		"with a query":    "https://actions.example/token?api-version=2.0",
		"without a query": "https://actions.example/token",
		"with audience":   "https://actions.example/token?audience=other",
	} {
		t.Run(name, func(t *testing.T) {
			inWorkflow(t, address, requestToken+"\n")
			transport := inMemory{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got := r.URL.Query()["audience"]; len(got) != 1 || got[0] != audience {
					t.Errorf("audience is %q", got)
				}
				if want := strings.Contains(address, "api-version"); (r.URL.Query().Get("api-version") == "2.0") != want {
					t.Errorf("query is %q", r.URL.RawQuery)
				}
				if got := r.Header.Get("Authorization"); got != "Bearer "+requestToken {
					t.Errorf("authorization is %q", got)
				}
				_, _ = io.WriteString(w, `{"count":1,"value":"a.b.c"}`)
			})}
			token, err := keyless.GitHubActions(keyless.GitHubActionsConfig{Transport: transport}).Token(t.Context(), audience)
			if err != nil || token != "a.b.c" {
				t.Errorf("token %q, %v", token, err)
			}
		})
	}
}

func TestGitHubActionsEnvironment(t *testing.T) {
	const address = "https://actions.example/"
	for name, c := range map[string]struct {
		address, token string
		want           string
	}{
		"no URL":        {"", requestToken, "ACTIONS_ID_TOKEN_REQUEST_URL is not set"},
		"no token":      {address, "", "ACTIONS_ID_TOKEN_REQUEST_TOKEN is not set"},
		"plain HTTP":    {"http://actions.example/", requestToken, "plain HTTP"},
		"no URL at all": {"\x1b", requestToken, "not a URL"},
		"broken query":  {address + "?a;b=%", requestToken, "query of the URL"},
		"broken token":  {address, "a\nb", "characters that no token has"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorkflow(t, c.address, c.token)
			synctest.Test(t, func(t *testing.T) {
				_, err := keyless.GitHubActions(keyless.GitHubActionsConfig{}).Token(t.Context(), "sigstore")
				wantError(t, err, verify.ErrMisconfigured, c.want, "GitHub Actions")
				if errors.Is(err, keyless.ErrNoToken) || c.token != "" && strings.Contains(err.Error(), c.token) {
					t.Error(err)
				}
			})
		})
	}
	t.Run("neither", func(t *testing.T) {
		inWorkflow(t, "", "")
		_, err := keyless.GitHubActions(keyless.GitHubActionsConfig{}).Token(t.Context(), "sigstore")
		if wantError(t, err, verify.ErrMisconfigured); !errors.Is(err, keyless.ErrNoToken) {
			t.Errorf("not ErrNoToken: %v", err)
		}
	})
	t.Run("neither in a workflow", func(t *testing.T) {
		inWorkflow(t, "", "")
		t.Setenv("GITHUB_ACTIONS", "true")
		_, err := keyless.GitHubActions(keyless.GitHubActionsConfig{}).Token(t.Context(), "sigstore")
		if wantError(t, err, verify.ErrMisconfigured, "id-token: write"); errors.Is(err, keyless.ErrNoToken) {
			t.Errorf("others would be asked: %v", err)
		}
	})
}

// TestGitHubActionsAnswers: what may pass is tried again, and nothing that the
// service says, nor the request token, is in the error.
func TestGitHubActionsAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		kind    error
		want    string
		again   bool
	}{
		"wrong token":   {status(http.StatusUnauthorized), verify.ErrMisconfigured, "refused with status 401", false},
		"forbidden":     {status(http.StatusForbidden), verify.ErrMisconfigured, "refused with status 403", false},
		"too many":      {status(http.StatusTooManyRequests), verify.ErrInconclusive, "status 429", true},
		"unavailable":   {status(http.StatusServiceUnavailable), verify.ErrInconclusive, "status 503", true},
		"accepted only": {status(http.StatusAccepted), verify.ErrInconclusive, "not the JSON", false},
		"no content":    {body(http.StatusAccepted, `{}`), verify.ErrInconclusive, "status 202", false},
		"no token":      {body(http.StatusOK, `{"value":""}`), verify.ErrInconclusive, "no token", false},
		"no JSON":       {body(http.StatusOK, "\x1b[2J"), verify.ErrInconclusive, "not the JSON", false},
		"another type":  {body(http.StatusOK, `{"value":1}`), verify.ErrInconclusive, "not the JSON", false},
		"too long":      {body(http.StatusOK, strings.Repeat(" ", 1<<21)), verify.ErrInconclusive, "limit exceeded", false},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://other.example/"+requestToken, http.StatusFound)
		}, verify.ErrInconclusive, "redirects", false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorkflow(t, "https://actions.example/token", requestToken)
			synctest.Test(t, func(t *testing.T) {
				requests := 0
				transport := inMemory{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					requests++
					c.handler(w, r)
				})}
				_, err := keyless.GitHubActions(keyless.GitHubActionsConfig{Transport: transport}).Token(t.Context(), "sigstore")
				wantError(t, err, c.kind, c.want)
				if strings.Contains(err.Error(), requestToken) {
					t.Errorf("the request token is in the error: %v", err)
				}
				if (requests > 1) != c.again || requests > 4 {
					t.Errorf("%d requests", requests)
				}
			})
		})
	}
}

func status(code int) http.HandlerFunc { return body(code, requestToken) }

func body(code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
	}
}

func TestGitHubActionsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	inWorkflow(t, server.URL, requestToken)
	_, err := keyless.GitHubActions(keyless.GitHubActionsConfig{Transport: server.Client().Transport}).Token(ctx, "sigstore")
	wantError(t, err, verify.ErrInconclusive, "context canceled")
}

func TestGitHubActionsOutage(t *testing.T) {
	inWorkflow(t, "https://actions.example/token", requestToken)
	synctest.Test(t, func(t *testing.T) {
		failures := 2
		transport := roundTripper(func(r *http.Request) (*http.Response, error) {
			if failures--; failures >= 0 {
				return nil, &url.Error{Op: "Get", URL: r.URL.Host, Err: io.ErrUnexpectedEOF}
			}
			return inMemory{body(http.StatusOK, `{"value":"a.b.c"}`)}.RoundTrip(r)
		})
		token, err := keyless.GitHubActions(keyless.GitHubActionsConfig{Transport: transport}).Token(t.Context(), "sigstore")
		if err != nil || token != "a.b.c" {
			t.Errorf("token %q, %v", token, err)
		}
	})
}
