// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Weight is for its size alone: it links what a container tool has of containerd's
// client, and with the build tag cosign the lines of docs/nerdctl.md as well.
// docs/nerdctl.md says how the two are measured.
package main

import (
	"context"
	"fmt"
	"os"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/spf13/pflag"
)

func main() {
	address := pflag.String("address", "/run/containerd/containerd.sock", "socket of containerd")
	pflag.Parse()
	if err := run(namespaces.WithNamespace(context.Background(), "default"), *address, pflag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address string, refs []string) error {
	client, err := containerd.New(address)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	for _, ref := range refs {
		image, err := ensure(ctx, client, ref)
		if err != nil {
			return err
		}
		c, err := client.NewContainer(ctx, "weight", containerd.WithImage(image), containerd.WithNewSnapshot("weight", image),
			containerd.WithNewSpec(oci.WithImageConfig(image)))
		if err != nil {
			return err
		}
		task, err := c.NewTask(ctx, cio.NewCreator(cio.WithStdio))
		if err != nil {
			return err
		}
		if err := task.Start(ctx); err != nil {
			return err
		}
		if err := push(ctx, client, ref, image); err != nil {
			return err
		}
	}
	return nil
}

// resolver reads hosts.toml, as the resolver of a tool does.
func resolver(ctx context.Context) remotes.Resolver {
	return docker.NewResolver(docker.ResolverOptions{Hosts: config.ConfigureHosts(ctx, config.HostOptions{
		HostDir: config.HostDirFromRoot("/etc/containerd/certs.d"),
	})})
}
