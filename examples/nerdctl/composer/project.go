// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package composer

import (
	"context"

	composetypes "github.com/compose-spec/compose-go/v2/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/compose"
	"github.com/cosignkit/cosignkit/examples/nerdctl/imgutil"
	"github.com/cosignkit/cosignkit/examples/nerdctl/signutil"
	"github.com/cosignkit/cosignkit/examples/nerdctl/types"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/adapter"
	"github.com/cosignkit/cosignkit/verify"
)

// plan has the project as a whole: of the services that are named, or of all, and
// those that they depend on.
func (c *Composer) plan(push bool, services []string) (*compose.Plan, error) {
	a, err := adapter.New(signutil.Cosign(c.Options))
	if err != nil {
		return nil, err
	}
	return compose.NewPlan(c.Project, compose.Config{Adapter: a, Push: push, Store: c.Client}, services...)
}

// pull is nerdctl's own for what nobody verifies. The rest is pulled by digest, and
// recorded under the name that the project has then, for the child to find.
func (c *Composer) pull(mode string) compose.Mover {
	return func(ctx context.Context, image compose.Image) (ocispec.Descriptor, error) {
		if image.Target.Digest == "" {
			ensured, err := imgutil.EnsureImage(ctx, c.Client, image.Ref, types.ImagePullOptions{GOptions: c.Options, Mode: mode})
			if err != nil {
				return ocispec.Descriptor{}, err
			}
			return c.pinned(ctx, image.Ref, ensured.Image.Target())
		}
		pulled, err := compose.PullWith(c.Client, c.PullOpts...)(ctx, image)
		if err != nil {
			return pulled, err
		}
		return c.pinned(ctx, image.Ref, pulled)
	}
}

func (c *Composer) pinned(ctx context.Context, ref string, target ocispec.Descriptor) (ocispec.Descriptor, error) {
	return target, registry.Pin(ctx, c.Client.ImageService(), verify.Image{Name: ref, Target: target}.String(), target)
}

// PushProject pushes the images of services.
func (c *Composer) PushProject(ctx context.Context, services ...string) error {
	plan, err := c.plan(true, services)
	if err != nil {
		return err
	}
	_, err = plan.Push(ctx, compose.PushWith(c.Client))
	return err
}

// PullProject pulls them.
func (c *Composer) PullProject(ctx context.Context, services ...string) error {
	plan, err := c.plan(false, services)
	if err != nil {
		return err
	}
	_, err = plan.Pull(ctx, c.pull("always"))
	return err
}

// StartProject is up, and run and create of what is named: command is that of
// nerdctl by which a container is made.
func (c *Composer) StartProject(ctx context.Context, command string, services ...string) error {
	plan, err := c.plan(false, services)
	if err != nil {
		return err
	}
	_, err = plan.Start(ctx, c.pull("missing"), func(ctx context.Context, service composetypes.ServiceConfig, outcome compose.Outcome) error {
		if _, err := c.pinned(ctx, outcome.Image, outcome.Target); err != nil {
			return err
		}
		ps, err := Parse(c.Project, service) // its image is NAME@DIGEST
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
