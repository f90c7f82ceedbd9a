// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"errors"
	"testing"

	"github.com/cosignkit/cosignkit/internal/leash/leashtest"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

func withEngine(t testing.TB, engine verify.Engine) verify.Verifier {
	t.Helper()
	v, err := verify.NewWithEngine(policyOf(keys["P-256"]()), engine)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEngineDecides(t *testing.T) {
	t.Parallel()
	candidate := signed(t, keys["Ed25519"](), signing.Legacy)
	says := func(err error) verify.Engine {
		return func(context.Context, verify.Image, verify.Candidate, *verify.TrustedRoot) (verify.Signature, error) {
			return verify.Signature{KeyID: "sha256:1"}, err
		}
	}
	result := wantAccepted(t, withEngine(t, says(nil)), candidate)
	if s := result.Signatures[0]; s.KeyID != "sha256:1" || s.Form != verify.FormLegacy || s.Claims.Annotations["env"] != "prod" {
		t.Errorf("signature is %+v", s)
	}
	payloads, err := result.Payloads()
	if want := "[" + string(candidate.Payload) + "]"; err != nil || string(payloads) != want {
		t.Errorf("payloads are %s, %v", payloads, err)
	}
	wantRejected(t, withEngine(t, says(errors.New("not so"))), candidate, "not so")
	_, err = withEngine(t, says(verify.ErrMisconfigured)).Verify(t.Context(), theImage(), []verify.Candidate{candidate})
	wantFamily(t, err, verify.ErrMisconfigured)
}

func TestEngineThatPanics(t *testing.T) {
	t.Parallel()
	candidate := signed(t, keys["Ed25519"](), signing.Bundle)
	wantRejected(t, withEngine(t, func(context.Context, verify.Image, verify.Candidate, *verify.TrustedRoot) (verify.Signature, error) {
		panic("index out of range")
	}), candidate, "panic: index out of range")
	// What it returns for a bundle is read as well.
	wantRejected(t, withEngine(t, func(context.Context, verify.Image, verify.Candidate, *verify.TrustedRoot) (verify.Signature, error) {
		return verify.Signature{}, nil
	}), candidate, "statement: ")
}

// TestEngineThatDoesNotReturn is not parallel, as leashtest wants it.
func TestEngineThatDoesNotReturn(t *testing.T) {
	candidates := []verify.Candidate{signed(t, keys["P-256"](), signing.Bundle)}
	leashtest.Ends(t, func(ctx context.Context, stuck func()) error {
		v := withEngine(t, func(context.Context, verify.Image, verify.Candidate, *verify.TrustedRoot) (verify.Signature, error) {
			stuck()
			return verify.Signature{}, errors.New("late")
		})
		_, err := v.Verify(ctx, theImage(), candidates)
		return err
	})
}

func TestEngineMisconfigured(t *testing.T) {
	t.Parallel()
	two := policyOf(keys["P-256"](), keys["Ed25519"]())
	two.Threshold = 2
	lookup := policyOf(keys["P-256"]())
	lookup.LogLookup = struct{ verify.LogLookup }{}
	for name, policy := range map[string]verify.Policy{"no policy": {}, "threshold": two, "look-up": lookup} {
		_, err := verify.NewWithEngine(policy, nil)
		if !errors.Is(err, verify.ErrMisconfigured) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
