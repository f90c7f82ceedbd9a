// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"context"
	"errors"
	"net/url"
	"strings"
)

// ClientCredentialsConfig configures [ClientCredentials].
type ClientCredentialsConfig struct {
	// OIDCClient needs a ClientSecret.
	OIDCClient
	// Scopes are asked for. None means openid and email.
	Scopes []string
}

// ClientCredentials is a source of the token of a program with a client ID and a
// secret: the client credentials grant of RFC 6749, section 4.4. The issuer has
// to be one that answers with an ID token for the audience, which the standard
// does not ask of it.
func ClientCredentials(config ClientCredentialsConfig) TokenSource {
	return tokenFunc(func(ctx context.Context, audience string) (string, error) {
		token, err := config.token(ctx, audience)
		if err != nil {
			return "", config.issuerError(err)
		}
		return token, nil
	})
}

func (c ClientCredentialsConfig) token(ctx context.Context, audience string) (string, error) {
	if c.ClientSecret == "" {
		return "", humanError{errors.New("no ClientSecret is set")}
	}
	p, err := c.discover(ctx, audience)
	if err != nil {
		return "", err
	}
	wanted := c.Scopes
	if len(wanted) == 0 {
		wanted = scopes
	}
	reply, err := p.requestToken(ctx, url.Values{
		"grant_type": {"client_credentials"}, "scope": {strings.Join(wanted, " ")},
	})
	if err != nil {
		return "", err
	}
	// Nobody logged in at the client: the audience is what the token is for.
	if _, err := p.verifyReply(ctx, reply, audience, ""); err != nil {
		return "", err
	}
	return reply.IDToken, nil
}
