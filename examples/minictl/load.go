// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/distribution/reference"
	"github.com/spf13/pflag"
)

// load is the command load.
type load struct{}

func (*load) flags(*pflag.FlagSet) {}

func (*load) run(ctx context.Context, a *app, file string) error {
	archive, err := os.Open(file)
	if err != nil {
		return misconfigured("load", "", err)
	}
	defer func() { _ = archive.Close() }()
	ctx, cd, done, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = done() }()

	status := a.progress("load "+file, downloads(ctx, cd))
	images, err := cd.Import(ctx, archive,
		containerd.WithAllPlatforms(true),
		containerd.WithSkipMissing(), // of an index, the platforms that are there
		containerd.WithImageRefTranslator(fullReference),
	)
	status.stop()
	if err == nil && len(images) == 0 {
		err = errors.New("no image in the archive has a name")
	}
	if err != nil {
		return misconfigured("load", file, err)
	}
	out := make([]containerd.Image, 0, len(images))
	for _, image := range images {
		out = append(out, containerd.NewImage(cd, image))
	}
	return a.printImages(ctx, out)
}

// fullReference takes a name of an OCI archive only if it is a whole one: the
// specification allows a bare tag, which is no name for an image.
func fullReference(name string) string {
	if _, err := reference.ParseNamed(name); err != nil {
		return ""
	}
	return name
}

// list is the command images.
type list struct{}

func (*list) flags(*pflag.FlagSet) {}

func (*list) run(ctx context.Context, a *app, _ string) error {
	ctx, cd, done, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = done() }()
	images, err := cd.ListImages(ctx)
	if err != nil {
		return err
	}
	return a.printImages(ctx, images)
}

// printImages prints images with the size of what the store has of them.
func (a *app) printImages(ctx context.Context, images []containerd.Image) error {
	list := make(imageList, 0, len(images))
	for _, image := range images {
		size, err := image.Usage(ctx)
		if err != nil {
			return err
		}
		list = append(list, imageRow{Name: image.Name(), Digest: image.Target().Digest.String(), Size: size})
	}
	return a.print(list)
}
