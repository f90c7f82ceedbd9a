// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/remotes"
	containerdtransfer "github.com/containerd/containerd/v2/core/transfer"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/verify"
)

const (
	opPull  = "pull project"
	opStart = "start project"
)

// Image is what a tool is to pull or to push.
type Image struct {
	// Services are those that use it.
	Services []string
	// Ref is its reference, in full; or what the project says, where that is no
	// reference to a registry.
	Ref string
	// Target is what was verified, and must be pulled. It is empty for an image
	// that nobody verified, and for a push.
	Target ocispec.Descriptor
	// Verifications are by whom it was verified, by each policy.
	Verifications []*verify.Result
	// Platform is that of the services, such as linux/arm64, or empty.
	Platform string
	// Resolver is for containerd.WithResolver. To pull, it resolves Ref to Target and
	// to nothing else, with no request. To push, it signs. It is nil where Ref is no
	// reference to a registry.
	Resolver remotes.Resolver
}

// Mover pulls or pushes an image, in the way of the tool, and returns what it
// pulled or pushed. It is called by several goroutines.
type Mover func(ctx context.Context, image Image) (ocispec.Descriptor, error)

// Pull verifies as [Plan.Verify] does, and then has pull pull every image of the
// plan, once for each platform; but not those that are verified in Config.Store.
// One that pull does not find necessary, because the
// content is there, need not be pulled; what it returns must be Target, where that
// is set.
func (p *Plan) Pull(ctx context.Context, pull Mover) (*Result, error) {
	result, err := p.Verify(ctx)
	if err != nil {
		return result, err
	}
	pulls, err := p.pulls(result)
	if err != nil {
		return result, err
	}
	w := p.newWork(ctx, opPull, result)
	for _, t := range pulls {
		w.do(t.outcomes, func(ctx context.Context) error {
			w.tell(t.outcomes, Pulling)
			got, err := pull(ctx, t.image)
			if err == nil && t.image.Target.Digest != "" && got.Digest != t.image.Target.Digest {
				err = fault.New(verify.ErrRejected, "pull", fault.OneLine(t.image.Ref), "", fmt.Errorf("pulled %s, verified %s", fault.OneLine(got.Digest.String()), t.image.Target.Digest))
			}
			if err != nil {
				return err
			}
			w.set(t.outcomes, Pulled, func(o *Outcome) { o.Target = plain(got) })
			return nil
		})
	}
	return result, w.wait(p.project.Name)
}

// transfer is an image with the outcomes that it is for.
type transfer struct {
	image    Image
	outcomes []int
}

func (t *transfer) add(outcome int, service string) {
	t.outcomes = append(t.outcomes, outcome)
	if n := len(t.image.Services); n == 0 || t.image.Services[n-1] != service {
		t.image.Services = append(t.image.Services, service)
	}
}

// pulls are one for each image and platform.
func (p *Plan) pulls(verified *Result) ([]*transfer, error) {
	type key struct {
		ref, platform string
		local         bool
	}
	byKey := map[key]*transfer{}
	var all []*transfer
	for i, u := range p.uses {
		if u.local && verified.Outcomes[i].Target.Digest != "" {
			continue // it is there
		}
		k := key{u.Image, u.platform, u.local}
		t := byKey[k]
		if t == nil {
			t = &transfer{image: Image{Ref: u.Image, Platform: u.platform}}
			byKey[k] = t
			all = append(all, t)
		}
		t.add(i, u.Service)
		o := verified.Outcomes[i]
		if o.Target.Digest != "" {
			t.image.Target = o.Target
		}
		if o.Verification != nil && !slices.Contains(t.image.Verifications, o.Verification) {
			t.image.Verifications = append(t.image.Verifications, o.Verification)
		}
	}
	for _, t := range all {
		if !p.uses[t.outcomes[0]].registry {
			continue
		}
		client, err := p.config.Adapter.Client(t.image.Ref)
		if err != nil {
			return nil, err
		}
		t.image.Resolver = client.Resolver()
		if t.image.Target.Digest != "" {
			t.image.Resolver = resolved{Resolver: t.image.Resolver, target: t.image.Target}
		}
	}
	return all, nil
}

// resolved is a resolver for one image, which was resolved before.
type resolved struct {
	remotes.Resolver
	target ocispec.Descriptor
}

func (r resolved) Resolve(_ context.Context, ref string) (string, ocispec.Descriptor, error) {
	return ref, r.target, nil
}

// SetOptions implements remotes.ResolverWithOptions, which containerd asks for.
func (r resolved) SetOptions(opts ...containerdtransfer.ImageResolverOption) {
	if inner, ok := r.Resolver.(remotes.ResolverWithOptions); ok {
		inner.SetOptions(opts...)
	}
}

var errNoResolver = errors.New("no resolver")

// PullWith pulls into the image store of cd, where it keeps the signatures too, see
// registry.KeepSignatures. The options are those of containerd's client.Pull, such
// as containerd.WithPullUnpack; a resolver among them is not used.
func PullWith(cd *containerd.Client, opts ...containerd.RemoteOpt) Mover {
	return func(ctx context.Context, image Image) (ocispec.Descriptor, error) {
		name, err := reference.ParseNormalizedNamed(image.Ref)
		if err == nil && image.Resolver == nil {
			err = errNoResolver
		}
		if err != nil {
			return ocispec.Descriptor{}, fault.New(verify.ErrMisconfigured, "pull", fault.OneLine(image.Ref), "reference", err)
		}
		all := append(append([]containerd.RemoteOpt{}, opts...), containerd.WithResolver(image.Resolver))
		if image.Platform != "" {
			all = append(all, containerd.WithPlatform(image.Platform))
		}
		pulled, err := cd.Pull(ctx, name.String(), all...)
		if err != nil {
			kind := verify.ErrInconclusive
			if errdefs.IsFailedPrecondition(err) { // content stores, of what is not of its digest or size
				kind = verify.ErrRejected
			}
			return ocispec.Descriptor{}, fault.New(kind, "pull", name.String(), "", fault.Printable(err))
		}
		// containerd converts some old images after fetching them. What was recorded
		// then is not what was verified.
		if want := image.Target.Digest; want != "" && pulled.Target().Digest != want {
			err := fmt.Errorf("recorded as %s, verified %s", pulled.Target().Digest, want)
			if remove := cd.ImageService().Delete(context.WithoutCancel(ctx), pulled.Name()); remove != nil {
				err = errors.Join(err, remove)
			}
			return ocispec.Descriptor{}, fault.New(verify.ErrRejected, "pull", name.String(), "record", err)
		}
		for _, v := range image.Verifications {
			if err := registry.KeepSignatures(ctx, cd.ContentStore(), v); err != nil {
				return ocispec.Descriptor{}, err
			}
		}
		return pulled.Target(), nil
	}
}

// Start pulls as [Plan.Pull] does, and then has start start the services, one after
// another and each after those that it depends on. What start gets is pinned: the
// image of the service is the one that was pulled, by its digest, and outcome has
// its descriptor. The first error ends it; what was started is the caller's to stop.
//
// It is for up; and for run and create, with a plan of the service that they are
// for.
func (p *Plan) Start(ctx context.Context, pull Mover, start func(ctx context.Context, service types.ServiceConfig, outcome Outcome) error) (*Result, error) {
	result, err := p.Pull(ctx, pull)
	if err != nil {
		return result, err
	}
	project, err := result.Project()
	if err != nil {
		return result, fault.New(verify.ErrMisconfigured, opStart, fault.OneLine(p.project.Name), "", err)
	}
	w := p.newWork(ctx, opStart, result)
	defer w.cancel()
	for _, name := range p.start {
		outcomes := result.own(name)
		w.tell(outcomes, Starting)
		outcome, _ := result.Service(name)
		err := ctx.Err()
		if err == nil {
			_, err = leash.Call(ctx, func(ctx context.Context) (struct{}, error) {
				return struct{}{}, start(ctx, project.Services[name], outcome)
			})
		}
		if err != nil {
			w.fail(outcomes, err)
			return result, fault.New(verify.ErrInconclusive, opStart, fault.OneLine(p.project.Name), "", &failure{services: []string{name}, err: err})
		}
		w.tell(outcomes, Started)
	}
	return result, nil
}
