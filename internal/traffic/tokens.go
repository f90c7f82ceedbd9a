// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// TokenServer gives out tokens of the distribution project's specification, for
// what is asked for and nothing else
// (https://distribution.github.io/distribution/spec/auth/jwt/). A registry that
// trusts the certificates of its authority can check them; [TokenServer.Require]
// does that for one in this process.
type TokenServer struct {
	Issuer, Service string
	User, Secret    string
	// Realm is the address of the server itself.
	Realm string

	certificate tls.Certificate

	mu     sync.Mutex
	asked  [][]string
	issued map[string][]Access
}

// Access is what a token is good for.
type Access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// NewTokenServer returns one for one user, whose tokens authority vouches for.
func NewTokenServer(authority *Authority, user, secret string) (*TokenServer, error) {
	pair, err := authority.Issue("tokens")
	if err != nil {
		return nil, err
	}
	certificate, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	return &TokenServer{
		Issuer: "test issuer", Service: "test registry", User: user, Secret: secret,
		certificate: certificate, issued: map[string][]Access{},
	}, err
}

// ServeHTTP gives out a token by either of the two ways to ask for one: GET with
// basic authentication, and POST with the same in a form, as OAuth2 has it.
func (s *TokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	user, secret, _ := r.BasicAuth()
	scopes := r.Form["scope"]
	if r.Method == http.MethodPost {
		user, secret = r.PostForm.Get("username"), r.PostForm.Get("password")
		scopes = strings.Fields(r.PostForm.Get("scope"))
	}
	if user != s.User || secret != s.Secret || r.Form.Get("service") != s.Service {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	slices.Sort(scopes)
	token, err := s.issue(scopes)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "access_token": token, "expires_in": 300})
}

func (s *TokenServer) issue(scopes []string) (string, error) {
	var access []Access
	for _, scope := range scopes {
		parts := strings.Split(scope, ":")
		if len(parts) != 3 {
			return "", fmt.Errorf("scope %q", scope)
		}
		access = append(access, Access{parts[0], parts[1], strings.Split(parts[2], ",")})
	}
	now := time.Now()
	token, err := s.sign(map[string]any{
		"iss": s.Issuer, "sub": s.User, "aud": s.Service, "jti": rand.Text(), "access": access,
		"iat": now.Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	})
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, scopes)
	s.issued[token] = access
	return token, nil
}

func (s *TokenServer) sign(claims any) (string, error) {
	header, err := json.Marshal(map[string]any{"typ": "JWT", "alg": "ES256", "x5c": []string{base64.StdEncoding.EncodeToString(s.certificate.Certificate[0])}})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	hash := sha256.Sum256([]byte(signed))
	key, ok := s.certificate.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return "", errors.New("not an ECDSA key")
	}
	x, y, err := ecdsa.Sign(rand.Reader, key, hash[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64)
	x.FillBytes(signature[:32])
	y.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// Asked returns the scopes of each request for a token that was granted.
func (s *TokenServer) Asked() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

var repositoryPath = regexp.MustCompile(`^/v2/(.+)/(?:manifests|blobs|referrers)/`)

// Require lets those requests through to next that have a token for their
// repository and for what they do there.
func (s *TokenServer) Require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		repository := repositoryPath.FindStringSubmatch(r.URL.Path)
		action := "push"
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			action = "pull"
		}
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		s.mu.Lock()
		access := s.issued[token]
		s.mu.Unlock()
		if repository != nil && slices.ContainsFunc(access, func(a Access) bool {
			return a.Type == "repository" && a.Name == repository[1] && slices.Contains(a.Actions, action)
		}) {
			next.ServeHTTP(w, r)
			return
		}
		challenge := fmt.Sprintf(`Bearer realm=%q,service=%q`, s.Realm, s.Service)
		if repository != nil {
			actions := "pull"
			if action == "push" {
				actions = "pull,push"
			}
			challenge += fmt.Sprintf(`,scope="repository:%s:%s"`, repository[1], actions)
		}
		w.Header().Set("WWW-Authenticate", challenge)
		w.WriteHeader(http.StatusUnauthorized)
	})
}
