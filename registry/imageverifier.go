// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/pkg/imageverifier"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// ImageVerifier returns a containerd image verifier, for a daemon that embeds
// containerd's transfer service, which calls it after a reference is resolved and
// before anything is fetched. For a daemon as it is shipped, build
// examples/image-verifier.
//
// The descriptor that containerd resolved is verified, and the name is not resolved
// again. A name that is not in full, such as foo/bar, is misconfigured: to containerd
// it is at the host foo. An image that is rejected is a judgement that is not OK. What
// could not be checked, and what is misconfigured, is an error. With either,
// containerd does not pull. The reason of a judgement is one line of printable text
// of at most 1 KiB.
//
// [WithSignedPlatform] is misconfigured: containerd pulls what it resolved and
// nothing else.
func (c *Client) ImageVerifier(verifier verify.Verifier, opts ...VerifyOption) (imageverifier.ImageVerifier, error) {
	err := error(nil)
	o := makeVerifyOptions(opts)
	switch {
	case verifier == nil:
		err = errNoVerifier
	case o.platform != nil:
		err = errors.New("WithSignedPlatform: an image verifier cannot have another image pulled")
	default:
		err = o.check(source{})
	}
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, "new image verifier", "", "", err)
	}
	return imageVerifier{c, verifier, slices.Clone(opts)}, nil
}

type imageVerifier struct {
	client   *Client
	verifier verify.Verifier
	options  []VerifyOption
}

// VerifyImage implements containerd's ImageVerifier.
func (v imageVerifier) VerifyImage(ctx context.Context, name string, desc ocispec.Descriptor) (*imageverifier.Judgement, error) {
	if _, err := parseFull(name); err != nil {
		return nil, shortError{fault.New(verify.ErrMisconfigured, opVerify, name, "image", err)}
	}
	result, err := v.client.VerifyImage(ctx, verify.Image{Name: name, Target: desc}, v.verifier, v.options...)
	switch {
	case errors.Is(err, verify.ErrRejected):
		return &imageverifier.Judgement{Reason: fault.Line(err.Error(), limits.Reason)}, nil
	case err != nil:
		return nil, shortError{err}
	default:
		return &imageverifier.Judgement{OK: true, Reason: fault.Line(reasonFor(result), limits.Reason)}, nil
	}
}

// shortError is an error that fits where a reason does.
type shortError struct{ error }

func (e shortError) Error() string { return fault.Line(e.error.Error(), limits.Reason) }
func (e shortError) Unwrap() error { return e.error }

// reasonFor says why an image is accepted.
func reasonFor(result *verify.Result) string {
	if result.Unverified != nil {
		return fmt.Sprintf("NOT VERIFIED and let through: %s", result.Unverified)
	}
	var signers []string
	for _, s := range result.Signatures {
		if s.Err != nil {
			continue
		}
		signer := "key " + s.KeyID
		if s.Identity != nil {
			signer = fmt.Sprintf("%s (%s)", s.Identity.Subject, s.Identity.Issuer)
		}
		if !slices.Contains(signers, signer) {
			signers = append(signers, signer)
		}
	}
	return "signed by " + strings.Join(signers, ", ")
}
