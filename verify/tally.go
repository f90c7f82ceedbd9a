// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/cosignkit/cosignkit/internal/fault"
)

// tally is what one verification has found so far.
type tally struct {
	policy  *validated
	result  *Result
	signers map[string]bool
	made    map[[sha256.Size]byte]bool
	unknown *fault.Error
}

func newTally(policy *validated, image Image) *tally {
	return &tally{
		policy: policy, result: &Result{Image: image, Signatures: []Signature{}},
		signers: map[string]bool{}, made: map[[sha256.Size]byte]bool{},
	}
}

// list lists a signature, and returns its place in the list.
func (t *tally) list(s Signature) int {
	t.result.Signatures = append(t.result.Signatures, s)
	return len(t.result.Signatures) - 1
}

// count counts the verdict on a signature that is listed.
func (t *tally) count(at int, c Candidate, found finding) {
	s := &t.result.Signatures[at]
	if s.Err == nil {
		s.Candidate = c
		by := found.by(s.Claims)
		if !t.made[by.made] { // by one signer already, who has another name here
			t.made[by.made], t.signers[by.signer] = true, true
		}
		t.result.Accepted = len(t.signers) >= t.policy.threshold
	}
	// What is misconfigured needs a human, whatever else is unknown.
	if u := unknownOf(t.result.Image, c, *s); u != nil && (t.unknown == nil || errors.Is(u, ErrMisconfigured) && !errors.Is(t.unknown, ErrMisconfigured)) {
		t.unknown = u
	}
}

// unknownOf returns what could not be found out about a candidate, as opposed to
// what is wrong with it, or nil.
func unknownOf(image Image, c Candidate, s Signature) *fault.Error {
	err := c.Err
	if err == nil && fault.Family(s.Err) != nil {
		err = s.Err
	}
	if err == nil || errors.Is(err, ErrRejected) {
		return nil
	}
	return fault.New(ErrInconclusive, opVerify, image.String(), c.Origin.String(), err)
}

// outcome is the verdict on the image.
func (t *tally) outcome(ctx context.Context, untilAccepted bool) (*Result, error) {
	r := t.result
	switch {
	case r.Accepted && (untilAccepted || ctx.Err() == nil):
		r.Matched = r.Image.Target
		return r, nil
	case ctx.Err() != nil:
		r.Accepted = false
		return r, fault.New(ErrInconclusive, opVerify, r.Image.String(), "signatures", fault.Ended(ctx))
	case t.unknown != nil:
		return r, t.unknown
	default:
		return r, fault.New(ErrRejected, opVerify, r.Image.String(), "", r.reason(len(t.signers), t.policy.threshold))
	}
}
