// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"slices"
	"sync"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/verify"
)

// Pull resolves ref once, verifies the digest that it stands for, fetches
// exactly that digest and records it in the image store of cd under ref. The
// remote options are those of containerd's client.Pull, such as
// containerd.WithPullUnpack; a resolver among them is not used. A verified
// index yields the platform that the options ask for, fetched by the digest
// that the index names. The signatures that passed are kept beside the image, see
// [KeepSignatures]; that this failed is logged as a warning, and nothing else. The
// result is not nil when candidates were checked, also beside an error.
func (c *Client) Pull(ctx context.Context, cd *containerd.Client, ref string, verifier verify.Verifier, remoteOpts []containerd.RemoteOpt, opts ...VerifyOption) (containerd.Image, *verify.Result, error) {
	name, err := normalize(ref)
	if err != nil {
		return nil, nil, fault.New(verify.ErrMisconfigured, opPull, ref, "reference", err)
	}
	var v verdict
	image, err := leash.Operation(ctx, verify.ErrRejected, opPull, name.String(), func(ctx context.Context) (containerd.Image, error) {
		return c.pull(ctx, cd, name, verifier, remoteOpts, append(slices.Clip(opts), &v), &v)
	})
	result, _ := v.get()
	return image, result, err
}

// verdict is what a verifying resolver came to.
type verdict struct {
	mu     sync.Mutex
	result *verify.Result
	err    error
}

func (v *verdict) applyToVerify(o *verifyOptions) {
	next := o.onResult
	o.onResult = func(r *verify.Result, err error) {
		v.mu.Lock()
		v.result, v.err = r, err
		v.mu.Unlock()
		if next != nil {
			next(r, err)
		}
	}
}

func (v *verdict) get() (*verify.Result, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.result, v.err
}

func (c *Client) pull(ctx context.Context, cd *containerd.Client, name reference.Named, verifier verify.Verifier, remoteOpts []containerd.RemoteOpt, opts []VerifyOption, v *verdict) (containerd.Image, error) {
	var err error
	if opts, remoteOpts, err = samePlatform(cd, opts, remoteOpts); err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opPull, name.String(), "platform", err)
	}
	remoteOpts = append(slices.Clip(remoteOpts), containerd.WithResolver(c.VerifyingResolver(verifier, opts...)))
	image, err := cd.Pull(c.quiet(ctx), name.String(), remoteOpts...)
	result, verdict := v.get()
	if verdict != nil {
		return nil, fault.New(verify.ErrInconclusive, opPull, "", "", verdict)
	}
	if err != nil {
		return nil, fault.New(kindOf(err), opPull, name.String(), "fetch", failed(ctx, err))
	}
	// containerd converts some old images after fetching them. What was
	// recorded then is not what was verified.
	if got, want := image.Target().Digest, result.Image.Target.Digest; got != want {
		err := fmt.Errorf("%w: recorded as %s, verified %s", errContent, got, want)
		if remove := cd.ImageService().Delete(context.WithoutCancel(ctx), image.Name()); remove != nil {
			err = fmt.Errorf("%w; and the record could not be removed: %w", err, remove)
		}
		return nil, fault.New(verify.ErrRejected, opPull, name.String(), "record", err)
	}
	c.keep(ctx, cd, result)
	return image, nil
}

// samePlatform has a signed platform be one that the remote options allow: two
// matchers that disagree would pull what nobody asked for.
func samePlatform(cd *containerd.Client, opts []VerifyOption, remoteOpts []containerd.RemoteOpt) ([]VerifyOption, []containerd.RemoteOpt, error) {
	wanted := makeVerifyOptions(opts).platform
	if wanted == nil {
		return opts, remoteOpts, nil
	}
	remote := &containerd.RemoteContext{}
	for _, opt := range remoteOpts {
		if err := opt(cd, remote); err != nil {
			return nil, nil, err
		}
	}
	allowed := remote.PlatformMatcher
	if allowed == nil && len(remote.Platforms) == 0 {
		return opts, append(slices.Clip(remoteOpts), containerd.WithPlatformMatcher(wanted)), nil
	}
	if allowed == nil {
		parsed, err := platforms.ParseAll(remote.Platforms)
		if err != nil {
			return nil, nil, err
		}
		allowed = platforms.Any(parsed...)
	}
	return append(slices.Clip(opts), WithSignedPlatform(bothPlatforms{wanted, allowed})), remoteOpts, nil
}

// bothPlatforms is the first where the second allows it.
type bothPlatforms struct {
	platforms.MatchComparer
	allowed platforms.Matcher
}

func (b bothPlatforms) Match(p ocispec.Platform) bool {
	return b.MatchComparer.Match(p) && b.allowed.Match(p)
}
