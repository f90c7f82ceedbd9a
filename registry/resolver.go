// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/transfer"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// VerifyingResolver returns a resolver for containerd.WithResolver and an
// unmodified client.Pull. Its Resolve fails unless what the reference stands
// for is acceptable to verifier, so that nothing is fetched before; its Fetcher
// fetches by digest like any other. It does not push. Without a verifier every
// Resolve fails. One resolver serves any number of references. With [WithResult]
// the caller has what [KeepSignatures] takes after the pull.
func (c *Client) VerifyingResolver(verifier verify.Verifier, opts ...VerifyOption) remotes.Resolver {
	return &verifyingResolver{plainResolver: plainResolver{client: c}, verifier: verifier, options: makeVerifyOptions(opts)}
}

// parseFull parses a reference that containerd has or will have resolved. It takes
// one in short for another image: foo/bar is docker.io/foo/bar to Docker's users and
// to the rules for images, and the repository bar at the host foo to containerd.
func parseFull(ref string) (reference.Named, error) {
	if len(ref) > limits.Reference {
		return nil, limits.Exceeded("reference in bytes", limits.Reference)
	}
	name, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return nil, fault.Printable(err)
	}
	if name.String() != ref {
		return nil, fmt.Errorf("not in full, want %s", name)
	}
	return name, nil
}

type verifyingResolver struct {
	plainResolver
	verifier verify.Verifier
	options  verifyOptions
}

func (r *verifyingResolver) Resolve(ctx context.Context, ref string) (string, ocispec.Descriptor, error) {
	name, err := parseFull(ref)
	switch {
	case err != nil:
	case reference.IsNameOnly(name):
		err = errors.New("neither tag nor digest")
	}
	if err != nil {
		return "", ocispec.Descriptor{}, fault.New(verify.ErrMisconfigured, opVerify, ref, "reference", err)
	}
	result, err := r.client.resolveAndVerify(ctx, r.client.pullSource(), name, r.verifier, r.options)
	if err != nil {
		return "", ocispec.Descriptor{}, err
	}
	return ref, result.Image.Target, nil
}

func (r *verifyingResolver) Pusher(_ context.Context, ref string) (remotes.Pusher, error) {
	return nil, fault.New(verify.ErrMisconfigured, opPush, ref, "", errors.New("a verifying resolver does not push"))
}

// plainResolver is a resolver along the network path of a client. It may serve
// several pulls at once, each of which sets options and expects them to hold
// for its own fetcher.
type plainResolver struct {
	client *Client

	mu      sync.Mutex
	options []transfer.ImageResolverOption
}

var _ remotes.ResolverWithOptions = (*plainResolver)(nil)

func (r *plainResolver) Resolve(ctx context.Context, ref string) (string, ocispec.Descriptor, error) {
	return r.client.pullSource().resolver.Resolve(r.client.quiet(ctx), ref)
}

func (r *plainResolver) Fetcher(ctx context.Context, ref string) (remotes.Fetcher, error) {
	resolver := r.client.pullSource().resolver
	if r.client.config.Resolver == nil {
		r.mu.Lock()
		setOptions(resolver, r.options)
		r.mu.Unlock()
	}
	return resolver.Fetcher(r.client.quiet(ctx), ref)
}

func (r *plainResolver) Pusher(ctx context.Context, ref string) (remotes.Pusher, error) {
	return r.client.pushSource().resolver.Pusher(r.client.quiet(ctx), ref)
}

// SetOptions implements remotes.ResolverWithOptions.
func (r *plainResolver) SetOptions(opts ...transfer.ImageResolverOption) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.options = slices.Clone(opts)
	if r.client.config.Resolver != nil {
		setOptions(r.client.config.Resolver, opts)
	}
}

func setOptions(resolver remotes.Resolver, opts []transfer.ImageResolverOption) {
	if r, ok := resolver.(remotes.ResolverWithOptions); ok {
		r.SetOptions(opts...)
	}
}
