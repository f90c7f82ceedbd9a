// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/cosignkit/cosignkit/internal/fault"
)

// Selector is what a [Verifier] may be as well that asks different things of
// different images, as a policy file does. Package registry calls Select once for
// each verification, before it looks for anything, and goes by what it gets in
// the place of Verify: a type that embeds a Selector and has a Verify of its own
// needs a Select of its own.
type Selector interface {
	// Select returns what is asked of image, going by its Name. The Target is
	// zero as long as the name is not resolved. An error ends the verification.
	Select(ctx context.Context, image Image) (Selection, error)
}

// Selection is what is asked of one image.
type Selection struct {
	// Rule says where it is written down, in messages: policy.yaml:12.
	Rule string

	// Verifier decides. Required, unless anything is accepted.
	Verifier Verifier

	// SignatureRepository is where signatures are looked for, beside the image's
	// own repository; empty means in that alone. It goes before that of a
	// registry client, and that of a call goes before it. Nil says nothing.
	SignatureRepository *string

	// InsecureWarnOnly lets images through that the Verifier rejects, or cannot
	// decide about: who can forge what a registry says can make either happen,
	// so that it would protect from nothing to tell them apart. What is
	// misconfigured, or ends with the caller's context, stays an error.
	InsecureWarnOnly bool

	// InsecureAcceptAnything lets every image through. Nothing is looked for.
	InsecureAcceptAnything bool
}

// Decide is for those who apply a Selection, once, to the verdict on an image. It
// calls verify, which asks the Verifier, if there is anything to ask, and lets
// through what is to be let through: such a result is Accepted and has its reason
// in Unverified. The context is the caller's, without the time limit of the
// verification.
func (s Selection) Decide(ctx context.Context, image Image, verify func() (*Result, error)) (*Result, error) {
	if err := validDigest(image.Target.Digest); err != nil {
		return nil, fault.New(ErrMisconfigured, opVerify, image.Name, "image", err)
	}
	switch {
	case s.InsecureAcceptAnything:
		return s.letThrough(image, nil, errors.New("anything is accepted")), nil
	case s.Verifier == nil:
		return nil, fault.New(ErrMisconfigured, opVerify, image.String(), s.Rule, errors.New("the rule has no verifier"))
	}
	result, err := verify()
	if result != nil {
		result.Rule = s.Rule
	}
	if err == nil || !s.InsecureWarnOnly || ctx.Err() != nil {
		return result, err
	}
	if errors.Is(err, ErrRejected) || errors.Is(err, ErrInconclusive) {
		return s.letThrough(image, result, err), nil
	}
	return result, err
}

func (s Selection) letThrough(image Image, result *Result, reason error) *Result {
	if s.Rule != "" {
		reason = fmt.Errorf("%s: %w", s.Rule, reason)
	}
	if result == nil {
		result = &Result{Signatures: []Signature{}}
	}
	result.Image, result.Rule, result.Accepted, result.Matched, result.Unverified = image, s.Rule, true, image.Target, reason
	return result
}
