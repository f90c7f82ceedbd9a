// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

func mint(t *testing.T, claims url.Values) string {
	t.Helper()
	token, err := stack.Mint(t.Context(), claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func issuer() keyless.OIDCClient { return keyless.OIDCClient{Issuer: stack.Issuer} }

// signsAs signs with a token of source, and verifies that email has.
func signsAs(t *testing.T, source keyless.TokenSource, email string) {
	t.Helper()
	signer := newSigner(t, configure(t, stack.SigningConfigV1, nil), source)
	signatures, err := signer.Sign(limited(t), request(t.Name(), signing.Both))
	if err != nil {
		t.Fatal(err)
	}
	verifies(t, person(email), t.Name(), signatures)
}

// fetch is a browser: it follows redirects, and returns the last page.
func fetch(ctx context.Context, address string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	page, err := io.ReadAll(response.Body)
	return string(page), err
}

func TestBrowserFlow(t *testing.T) {
	t.Parallel()
	pages := make(chan string, 1)
	signsAs(t, keyless.Browser(keyless.BrowserConfig{
		OIDCClient: issuer(),
		Open: func(ctx context.Context, address string) error {
			page, err := fetch(ctx, address+"&login_hint=browser@example.com")
			pages <- page
			return err
		},
	}), "browser@example.com")
	if page := <-pages; !strings.Contains(page, "You are logged in") || !strings.Contains(page, "browser@example.com") {
		t.Errorf("the page is %q", page)
	}
}

func TestBrowserFlowDenied(t *testing.T) {
	t.Parallel()
	source := keyless.Browser(keyless.BrowserConfig{OIDCClient: issuer(), Open: func(ctx context.Context, address string) error {
		_, err := fetch(ctx, address+"&deny=1")
		return err
	}})
	_, err := source.Token(limited(t), keyless.DefaultAudience)
	if !errors.Is(err, verify.ErrInconclusive) || !strings.Contains(err.Error(), "access_denied") {
		t.Error(err)
	}
}

// TestBrowserFlowTampered: what comes back must belong to what was sent.
func TestBrowserFlowTampered(t *testing.T) {
	t.Parallel()
	for name, alter := range map[string]func(sent url.Values){
		"state":          func(v url.Values) { v.Set("state", "another") },
		"nonce":          func(v url.Values) { v.Set("nonce", "another") },
		"code challenge": func(v url.Values) { v.Set("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := keyless.Browser(keyless.BrowserConfig{OIDCClient: issuer(), Open: func(ctx context.Context, address string) error {
				u := must(url.Parse(address))
				query := u.Query()
				alter(query)
				u.RawQuery = query.Encode()
				_, err := fetch(ctx, u.String())
				return err
			}})
			token, err := source.Token(limited(t), keyless.DefaultAudience)
			if err == nil || token != "" {
				t.Errorf("token %q, error %v", token, err)
			}
		})
	}
}

// onDevice is the device flow of a person who opens the page that is shown, with
// more in its query.
func onDevice(more string) keyless.TokenSource {
	return keyless.Device(keyless.DeviceConfig{OIDCClient: issuer(), Output: io.Discard, Open: func(ctx context.Context, address string) error {
		_, err := fetch(ctx, address+more)
		return err
	}})
}

func TestDeviceFlow(t *testing.T) {
	t.Parallel()
	signsAs(t, onDevice("&login_hint=device@example.com"), "device@example.com")
}

func TestDeviceFlowRefused(t *testing.T) {
	t.Parallel()
	for more, want := range map[string]string{"&deny=1": "access_denied", "&expire=1": "expired_token"} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			_, err := onDevice(more).Token(limited(t), keyless.DefaultAudience)
			if !errors.Is(err, verify.ErrInconclusive) || !strings.Contains(err.Error(), want) {
				t.Error(err)
			}
		})
	}
}

func TestClientCredentialsFlow(t *testing.T) {
	t.Parallel()
	client := issuer()
	client.ClientSecret = stack.ClientSecret
	signsAs(t, keyless.ClientCredentials(keyless.ClientCredentialsConfig{OIDCClient: client}), "machine@example.com")

	client.ClientSecret = "wrong"
	_, err := keyless.ClientCredentials(keyless.ClientCredentialsConfig{OIDCClient: client}).Token(limited(t), keyless.DefaultAudience)
	if !errors.Is(err, verify.ErrMisconfigured) || strings.Contains(err.Error(), "wrong") {
		t.Error(err)
	}
}

func TestGitHubActionsFlow(t *testing.T) {
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", stack.ActionsRequestURL)
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", stack.ActionsRequestToken)
	signer := newSigner(t, configure(t, stack.SigningConfigV2, nil), keyless.Ambient(keyless.AmbientConfig{}))
	signatures, err := signer.Sign(limited(t), request("workflow", signing.Bundle))
	if err != nil {
		t.Fatal(err)
	}
	workflow := verify.Identity{
		Subject: "https://github.com/example/app/.github/workflows/release.yml@refs/heads/main",
		Issuer:  stack.Actions,
		GitHub:  verify.GitHubWorkflow{Trigger: "push", Name: "release", Repository: "example/app", Ref: "refs/heads/main"},
	}
	result := verifies(t, verify.Policy{Identities: []verify.Identity{workflow}}, "workflow", signatures)
	if got := result.Signatures[0].Identity; got.Subject != workflow.Subject || got.GitHub.Repository != "example/app" {
		t.Errorf("signed by %+v", got)
	}

	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "another-secret")
	_, err = keyless.GitHubActions(keyless.GitHubActionsConfig{}).Token(limited(t), keyless.DefaultAudience)
	if !errors.Is(err, verify.ErrMisconfigured) || strings.Contains(err.Error(), "another-secret") {
		t.Error(err)
	}
}

func TestTokensThatAreGiven(t *testing.T) {
	token := mint(t, url.Values{"email": {"given@example.com"}})
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SIGSTORE_ID_TOKEN", token)
	for name, source := range map[string]keyless.TokenSource{
		"static": keyless.StaticToken(token), "file": keyless.TokenFile(file),
		"environment": keyless.TokenFromEnvironment(), "ambient": keyless.Ambient(keyless.AmbientConfig{}),
	} {
		t.Run(name, func(t *testing.T) { signsAs(t, source, "given@example.com") })
	}
}

// TestTokensThatCannotBeUsed: what Fulcio would refuse it does not get, as far as
// a token says it.
func TestTokensThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		claims url.Values
		asked  int
		want   string
	}{
		"expired":              {url.Values{"exp": {"-60"}}, 0, "it is expired"},
		"not valid yet":        {url.Values{"nbf": {"3600"}}, 0, "it is not valid yet"},
		"another audience":     {url.Values{"aud": {"other"}}, 0, `it is not for the audience "sigstore"`},
		"email not verified":   {url.Values{"email_verified": {"false"}}, 0, "did not verify the email"},
		"signed by a stranger": {url.Values{"forge": {"1"}}, 1, "Fulcio returned 400"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requests := &counter{}
			token := mint(t, test.claims)
			signer := newSigner(t, configure(t, stack.SigningConfigV1, requests), keyless.StaticToken(token))
			_, err := signer.Sign(limited(t), request("never", signing.Bundle))
			if !errors.Is(err, verify.ErrMisconfigured) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want one that says %q", err, test.want)
			}
			if strings.Contains(fmt.Sprint(err), token) {
				t.Error("the error has the token")
			}
			if got := requests.of(stack.Fulcio); got != test.asked {
				t.Errorf("Fulcio was asked %d times, want %d", got, test.asked)
			}
		})
	}
}

// TestOneCertificateForManyImages: as a push of a whole project makes them.
func TestOneCertificateForManyImages(t *testing.T) {
	t.Parallel()
	requests := &counter{}
	signer := newSigner(t, configure(t, stack.SigningConfigV1, requests), keyless.StaticToken(mint(t, url.Values{"email": {"many@example.com"}})))
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			image := fmt.Sprint("image ", i)
			signatures, err := signer.Sign(limited(t), request(image, signing.Bundle))
			if err != nil {
				t.Error(err)
				return
			}
			verifies(t, person("many@example.com"), image, signatures)
		})
	}
	group.Wait()
	if got := requests.of(stack.Fulcio); got != 1 {
		t.Errorf("Fulcio was asked %d times, want once", got)
	}
}
