// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package ambient

import (
	"context"
	"errors"
	"slices"

	"github.com/sigstore/cosign/v2/pkg/providers"
	_ "github.com/sigstore/cosign/v2/pkg/providers/buildkite" // registers
	_ "github.com/sigstore/cosign/v2/pkg/providers/spiffe"    // registers

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/verify"
)

// ours are the names that cosign registers what package keyless does itself
// under, with limits and without writing to standard error. They are there if
// another part of the program links them.
var ours = []string{"github-actions", "envvar", "filesystem"}

// Providers is a source of the tokens of the registered providers, in the order
// of their registration. The first one that finds itself at home decides; if none
// does, that is [keyless.ErrNoToken].
//
// When its context ends, the source returns at once. A provider that does not
// heed its context goes on in a goroutine of its own until it is done; those of
// cosign do heed it, but for what the SDK of Google's cloud may do.
func Providers() keyless.TokenSource { return source{providers.Providers} }

type source struct {
	registered func() []providers.ProviderEntry
}

const op = "get identity token"

// Token implements [keyless.TokenSource].
func (s source) Token(ctx context.Context, audience string) (string, error) {
	return leash.Operation(ctx, verify.ErrInconclusive, op, "", func(ctx context.Context) (string, error) {
		if ctx.Err() != nil {
			return "", fault.New(verify.ErrInconclusive, op, "", "", fault.Ended(ctx))
		}
		return s.ask(ctx, audience)
	})
}

func (s source) ask(ctx context.Context, audience string) (string, error) {
	for _, entry := range s.registered() {
		if slices.Contains(ours, entry.Name) {
			continue
		}
		var token string
		enabled := false
		err := leash.Recovered(func() (err error) {
			if enabled = entry.Provider.Enabled(ctx); enabled {
				token, err = entry.Provider.Provide(ctx, audience)
			}
			return err
		})
		if err == nil && !enabled {
			continue
		}
		if err == nil && token == "" {
			err = errors.New("the provider gave no token")
		}
		if err != nil {
			// The text may be a server's.
			return "", fault.New(verify.ErrInconclusive, op, "", entry.Name, described{err})
		}
		return token, nil
	}
	return "", fault.New(verify.ErrMisconfigured, op, "", "", keyless.ErrNoToken)
}

// described is an error with its text made fit for a terminal.
type described struct{ error }

func (d described) Error() string { return fault.OneLine(d.error.Error()) }
func (d described) Unwrap() error { return d.error }
