// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/verify"
)

// issuer is an OpenID Connect issuer that misbehaves as a test wants. The well
// behaved one is that of internal/e2e.
type issuer struct {
	url       string
	transport http.RoundTripper

	// What is changed before it is sent.
	metadata, claims, reply, device func(map[string]any)
	// sign makes the ID token.
	sign func(t *testing.T, claims map[string]any) string
	// redirect changes what the browser brings back.
	redirect func(url.Values)
	// polls are the errors that a device gets, in turn, before the token.
	polls []string
	// before may answer in the place of the issuer.
	before func(w http.ResponseWriter, r *http.Request) bool

	t         *testing.T
	mu        sync.Mutex
	requested url.Values // of the last authorization request
	forms     []url.Values
	times     []time.Time // of token requests
	users     []string    // by which clients authenticated with Basic
}

const clientSecret = "s3cret&value"

// newIssuer serves on loopback.
func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t}
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.url, i.transport = server.URL, server.Client().Transport
	return i
}

// newIssuerInMemory needs no network, so that time can be faked.
func newIssuerInMemory(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t, url: "https://issuer.example"}
	i.transport = inMemory{i}
	return i
}

type inMemory struct{ http.Handler }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w.Result(), nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (i *issuer) client() keyless.OIDCClient {
	return keyless.OIDCClient{Issuer: i.url, Transport: i.transport}
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.before != nil && i.before(w, r) {
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /.well-known/openid-configuration":
		i.write(w, http.StatusOK, i.metadata, map[string]any{
			"issuer": i.url, "authorization_endpoint": i.url + "/auth", "token_endpoint": i.url + "/token",
			"device_authorization_endpoint": i.url + "/device/code", "jwks_uri": i.url + "/keys",
		})
	case "GET /keys":
		i.write(w, http.StatusOK, nil, map[string]any{"keys": []any{
			map[string]string{"kty": "unknown"},
			jose.JSONWebKey{Key: issuerKey().Public(), KeyID: "other", Use: "enc"},
			jose.JSONWebKey{Key: issuerKey().Public(), KeyID: "key", Algorithm: "RS256", Use: "sig"},
		}})
	case "GET /auth":
		i.authorize(w, r)
	case "POST /device/code":
		i.startDevice(w, r)
	case "POST /token":
		i.token(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (i *issuer) write(w http.ResponseWriter, status int, change func(map[string]any), value map[string]any) {
	if change != nil {
		change(value)
	}
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		i.t.Error(err)
	}
}

func (i *issuer) authorize(w http.ResponseWriter, r *http.Request) {
	i.requested = r.URL.Query()
	answer := url.Values{"code": {"the code"}, "state": {i.requested.Get("state")}}
	if i.redirect != nil {
		i.redirect(answer)
	}
	http.Redirect(w, r, i.requested.Get("redirect_uri")+"?"+answer.Encode(), http.StatusFound)
}

func (i *issuer) startDevice(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		i.t.Error(err)
	}
	i.requested = r.PostForm
	i.write(w, http.StatusOK, i.device, map[string]any{
		"device_code": "the code", "user_code": "ABCD-EFGH", "verification_uri": i.url + "/device",
		"verification_uri_complete": i.url + "/device?user_code=ABCD-EFGH", "expires_in": 300, "interval": 5,
	})
}

func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		i.t.Error(err)
	}
	i.forms, i.times = append(i.forms, r.PostForm), append(i.times, time.Now())
	if user, password, ok := r.BasicAuth(); ok {
		if password, _ = url.QueryUnescape(password); password != clientSecret {
			i.write(w, http.StatusUnauthorized, nil, map[string]any{"error": "invalid_client"})
			return
		}
		i.users = append(i.users, user)
	}
	if len(i.polls) > 0 {
		problem := i.polls[0]
		i.polls = i.polls[1:]
		i.write(w, http.StatusBadRequest, nil, map[string]any{"error": problem})
		return
	}
	if grant := r.PostForm.Get("grant_type"); grant != "client_credentials" {
		if err := i.checkCode(r.PostForm); err != nil {
			i.write(w, http.StatusBadRequest, nil, map[string]any{"error": "invalid_grant", "error_description": err.Error()})
			return
		}
	}
	claims := map[string]any{
		"iss": i.url, "aud": "sigstore", "sub": "subject", "email": "name@example.com", "email_verified": true,
		"exp": time.Now().Add(time.Minute).Unix(), "nonce": i.requested.Get("nonce"),
	}
	if i.claims != nil {
		i.claims(claims)
	}
	sign := i.sign
	if sign == nil {
		sign = signRS256
	}
	i.write(w, http.StatusOK, i.reply, map[string]any{
		"id_token": sign(i.t, claims), "access_token": "opaque", "token_type": "Bearer",
	})
}

// checkCode checks what binds the request to the login that it is for.
func (i *issuer) checkCode(form url.Values) error {
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	switch {
	case form.Get("code") != "the code" && form.Get("device_code") != "the code":
		return errors.New("code is another")
	case form.Get("redirect_uri") != i.requested.Get("redirect_uri"):
		return errors.New("redirect_uri is another")
	case i.requested.Get("code_challenge_method") != "S256",
		base64.RawURLEncoding.EncodeToString(sum[:]) != i.requested.Get("code_challenge"):
		return errors.New("code_verifier does not match")
	}
	return nil
}

var issuerKey = sync.OnceValue(func() *rsa.PrivateKey { return newRSAKey() })

func newRSAKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

func signRS256(t *testing.T, claims map[string]any) string { return signWith(t, issuerKey(), claims) }

func signWith(t *testing.T, key *rsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "key"}}, nil)
	if err != nil {
		t.Error(err)
		return ""
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Error(err)
	}
	return token
}

// compact makes a token with a signature of the caller's choice.
func compact(header, signature string) func(*testing.T, map[string]any) string {
	return func(t *testing.T, claims map[string]any) string {
		b, err := json.Marshal(claims)
		if err != nil {
			t.Error(err)
		}
		encode := base64.RawURLEncoding.EncodeToString
		return encode([]byte(header)) + "." + encode(b) + "." + encode([]byte(signature))
	}
}

// wantError checks an error's family and text, and that it can be shown.
func wantError(t *testing.T, err, kind error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, family := range []error{verify.ErrMisconfigured, verify.ErrInconclusive, verify.ErrRejected} {
		if errors.Is(err, family) != (family == kind) {
			t.Errorf("errors.Is(err, %v) = %t: %v", family, family != kind, err)
		}
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not in: %v", text, err)
		}
	}
	if strings.ContainsFunc(err.Error(), func(c rune) bool { return c < ' ' || c == 0x7f }) || len(err.Error()) > 2000 {
		t.Errorf("not fit for a terminal: %q", err)
	}
}
