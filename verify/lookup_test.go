// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/cosignkit/cosignkit/internal/leash/leashtest"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// logs have the entries of signatures that do not show them.
type logs struct {
	mu      sync.Mutex
	entries map[string][]*protorekor.TransparencyLogEntry // by signature
	asked   int
	// before is called in each look-up.
	before func(context.Context, *protobundle.Bundle) error
}

func signatureOf(b *protobundle.Bundle) string {
	if m := b.GetMessageSignature(); m != nil {
		return string(m.GetSignature())
	}
	return string(b.GetDsseEnvelope().GetSignatures()[0].GetSig())
}

func (l *logs) Lookup(ctx context.Context, b *protobundle.Bundle, _ crypto.PublicKey) error {
	l.mu.Lock()
	l.asked++
	found := l.entries[signatureOf(b)]
	l.mu.Unlock()
	b.VerificationMaterial.TlogEntries = append(b.VerificationMaterial.TlogEntries, found...)
	if l.before != nil {
		return l.before(ctx, b)
	}
	return nil
}

// withhold makes the signature of a, whose entries only a look-up finds.
func (l *logs) withhold(t testing.TB, a *attempt) verify.Candidate {
	t.Helper()
	p := a.make(t)
	full := &protobundle.Bundle{}
	if err := protojson.Unmarshal(marshalled(p.object()), full); err != nil {
		t.Fatal(err)
	}
	if l.entries == nil {
		l.entries = map[string][]*protorekor.TransparencyLogEntry{}
	}
	l.entries[string(p.signature)] = full.GetVerificationMaterial().GetTlogEntries()
	p.entries = nil
	return p.candidate()
}

// unlogged makes the signature of a, which no log has.
func unlogged(t testing.TB, a *attempt) verify.Candidate {
	t.Helper()
	a.records = nil
	return a.candidate(t)
}

func TestALookUpFindsTheEntry(t *testing.T) {
	t.Parallel()
	for _, form := range forms {
		for name, edit := range map[string]func(*attempt){
			"certificate": func(*attempt) {},
			"key":         (*attempt).byKey,
			"P-384":       func(a *attempt) { a.key, a.hash = keys["P-384"](), crypto.SHA256 },
			"chain":       func(a *attempt) { a.chain, a.trust.cas[0].chain = a.trust.cas[0].chain[:1], a.trust.cas[0].chain[1:] },
		} {
			t.Run(string(form)+" "+name, func(t *testing.T) {
				t.Parallel()
				l, a := &logs{}, newAttempt(form)
				edit(a)
				candidate := l.withhold(t, a)
				without := a.verifier(t)
				if _, err := without.Verify(t.Context(), a.image, []verify.Candidate{candidate}); !errors.Is(err, verify.ErrRejected) {
					t.Errorf("without a look-up: %v", err)
				}
				a.policy.LogLookup = l
				result, err := a.verifier(t).Verify(t.Context(), a.image, []verify.Candidate{candidate})
				if err != nil || l.asked != 1 {
					t.Fatalf("%d look-ups, %v", l.asked, err)
				}
				if s := result.Signatures[0]; s.Err != nil || (s.Identity == nil) == (s.KeyID == "") || s.Claims.Repository != repository || s.Candidate.Origin != candidate.Origin {
					t.Errorf("signature is %+v", s)
				}
			})
		}
	}
}

// junk makes candidates without a log entry, each with something else that is wrong.
var junk = map[string]func(*attempt){
	"authority": func(a *attempt) { a.ca = foreign.intermediate },
	"self-made": func(a *attempt) { a.ca = &certifier{leafTemplate(), a.key} },
	"SCT":       func(a *attempt) { a.promises = nil },
	"identity": func(a *attempt) {
		a.named(uri("https://github.com/somebody/else/.github/workflows/release.yml@refs/heads/main"))
	},
	"signature": func(a *attempt) {
		a.alter = append(a.alter, func(p *parts) { p.signature = slices.Clone(p.signature); p.signature[12] ^= 1 })
	},
	"image": func(a *attempt) { a.content = marshalled(statementFor(otherHex)) },
	"predicate": func(a *attempt) {
		s := statement()
		s["predicateType"] = "https://example.test/p"
		a.content = marshalled(s)
	},
	"key": func(a *attempt) { a.bare, a.key = true, newECDSA(elliptic.P256()) },
}

func statementFor(hex string) object {
	s := statement()
	s["subject"].([]any)[0].(object)["digest"] = object{"sha256": hex}
	return s
}

// TestJunkCausesNoLookUp: what anybody can make, and what the right signer made of
// something else, costs no request. The good signature among it is found.
func TestJunkCausesNoLookUp(t *testing.T) {
	t.Parallel()
	const each = 50
	l := &logs{}
	policy := newAttempt(signing.Bundle).policy
	policy.Keys = []crypto.PublicKey{keys["P-256"]().Public()}
	policy.TrustedRoots, policy.LogLookup = ours.trust().parsed(t), l
	v := newVerifier(t, policy)
	for name, edit := range junk {
		t.Run(name, func(t *testing.T) {
			a := newAttempt(signing.Bundle)
			edit(a)
			candidates := slices.Repeat([]verify.Candidate{unlogged(t, a)}, each)
			result, err := v.Verify(t.Context(), theImage(), candidates)
			wantFamily(t, err, verify.ErrRejected)
			if l.asked != 0 {
				t.Fatalf("%d look-ups: %v", l.asked, result.Signatures[0].Err)
			}
			result, err = v.Verify(t.Context(), theImage(), append(candidates, l.withhold(t, newAttempt(signing.Bundle))))
			if err != nil || l.asked != 1 || result.Signatures[each].Err != nil {
				t.Errorf("%d look-ups for the good one: %v", l.asked, err)
			}
			l.asked = 0
		})
	}
}

func TestLookUpsAreBounded(t *testing.T) {
	t.Parallel()
	l := &logs{}
	a := newAttempt(signing.Bundle)
	a.byKey()
	a.policy.TrustedRoots, a.policy.LogLookup = ours.trust().parsed(t), l
	v := a.verifier(t)
	var candidates []verify.Candidate
	for range 10 * limits.LogLookups {
		one := newAttempt(signing.Bundle)
		one.byKey()
		candidates = append(candidates, unlogged(t, one))
	}
	// Beyond the bound, the entry could have been found.
	result, err := v.Verify(t.Context(), theImage(), candidates)
	wantFamily(t, err, verify.ErrInconclusive)
	if l.asked != limits.LogLookups || !errors.Is(result.Signatures[len(candidates)-1].Err, limits.ErrExceeded) {
		t.Errorf("%d look-ups, want %d: %v", l.asked, limits.LogLookups, err)
	}
	l.asked = 0
	if _, err := v.Verify(t.Context(), theImage(), append([]verify.Candidate{l.withhold(t, a)}, candidates...)); err != nil || l.asked != limits.LogLookups {
		t.Errorf("%d look-ups, the good one first: %v", l.asked, err)
	}
}

// TestCopiesAreLookedUpOnce: copies of a good signature, which anybody can make, do
// not use up the look-ups. One copy that lacks what the policy asks for does not
// stand for the others.
func TestCopiesAreLookedUpOnce(t *testing.T) {
	t.Parallel()
	l, a := &logs{}, newAttempt(signing.Bundle)
	a.policy.TrustedRoots, a.policy.LogLookup, a.policy.TimestampThreshold = ours.trust().parsed(t), l, 1
	a.stamps = []stamp{{ours.tsa, noon}}
	stamped := l.withhold(t, a)
	b := &protobundle.Bundle{}
	if err := protojson.Unmarshal(stamped.Bundle, b); err != nil {
		t.Fatal(err)
	}
	b.VerificationMaterial.TimestampVerificationData = nil
	bare, err := protojson.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	candidates := append(slices.Repeat([]verify.Candidate{{Bundle: bare}}, 10*limits.LogLookups), stamped)
	result, err := a.verifier(t).Verify(t.Context(), theImage(), candidates)
	if err != nil || l.asked != 1 {
		t.Fatalf("%d look-ups: %v", l.asked, err)
	}
	for i, s := range result.Signatures {
		if (s.Err == nil) != (i == len(candidates)-1) {
			t.Errorf("signature %d: %v", i, s.Err)
		}
	}
}

// TestLookUpsOverlap: each waits until all have begun. The bubble of the test has
// nobody wait for ever.
func TestLookUpsOverlap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const all = 8
		var begun sync.WaitGroup
		begun.Add(all)
		l := &logs{before: func(context.Context, *protobundle.Bundle) error {
			begun.Done()
			begun.Wait()
			return nil
		}}
		a := newAttempt(signing.Bundle)
		a.byKey()
		a.policy.TrustedRoots, a.policy.LogLookup = ours.trust().parsed(t), l
		candidates := []verify.Candidate{l.withhold(t, a)}
		for range all - 1 {
			one := newAttempt(signing.Bundle)
			one.byKey()
			candidates = append(candidates, unlogged(t, one))
		}
		if _, err := a.verifier(t).Verify(t.Context(), theImage(), candidates); err != nil {
			t.Error(err)
		}
	})
}

// TestNobodyIsAskedWhereAnotherSignatureIsEnough: it is the last thing that is done.
func TestNobodyIsAskedWhereAnotherSignatureIsEnough(t *testing.T) {
	t.Parallel()
	l, a := &logs{}, newAttempt(signing.Bundle)
	a.policy.TrustedRoots, a.policy.LogLookup = ours.trust().parsed(t), l
	candidates := []verify.Candidate{l.withhold(t, a), newAttempt(signing.Bundle).candidate(t)}
	result, err := newStreamVerifier(t, a.policy).VerifyStream(t.Context(), theImage(), slices.Values(candidates))
	if err != nil || l.asked != 0 || len(result.Signatures) != 2 || result.Signatures[0].Err == nil {
		t.Errorf("%d look-ups, %+v, %v", l.asked, result, err)
	}
}

func TestLookUpsThatFail(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before func(context.Context, *protobundle.Bundle) error
		family error
	}{
		"an error":         {func(context.Context, *protobundle.Bundle) error { return errors.New("the log is down") }, verify.ErrInconclusive},
		"a panic":          {func(context.Context, *protobundle.Bundle) error { panic("nil map") }, verify.ErrInconclusive},
		"nothing":          {func(_ context.Context, b *protobundle.Bundle) error { b.VerificationMaterial = nil; return nil }, verify.ErrRejected},
		"too many entries": {tooMany, verify.ErrInconclusive},
		"another content":  {func(_ context.Context, b *protobundle.Bundle) error { b.Content = nil; return nil }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, form := range forms {
				l, a := &logs{before: test.before}, newAttempt(form)
				a.policy.TrustedRoots, a.policy.LogLookup = ours.trust().parsed(t), l
				_, err := a.verifier(t).Verify(t.Context(), theImage(), []verify.Candidate{l.withhold(t, a)})
				wantFamily(t, err, test.family)
			}
		})
	}
}

func tooMany(_ context.Context, b *protobundle.Bundle) error {
	b.VerificationMaterial.TlogEntries = slices.Repeat(b.GetVerificationMaterial().GetTlogEntries(), limits.LogEntries+1)
	return nil
}

// TestALookUpThatNeverReturns ends with the context, and holds up no other one that
// is enough.
func TestALookUpThatNeverReturns(t *testing.T) {
	setUp := func(before func(context.Context, *protobundle.Bundle) error) (*attempt, *logs, verify.Candidate) {
		l, a := &logs{before: before}, newAttempt(signing.Bundle)
		a.policy.TrustedRoots, a.policy.LogLookup = ours.trust().parsed(t), l
		return a, l, l.withhold(t, a)
	}
	for name, verifies := range map[string]func(context.Context, *attempt, verify.Candidate) error{
		"image": func(ctx context.Context, a *attempt, c verify.Candidate) error {
			_, err := newVerifier(t, a.policy).Verify(ctx, theImage(), []verify.Candidate{c})
			return err
		},
		"bundle": func(ctx context.Context, a *attempt, c verify.Candidate) error {
			_, err := verify.Bundle(ctx, a.policy, verify.Artifact{Digest: theImage().Target.Digest}, c.Bundle)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			leashtest.Ends(t, func(ctx context.Context, stuck func()) error {
				a, _, c := setUp(func(context.Context, *protobundle.Bundle) error { stuck(); return errors.New("late") })
				return verifies(ctx, a, c)
			})
		})
	}
	t.Run("next to one that is enough", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			good := ""
			a, l, c := setUp(func(_ context.Context, b *protobundle.Bundle) error {
				if signatureOf(b) != good {
					<-release
				}
				return nil
			})
			for signature := range l.entries {
				good = signature
			}
			began := time.Now()
			candidates := []verify.Candidate{unlogged(t, newAttempt(signing.Bundle)), c}
			_, err := newStreamVerifier(t, a.policy).VerifyStream(t.Context(), theImage(), slices.Values(candidates))
			if err != nil || time.Since(began) > 100*time.Millisecond {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
			close(release)
		})
	})
}

// TestABundleIsLookedUpToo: an attestation has no other way to be found good.
func TestABundleIsLookedUpToo(t *testing.T) {
	t.Parallel()
	l, a := &logs{}, newAttempt(signing.Bundle)
	a.policy.TrustedRoots, a.policy.LogLookup = ours.trust().parsed(t), l
	candidate := l.withhold(t, a)
	s, err := verify.Bundle(t.Context(), a.policy, verify.Artifact{Digest: theImage().Target.Digest}, candidate.Bundle)
	if err != nil || l.asked != 1 || s.Identity == nil || s.Claims.PredicateType != signType {
		t.Errorf("%d look-ups, %+v, %v", l.asked, s, err)
	}
	l.entries = nil
	s, err = verify.Bundle(t.Context(), a.policy, verify.Artifact{Digest: theImage().Target.Digest}, candidate.Bundle)
	wantFamily(t, err, verify.ErrRejected)
	if s == nil || s.Err == nil {
		t.Errorf("%+v", s)
	}
}
