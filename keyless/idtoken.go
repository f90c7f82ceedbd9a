// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/cosignkit/cosignkit/internal/fault"
)

// algorithms are all that go-oidc knows with a public key. None of them can be
// taken for one with a shared secret, or for none.
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512,
	oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

// checkCompact refuses a token before go-jose parses it: one that is not in the
// compact form, or that brings a key or certificates of its own in its header.
func checkCompact(token string) error {
	if _, err := parseToken(token); err != nil {
		return err
	}
	part, _, _ := strings.Cut(token, ".")
	header, err := decodePart(part)
	if err != nil {
		return err
	}
	for name, value := range header {
		switch value.(type) {
		case map[string]any, []any:
			return fmt.Errorf("%s in its header is a list or an object, want a plain value", quote(name))
		}
	}
	return nil
}

// verifyReply verifies the ID token of a reply by OpenID Connect Core 1.0,
// section 3.1.3.7: that it is signed by the issuer's key, is for audience, is not
// expired, and is for this login and this access token. An empty nonce is not
// looked for.
func (p *provider) verifyReply(ctx context.Context, reply tokenReply, audience, nonce string) (*oidc.IDToken, error) {
	if err := checkCompact(reply.IDToken); err != nil {
		return nil, fmt.Errorf("ID token: %w", err)
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
