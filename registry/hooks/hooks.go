// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package hooks signs and verifies what containerd's client pushes and pulls.
//
// [Push] and [Pull] take the place of client.Push and client.Pull. A program that
// pushes or pulls in another way uses PushWith, SignPush, PullWith and
// VerifyingResolver of registry.Client, which link less: this package links
// containerd's client.
package hooks

import (
	"context"
	"slices"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// Push pushes target, an image in the content store of cd, as ref and signs it, as
// registry.Client.PushWith says: the tag is written last. The remote options are those
// of client.Push, such as containerd.WithPlatformMatcher; a resolver among them is not
// used.
func Push(ctx context.Context, c *registry.Client, cd *containerd.Client, ref string, target ocispec.Descriptor, signer signing.Signer, remoteOpts []containerd.RemoteOpt, opts ...registry.SignOption) ([]registry.Attached, error) {
	push := func(ctx context.Context, ref string, resolver remotes.Resolver) error {
		return cd.Push(ctx, ref, target, append(slices.Clip(remoteOpts), containerd.WithResolver(resolver))...)
	}
	return c.PushWith(ctx, cd.ContentStore(), ref, target, signer, push, opts...)
}

// Pull resolves ref once, verifies the digest that it stands for, fetches exactly that
// digest and records it in the image store of cd under ref, as
// registry.Client.PullWith says. The remote options are those of client.Pull, such as
// containerd.WithPullUnpack; a resolver among them is not used.
func Pull(ctx context.Context, c *registry.Client, cd *containerd.Client, ref string, verifier verify.Verifier, remoteOpts []containerd.RemoteOpt, opts ...registry.VerifyOption) (containerd.Image, *verify.Result, error) {
	allowed, err := allowedBy(cd, remoteOpts)
	if err != nil {
		return nil, nil, fault.New(verify.ErrMisconfigured, "pull", ref, "platform", err)
	}
	var pulled containerd.Image
	pull := func(ctx context.Context, ref string, resolver remotes.Resolver, platform platforms.MatchComparer) (images.Image, error) {
		all := append(slices.Clip(remoteOpts), containerd.WithResolver(resolver))
		if platform != nil {
			all = append(all, containerd.WithPlatformMatcher(platform))
		}
		image, err := cd.Pull(ctx, ref, all...)
		if err != nil {
			return images.Image{}, err
		}
		pulled = image
		return images.Image{Name: image.Name(), Target: image.Target()}, nil
	}
	result, err := c.PullWith(ctx, cd, ref, verifier, allowed, pull, opts...)
	if err != nil {
		return nil, result, err
	}
	return pulled, result, nil
}

// allowedBy returns the platforms that the options allow, or nil if they name none.
func allowedBy(cd *containerd.Client, remoteOpts []containerd.RemoteOpt) (platforms.Matcher, error) {
	remote := &containerd.RemoteContext{}
	for _, opt := range remoteOpts {
		if err := opt(cd, remote); err != nil {
			return nil, err
		}
	}
	if remote.PlatformMatcher != nil || len(remote.Platforms) == 0 {
		return remote.PlatformMatcher, nil
	}
	parsed, err := platforms.ParseAll(remote.Platforms)
	if err != nil {
		return nil, err
	}
	return platforms.Any(parsed...), nil
}
