// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"context"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/verify"
)

// allOf is satisfied if each of its verifiers is, by whichever candidates. It must
// see all of those, and thus takes no stream.
type allOf []verify.Verifier

var _ verify.LimitedVerifier = allOf(nil)

// Limits are the same for all.
func (a allOf) Limits() verify.Limits {
	if limited, ok := a[0].(verify.LimitedVerifier); ok {
		return limited.Limits()
	}
	return verify.Limits{}
}

// Verify implements [verify.Verifier]. In the result, a signature has passed that
// passed for one of the verifiers.
func (a allOf) Verify(ctx context.Context, image verify.Image, candidates []verify.Candidate) (*verify.Result, error) {
	var merged *verify.Result
	var failed error
	for i, v := range a {
		result, err := v.Verify(ctx, image, candidates)
		merged = mergeResults(merged, result)
		if err != nil {
			err = fault.New(verify.ErrInconclusive, opVerify, image.String(), fmt.Sprintf("requirement %d of %d", i+1, len(a)), causeWithFamily(err))
			failed = worse(failed, err)
		}
	}
	if failed != nil {
		if merged != nil {
			merged.Accepted, merged.Matched = false, ocispec.Descriptor{}
		}
		return merged, failed
	}
	return merged, nil
}

// worse returns the error that decides: what needs a human, else that one
// requirement can never be met, else what is unknown.
func worse(a, b error) error {
	for _, family := range []error{verify.ErrMisconfigured, verify.ErrRejected} {
		switch {
		case a != nil && errors.Is(a, family):
			return a
		case errors.Is(b, family):
			return b
		}
	}
	if a != nil {
		return a
	}
	return b
}

// mergeResults returns a result with the better verdict on each candidate.
func mergeResults(a, b *verify.Result) *verify.Result {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	for i, s := range b.Signatures {
		switch {
		case i >= len(a.Signatures):
			a.Signatures = append(a.Signatures, s)
		case a.Signatures[i].Err != nil && s.Err == nil:
			a.Signatures[i] = s
		}
	}
	a.Accepted = a.Accepted && b.Accepted
	return a
}

// causeWithFamily drops the operation and the image, which the error around it
// tells, and keeps the family.
func causeWithFamily(err error) error {
	if e := (*verify.Error)(nil); errors.As(err, &e) && e.Op == opVerify && e.Stage == "" && e.Err != nil && fault.Family(e.Err) == nil {
		return fmt.Errorf("%w: %w", e.Kind, e.Err)
	}
	return err
}
