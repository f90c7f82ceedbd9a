// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/verify"
)

// page is what a browser got in the end.
type page struct {
	status int
	header http.Header
	body   string
}

// get is a browser that goes to address and wherever it is sent from there.
func get(ctx context.Context, address string) (page, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return page{}, err
	}
	return do(request)
}

func do(request *http.Request) (page, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return page{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return page{response.StatusCode, response.Header, string(body)}, err
}

// visit is an Open that sends what it saw to pages, which has room. As a browser
// does, it goes on when the program has what it wants.
func visit(pages chan<- page) func(context.Context, string) error {
	return func(ctx context.Context, address string) error {
		p, err := get(ctx, address)
		if err != nil {
			p.body = err.Error()
		}
		pages <- p // Also without a page: the test waits for it.
		return err
	}
}

func TestBrowser(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.claims = func(c map[string]any) { c["email"] = "<b>name</b>@example.com" }
	pages := make(chan page, 1)
	source := keyless.Browser(keyless.BrowserConfig{
		OIDCClient: i.client(), Open: visit(pages), ConnectorID: "https://github.com/login/oauth",
	})
	token, err := source.Token(t.Context(), "sigstore")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(token, ".") != 2 {
		t.Errorf("not a token: %q", token)
	}
	for name, want := range map[string]string{
		"client_id": "sigstore", "response_type": "code", "scope": "openid email",
		"code_challenge_method": "S256", "connector_id": "https://github.com/login/oauth",
	} {
		if got := i.requested.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	redirect, err := url.Parse(i.requested.Get("redirect_uri"))
	if err != nil || redirect.Hostname() != "localhost" || redirect.Path != "/auth/callback" || redirect.Port() == "0" {
		t.Errorf("redirect_uri is %v, %v", redirect, err)
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(i.requested.Get(name)) < 26 {
			t.Errorf("%s is short: %q", name, i.requested.Get(name))
		}
	}
	checkPage(t, <-pages, http.StatusOK, "You are logged in", "&lt;b&gt;name&lt;/b&gt;@example.com")
}

func checkPage(t *testing.T, p page, status int, texts ...string) {
	t.Helper()
	if p.status != status {
		t.Errorf("status %d, want %d", p.status, status)
	}
	for _, text := range texts {
		if !strings.Contains(p.body, text) {
			t.Errorf("%q is not in the page:\n%s", text, p.body)
		}
	}
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
		"Content-Type": "text/html; charset=utf-8",
	} {
		if got := p.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if policy := p.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none';") {
		t.Errorf("Content-Security-Policy is %q", policy)
	}
}

func TestBrowserEachLoginHasItsOwnSecrets(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	source := keyless.Browser(keyless.BrowserConfig{OIDCClient: i.client(), Open: visit(make(chan page, 2))})
	var seen []url.Values
	for range 2 {
		if _, err := source.Token(t.Context(), "sigstore"); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, i.requested)
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if seen[0].Get(name) == seen[1].Get(name) {
			t.Errorf("%s is the same twice", name)
		}
	}
}

// TestBrowserMaliciousIssuer: whatever the issuer does wrong, there is no token,
// and the browser says that the login failed.
func TestBrowserMaliciousIssuer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		issuer func(*issuer)
		kind   error
		want   string
	}{
		"another state":       {func(i *issuer) { i.redirect = set("state", "x") }, verify.ErrInconclusive, "state does not match"},
		"no state":            {func(i *issuer) { i.redirect = set("state", "") }, verify.ErrInconclusive, "state does not match"},
		"no code":             {func(i *issuer) { i.redirect = set("code", "") }, verify.ErrInconclusive, "no code"},
		"another code":        {func(i *issuer) { i.redirect = set("code", "x") }, verify.ErrInconclusive, "code is another"},
		"answer of another":   {func(i *issuer) { i.redirect = set("iss", "https://other.example") }, verify.ErrInconclusive, `another issuer, "https://other.example"`},
		"refused":             {func(i *issuer) { i.redirect = set("error", "access_denied") }, verify.ErrInconclusive, `answers "access_denied"`},
		"escape sequence":     {func(i *issuer) { i.redirect = set("error", "\x1b[2J") }, verify.ErrInconclusive, `answers "\x1b[2J"`},
		"long error":          {func(i *issuer) { i.redirect = set("error", strings.Repeat("x", 9000)) }, verify.ErrInconclusive, `answers "xxx`},
		"scope refused":       {func(i *issuer) { i.redirect = set("error", "invalid_scope") }, verify.ErrMisconfigured, "invalid_scope"},
		"another nonce":       {claim("nonce", "x"), verify.ErrInconclusive, "nonce"},
		"no nonce":            {claim("nonce", nil), verify.ErrInconclusive, "nonce"},
		"another audience":    {claim("aud", "other"), verify.ErrInconclusive, "audience"},
		"another issuer":      {claim("iss", "https://other.example"), verify.ErrInconclusive, "different provider"},
		"expired":             {claim("exp", 1), verify.ErrInconclusive, "expired"},
		"another at_hash":     {claim("at_hash", "x"), verify.ErrInconclusive, "access token hash"},
		"terminal in aud":     {claim("aud", "\x1b[2J"), verify.ErrInconclusive, "audience"},
		"alg none":            {func(i *issuer) { i.sign = compact(`{"alg":"none"}`, "") }, verify.ErrInconclusive, "ID token"},
		"alg HS256":           {func(i *issuer) { i.sign = compact(`{"alg":"HS256","kid":"key"}`, "x") }, verify.ErrInconclusive, "ID token"},
		"signature of nobody": {func(i *issuer) { i.sign = compact(`{"alg":"RS256","kid":"key"}`, "x") }, verify.ErrInconclusive, "no key of the issuer"},
		"key for encryption":  {func(i *issuer) { i.sign = compact(`{"alg":"RS256","kid":"other"}`, "x") }, verify.ErrInconclusive, "no key of the issuer"},
		"signed by another": {func(i *issuer) {
			i.sign = func(t *testing.T, claims map[string]any) string { return signWith(t, newRSAKey(), claims) }
		}, verify.ErrInconclusive, "no key of the issuer"},
		"no JWT":            {reply("id_token", "x"), verify.ErrInconclusive, "not a JWT"},
		"huge token":        {reply("id_token", strings.Repeat("x", 1<<17)), verify.ErrInconclusive, "limit exceeded"},
		"no ID token":       {reply("id_token", nil), verify.ErrInconclusive, "no id_token"},
		"error with 200":    {reply("error", "server_error"), verify.ErrInconclusive, "server_error"},
		"reply is no JSON":  {answer("/token", http.StatusOK, "\x1b[2J"), verify.ErrInconclusive, "not the JSON"},
		"client is unknown": {answer("/token", http.StatusUnauthorized, `{"error":"invalid_client","error_description":"\u001b[2J"}`), verify.ErrMisconfigured, `"invalid_client": "\x1b[2J"`},
		"no error code":     {answer("/token", http.StatusForbidden, "<html>"), verify.ErrInconclusive, "status 403"},
		"endless reply":     {func(i *issuer) { i.before = endless("/token") }, verify.ErrInconclusive, "limit exceeded"},
		"redirects":         {redirectTo("/token", "https://other.example/token"), verify.ErrInconclusive, "redirects"},
		"endless keys":      {func(i *issuer) { i.before = endless("/keys") }, verify.ErrInconclusive, "limit exceeded"},
		"huge keys":         {answer("/keys", http.StatusOK, hugeKeys()), verify.ErrInconclusive, "limit exceeded: RSA key in bits"},
		"many keys":         {answer("/keys", http.StatusOK, `{"keys":[{}`+strings.Repeat(",{}", 64)+`]}`), verify.ErrInconclusive, "limit exceeded: number of keys"},
		"keys twice":        {answer("/keys", http.StatusOK, `{"keys":[],"keys":[]}`), verify.ErrInconclusive, "not the JSON"},
		"key in the token":  {func(i *issuer) { i.sign = compact(`{"alg":"RS256","jwk":{}}`, "x") }, verify.ErrInconclusive, `"jwk" in its header`},
		"no keys":           {answer("/keys", http.StatusOK, `{}`), verify.ErrInconclusive, "no key of the issuer"},
		"keys are missing":  {answer("/keys", http.StatusNotFound, `{}`), verify.ErrInconclusive, "status 404"},
		"no jwks_uri":       {metadata("jwks_uri", nil), verify.ErrMisconfigured, "no jwks_uri"},
		"no token endpoint": {metadata("token_endpoint", ""), verify.ErrMisconfigured, "no token endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			c.issuer(i)
			pages := make(chan page, 1)
			token, err := keyless.Browser(keyless.BrowserConfig{OIDCClient: i.client(), Open: visit(pages)}).Token(t.Context(), "sigstore")
			wantError(t, err, c.kind, c.want, i.url)
			if token != "" {
				t.Errorf("token %q", token)
			}
			checkPage(t, <-pages, http.StatusBadRequest, "The login failed")
		})
	}
}

// hugeKeys are keys that take long to verify with.
func hugeKeys() string {
	return `{"keys":[{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("A", 10) + strings.Repeat("z", 1<<11) + `"}]}`
}

func set(name, value string) func(url.Values) {
	return func(values url.Values) {
		if name == "error" {
			values.Del("code")
		}
		values.Set(name, value)
	}
}

func change(name string, value any) func(map[string]any) {
	return func(m map[string]any) {
		if m[name] = value; value == nil {
			delete(m, name)
		}
	}
}

func claim(name string, value any) func(*issuer) {
	return func(i *issuer) { i.claims = change(name, value) }
}

func reply(name string, value any) func(*issuer) {
	return func(i *issuer) { i.reply = change(name, value) }
}

func metadata(name string, value any) func(*issuer) {
	return func(i *issuer) { i.metadata = change(name, value) }
}

func answer(path string, status int, body string) func(*issuer) {
	return func(i *issuer) {
		i.before = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != path {
				return false
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
}

func redirectTo(path, target string) func(*issuer) {
	return func(i *issuer) {
		i.before = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == path {
				http.Redirect(w, r, target, http.StatusTemporaryRedirect)
			}
			return r.URL.Path == path
		}
	}
}

func endless(path string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != path {
			return false
		}
		for {
			if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<16)); err != nil {
				return true
			}
		}
	}
}

// TestBrowserDiscovery is of what ends a login before anybody is asked to log in.
func TestBrowserDiscovery(t *testing.T) {
	t.Parallel()
	const discovery = "/.well-known/openid-configuration"
	for name, c := range map[string]struct {
		issuer func(*issuer)
		kind   error
		want   string
	}{
		"names another issuer":     {metadata("issuer", "https://other.example"), verify.ErrMisconfigured, `of another issuer, "https://other.example"`},
		"terminal in issuer":       {metadata("issuer", "\x1b[2J"), verify.ErrMisconfigured, "of another issuer"},
		"is no JSON":               {answer(discovery, http.StatusOK, "<html>"), verify.ErrInconclusive, "not the JSON"},
		"is missing":               {answer(discovery, http.StatusNotFound, "\x1b[2J"), verify.ErrInconclusive, "status 404"},
		"is endless":               {func(i *issuer) { i.before = endless(discovery) }, verify.ErrInconclusive, "limit exceeded"},
		"is elsewhere":             {redirectTo(discovery, "https://other.example/"), verify.ErrInconclusive, "redirects"},
		"no authorization":         {metadata("authorization_endpoint", nil), verify.ErrMisconfigured, "no authorization endpoint"},
		"page over plain HTTP":     {metadata("authorization_endpoint", "http://other.example/"), verify.ErrMisconfigured, "authorization endpoint: \"http://other.example/\": plain HTTP"},
		"page is a file":           {metadata("authorization_endpoint", "file://host/etc/passwd"), verify.ErrMisconfigured, "neither an https nor an http URL"},
		"page is a script":         {metadata("authorization_endpoint", "javascript:alert(1)"), verify.ErrMisconfigured, "authorization endpoint"},
		"page of no host":          {metadata("authorization_endpoint", "https:///authorize"), verify.ErrMisconfigured, "is not a URL of a service"},
		"page with a fragment":     {metadata("authorization_endpoint", "https://other.example/#a"), verify.ErrMisconfigured, "is not a URL of a service"},
		"page with a password":     {metadata("authorization_endpoint", "https://a:b@other.example/"), verify.ErrMisconfigured, "authorization endpoint"},
		"page for a terminal":      {metadata("authorization_endpoint", "https://other.example/\x1b[2J"), verify.ErrMisconfigured, "authorization endpoint"},
		"page of strange letters":  {metadata("authorization_endpoint", "https://oth\u202eer.example/"), verify.ErrMisconfigured, "characters that no URL has"},
		"tokens over plain HTTP":   {metadata("token_endpoint", "http://other.example/"), verify.ErrMisconfigured, "token endpoint"},
		"keys over plain HTTP":     {metadata("jwks_uri", "http://other.example/"), verify.ErrMisconfigured, "JWKS"},
		"device over plain HTTP":   {metadata("device_authorization_endpoint", "http://other.example/"), verify.ErrMisconfigured, "device authorization endpoint"},
		"unavailable, with reason": {answer(discovery, http.StatusTeapot, "\x1b[2J"), verify.ErrInconclusive, "status 418"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			c.issuer(i)
			open := func(context.Context, string) error {
				t.Error("a browser was opened")
				return nil
			}
			_, err := keyless.Browser(keyless.BrowserConfig{OIDCClient: i.client(), Open: open}).Token(t.Context(), "sigstore")
			wantError(t, err, c.kind, c.want)
		})
	}
}

// TestIssuerElsewhereNamesThisMachine: an issuer must not use programs here to
// reach services here.
func TestIssuerElsewhereNamesThisMachine(t *testing.T) {
	t.Parallel()
	i := newIssuerInMemory(t)
	i.metadata = change("token_endpoint", "http://127.0.0.1:80/")
	_, err := keyless.Browser(keyless.BrowserConfig{OIDCClient: i.client(), Output: io.Discard}).Token(t.Context(), "sigstore")
	wantError(t, err, verify.ErrMisconfigured, "token endpoint", "plain HTTP")
}

func TestBrowserConfig(t *testing.T) {
	t.Parallel()
	client := keyless.OIDCClient{Issuer: "https://issuer.example", Transport: noNetwork(t)}
	plain := client
	plain.Issuer = "http://issuer.example"
	for name, c := range map[string]struct {
		config keyless.BrowserConfig
		want   string
	}{
		"nobody sees the page":       {keyless.BrowserConfig{OIDCClient: client}, "neither Open nor Output"},
		"issuer over plain HTTP":     {keyless.BrowserConfig{OIDCClient: plain, Output: io.Discard}, "plain HTTP"},
		"issuer is no URL":           {keyless.BrowserConfig{OIDCClient: keyless.OIDCClient{Issuer: "\x1b"}, Output: io.Discard}, "not a URL"},
		"redirect to another":        {keyless.BrowserConfig{OIDCClient: client, Output: io.Discard, RedirectURL: "http://192.0.2.1/"}, "not of this machine"},
		"redirect to a name":         {keyless.BrowserConfig{OIDCClient: client, Output: io.Discard, RedirectURL: "http://localhost.example/"}, "not of this machine"},
		"redirect over TLS":          {keyless.BrowserConfig{OIDCClient: client, Output: io.Discard, RedirectURL: "https://localhost/"}, "plain http"},
		"redirect is no URL":         {keyless.BrowserConfig{OIDCClient: client, Output: io.Discard, RedirectURL: "http://\x7f"}, "plain http"},
		"redirect with a query":      {keyless.BrowserConfig{OIDCClient: client, Output: io.Discard, RedirectURL: "http://localhost/?a=b"}, "plain http"},
		"redirect with a password":   {keyless.BrowserConfig{OIDCClient: client, Output: io.Discard, RedirectURL: "http://a:b@localhost/"}, "plain http"},
		"redirect with a fragment":   {keyless.BrowserConfig{OIDCClient: client, Output: io.Discard, RedirectURL: "http://localhost/#a"}, "plain http"},
		"redirect is not hierarchic": {keyless.BrowserConfig{OIDCClient: client, Output: io.Discard, RedirectURL: "urn:ietf:wg:oauth:2.0:oob"}, "plain http"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := keyless.Browser(c.config).Token(t.Context(), "sigstore")
			wantError(t, err, verify.ErrMisconfigured, c.want)
		})
	}
}

func TestBrowserRedirectURL(t *testing.T) {
	t.Parallel()
	for _, redirectURL := range []string{
		"http://localhost/callback", "http://localhost:0/callback", "http://127.0.0.1:0", "http://127.0.0.1/a%20b/c",
	} {
		t.Run(redirectURL, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			pages := make(chan page, 1)
			_, err := keyless.Browser(keyless.BrowserConfig{
				OIDCClient: i.client(), RedirectURL: redirectURL, Open: visit(pages),
			}).Token(t.Context(), "sigstore")
			if err != nil {
				t.Fatal(err)
			}
			checkPage(t, <-pages, http.StatusOK, "name@example.com")
		})
	}
}

func TestBrowserPortIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, host := range []string{"localhost", "127.0.0.1"} {
		i := newIssuer(t)
		_, port, _ := net.SplitHostPort(taken.Addr().String())
		_, err := keyless.Browser(keyless.BrowserConfig{
			OIDCClient: i.client(), Output: io.Discard, RedirectURL: "http://" + net.JoinHostPort(host, port) + "/",
		}).Token(t.Context(), "sigstore")
		wantError(t, err, verify.ErrInconclusive, "listen")
	}
}

// callbackOf is where address has the browser sent back to, with an answer.
func callbackOf(t *testing.T, address string, answer url.Values) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	answer.Set("state", u.Query().Get("state"))
	return u.Query().Get("redirect_uri") + "?" + answer.Encode()
}

// TestBrowserOtherRequests: what is not the callback changes nothing.
func TestBrowserOtherRequests(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	pages := make(chan page, 1)
	open := func(ctx context.Context, address string) error {
		there, err := url.Parse(callbackOf(t, address, url.Values{"code": {"x"}}))
		if err != nil {
			return err
		}
		for _, path := range []string{"/favicon.ico", "/", "/auth/callback/", "/auth//callback", "/Auth/callback"} {
			other := *there
			other.Path = path
			p, err := get(ctx, other.String())
			if err != nil {
				return err
			}
			checkPage(t, p, http.StatusNotFound, "There is nothing here")
		}
		for _, method := range []string{http.MethodPost, http.MethodHead, http.MethodOptions} {
			request, err := http.NewRequestWithContext(ctx, method, there.String(), nil)
			if err != nil {
				return err
			}
			p, err := do(request)
			if err != nil {
				return err
			}
			checkPage(t, p, http.StatusMethodNotAllowed)
		}
		return visit(pages)(ctx, address)
	}
	if _, err := keyless.Browser(keyless.BrowserConfig{OIDCClient: i.client(), Open: open}).Token(t.Context(), "sigstore"); err != nil {
		t.Fatal(err)
	}
	checkPage(t, <-pages, http.StatusOK, "You are logged in")
}

// TestBrowserSecondAnswer: the first answer decides, here a wrong one, while it
// is looked at.
func TestBrowserSecondAnswer(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	var address string
	i.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/token" {
			p, err := get(t.Context(), callbackOf(t, address, url.Values{"code": {"another"}}))
			if err != nil {
				t.Error(err)
			}
			checkPage(t, p, http.StatusConflict, "This login is over")
		}
		return false
	}
	pages := make(chan page, 1)
	open := func(ctx context.Context, a string) error {
		address = a
		return visit(pages)(ctx, a)
	}
	if _, err := keyless.Browser(keyless.BrowserConfig{OIDCClient: i.client(), Open: open}).Token(t.Context(), "sigstore"); err != nil {
		t.Fatal(err)
	}
	checkPage(t, <-pages, http.StatusOK, "You are logged in")
}
