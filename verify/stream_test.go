// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"errors"
	"iter"
	"math"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// streamVerifier is all that New returns.
type streamVerifier interface {
	verify.Verifier
	verify.StreamVerifier
	verify.LimitedVerifier
}

func newStreamVerifier(t testing.TB, policy verify.Policy) streamVerifier {
	t.Helper()
	v, ok := newVerifier(t, policy).(streamVerifier)
	if !ok {
		t.Fatal("New returns no StreamVerifier")
	}
	return v
}

// counted is a sequence that counts what is taken from it.
func counted(taken *int, candidates ...verify.Candidate) iter.Seq[verify.Candidate] {
	return func(yield func(verify.Candidate) bool) {
		for _, c := range candidates {
			*taken++
			if !yield(c) {
				return
			}
		}
	}
}

func TestStreamsEndWhereEnoughIsKnown(t *testing.T) {
	t.Parallel()
	a, b := keys["P-256"](), keys["P-384"]()
	bad := verify.Candidate{Bundle: []byte("{}")}
	unread := verify.Candidate{Err: errors.New("connection reset")}
	byA, byB := signed(t, a, signing.Bundle), signed(t, b, signing.Legacy)
	one, two := policyOf(a, b), policyOf(a, b)
	two.Threshold = 2
	for name, test := range map[string]struct {
		policy     verify.Policy
		candidates []verify.Candidate
		taken      int
		family     error
	}{
		"the first is enough":                       {one, []verify.Candidate{byA, bad, unread}, 1, nil},
		"junk first":                                {one, []verify.Candidate{bad, unread, byA, byB}, 3, nil},
		"two are wanted":                            {two, []verify.Candidate{byA, byA, bad, byB, bad}, 4, nil},
		"two are wanted, and one signs twice":       {two, []verify.Candidate{byA, byA}, 2, verify.ErrRejected},
		"two are wanted, and of one is not known":   {two, []verify.Candidate{unread, byA}, 2, verify.ErrInconclusive},
		"none is good":                              {one, []verify.Candidate{bad, bad}, 2, verify.ErrRejected},
		"none is good, and of one is nothing known": {one, []verify.Candidate{bad, unread, bad}, 3, verify.ErrInconclusive},
		"there is none":                             {one, nil, 0, verify.ErrRejected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var taken int
			result, err := newStreamVerifier(t, test.policy).VerifyStream(t.Context(), theImage(), counted(&taken, test.candidates...))
			if test.family == nil && err != nil {
				t.Fatal(err)
			}
			if test.family != nil {
				wantFamily(t, err, test.family)
			}
			if taken != test.taken || len(result.Signatures) != taken {
				t.Errorf("%d taken, %d in the result; want %d", taken, len(result.Signatures), test.taken)
			}
			if result.Accepted != (err == nil) || (result.Matched.Digest == theImage().Target.Digest) != (err == nil) {
				t.Errorf("accepted %v, matched %s, error %v", result.Accepted, result.Matched.Digest, err)
			}
		})
	}
}

// TestVerifyChecksAll: a list that is there already is checked whole.
func TestVerifyChecksAll(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	good := signed(t, key, signing.Bundle)
	result, err := newVerifier(t, policyOf(key)).Verify(t.Context(), theImage(), []verify.Candidate{good, {Bundle: []byte("{}")}, good})
	if err != nil || len(result.Signatures) != 3 || result.Signatures[1].Err == nil || result.Signatures[2].Err != nil {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestStreamsEndWithTheContext(t *testing.T) {
	t.Parallel()
	v := newStreamVerifier(t, policyOf(keys["P-256"]()))
	ctx, cancel := context.WithCancel(t.Context())
	taken := 0
	_, err := v.VerifyStream(ctx, theImage(), func(yield func(verify.Candidate) bool) {
		for {
			if taken++; taken == 3 {
				cancel()
			}
			if !yield(verify.Candidate{Bundle: []byte("{}")}) {
				return
			}
		}
	})
	wantFamily(t, err, verify.ErrInconclusive)
	if !errors.Is(err, context.Canceled) || taken != 3 {
		t.Errorf("%d taken, error %v", taken, err)
	}
}

// TestTimeOfAVerification: it ends as inconclusive, and says why.
func TestTimeOfAVerification(t *testing.T) {
	t.Parallel()
	policy := policyOf(keys["P-256"]())
	policy.Limits.Timeout = time.Millisecond
	v := newStreamVerifier(t, policy)
	_, err := v.VerifyStream(t.Context(), theImage(), func(yield func(verify.Candidate) bool) {
		for yield(verify.Candidate{Bundle: []byte("{}")}) { // until the time is over
		}
	})
	wantFamily(t, err, verify.ErrInconclusive)
	if !errors.Is(err, verify.ErrLimit) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the limit and the deadline", err)
	}
}

func TestLimitsOfAVerifier(t *testing.T) {
	t.Parallel()
	v := newStreamVerifier(t, policyOf(keys["P-256"]()))
	if v.Limits() != (verify.Limits{}).WithDefaults() {
		t.Errorf("%+v", v.Limits())
	}
	policy := policyOf(keys["P-256"]())
	policy.Limits = verify.Limits{Bundle: 7, Chain: 100}
	want := verify.Limits{}.WithDefaults()
	want.Bundle, want.Chain = 7, 100
	if got := newStreamVerifier(t, policy).Limits(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, l := range []verify.Limits{
		{Manifest: -1}, {Payload: -1}, {Bundle: -1}, {Chain: -1}, {Candidates: -1}, {TotalBytes: -1}, {Timeout: -1},
		{Manifest: math.MaxInt64}, {Payload: math.MaxInt64}, {Bundle: math.MaxInt64}, {Chain: math.MaxInt},
		{Candidates: math.MaxInt}, {TotalBytes: math.MaxInt64}, {Timeout: math.MaxInt64},
	} {
		policy.Limits = l
		_, err := verify.New(policy)
		wantFamily(t, err, verify.ErrMisconfigured)
	}
}

// TestLimitsOfSignatures: what a limit refuses is accepted under a larger one.
func TestLimitsOfSignatures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		form    signing.Form
		prepare func(*attempt)
		small   verify.Limits
		large   verify.Limits
		why     string
	}{
		"bundle":     {signing.Bundle, nil, verify.Limits{Bundle: 1000}, verify.Limits{Bundle: 10_000}, "bundle in bytes is larger than 1000"},
		"annotation": {signing.Legacy, nil, verify.Limits{Bundle: 500}, verify.Limits{Bundle: 10_000}, "in bytes is larger than 500"},
		"payload":    {signing.Legacy, nil, verify.Limits{Payload: 50}, verify.Limits{Payload: 1000}, "payload in bytes is larger than 50"},
		"chain": {signing.Legacy, func(a *attempt) {
			for range 20 {
				a.chain = append(a.chain, ours.intermediate.cert)
			}
		}, verify.Limits{}, verify.Limits{Chain: 21}, "number of certificates is larger than 16"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prepared := func(l verify.Limits) *attempt {
				a := newAttempt(test.form)
				if test.prepare != nil {
					test.prepare(a)
				}
				a.policy.Limits = l
				return a
			}
			prepared(test.small).rejected(t, test.why)
			prepared(test.large).accepted(t)
		})
	}
}
