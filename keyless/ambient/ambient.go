// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package ambient

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sigstore/cosign/v2/pkg/providers"
	_ "github.com/sigstore/cosign/v2/pkg/providers/buildkite" // registers
	_ "github.com/sigstore/cosign/v2/pkg/providers/spiffe"    // registers

	"github.com/cosignkit/cosignkit/internal/fault"
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

type result struct {
	token string
	err   error
}

// Token implements [keyless.TokenSource].
func (s source) Token(ctx context.Context, audience string) (string, error) {
	if ctx.Err() != nil {
		return "", fault.New(verify.ErrInconclusive, op, "", "", context.Cause(ctx))
	}
	done := make(chan result, 1)
	go func() { done <- s.ask(ctx, audience) }()
	select {
	case r := <-done:
		return r.token, r.err
	case <-ctx.Done():
		return "", fault.New(verify.ErrInconclusive, op, "", "", context.Cause(ctx))
	}
}

func (s source) ask(ctx context.Context, audience string) (r result) {
	var name string
	defer func() {
		if v := recover(); v != nil {
			r = result{err: fault.New(verify.ErrInconclusive, op, "", name, fmt.Errorf("the provider panicked: %.256v", v))}
		}
	}()
	for _, entry := range s.registered() {
		name = entry.Name
		if slices.Contains(ours, name) || !entry.Provider.Enabled(ctx) {
			continue
		}
		token, err := entry.Provider.Provide(ctx, audience)
		if err == nil && token == "" {
			err = errors.New("the provider gave no token")
		}
		if err != nil {
			// The text may be a server's.
			err = fault.New(verify.ErrInconclusive, op, "", name, described{err})
		}
		return result{token, err}
	}
	return result{err: fault.New(verify.ErrMisconfigured, op, "", "", keyless.ErrNoToken)}
}

// described is an error with its text made fit for a terminal.
type described struct{ error }

func (d described) Error() string { return fault.OneLine(d.error.Error()) }
func (d described) Unwrap() error { return d.error }
