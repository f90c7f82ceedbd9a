// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"crypto"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// TestPolicyNeedsARoot: what a root must have for any signature to be accepted
// is asked for when the verifier is made.
func TestPolicyNeedsARoot(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		policy func(*verify.Policy)
		trust  func(*rootParts)
		root   verify.TrustedRoots
		why    string
	}{
		"everything":                       {},
		"no root":                          {trust: func(*rootParts) {}, root: verify.TrustedRoots(nil), why: "no trusted root"},
		"a nil root":                       {root: (*verify.TrustedRoot)(nil), why: "no trusted root"},
		"a nil TUF":                        {root: (*trust.TUF)(nil), why: "no trusted root"},
		"an empty root":                    {root: &verify.TrustedRoot{}, why: "the trusted root is empty"},
		"no certificate authority":         {trust: func(tr *rootParts) { tr.cas = nil }, why: "no certificate authority"},
		"no log of certificates":           {trust: func(tr *rootParts) { tr.ct = nil }, why: "no certificate transparency log"},
		"none, and none needed":            {trust: func(tr *rootParts) { tr.ct = nil }, policy: func(p *verify.Policy) { p.InsecureIgnoreSCT = true }},
		"no log":                           {trust: func(tr *rootParts) { tr.log = nil }, why: "0 transparency logs, want 1"},
		"one log of two":                   {trust: func(tr *rootParts) { tr.log = tr.log[:1] }, policy: func(p *verify.Policy) { p.LogThreshold = 2 }, why: "1 transparency logs, want 2"},
		"no timestamp authority":           {trust: func(tr *rootParts) { tr.tsas = nil }},
		"none where one is asked":          {trust: func(tr *rootParts) { tr.tsas = nil }, policy: func(p *verify.Policy) { p.TimestampThreshold = 1 }, why: "0 timestamp authorities, want 1"},
		"one authority of two":             {trust: func(tr *rootParts) { tr.tsas = tr.tsas[:1] }, policy: func(p *verify.Policy) { p.TimestampThreshold = 2 }, why: "1 timestamp authorities, want 2"},
		"nothing that tells a time":        {trust: func(tr *rootParts) { tr.tsas, tr.log = nil, nil }, policy: func(p *verify.Policy) { p.InsecureIgnoreTransparencyLog = true }, why: "no timestamp authority"},
		"an authority in its place":        {trust: func(tr *rootParts) { tr.log = nil }, policy: func(p *verify.Policy) { p.InsecureIgnoreTransparencyLog = true }},
		"a log threshold below zero":       {policy: func(p *verify.Policy) { p.LogThreshold = -1 }, why: "negative threshold"},
		"a timestamp threshold below zero": {policy: func(p *verify.Policy) { p.TimestampThreshold = -1 }, why: "negative threshold"},
		"more signers than there are":      {policy: func(p *verify.Policy) { p.Threshold = 2 }, why: "threshold 2 with 1"},
		"a key and no log": {trust: func(tr *rootParts) { tr.log = nil }, policy: func(p *verify.Policy) {
			*p = verify.Policy{Keys: []crypto.PublicKey{keys["P-256"]().Public()}, TrustedRoots: p.TrustedRoots}
		}, why: "0 transparency logs, want 1"},
		"a key and a log alone": {trust: func(tr *rootParts) { tr.cas, tr.ct, tr.tsas = nil, nil, nil }, policy: func(p *verify.Policy) {
			*p = verify.Policy{Keys: []crypto.PublicKey{keys["P-256"]().Public()}, TrustedRoots: p.TrustedRoots}
		}},
		"a key and no root": {policy: func(p *verify.Policy) {
			*p = verify.Policy{Keys: []crypto.PublicKey{keys["P-256"]().Public()}}
		}, why: "no trusted root"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := ours.trust()
			if test.trust != nil {
				test.trust(tr)
			}
			policy := verify.Policy{Identities: []verify.Identity{theIdentity()}, TrustedRoots: tr.parsed(t)}
			if test.root != nil || name == "no root" {
				policy.TrustedRoots = test.root
			}
			if test.policy != nil {
				test.policy(&policy)
			}
			_, err := verify.New(policy)
			if test.why == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFamily(t, err, verify.ErrMisconfigured)
			if !strings.Contains(err.Error(), test.why) {
				t.Errorf("reason is %q, want one that says %q", err, test.why)
			}
		})
	}
}

// rootsFunc is TrustedRoots of a test's own.
type rootsFunc func(context.Context) (*verify.TrustedRoot, error)

func (f rootsFunc) TrustedRoot(ctx context.Context) (*verify.TrustedRoot, error) { return f(ctx) }

func TestRootsThatFail(t *testing.T) {
	t.Parallel()
	misconfigured := func() error {
		_, err := verify.New(verify.Policy{})
		return err
	}()
	for name, test := range map[string]struct {
		root   *verify.TrustedRoot
		err    error
		family error
		why    string
	}{
		"an error":                     {nil, io.ErrUnexpectedEOF, verify.ErrInconclusive, "unexpected EOF"},
		"an error beside a root":       {ours.trust().parsed(t), io.ErrUnexpectedEOF, verify.ErrInconclusive, "unexpected EOF"},
		"an error that is of the user": {nil, misconfigured, verify.ErrMisconfigured, "names no key"},
		"nothing":                      {nil, nil, verify.ErrInconclusive, "no trusted root"},
		"an empty root":                {&verify.TrustedRoot{}, nil, verify.ErrMisconfigured, "trusted root is empty"},
		"a context that ended":         {nil, context.Canceled, verify.ErrInconclusive, "canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAttempt(signing.Bundle)
			a.policy.TrustedRoots = rootsFunc(func(context.Context) (*verify.TrustedRoot, error) { return test.root, test.err })
			result, err := a.verify(t)
			wantFamily(t, err, test.family)
			if result != nil || !strings.Contains(err.Error(), test.why) {
				t.Errorf("result is %+v, error %q, want one that says %q", result, err, test.why)
			}
			if test.err != nil && test.err != misconfigured && !errors.Is(err, test.err) {
				t.Errorf("%v is not %v", err, test.err)
			}
		})
	}
}

// TestOneVerificationUsesOneRoot: a root that is replaced meanwhile is for the
// next one.
func TestOneVerificationUsesOneRoot(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	good, bad := ours.trust().parsed(t), foreign.trust().parsed(t)
	policy := verify.Policy{
		Identities: []verify.Identity{theIdentity()}, Keys: []crypto.PublicKey{keys["P-384"]().Public()}, Threshold: 2,
		TrustedRoots: rootsFunc(func(context.Context) (*verify.TrustedRoot, error) {
			if calls.Add(1) > 1 {
				return bad, nil
			}
			return good, nil
		}),
	}
	v := newVerifier(t, policy)
	if calls.Load() != 0 {
		t.Errorf("asked %d times before there was anything to verify", calls.Load())
	}
	var candidates []verify.Candidate
	for _, form := range forms {
		candidates = append(candidates, newAttempt(form).candidate(t))
		a := newAttempt(form)
		a.key = keys["P-384"]()
		a.byKey()
		candidates = append(candidates, a.candidate(t))
	}
	result, err := v.Verify(t.Context(), theImage(), candidates)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range result.Signatures {
		if s.Err != nil {
			t.Errorf("signature %d: %v", i, s.Err)
		}
	}
	if calls.Load() != 1 {
		t.Errorf("asked %d times, want once", calls.Load())
	}
	_, err = v.Verify(t.Context(), theImage(), candidates)
	wantFamily(t, err, verify.ErrRejected)
	if calls.Load() != 2 {
		t.Errorf("asked %d times, want once a verification", calls.Load())
	}
}

// TestOneKeylessVerifierServesManyGoroutines: the packages below write into the
// certificates that they are given; the race detector sees whether two
// goroutines are given the same.
func TestOneKeylessVerifierServesManyGoroutines(t *testing.T) {
	t.Parallel()
	var candidates []verify.Candidate
	for _, form := range forms {
		a := newAttempt(form)
		second := newCA("second", ours.root, noon.Add(-year), noon.Add(year))
		through(second)(a)
		a.named(otherName("user@host"))
		a.stamps = []stamp{{ours.tsa, noon}}
		candidates = append(candidates, a.candidate(t))
	}
	v := newVerifier(t, verify.Policy{
		Identities:   []verify.Identity{{Subject: "user@host", Issuer: theIssuer}},
		TrustedRoots: ours.trust().parsed(t), TimestampThreshold: 1,
	})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 4 {
				result, err := v.Verify(t.Context(), theImage(), candidates)
				if err != nil {
					t.Error(err)
					return
				}
				for _, s := range result.Signatures {
					if s.Err != nil {
						t.Error(s.Err)
					}
				}
			}
		})
	}
	all.Wait()
}

// TestKindsOfCertificateKeys is not parallel: it looks at what the process
// writes to standard error. sigstore-go writes there where a signature does not
// verify with the first algorithm that it tries.
func TestKindsOfCertificateKeys(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = write
	t.Cleanup(func() { os.Stderr = stderr })
	for kind, key := range keys {
		for _, form := range forms {
			t.Run(kind+" "+string(form), func(t *testing.T) {
				made := func() *attempt {
					a := newAttempt(form)
					a.key = key()
					return a
				}
				made().accepted(t)
				a := made()
				stampedOnly(a)
				a.accepted(t)
				a = made()
				stampedOnly(a)
				altered(func(p *parts) { p.content = append(p.content, ' ') })(a)
				a.rejected(t, "does not verify with the key of the certificate")
				a = made()
				stampedOnly(a)
				altered(func(p *parts) {
					p.signature = flipped(p.signature)
					p.timestamps[0] = ours.tsa.stamp(p.signature, noon)
				})(a)
				a.rejected(t, "does not verify with the key of the certificate")
				a = made()
				a.policy.Identities[0].Subject += "x"
				a.rejected(t, "signed by")
			})
		}
	}
	os.Stderr = stderr
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	if written, err := io.ReadAll(read); err != nil || len(written) > 0 {
		t.Errorf("wrote to standard error: %q, %v", written, err)
	}
}
