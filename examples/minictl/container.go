// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/pflag"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/verify"
)

// cleanUpTimeout is how long removing a container may take after an interrupt.
const cleanUpTimeout = 10 * time.Second

// containerExit is the exit code of a container that failed.
type containerExit uint32

func (e containerExit) Error() string {
	return fmt.Sprintf("the container exited with code %d", uint32(e))
}

// runCommand is the command run. The container is removed when it ends.
type runCommand struct {
	verify  verifyFlags
	policy  policyFlags
	when    string
	network string
	args    []string
}

func (r *runCommand) flags(f *pflag.FlagSet) {
	r.verify.flags(f, providerNone)
	r.policy.flags(f)
	f.StringVar(&r.when, "pull", "missing", "pull the image `WHEN`: missing, always or never")
	f.StringVar(&r.network, "net", "none", "the container's network: none or host")
}

func (r *runCommand) commandLine(args []string) { r.args = args }

func (r *runCommand) check(a *app) error {
	switch {
	case a.address == "":
		return usageError{errors.New("run needs the --address of a containerd daemon; the image store in a folder has nothing to run containers with")}
	case r.when != "missing" && r.when != "always" && r.when != "never":
		return usageError{fmt.Errorf("unknown --pull=%s, want missing, always or never", r.when)}
	case r.network != "none" && r.network != "host":
		return usageError{fmt.Errorf("unknown --net=%s, want none or host", r.network)}
	}
	return nil
}

func (r *runCommand) run(ctx context.Context, a *app, ref string) error {
	if err := r.check(a); err != nil {
		return err
	}
	name, err := parseReference(ref)
	if err != nil {
		return err
	}
	verifier, _, err := r.policy.verifier(a, &r.verify, name)
	if err != nil {
		return err
	}
	ctx, cd, client, done, err := a.reach(ctx, name)
	if err != nil {
		return err
	}
	defer done()
	// Under the lease the image stays until the container holds it, whatever
	// becomes of its name meanwhile.
	ctx, release, err := cd.WithLease(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = release(context.WithoutCancel(ctx)) }()

	target, err := r.image(ctx, a, cd, client, name, verifier)
	if err != nil {
		return err
	}
	return r.container(ctx, a, cd, name, target)
}

// image returns what to run. From here on nothing asks what the name stands for.
func (r *runCommand) image(ctx context.Context, a *app, cd *containerd.Client, client *registry.Client, name reference.Named, verifier verify.Verifier) (ocispec.Descriptor, error) {
	if r.when != "always" {
		target, err := local(ctx, cd, client, name, verifier)
		if err == nil {
			return target, hold(ctx, cd, target)
		}
		if !errdefs.IsNotFound(err) {
			return target, err
		}
		if r.when == "never" {
			return target, misconfigured("run", name.String(), errors.New("not in the image store, and --pull=never"))
		}
	}
	status := a.progress("pull "+name.String(), downloads(ctx, cd))
	pulled, err := (&pull{}).pull(ctx, a, cd, client, name.String(), verifier)
	status.stop()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return pulled.target, nil
}

// local returns the image in the store, verified with the signatures that are kept
// there, or else with those in the registry.
func local(ctx context.Context, cd *containerd.Client, client *registry.Client, name reference.Named, verifier verify.Verifier) (ocispec.Descriptor, error) {
	if verifier != nil {
		result, err := client.VerifyLocal(ctx, cd, name.String(), verifier)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		return result.Image.Target, nil
	}
	record, err := cd.ImageService().Get(ctx, name.String())
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if d, ok := name.(reference.Digested); ok && d.Digest() != record.Target.Digest {
		err := fmt.Errorf("the image store has %s under this name", record.Target.Digest)
		return ocispec.Descriptor{}, &verify.Error{Op: "run", Subject: name.String(), Stage: "image store", Kind: verify.ErrRejected, Err: err}
	}
	return record.Target, nil
}

// hold adds target to the lease in ctx.
func hold(ctx context.Context, cd *containerd.Client, target ocispec.Descriptor) error {
	id, _ := leases.FromContext(ctx)
	return cd.LeasesService().AddResource(ctx, leases.Lease{ID: id}, leases.Resource{ID: target.Digest.String(), Type: "content"})
}

// container runs a container of target, and returns when it has ended and is
// removed.
func (r *runCommand) container(ctx context.Context, a *app, cd *containerd.Client, name reference.Named, target ocispec.Descriptor) error {
	var spec []oci.SpecOpts
	if r.network == "host" {
		spec = hostNetwork()
	}
	container, err := newContainer(ctx, cd, name.String(), target, r.args, nil, spec...)
	if err != nil {
		return err
	}
	return a.runAndRemove(ctx, container)
}

func hostNetwork() []oci.SpecOpts {
	return []oci.SpecOpts{oci.WithHostNamespace(specs.NetworkNamespace), oci.WithHostHostsFile, oci.WithHostResolvconf}
}

// newContainer makes a container of target, with these arguments for the image's
// entrypoint, or its own if there are none.
func newContainer(ctx context.Context, cd *containerd.Client, name string, target ocispec.Descriptor, args []string, labels map[string]string, spec ...oci.SpecOpts) (containerd.Container, error) {
	// Not the record of the image store: that is what the name stands for now.
	image := containerd.NewImage(cd, images.Image{Name: name, Target: target})
	if err := image.Unpack(ctx, ""); err != nil {
		return nil, fmt.Errorf("unpack %s: %w", pin(name, target), err)
	}
	id := "minictl-" + strings.ToLower(rand.Text())
	spec = append([]oci.SpecOpts{oci.WithImageConfigArgs(image, args)}, spec...)
	container, err := cd.NewContainer(ctx, id, containerd.WithImage(image), containerd.WithNewSnapshot(id, image),
		containerd.WithNewSpec(spec...), containerd.WithAdditionalContainerLabels(labels))
	if err != nil {
		// The snapshot may be there without a container that it belongs to.
		return nil, errors.Join(err, removeSnapshot(ctx, cd, id))
	}
	return container, nil
}

// runAndRemove runs the container in the foreground.
func (a *app) runAndRemove(ctx context.Context, container containerd.Container) (err error) {
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
		defer cancel()
		err = errors.Join(err, container.Delete(ctx, containerd.WithSnapshotCleanup))
	}()
	return a.runTask(ctx, container)
}

func removeSnapshot(ctx context.Context, cd *containerd.Client, key string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	if err := cd.SnapshotService("").Remove(ctx, key); !errdefs.IsNotFound(err) {
		return err
	}
	return nil
}

// runTask runs the container's process, with its output on this program's.
func (a *app) runTask(ctx context.Context, container containerd.Container) (err error) {
	task, err := container.NewTask(ctx, cio.NewCreator(cio.WithStreams(nil, a.stdout, a.stderr)))
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
		defer cancel()
		if _, remove := task.Delete(ctx, containerd.WithProcessKill); remove != nil {
			err = errors.Join(err, remove)
		}
	}()
	exited, err := task.Wait(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	if err := task.Start(ctx); err != nil {
		return err
	}
	select {
	case status := <-exited:
		waitOutput(ctx, task.IO())
		code, _, err := status.Result()
		if err == nil && code != 0 {
			err = containerExit(code)
		}
		return err
	case <-ctx.Done():
		// The first process of a container may ignore anything less.
		kill, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
		defer cancel()
		return errors.Join(context.Cause(ctx), task.Kill(kill, syscall.SIGKILL, containerd.WithKillAll))
	}
}

// waitOutput returns when all output of a process that has ended is copied.
// Deleting its task would not wait: it closes the pipes as they are.
func waitOutput(ctx context.Context, output cio.IO) {
	copied := make(chan struct{})
	go func() {
		output.Wait()
		close(copied)
	}()
	select {
	case <-copied:
	case <-ctx.Done():
	}
}
