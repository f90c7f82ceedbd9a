// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package imgutil stands in for nerdctl's pkg/imgutil: it finds or pulls an image
// and knows nothing of signatures.
package imgutil

import (
	"context"
	"fmt"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/errdefs"

	"github.com/cosignkit/cosignkit/examples/nerdctl/referenceutil"
	"github.com/cosignkit/cosignkit/examples/nerdctl/types"
)

// EnsuredImage is an image that is in the store.
type EnsuredImage struct {
	Ref   string
	Image containerd.Image
}

// EnsureImage looks rawRef up in the store, unless the mode is always, and pulls
// it, unless the mode is never.
func EnsureImage(ctx context.Context, client *containerd.Client, rawRef string, options types.ImagePullOptions) (*EnsuredImage, error) {
	parsed, err := referenceutil.Parse(rawRef)
	if err != nil {
		return nil, err
	}
	if options.Mode != "always" {
		record, err := client.ImageService().Get(ctx, parsed.String())
		if err == nil {
			return &EnsuredImage{Ref: record.Name, Image: containerd.NewImage(client, record)}, nil
		}
		if !errdefs.IsNotFound(err) || options.Mode == "never" {
			return nil, fmt.Errorf("image not available: %q: %w", rawRef, err)
		}
	}
	// nerdctl has the daemon pull in most cases, to which no resolver is passed.
	resolver := docker.NewResolver(docker.ResolverOptions{Hosts: docker.ConfigureDefaultRegistries(docker.WithPlainHTTP(docker.MatchLocalhost))})
	pulled, err := client.Pull(ctx, parsed.String(), containerd.WithResolver(resolver))
	if err != nil {
		return nil, err
	}
	return &EnsuredImage{Ref: parsed.String(), Image: pulled}, nil
}
