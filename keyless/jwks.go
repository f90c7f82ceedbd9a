// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// keySet is the issuer's public keys. That of go-oidc gets them in a goroutine
// that no context ends.
type keySet []jose.JSONWebKey

// webKey is what go-jose is shown of a key: the fields of a public key of RFC 7518,
// section 6, and no certificates.
type webKey struct {
	Type      string `json:"kty"`
	Use       string `json:"use,omitempty"`
	Algorithm string `json:"alg,omitempty"`
	ID        string `json:"kid,omitempty"`
	Curve     string `json:"crv,omitempty"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
	N         string `json:"n,omitempty"`
	E         string `json:"e,omitempty"`
}

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
	keys, err := parseKeys(answer.Keys)
	if err != nil {
		return nil, fmt.Errorf("keys of the issuer: %w", err)
	}
	return keys, nil
}

// parseKeys parses keys that passed strictjson. It ignores keys that are not public
// keys for signatures, of a kind that is known here.
func parseKeys(all []json.RawMessage) (keySet, error) {
	if len(all) > limits.IssuerKeys {
		return nil, limits.Exceeded("number of keys", limits.IssuerKeys)
	}
	var keys keySet
	for _, raw := range all {
		var found struct {
			webKey

			// A key that everybody has is not the issuer's.
			Private json.RawMessage `json:"d"`
		}
		if json.Unmarshal(raw, &found) != nil || found.Use != "" && found.Use != "sig" || found.Private != nil {
			continue
		}
		b, err := json.Marshal(found.webKey)
		if err != nil {
			return nil, err
		}
		var key jose.JSONWebKey
		if json.Unmarshal(b, &key) != nil || !key.IsPublic() {
			continue
		}
		if public, ok := key.Key.(*rsa.PublicKey); ok && public.N.BitLen() > limits.RSABits {
			return nil, limits.Exceeded("RSA key in bits", limits.RSABits)
		}
		keys = append(keys, key)
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
