// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
)

// Both returns a Verifier that accepts the images that first and second accept, for a
// second opinion, such as that of package verify/cosign. The Result is that of first.
// Its Differences say where second decided otherwise, about the image or about one
// candidate. An error is that of the one that refuses the image, or of both.
//
// Limits are those of first, and second has to do with what is read by them. A
// [Selector] is asked as any other Verifier: to have a second opinion on what it
// selects, put Both into its Selection.
func Both(first, second Verifier) Verifier { return both{first, second} }

type both struct{ first, second Verifier }

var (
	_ Verifier        = both{}
	_ LimitedVerifier = both{}
)

// Limits implements [LimitedVerifier].
func (b both) Limits() Limits {
	if l, ok := b.first.(LimitedVerifier); ok {
		return l.Limits()
	}
	return Limits{}.WithDefaults()
}

// Verify implements [Verifier].
func (b both) Verify(ctx context.Context, image Image, candidates []Candidate) (*Result, error) {
	result, err := b.first.Verify(ctx, image, candidates)
	other, otherErr := b.second.Verify(ctx, image, candidates)
	refused, otherRefused := stripped(err), stripped(otherErr)
	if result != nil {
		result.compare(other, refused, otherRefused)
		if otherErr != nil {
			result.Accepted, result.Matched = false, ocispec.Descriptor{}
		}
	}
	switch {
	case otherErr == nil && err == nil:
		return result, nil
	case err == nil:
		err = fmt.Errorf("the first verifier accepts it, and the second does not: %w", otherRefused)
	case otherErr != nil && refused.Error() != otherRefused.Error():
		err = fmt.Errorf("%w; the second verifier: %w", refused, otherRefused)
	}
	return result, fault.New(ErrRejected, opVerify, image.String(), "", err)
}

// stripped is an error of a verification without what the error around it says as well.
func stripped(err error) error {
	e, ok := err.(*fault.Error) //nolint:errorlint // this very error, not one in its chain
	switch {
	case !ok || e.Op != opVerify || e.Err == nil:
		return err
	case e.Stage != "":
		return fmt.Errorf("%w: %s: %w", e.Kind, e.Stage, e.Err)
	default:
		return fmt.Errorf("%w: %w", e.Kind, e.Err)
	}
}

// compare lists where another Verifier decided otherwise about the same candidates.
func (r *Result) compare(other *Result, err, otherErr error) {
	r.differ("the image", err, otherErr)
	if other == nil {
		return
	}
	if r.Unverified == nil {
		r.Unverified = other.Unverified
	}
	for i, s := range r.Signatures {
		if i < len(other.Signatures) && other.Signatures[i].Origin == s.Origin {
			r.differ(s.Origin.String(), s.Err, other.Signatures[i].Err)
		}
	}
}

func (r *Result) differ(what string, err, otherErr error) {
	who := "first"
	if err != nil {
		who, err, otherErr = "second", otherErr, err
	}
	if err == nil && otherErr != nil {
		r.Differences = append(r.Differences, fmt.Sprintf("%s: only the %s verifier accepts it: %s", what, who, fault.OneLine(otherErr.Error())))
	}
}
