// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"context"
	"crypto"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/cosignkit/cosignkit/internal/leash/leashtest"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// stuckRoots are trusted roots of somebody else's, who does not answer.
type stuckRoots func()

func (s stuckRoots) TrustedRoot(context.Context) (*verify.TrustedRoot, error) {
	s()
	return nil, errors.New("late")
}

// stuckTokens are tokens of somebody else's, who does not answer.
type stuckTokens func()

func (s stuckTokens) Token(context.Context, string) (string, error) {
	s()
	return "", errors.New("late")
}

// stuckTransport heeds no context.
func stuckTransport(stuck func()) roundTrip {
	return func(*http.Request) (*http.Response, error) {
		stuck()
		return nil, errors.New("late")
	}
}

// unrecorded is a signature with its key.
func unrecorded(t *testing.T) (*protobundle.Bundle, crypto.PublicKey) {
	t.Helper()
	key := newP256()
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
	if err != nil {
		t.Fatal(err)
	}
	signatures, err := signer.Sign(t.Context(), theRequest(signing.Bundle))
	if err != nil {
		t.Fatal(err)
	}
	b := &protobundle.Bundle{}
	if err := protojson.Unmarshal(signatures[0].Bundle, b); err != nil {
		t.Fatal(err)
	}
	return b, key.Public()
}

// TestKeylessSigningEndsWithItsContext: neither a service nor what the caller gave
// needs to return.
func TestKeylessSigningEndsWithItsContext(t *testing.T) {
	b, key := unrecorded(t)
	for name, operation := range map[string]func(ctx context.Context, stuck func()) error{
		"trusted roots, to record": func(ctx context.Context, stuck func()) error {
			client := newDeployment().client(t, everything, func(c *Config) { c.TrustedRoots = stuckRoots(stuck) })
			return client.Record(ctx, proto.CloneOf(b), key)
		},
		"services, to record": func(ctx context.Context, stuck func()) error {
			client := newDeployment().client(t, everything, func(c *Config) { c.Transport = stuckTransport(stuck) })
			_, err := record(ctx, t, client, newP256(), signing.Bundle)
			return err
		},
		"tokens": func(ctx context.Context, stuck func()) error {
			_, err := newSigner(t, newDeployment().client(t, everything), SignerConfig{Tokens: stuckTokens(stuck)}).Sign(ctx, theRequest(signing.Bundle))
			return err
		},
		"tokens, for a preflight": func(ctx context.Context, stuck func()) error {
			return newSigner(t, newDeployment().client(t, everything), SignerConfig{Tokens: stuckTokens(stuck)}).Preflight(ctx, theRequest(signing.Bundle))
		},
		"trusted roots, for a certificate": func(ctx context.Context, stuck func()) error {
			client := newDeployment().client(t, everything, func(c *Config) { c.TrustedRoots = stuckRoots(stuck) })
			_, err := newSigner(t, client, SignerConfig{Tokens: &tokens{}}).SignArtifact(ctx, []byte("content"))
			return err
		},
		"look-up": func(ctx context.Context, stuck func()) error {
			lookup, err := NewLogLookup(LogLookupConfig{URL: v1URL, Transport: stuckTransport(stuck)})
			if err != nil {
				return err
			}
			return lookup.Lookup(ctx, proto.CloneOf(b), key)
		},
	} {
		t.Run(name, func(t *testing.T) { leashtest.Ends(t, operation) })
	}
}

// TestTheBudgetEndsWhatHangs without a deadline of the caller's, and what comes too
// late is not written to the bundle.
func TestTheBudgetEndsWhatHangs(t *testing.T) {
	b, key := unrecorded(t)
	before := proto.CloneOf(b)
	stuckConfig := func(stuck func()) func(*Config) {
		return func(c *Config) { c.Budget, c.Transport = time.Minute, stuckThen(stuck, c.Transport) }
	}
	for name, operation := range map[string]func(stuck func()) error{
		"record": func(stuck func()) error {
			return newDeployment().client(t, ServiceURLs{Rekor: v1URL}, stuckConfig(stuck)).Record(context.Background(), b, key)
		},
		"certificate": func(stuck func()) error {
			_, err := newSigner(t, newDeployment().client(t, everything, stuckConfig(stuck)), SignerConfig{Tokens: &tokens{}}).Certificate(context.Background())
			return err
		},
		"look-up": func(stuck func()) error {
			lookup, err := NewLogLookup(LogLookupConfig{URL: v1URL, Budget: time.Minute, Transport: stuckTransport(stuck)})
			if err != nil {
				return err
			}
			return lookup.Lookup(context.Background(), b, key)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				leashtest.Within(t, time.Minute, context.DeadlineExceeded, operation)
				if !proto.Equal(before, b) {
					t.Errorf("the bundle of the caller was changed: %v", b)
				}
			})
		})
	}
}

// stuckThen answers late.
func stuckThen(stuck func(), next http.RoundTripper) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		stuck()
		return next.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
	}
}
