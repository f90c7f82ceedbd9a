// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/files"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// DefaultAudience is the audience that Fulcio expects of tokens, and the client
// ID of Sigstore's clients.
const DefaultAudience = "sigstore"

// TokenSource gives OpenID Connect identity tokens. Implementations are safe for
// concurrent use.
type TokenSource interface {
	// Token returns an identity token, a signed JWT, for audience. It returns
	// promptly with the context's error when ctx ends. An error that matches
	// [ErrNoToken] says that this is not a place where the source has tokens.
	Token(ctx context.Context, audience string) (string, error)
}

// ErrNoToken is the cause of the error of a source that has no token where it
// runs, such as [GitHubActions] outside of a workflow: others may have one. See
// [FirstOf].
var ErrNoToken = errors.New("no identity token here")

// tokenFunc makes a TokenSource of a function.
type tokenFunc func(ctx context.Context, audience string) (string, error)

func (f tokenFunc) Token(ctx context.Context, audience string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", fault.New(verify.ErrInconclusive, opToken, "", "", err)
	}
	return f(ctx, audience)
}

const opToken = "get identity token"

func tokenError(kind error, source string, err error) error {
	return fault.New(kind, opToken, "", source, err)
}

// StaticToken is a source of the one token that it is given.
func StaticToken(token string) TokenSource {
	return tokenFunc(func(context.Context, string) (string, error) {
		return trimmed(token, "given token")
	})
}

// trimmed returns a token without the white space that editors and shells leave
// around it.
func trimmed(token, source string) (string, error) {
	if token = strings.TrimSpace(token); token == "" {
		return "", tokenError(verify.ErrMisconfigured, source, errors.New("is empty"))
	}
	return token, nil
}

// TokenFile is a source of tokens from a file that another program keeps up to
// date. It is read each time. A file that does not exist is [ErrNoToken].
func TokenFile(path string) TokenSource {
	return tokenFunc(func(context.Context, string) (string, error) {
		b, err := files.Read(path, limits.Token, "identity token")
		switch {
		case errors.Is(err, os.ErrNotExist):
			return "", tokenError(verify.ErrMisconfigured, path, fmt.Errorf("%w: %w", ErrNoToken, err))
		case err != nil:
			return "", tokenError(verify.ErrMisconfigured, path, err)
		}
		return trimmed(string(b), path)
	})
}

// envToken is where users of cosign put a token.
const envToken = "SIGSTORE_ID_TOKEN" //nolint:gosec // a name

// TokenFromEnvironment is a source of the token in the variable
// SIGSTORE_ID_TOKEN. If it is not set, that is [ErrNoToken]; if it is empty, it
// is misconfigured.
func TokenFromEnvironment() TokenSource {
	return tokenFunc(func(context.Context, string) (string, error) {
		token, ok := os.LookupEnv(envToken) //nolint:forbidigo // documented
		if !ok {
			return "", tokenError(verify.ErrMisconfigured, envToken, ErrNoToken)
		}
		return trimmed(token, envToken)
	})
}

// filesystemToken is where runners put a token for cosign.
const filesystemToken = "/var/run/sigstore/cosign/oidc-token" //nolint:gosec // a path

// AmbientConfig configures [Ambient].
type AmbientConfig struct {
	// Transport sends the requests. Nil means [http.DefaultTransport].
	Transport http.RoundTripper
	// More are asked when the others have no token, such as those of package
	// keyless/ambient.
	More []TokenSource
}

// Ambient is a source of the tokens that the machine gives to what runs on it:
// the variable SIGSTORE_ID_TOKEN, the file /var/run/sigstore/cosign/oidc-token,
// and GitHub Actions, in this order. Nothing there is [ErrNoToken].
func Ambient(config AmbientConfig) TokenSource {
	return FirstOf(append([]TokenSource{
		TokenFromEnvironment(), TokenFile(filesystemToken), GitHubActions(GitHubActionsConfig{Transport: config.Transport}),
	}, config.More...)...)
}

// FirstOf is a source that asks sources in turn, as long as they have
// [ErrNoToken]. Any other error is final: a person is not asked to log in
// because a workflow's token could not be had.
func FirstOf(sources ...TokenSource) TokenSource {
	return tokenFunc(func(ctx context.Context, audience string) (string, error) {
		for _, source := range sources {
			token, err := source.Token(ctx, audience)
			if !errors.Is(err, ErrNoToken) {
				return token, err
			}
		}
		return "", tokenError(verify.ErrMisconfigured, "", ErrNoToken)
	})
}
