// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package container stands in for nerdctl's pkg/cmd/container.
package container

import (
	"context"
	"errors"
	"fmt"

	containerd "github.com/containerd/containerd/v2/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/examples/nerdctl/image"
	"github.com/cosignkit/cosignkit/examples/nerdctl/referenceutil"
	"github.com/cosignkit/cosignkit/examples/nerdctl/types"
)

// Create returns what a container of rawRef would run and mount.
func Create(ctx context.Context, client *containerd.Client, rawRef string, options types.ContainerCreateOptions) ([]ocispec.Descriptor, func(), error) {
	args := []string{rawRef}
	if _, err := referenceutil.Parse(args[0]); options.ImagePullOpt.VerifyOptions.Provider != "none" && (options.Rootfs || errors.Is(err, referenceutil.ErrLoadOCIArchiveRequired)) {
		return nil, nil, errors.New("--verify flag is not supported on root file systems and archives")
	}
	if _, err := referenceutil.Parse(args[0]); options.Rootfs || errors.Is(err, referenceutil.ErrLoadOCIArchiveRequired) {
		return nil, nil, errors.New("this is no nerdctl: it has no root file systems and no archives")
	}
	ensured, err := image.EnsureImage(ctx, client, args[0], options.ImagePullOpt)
	if err != nil {
		return nil, nil, err
	}
	used := []ocispec.Descriptor{ensured.Image.Target()}
	for _, ref := range options.ImageMounts {
		target, err := setupImageMount(ctx, client, options, ref)
		if err != nil {
			return nil, nil, err
		}
		used = append(used, target)
	}
	return used, nil, nil
}

func setupImageMount(ctx context.Context, client *containerd.Client, options types.ContainerCreateOptions, ref string) (ocispec.Descriptor, error) {
	ensured, err := image.EnsureImage(ctx, client, ref, options.ImagePullOpt)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("image mount %q: %w", ref, err)
	}
	return ensured.Image.Target(), nil
}
