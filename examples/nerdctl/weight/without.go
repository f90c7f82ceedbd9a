// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !cosign

package main

import (
	"context"

	containerd "github.com/containerd/containerd/v2/client"
)

func ensure(ctx context.Context, client *containerd.Client, ref string) (containerd.Image, error) {
	return client.Pull(ctx, ref, containerd.WithPullUnpack, containerd.WithResolver(resolver(ctx)))
}

func push(ctx context.Context, client *containerd.Client, ref string, image containerd.Image) error {
	return client.Push(ctx, ref, image.Target(), containerd.WithResolver(resolver(ctx)))
}
