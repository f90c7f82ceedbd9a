// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"crypto/rand"
	"crypto/rsa"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	tokenLife = 10 * time.Minute
	keyID     = "key"
)

type claims = map[string]any

// userClaims are those of a person's token, with what scopes ask for.
func (p *Provider) userClaims(email string, scopes []string) claims {
	now := time.Now()
	c := claims{
		"iss": p.URL,
		"sub": subject(email),
		"aud": ClientID,
		"iat": now.Unix(),
		"nbf": now.Unix(),
		"exp": now.Add(tokenLife).Unix(),
	}
	if slices.Contains(scopes, "email") {
		c["email"], c["email_verified"] = email, true
	}
	return c
}

// subject is not the address: a client that takes the one for the other fails.
func subject(email string) string {
	name, _, _ := strings.Cut(email, "@")
	return "user-" + name
}

// signer signs RS256, the one algorithm that all clients take: cosign takes an
// identity token in any other for the name of a file.
type signer struct {
	jose.Signer
	public jose.JSONWebKeySet
}

func newSigner() (*signer, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	key := jose.JSONWebKey{Key: private, KeyID: keyID, Algorithm: string(jose.RS256), Use: "sig"}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, new(jose.SignerOptions).WithType("JWT"))
	if err != nil {
		return nil, err
	}
	return &signer{Signer: s, public: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}}}, nil
}

func (s *signer) sign(c claims) (string, error) { return jwt.Signed(s).Claims(c).Serialize() }
