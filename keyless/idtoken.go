// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// algorithms are all that go-oidc knows with a public key. None of them can be
// taken for one with a shared secret, or for none.
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512,
	oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

// verifyReply verifies the ID token of a reply by OpenID Connect Core 1.0,
// section 3.1.3.7: that it is signed by the issuer's key, is for audience, is not
// expired, and is for this login and this access token. An empty nonce is not
// looked for.
func (p *provider) verifyReply(ctx context.Context, reply tokenReply, audience, nonce string) (*oidc.IDToken, error) {
	if len(reply.IDToken) > limits.Token {
		return nil, limits.Exceeded("ID token in bytes", limits.Token)
	}
	keys, err := p.keys(ctx)
	if err != nil {
		return nil, err
	}
	verifier := oidc.NewVerifier(p.Issuer, keys, &oidc.Config{ClientID: audience, SupportedSigningAlgs: algorithms})
	token, err := verifier.Verify(ctx, reply.IDToken)
	if err != nil {
		return nil, fmt.Errorf("ID token: %s", fault.OneLine(err.Error()))
	}
	if nonce != "" && subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1 {
		return nil, errors.New("ID token: its nonce is not of this login")
	}
	if token.AccessTokenHash != "" {
		if err := token.VerifyAccessToken(reply.AccessToken); err != nil {
			return nil, fmt.Errorf("ID token: %s", fault.OneLine(err.Error()))
		}
	}
	return token, nil
}

// keySet is the issuer's public keys. That of go-oidc gets them in a goroutine
// that no context ends.
type keySet []jose.JSONWebKey

func (p *provider) keys(ctx context.Context) (keySet, error) {
	if p.JWKSURL == "" {
		return nil, humanError{errors.New("the issuer has no jwks_uri")}
	}
	var answer struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := p.get(ctx, p.JWKSURL, &answer); err != nil {
		return nil, err
	}
	var keys keySet
	for _, raw := range answer.Keys {
		// Keys of kinds that are not known here are for others.
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && key.IsPublic() && (key.Use == "" || key.Use == "sig") {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// VerifySignature is of [oidc.KeySet].
func (s keySet) VerifySignature(_ context.Context, jwt string) ([]byte, error) {
	var known []jose.SignatureAlgorithm
	for _, algorithm := range algorithms {
		known = append(known, jose.SignatureAlgorithm(algorithm))
	}
	jws, err := jose.ParseSignedCompact(jwt, known)
	if err != nil {
		return nil, err
	}
	id := jws.Signatures[0].Header.KeyID // The compact form has one signature.
	for _, key := range s {
		if id != "" && key.KeyID != id || key.Algorithm != "" && key.Algorithm != jws.Signatures[0].Header.Algorithm {
			continue
		}
		if payload, err := jws.Verify(key); err == nil {
			return payload, nil
		}
	}
	return nil, errors.New("no key of the issuer made the signature")
}
