// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build cosign

package main

import (
	"context"
	"errors"

	composetypes "github.com/compose-spec/compose-go/v2/types"
	containerd "github.com/containerd/containerd/v2/client"

	"github.com/cosignkit/cosignkit/examples/nerdctl/composer"
	"github.com/cosignkit/cosignkit/examples/nerdctl/image"
	"github.com/cosignkit/cosignkit/examples/nerdctl/types"
)

func ensure(ctx context.Context, client *containerd.Client, ref string) (containerd.Image, error) {
	if resolver(ctx) == nil {
		return nil, errors.New("no resolver")
	}
	options := types.ImagePullOptions{Mode: "missing", VerifyOptions: types.ImageVerifyOptions{Provider: "cosign", CosignKey: "cosign.pub"}}
	ensured, err := image.EnsureImage(ctx, client, ref, options)
	if err != nil {
		return nil, err
	}
	return ensured.Image, nil
}

func push(ctx context.Context, client *containerd.Client, ref string, _ containerd.Image) error {
	ps, err := composer.Parse(&composer.Project{}, composer.ServiceConfig{
		ContainerSpec: composetypes.ContainerSpec{Image: ref}, Extensions: map[string]any{"x-nerdctl-sign": "cosign"},
	})
	if err != nil {
		return err
	}
	c := composer.Composer{Client: client, Run: func(context.Context, ...string) error {
		return image.Push(ctx, client, ref, types.ImagePushOptions{SignOptions: types.ImageSignOptions{Provider: "cosign"}})
	}}
	return c.PushServiceImage(ctx, ps)
}
