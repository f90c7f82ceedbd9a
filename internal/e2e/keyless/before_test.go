// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// at has a fault at one path alone, which ends in end, and counts the requests
// there.
func at(end string, f fault) (fault, *atomic.Int64) {
	count := &atomic.Int64{}
	answer := f.answer
	f.answer = func(w http.ResponseWriter, r *http.Request, _ int64) bool {
		return strings.HasSuffix(r.URL.Path, end) && answer(w, r, count.Add(1))
	}
	return f, count
}

// jwksPath is where the issuer has its keys.
func jwksPath(t *testing.T) string {
	t.Helper()
	metadata, err := fetch(limited(t), stack.Issuer+"/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(metadata, `"jwks_uri":"`)
	if rest == "" {
		_, rest, _ = strings.Cut(metadata, `"jwks_uri": "`)
	}
	address, _, _ := strings.Cut(rest, `"`)
	return must(url.Parse(address)).Path
}

// TestFaultsOfTheIssuer: at each of the three requests for a token. No token, no
// certificate; no secret in an error.
func TestFaultsOfTheIssuer(t *testing.T) {
	t.Parallel()
	for place, end := range map[string]string{
		"metadata": "/.well-known/openid-configuration", "token endpoint": "/token", "keys": jwksPath(t),
	} {
		for what, f := range faults {
			t.Run(place+" "+what, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithCancel(limited(t))
				defer cancel()
				f, count := at(end, f.given(cancel))
				transport, _ := via(t, f, stack.Issuer)
				client := issuer()
				client.ClientSecret, client.Transport = stack.ClientSecret, transport
				tokens := keyless.ClientCredentials(keyless.ClientCredentialsConfig{OIDCClient: client})
				services := &counter{}
				signer := newSigner(t, configure(t, stack.SigningConfigV1, services), tokens)
				signatures, err := signer.Sign(ctx, request(t.Name(), signing.Bundle))
				if got := count.Load(); got != f.requests {
					t.Errorf("%d requests, want %d", got, f.requests)
				}
				if f.family == nil {
					if err != nil {
						t.Fatal(err)
					}
					verifies(t, person("machine@example.com"), t.Name(), signatures)
					return
				}
				// An issuer that refuses without a reason may be in trouble.
				wantFault(t, err, verify.ErrInconclusive, stack.Issuer, stack.ClientSecret)
				if signatures != nil || services.of(stack.Fulcio) != 0 {
					t.Error("signatures, or a request for a certificate, beside an error")
				}
			})
		}
	}
}

// TestIssuerAnswersWithSuccess what is of no use.
func TestIssuerAnswersWithSuccess(t *testing.T) {
	t.Parallel()
	other := mint(t, url.Values{"email": {"other@example.com"}, "iss": {"https://issuer.example.com"}})
	forged := mint(t, url.Values{"email": {"other@example.com"}, "forge": {"1"}})
	for name, c := range map[string]struct {
		end, body string
		family    error
	}{
		"metadata that is null":        {"/openid-configuration", "null", verify.ErrMisconfigured},
		"metadata of nothing":          {"/openid-configuration", "{}", verify.ErrMisconfigured},
		"metadata of another issuer":   {"/openid-configuration", `{"issuer":"https://issuer.example.com"}`, verify.ErrMisconfigured},
		"metadata that is HTML":        {"/openid-configuration", "<html>", verify.ErrInconclusive},
		"metadata of another type":     {"/openid-configuration", `{"issuer":7}`, verify.ErrInconclusive},
		"metadata without an endpoint": {"/openid-configuration", `{"issuer":"` + stack.Issuer + `"}`, verify.ErrMisconfigured},
		"a reply of nothing":           {"/token", "{}", verify.ErrInconclusive},
		"a reply that is null":         {"/token", "null", verify.ErrInconclusive},
		"no JWT":                       {"/token", `{"id_token":"x"}`, verify.ErrInconclusive},
		"a token of another issuer":    {"/token", `{"id_token":"` + other + `"}`, verify.ErrInconclusive},
		"a forged token":               {"/token", `{"id_token":"` + forged + `"}`, verify.ErrInconclusive},
		"no client of its":             {"/token", `{"error":"invalid_client","error_description":"\u001b[2J"}`, verify.ErrMisconfigured},
		"no keys":                      {jwksPath(t), `{"keys":[]}`, verify.ErrInconclusive},
		"keys of another type":         {jwksPath(t), `{"keys":"none"}`, verify.ErrInconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := at(c.end, fault{answer: says(http.StatusOK, c.body)})
			transport, _ := via(t, f, stack.Issuer)
			client := issuer()
			client.ClientSecret, client.Transport = stack.ClientSecret, transport
			token, err := keyless.ClientCredentials(keyless.ClientCredentialsConfig{OIDCClient: client}).Token(limited(t), keyless.DefaultAudience)
			wantFault(t, err, c.family, stack.Issuer, stack.ClientSecret)
			if message := err.Error(); token != "" || strings.Contains(message, other) || strings.Contains(message, forged) {
				t.Errorf("a token in the result, or in the error %q", message)
			}
		})
	}
}

// TestFaultsOfGitHub is about the one request for a workflow's token.
func TestFaultsOfGitHub(t *testing.T) {
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", stack.ActionsRequestURL)
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", stack.ActionsRequestToken)
	for what, f := range faults {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(limited(t))
			defer cancel()
			transport, requests := via(t, f.given(cancel), stack.ActionsRequestURL)
			token, err := keyless.GitHubActions(keyless.GitHubActionsConfig{Transport: transport}).Token(ctx, keyless.DefaultAudience)
			if got := requests.Load(); got != f.requests {
				t.Errorf("%d requests, want %d", got, f.requests)
			}
			if f.family == nil {
				if err != nil || token == "" {
					t.Error(err)
				}
				return
			}
			// What another source says of a runner that refuses is for a human.
			wantFault(t, err, f.family, "GitHub Actions", stack.ActionsRequestToken)
			if token != "" || errors.Is(err, keyless.ErrNoToken) {
				t.Errorf("a token beside an error, or one that lets others be asked: %v", err)
			}
		})
	}
}

// TestCancelWhileTheIssuerHangs: the error is the context's.
func TestCancelWhileTheIssuerHangs(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(limited(t))
	defer cancel()
	transport, _ := via(t, faults["hangs"].given(cancel), stack.Issuer)
	client := issuer()
	client.ClientSecret, client.Transport = stack.ClientSecret, transport
	signer := newSigner(t, configure(t, stack.SigningConfigV1, nil), keyless.ClientCredentials(keyless.ClientCredentialsConfig{OIDCClient: client}))
	_, err := signer.Sign(ctx, request(t.Name(), signing.Bundle))
	wantFault(t, err, verify.ErrInconclusive, stack.Issuer, stack.ClientSecret)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestFaultsOfTheMirror: without a trusted root nothing is signed, and nobody
// else is asked.
func TestFaultsOfTheMirror(t *testing.T) {
	t.Parallel()
	again := map[string]bool{"is busy, once": true, "is busy, until a date": true, "fails twice": true}
	for what, f := range faults {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if again[what] {
				// A mirror is not asked again at once, whatever it says.
				f.answer = status(http.StatusServiceUnavailable)
			}
			ctx, cancel := context.WithCancel(limited(t))
			defer cancel()
			transport, _ := via(t, f.given(cancel), stack.TUF)
			tuf, err := trust.NewTUF(trust.TUFConfig{
				Mirror: stack.TUF, InitialRoot: read(t, stack.TUFRoot), CacheDir: t.TempDir(), Transport: transport,
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = keyless.FetchSigningConfig(ctx, tuf)
			wantFault(t, err, verify.ErrInconclusive, stack.TUF, "no token")

			config, err := keyless.LoadSigningConfig(stack.SigningConfigV1)
			if err != nil {
				t.Fatal(err)
			}
			services := &counter{}
			client, err := keyless.New(keyless.Config{SigningConfig: config, TrustedRoots: tuf, Consent: true, Transport: services})
			if err != nil {
				t.Fatal(err)
			}
			token := mint(t, url.Values{})
			_, err = newSigner(t, client, keyless.StaticToken(token)).Sign(ctx, request(t.Name(), signing.Bundle))
			wantFault(t, err, verify.ErrInconclusive, "", token)
			for _, address := range []string{stack.Fulcio, stack.Rekor, stack.Timestamp} {
				if n := services.of(address); n != 0 {
					t.Errorf("%s was asked %d times", address, n)
				}
			}
		})
	}
}

// TestMirrorHangsAtEachFile: the root, then the others.
func TestMirrorHangsAtEachFile(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"timestamp.json", ".snapshot.json", ".targets.json", "trusted_root.json"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(limited(t))
			defer cancel()
			f := fault{answer: func(_ http.ResponseWriter, r *http.Request, _ int64) bool {
				if !strings.HasSuffix(path.Base(r.URL.Path), end) {
					return false
				}
				cancel()
				<-r.Context().Done()
				return true
			}}
			transport, _ := via(t, f, stack.TUF)
			tuf, err := trust.NewTUF(trust.TUFConfig{
				Mirror: stack.TUF, InitialRoot: read(t, stack.TUFRoot), CacheDir: t.TempDir(), Transport: transport,
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = keyless.FetchSigningConfig(ctx, tuf)
			wantFault(t, err, verify.ErrInconclusive, stack.TUF, "no token")
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
}

// TestUnknownAuthorityOfTLS: whoever answers under the service's name gets
// nothing. The authority that is configured is known.
func TestUnknownAuthorityOfTLS(t *testing.T) {
	t.Parallel()
	for name, s := range faulty {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := must(url.Parse(s.address()))
			base := *target
			base.Path = ""
			var requests atomic.Int64
			forward := httputil.NewSingleHostReverseProxy(&base)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				forward.ServeHTTP(w, r)
			}))
			server.Config.ErrorLog = discard
			server.StartTLS()
			t.Cleanup(server.Close)
			token := mint(t, url.Values{"email": {"tls@example.com"}})
			_, err := newSigner(t, around(t, s, server.URL+target.Path, 0), keyless.StaticToken(token)).
				Sign(limited(t), request(t.Name(), signing.Bundle))
			wantFault(t, err, verify.ErrInconclusive, s.named, token)
			var unknown x509.UnknownAuthorityError
			if !errors.As(err, &unknown) || requests.Load() != 0 {
				t.Errorf("%d requests: %v", requests.Load(), err)
			}

			urls := keyless.ServiceURLs{Fulcio: stack.Fulcio, Rekor: stack.Rekor, Timestamp: stack.Timestamp}
			s.place(&urls, server.URL+target.Path)
			client := newClient(t, keyless.Config{SigningConfig: must(keyless.NewSigningConfig(urls)), Transport: server.Client().Transport})
			signatures, err := newSigner(t, client, keyless.StaticToken(token)).Sign(limited(t), request(t.Name(), signing.Bundle))
			if err != nil {
				t.Fatal(err)
			}
			verifies(t, person("tls@example.com"), t.Name(), signatures)
		})
	}
}

// TestRefusals are for a human, and are not repeated.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, s := range faulty {
		for _, code := range []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound} {
			t.Run(name+" "+http.StatusText(code), func(t *testing.T) {
				t.Parallel()
				// It repeats what it was sent, as debugging servers do.
				address, requests := proxy(t, fault{answer: func(w http.ResponseWriter, r *http.Request, _ int64) bool {
					w.WriteHeader(code)
					_ = r.Header.Write(w)
					_, _ = io.Copy(w, r.Body)
					return true
				}}, s.address())
				token := mint(t, url.Values{})
				_, err := newSigner(t, around(t, s, address, 0), keyless.StaticToken(token)).Sign(limited(t), request(t.Name(), signing.Bundle))
				wantFault(t, err, verify.ErrMisconfigured, s.named, token)
				if requests.Load() != 1 {
					t.Errorf("%d requests", requests.Load())
				}
			})
		}
	}
}

// TestSlowIsNotDown: an answer comes byte by byte.
func TestSlowIsNotDown(t *testing.T) {
	t.Parallel()
	for name, s := range faulty {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, _ := proxy(t, fault{answer: func(w http.ResponseWriter, r *http.Request, n int64) bool {
				return altered(s.address(), func(*reply) {})(trickle{w}, r, n)
			}}, s.address())
			token := mint(t, url.Values{"email": {"slow@example.com"}})
			signatures, err := newSigner(t, around(t, s, address, 0), keyless.StaticToken(token)).Sign(limited(t), request(t.Name(), signing.Bundle))
			if err != nil {
				t.Fatal(err)
			}
			verifies(t, person("slow@example.com"), t.Name(), signatures)
		})
	}
}

// trickle writes byte by byte.
type trickle struct{ http.ResponseWriter }

func (w trickle) Write(all []byte) (int, error) {
	for i, b := range all {
		if _, err := w.ResponseWriter.Write([]byte{b}); err != nil {
			return i, err
		}
		_ = http.NewResponseController(w.ResponseWriter).Flush()
	}
	return len(all), nil
}
