// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.yaml.in/yaml/v4"

	"github.com/cosignkit/cosignkit/compose"
)

// The labels of containers that up starts.
const (
	labelProject = "minictl/project"
	labelService = "minictl/service"
	// labelConfig is the digest of the service's configuration, its image pinned.
	labelConfig = "minictl/config"
)

// supported are the elements of a service that minictl runs, and those that are
// about which services there are.
var supported = []string{
	"image", "build", "command", "entrypoint", "environment", "working_dir", "network_mode",
	"depends_on", "profiles", "pull_policy",
}

// needsDaemon refuses what a folder cannot do.
func (c *composeCommand) needsDaemon(a *app) error {
	if a.address != "" {
		return nil
	}
	return usageError{errors.New("compose " + c.command + " needs the --address of a containerd daemon; the image store in a folder has nothing to run containers with")}
}

// check refuses what minictl would start a container without.
func (c *composeCommand) check(project *types.Project, plan *compose.Plan) error {
	var refused []string
	for _, s := range plan.Services() {
		service := project.AllServices()[s.Name]
		for _, element := range elementsOf(service) {
			if !slices.Contains(supported, element) && !strings.HasPrefix(element, "x-") {
				refused = append(refused, fmt.Sprintf("service %s: %s", s.Name, element))
			}
		}
		if mode := service.NetworkMode; mode != "" && mode != "host" && mode != "none" {
			refused = append(refused, fmt.Sprintf("service %s: network_mode %s", s.Name, mode))
		}
		for _, on := range slices.Sorted(maps.Keys(service.DependsOn)) {
			if condition := service.DependsOn[on].Condition; condition != types.ServiceConditionStarted {
				refused = append(refused, fmt.Sprintf("service %s: depends_on %s", s.Name, condition))
			}
		}
	}
	if len(refused) > 0 {
		return misconfigured(c.command, project.Name, fmt.Errorf(
			"minictl is an example, and runs image, command, entrypoint, environment, working_dir and network_mode host or none; not %s", strings.Join(refused, ", ")))
	}
	return nil
}

// elementsOf are the keys of a service in its file. The default network is there
// because nothing was said.
func elementsOf(s types.ServiceConfig) []string {
	if _, implied := s.Networks["default"]; implied && len(s.Networks) == 1 && s.Networks["default"] == nil {
		s.Networks = nil
	}
	content, err := yaml.Marshal(s)
	if err != nil {
		return []string{err.Error()}
	}
	var elements map[string]any
	if err := yaml.Unmarshal(content, &elements); err != nil {
		return []string{err.Error()}
	}
	return slices.Sorted(maps.Keys(elements))
}

// up starts a container for each service, and leaves those alone that run what
// they should.
func (c *composeCommand) up(ctx context.Context, a *app, project *types.Project) error {
	return c.start(ctx, a, project, func(ctx context.Context, cd *containerd.Client, service types.ServiceConfig, target ocispec.Descriptor) error {
		return startService(ctx, cd, project.Name, service, target)
	})
}

// runOne runs a service in the foreground, and those that it depends on as up does.
func (c *composeCommand) runOne(ctx context.Context, a *app, project *types.Project) error {
	return c.start(ctx, a, project, func(ctx context.Context, cd *containerd.Client, service types.ServiceConfig, target ocispec.Descriptor) error {
		if service.Name != c.services[0] {
			return startService(ctx, cd, project.Name, service, target)
		}
		if len(c.args) > 0 {
			service.Command = c.args
		}
		container, err := newContainer(ctx, cd, service.Image, target, service.Command, nil, serviceSpec(service)...)
		if err != nil {
			return err
		}
		return a.runAndRemove(ctx, container)
	})
}

func (c *composeCommand) start(ctx context.Context, a *app, project *types.Project, start func(context.Context, *containerd.Client, types.ServiceConfig, ocispec.Descriptor) error) error {
	if err := c.needsDaemon(a); err != nil {
		return err
	}
	return c.withStore(ctx, a, project, false, func(ctx context.Context, cd *containerd.Client, plan *compose.Plan) (*compose.Result, error) {
		if err := c.check(project, plan); err != nil {
			return nil, err
		}
		return plan.Start(ctx, c.puller(a, cd, project, false), func(ctx context.Context, service types.ServiceConfig, outcome compose.Outcome) error {
			return start(ctx, cd, service, outcome.Target)
		})
	})
}

// puller does not pull what nobody verifies and is in the store, unless refresh or
// the project says so, and never what the project says is never pulled. What was
// verified is pulled by its digest in any case, which asks for nothing that is there.
func (c *composeCommand) puller(a *app, cd *containerd.Client, project *types.Project, refresh bool) compose.Mover {
	pull := compose.PullWith(cd, a.pullOptions()...)
	services := project.AllServices()
	return func(ctx context.Context, image compose.Image) (ocispec.Descriptor, error) {
		says := func(policy string) bool {
			return slices.ContainsFunc(image.Services, func(name string) bool { return services[name].PullPolicy == policy })
		}
		never := says(types.PullPolicyNever)
		if image.Target.Digest != "" || !never && (refresh || says(types.PullPolicyAlways)) {
			return pull(ctx, image)
		}
		name, err := parseReference(image.Ref)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		target, err := local(ctx, cd, nil, name, nil)
		switch {
		case err == nil || !errdefs.IsNotFound(err):
			return target, err
		case never && refresh: // it need not be there yet
			return ocispec.Descriptor{}, nil
		case never:
			return ocispec.Descriptor{}, misconfigured("pull", image.Ref, errors.New("not in the image store, and pull_policy is never"))
		}
		return pull(ctx, image)
	}
}

// startService has one container of a service run: of this image, with this
// configuration, and none else.
func startService(ctx context.Context, cd *containerd.Client, project string, service types.ServiceConfig, target ocispec.Descriptor) error {
	labels, err := labelsOf(project, service)
	if err != nil {
		return err
	}
	there, err := containersOf(ctx, cd, project, service.Name)
	if err != nil {
		return err
	}
	kept := false
	for _, container := range there {
		if !kept {
			if kept, err = runs(ctx, container, labels); err != nil {
				return err
			}
			if kept {
				continue
			}
		}
		if err := remove(ctx, container); err != nil {
			return err
		}
	}
	if kept {
		return nil
	}
	container, err := newContainer(ctx, cd, service.Image, target, service.Command, labels, serviceSpec(service)...)
	if err != nil {
		return err
	}
	task, err := container.NewTask(ctx, cio.NullIO)
	if err == nil {
		err = task.Start(ctx)
	}
	if err != nil {
		return errors.Join(err, remove(ctx, container))
	}
	return nil
}

// labelsOf tell a container of another image or configuration apart: the image of
// service is pinned.
func labelsOf(project string, service types.ServiceConfig) (map[string]string, error) {
	content, err := yaml.Marshal(service)
	if err != nil {
		return nil, err
	}
	return map[string]string{
		labelProject: project,
		labelService: service.Name,
		labelConfig:  digest.FromBytes(content).String(),
	}, nil
}

// containersOf are the containers of a project, or of one service of it.
func containersOf(ctx context.Context, cd *containerd.Client, project, service string) ([]containerd.Container, error) {
	filter := fmt.Sprintf("labels.%q==%q", labelProject, project)
	if service != "" {
		filter += fmt.Sprintf(",labels.%q==%q", labelService, service)
	}
	return cd.Containers(ctx, filter)
}

// runs reports whether a container has these labels, and its process runs.
func runs(ctx context.Context, container containerd.Container, labels map[string]string) (bool, error) {
	got, err := container.Labels(ctx)
	if err != nil || got[labelConfig] != labels[labelConfig] {
		return false, err
	}
	task, err := container.Task(ctx, nil)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	status, err := task.Status(ctx)
	return err == nil && status.Status == containerd.Running, err
}

// down removes the containers of the project.
func (c *composeCommand) down(ctx context.Context, a *app, project *types.Project) error {
	if err := c.needsDaemon(a); err != nil {
		return err
	}
	ctx, cd, done, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = done() }()
	containers, err := containersOf(ctx, cd, project.Name, "")
	for _, container := range containers {
		err = errors.Join(err, remove(ctx, container))
	}
	return err
}

// remove kills what runs in a container, and removes it with its snapshot.
func remove(ctx context.Context, container containerd.Container) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	task, err := container.Task(ctx, nil)
	switch {
	case errdefs.IsNotFound(err):
	case err != nil:
		return err
	default:
		if _, err := task.Delete(ctx, containerd.WithProcessKill); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	return container.Delete(ctx, containerd.WithSnapshotCleanup)
}

// serviceSpec is what a service says of its container, but for its arguments.
func serviceSpec(s types.ServiceConfig) []oci.SpecOpts {
	var spec []oci.SpecOpts
	if s.Entrypoint != nil { // in the place of the image's, and of its arguments
		spec = append(spec, oci.WithProcessArgs(append(slices.Clone(s.Entrypoint), s.Command...)...))
	}
	var environment []string
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		if value := s.Environment[name]; value != nil {
			environment = append(environment, name+"="+*value)
		}
	}
	spec = append(spec, oci.WithEnv(environment))
	if s.WorkingDir != "" {
		spec = append(spec, oci.WithProcessCwd(s.WorkingDir))
	}
	if s.NetworkMode == "host" {
		spec = append(spec, hostNetwork()...)
	}
	return spec
}
