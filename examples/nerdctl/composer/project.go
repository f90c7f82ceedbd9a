// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package composer

import (
	"context"

	composetypes "github.com/compose-spec/compose-go/v2/types"
	containerd "github.com/containerd/containerd/v2/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/compose"
	"github.com/cosignkit/cosignkit/examples/nerdctl/image"
	"github.com/cosignkit/cosignkit/examples/nerdctl/signutil"
	"github.com/cosignkit/cosignkit/examples/nerdctl/types"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/verify"
)

// plan has the project as a whole: of the services that are named, or of all, and
// those that they depend on. The flag --pull, if it is given, goes before each
// pull_policy.
func (c *Composer) plan(push bool, pull string, services []string) (*compose.Plan, *Project, error) {
	a, err := cosignkit.New(signutil.Cosign(c.Options))
	if err != nil {
		return nil, nil, err
	}
	project, err := c.Project.WithServicesTransform(func(_ string, svc ServiceConfig) (ServiceConfig, error) {
		if pull != "" {
			svc.PullPolicy = pull
		}
		return svc, nil
	})
	if err != nil {
		return nil, nil, err
	}
	plan, err := compose.NewPlan(project, compose.Config{Adapter: a, Push: push, Store: c.Client}, services...)
	return plan, project, err
}

// pull is nerdctl's own for what nobody verifies, which may be of IPFS. The rest is
// pulled by digest, and recorded under the name that the project has then, for the
// child to find.
func (c *Composer) pull(project *Project) compose.Mover {
	return func(ctx context.Context, img compose.Image) (ocispec.Descriptor, error) {
		if img.Target.Digest != "" {
			pulled, err := compose.PullWith(c.Client, c.PullOpts...)(ctx, img)
			if err != nil {
				return pulled, err
			}
			return pulled, c.pin(ctx, img.Ref, pulled)
		}
		options := types.ImagePullOptions{GOptions: c.Options, IPFSAddress: c.IPFSAddress, VerifyOptions: types.ImageVerifyOptions{Provider: cosignkit.None}}
		for _, name := range img.Services {
			ps, err := Parse(project, project.Services[name])
			if err != nil {
				return ocispec.Descriptor{}, err
			}
			if options.Mode == "" || ps.PullMode == cosignkit.PullAlways {
				options.Mode = ps.PullMode
			}
		}
		ensured, err := image.EnsureImage(ctx, c.Client, img.Ref, options)
		if err != nil || img.Resolver == nil { // what is of no registry keeps its name
			return ocispec.Descriptor{}, err
		}
		return ensured.Image.Target(), c.pin(ctx, img.Ref, ensured.Image.Target())
	}
}

// lease keeps what was verified from being collected before it is recorded, or a
// container has it.
func (c *Composer) lease(ctx context.Context) (context.Context, func(), error) {
	leased, done, err := c.Client.WithLease(ctx)
	return leased, func() { _ = done(context.WithoutCancel(leased)) }, err
}

func (c *Composer) pin(ctx context.Context, ref string, target ocispec.Descriptor) error {
	return registry.Pin(ctx, c.Client.ImageService(), verify.Image{Name: ref, Target: target}.String(), target)
}

// push pushes the platforms that the services have, as the command push does, and
// signs what is pushed. What is of IPFS nobody signs.
func (c *Composer) push(ctx context.Context, img compose.Image) (ocispec.Descriptor, error) {
	if img.Resolver == nil {
		return ocispec.Descriptor{}, c.Run(ctx, "push", img.Ref)
	}
	var platforms []string
	for _, name := range img.Services {
		if platform := c.Project.Services[name].Platform; platform != "" {
			platforms = append(platforms, platform)
		}
	}
	reduced, done, err := image.Reduce(ctx, c.Client, img.Ref, platforms)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer done()
	return reduced.Target, c.Client.Push(ctx, img.Ref, reduced.Target, containerd.WithResolver(img.Resolver))
}

// PushProject pushes the images of services.
func (c *Composer) PushProject(ctx context.Context, services ...string) error {
	plan, _, err := c.plan(true, "", services)
	if err != nil {
		return err
	}
	_, err = plan.Push(ctx, c.push)
	return err
}

// PullProject pulls them.
func (c *Composer) PullProject(ctx context.Context, services ...string) error {
	plan, project, err := c.plan(false, cosignkit.PullAlways, services)
	if err != nil {
		return err
	}
	ctx, done, err := c.lease(ctx)
	if err != nil {
		return err
	}
	defer done()
	_, err = plan.Pull(ctx, c.pull(project))
	return err
}

// StartProject is up, and run and create of what is named: command is that of
// nerdctl by which a container is made, and pull its flag --pull.
func (c *Composer) StartProject(ctx context.Context, command, pull string, services ...string) error {
	plan, project, err := c.plan(false, pull, services)
	if err != nil {
		return err
	}
	ctx, done, err := c.lease(ctx)
	if err != nil {
		return err
	}
	defer done()
	_, err = plan.Start(ctx, c.pull(project), func(ctx context.Context, service composetypes.ServiceConfig, outcome compose.Outcome) error {
		if outcome.Target.Digest != "" {
			if err := c.pin(ctx, outcome.Image, outcome.Target); err != nil {
				return err
			}
		}
		ps, err := Parse(project, service) // its image is NAME@DIGEST
		if err != nil {
			return err
		}
		for _, container := range ps.Containers {
			if err := c.Run(ctx, append([]string{command}, container.RunArgs...)...); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}
