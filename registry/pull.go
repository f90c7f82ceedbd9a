// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/verify"
)

// Puller fetches an image and records it in a store: it passes the resolver to
// containerd's client.Pull, or to whatever pulls instead, and returns the record that
// was made. If platform is not nil, only manifests for it may be fetched.
type Puller func(ctx context.Context, ref string, resolver remotes.Resolver, platform platforms.MatchComparer) (images.Image, error)

// PullWith resolves ref once, verifies the digest that it stands for, and has pull
// fetch exactly that digest and record it in store under ref. Package registry/hooks
// has a Pull for containerd's client. Allowed is what pull fetches by itself if it is
// told no platform; nil means all.
//
// A verified index yields the platform of [WithSignedPlatform] that allowed has as
// well, fetched by the digest that the index names. The signatures that passed are
// kept with the image, see [KeepSignatures]; a failure to do so is only logged as a
// warning. The result is not nil when candidates were checked, even with an error.
func (c *Client) PullWith(ctx context.Context, store Store, ref string, verifier verify.Verifier, allowed platforms.Matcher, pull Puller, opts ...VerifyOption) (*verify.Result, error) {
	name, err := normalize(ref)
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opPull, ref, "reference", err)
	}
	var v verdict
	_, err = leash.Operation(ctx, verify.ErrRejected, opPull, name.String(), func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.pull(ctx, store, name, verifier, allowed, pull, append(slices.Clip(opts), &v), &v)
	})
	result, _ := v.get()
	return result, err
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

func (c *Client) pull(ctx context.Context, store Store, name reference.Named, verifier verify.Verifier, allowed platforms.Matcher, pull Puller, opts []VerifyOption, v *verdict) error {
	platform := makeVerifyOptions(opts).platform
	if platform != nil && allowed != nil {
		// Two matchers that disagree would pull what nobody asked for.
		opts = append(opts, WithSignedPlatform(bothPlatforms{platform, allowed}))
		platform = nil
	}
	image, err := pull(c.quiet(ctx), name.String(), c.VerifyingResolver(verifier, opts...), platform)
	result, verdict := v.get()
	if verdict != nil {
		return fault.New(verify.ErrInconclusive, opPull, "", "", verdict)
	}
	if err != nil {
		return fault.New(kindOf(err), opPull, name.String(), "fetch", failed(ctx, err))
	}
	if result == nil {
		return fault.New(verify.ErrMisconfigured, opPull, name.String(), "", errors.New("nothing was pulled with the resolver that verifies"))
	}
	// containerd converts some old images after fetching them. What was
	// recorded then is not what was verified.
	if got, want := image.Target.Digest, result.Image.Target.Digest; got != want {
		err := fmt.Errorf("%w: recorded as %s, verified %s", errContent, got, want)
		if remove := store.ImageService().Delete(context.WithoutCancel(ctx), image.Name); remove != nil {
			err = fmt.Errorf("%w; and the record could not be removed: %w", err, remove)
		}
		return fault.New(verify.ErrRejected, opPull, name.String(), "record", err)
	}
	c.keep(ctx, store, result)
	return nil
}

// bothPlatforms is the first where the second allows it.
type bothPlatforms struct {
	platforms.MatchComparer
	allowed platforms.Matcher
}

func (b bothPlatforms) Match(p ocispec.Platform) bool {
	return b.MatchComparer.Match(p) && b.allowed.Match(p)
}
