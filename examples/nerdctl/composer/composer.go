// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package composer stands in for nerdctl's pkg/composer, with serviceparser and
// pkg/cmd/compose.
package composer

import (
	"context"

	composetypes "github.com/compose-spec/compose-go/v2/types"
	containerd "github.com/containerd/containerd/v2/client"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/examples/nerdctl/image"
	"github.com/cosignkit/cosignkit/examples/nerdctl/types"
)

// Project and ServiceConfig are those of compose-go.
type (
	Project       = composetypes.Project
	ServiceConfig = composetypes.ServiceConfig
)

// Service is a service as nerdctl parses it.
type Service struct {
	Image      string
	PullMode   string
	Containers []Container
	Cosign     cosignkit.Service
}

// Container is one of its containers.
type Container struct{ RunArgs []string }

// Parse is called by every command, also by those that stop a project.
func Parse(project *Project, svc ServiceConfig) (*Service, error) {
	parsed := &Service{Image: svc.Image, PullMode: "missing"}
	if svc.PullPolicy == composetypes.PullPolicyAlways || svc.PullPolicy == composetypes.PullPolicyNever {
		parsed.PullMode = svc.PullPolicy
	}
	args := []string{"--pull=never"}
	if svc.WorkingDir != "" {
		args = append(args, "--workdir="+svc.WorkingDir)
	}
	for _, volume := range svc.Volumes {
		if volume.Type == composetypes.VolumeTypeImage {
			args = append(args, "--mount=type=image,source="+volume.Source)
		}
	}
	parsed.Containers = []Container{{RunArgs: append(args, svc.Image)}}
	parsed.Cosign = cosignkit.Service{Name: svc.Name, Extensions: svc.Extensions, Dir: project.WorkingDir}
	return parsed, nil
}

// Composer runs the command line, of which Run is the rest.
type Composer struct {
	Client      *containerd.Client
	Options     types.GlobalCommandOptions
	IPFSAddress string
	Project     *Project
	PullOpts    []containerd.RemoteOpt // such as containerd.WithPullUnpack
	Run         func(ctx context.Context, args ...string) error
}

// PushServiceImage pushes the image of a service.
func (c *Composer) PushServiceImage(ctx context.Context, ps *Service) error {
	args, err := ps.Cosign.SignFlags()
	if err != nil {
		return err
	}
	return c.Run(ctx, append(append([]string{"push"}, args...), ps.Image)...)
}

// PullServiceImage pulls it.
func (c *Composer) PullServiceImage(ctx context.Context, ps *Service) error {
	args, err := ps.Cosign.VerifyFlags()
	if err != nil {
		return err
	}
	return c.Run(ctx, append(append([]string{"pull"}, args...), ps.Image)...)
}

// EnsureServiceImage comes before the containers of a service are made, by up,
// run and create.
func (c *Composer) EnsureServiceImage(ctx context.Context, ps *Service) error {
	flags, err := ps.Cosign.VerifyFlags()
	if err != nil {
		return err
	}
	for i := range ps.Containers {
		ps.Containers[i].RunArgs = append(append([]string{}, flags...), ps.Containers[i].RunArgs...)
	}
	return c.ensureImage(ctx, ps)
}

func (c *Composer) ensureImage(ctx context.Context, ps *Service) error {
	client, imageName, options := c.Client, ps.Image, c
	imgPullOpts := types.ImagePullOptions{GOptions: c.Options, Mode: ps.PullMode}
	var err error
	if imgPullOpts.VerifyOptions, err = ps.Cosign.VerifyOptions(); err != nil {
		return err
	}
	imgPullOpts.IPFSAddress = options.IPFSAddress
	_, err = image.EnsureImage(ctx, client, imageName, imgPullOpts)
	return err
}

// RunOptions are those of run.
type RunOptions struct{ ServiceName, WorkDir string }

// RunService is run, of a service that needs no other.
func (c *Composer) RunService(ctx context.Context, ro RunOptions) error {
	svc, err := c.Project.GetService(ro.ServiceName)
	if err != nil {
		return err
	}
	targetSvc := &svc
	if ro.WorkDir != "" {
		targetSvc.WorkingDir = ro.WorkDir
	}
	ps, err := Parse(c.Project, svc)
	if err != nil {
		return err
	}
	if err := c.EnsureServiceImage(ctx, ps); err != nil {
		return err
	}
	return c.UpServiceContainer(ctx, ps.Containers[0])
}

// UpServiceContainer starts one.
func (c *Composer) UpServiceContainer(ctx context.Context, container Container) error {
	return c.Run(ctx, append([]string{"run"}, container.RunArgs...)...)
}
