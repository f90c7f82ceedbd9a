// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/images/converter"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/pflag"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
)

// push is the command push.
type push struct {
	sign         signFlags
	allPlatforms bool
	allTags      bool
}

func (p *push) flags(f *pflag.FlagSet) {
	p.sign.flags(f)
	f.BoolVar(&p.allPlatforms, "all-platforms", false, "push every platform of the image, not only this machine's")
	f.BoolVar(&p.allTags, "all-tags", false, "push every tag of the repository REF; what several tags share is signed once")
}

func (p *push) run(ctx context.Context, a *app, ref string) error {
	name, err := p.parse(ref)
	if err != nil {
		return err
	}
	form, err := signing.ParseForm(p.sign.format)
	if err != nil {
		return err
	}
	// The key is opened before anything is sent: a wrong passphrase must not
	// leave half an image behind.
	signer, err := p.sign.signer(ctx, a)
	if err != nil {
		return err
	}
	ctx, cd, done, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = done() }()
	// The lease keeps an index that is made for this push from being collected.
	ctx, release, err := cd.WithLease(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = release(context.WithoutCancel(ctx)) }()

	names := []reference.Named{name}
	if p.allTags {
		if names, err = tagsOf(ctx, cd, name); err != nil {
			return err
		}
	}
	// What cannot be pushed is found before the first of them is.
	targets := make([]ocispec.Descriptor, len(names))
	for i, name := range names {
		if targets[i], err = p.target(ctx, cd, name); err != nil {
			return err
		}
	}
	opts := []registry.SignOption{registry.WithForm(form), &registry.Once{}}
	if p.sign.recursive {
		opts = append(opts, registry.WithRecursive())
	}
	for i, name := range names {
		out, err := pushOne(ctx, a, cd, name, targets[i], signer, opts)
		if err != nil {
			return err
		}
		if err := a.print(out); err != nil {
			return err
		}
	}
	return nil
}

func (p *push) parse(ref string) (reference.Named, error) {
	name, err := parseReference(ref)
	if err != nil || !p.allTags {
		return name, err
	}
	if named, err := reference.ParseNormalizedNamed(ref); err != nil || !reference.IsNameOnly(named) {
		return nil, usageError{fmt.Errorf("%s: --all-tags wants a repository, without tag or digest", ref)}
	}
	return reference.TrimNamed(name), nil
}

// tagsOf are the tags of a repository in the image store.
func tagsOf(ctx context.Context, cd *containerd.Client, repository reference.Named) ([]reference.Named, error) {
	images, err := cd.ImageService().List(ctx)
	if err != nil {
		return nil, err
	}
	var names []reference.Named
	for _, image := range images {
		name, err := reference.ParseNormalizedNamed(image.Name)
		if err != nil || name.String() != image.Name || name.Name() != repository.Name() {
			continue
		}
		if tag, ok := name.(reference.NamedTagged); ok {
			names = append(names, tag)
		}
	}
	if len(names) == 0 {
		return nil, misconfigured("push", repository.String(), errors.New("no tag of it is in the image store"))
	}
	return names, nil
}

// pushOne signs with signer unless it is nil.
func pushOne(ctx context.Context, a *app, cd *containerd.Client, name reference.Named, target ocispec.Descriptor, signer signing.Signer, opts []registry.SignOption) (*pushed, error) {
	uploads := newUploads()
	client, err := a.registry(name, uploads)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	status := a.progress("push "+name.String(), uploads.progress)
	defer status.stop()
	var signatures []registry.Attached
	if signer == nil {
		err = cd.Push(ctx, name.String(), target, containerd.WithResolver(client.Resolver()))
	} else {
		signatures, err = hooks.Push(ctx, client, cd, name.String(), target, signer, nil, opts...)
	}
	if err != nil {
		return nil, err
	}
	return newPushed(name.String(), target, signatures), nil
}

// target is what to push for name: the image, or of an index, as nerdctl does,
// a new index of nothing but this machine's platform.
func (p *push) target(ctx context.Context, cd *containerd.Client, name reference.Named) (ocispec.Descriptor, error) {
	image, err := cd.ImageService().Get(ctx, name.String())
	if errdefs.IsNotFound(err) {
		err = misconfigured("push", name.String(), errors.New("not in the image store"))
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	target := image.Target
	if !p.allPlatforms {
		reduce := converter.DefaultIndexConvertFunc(nil, false, platforms.DefaultStrict())
		reduced, err := reduce(ctx, cd.ContentStore(), target)
		if err != nil {
			return ocispec.Descriptor{}, misconfigured("push", name.String(), fmt.Errorf("reduce to %s: %w", platforms.DefaultString(), err))
		}
		if reduced != nil {
			target = *reduced
		}
	}
	if err := complete(ctx, cd.ContentStore(), target); err != nil {
		hint := "has no content for " + platforms.DefaultString() + "; push other platforms with --all-platforms"
		if p.allPlatforms {
			hint = "lacks content of some platforms; pull them with --all-platforms"
		}
		return ocispec.Descriptor{}, misconfigured("push", name.String(), fmt.Errorf("the image %s: %w", hint, err))
	}
	return target, nil
}

// complete reports whether everything that target refers to is in store.
func complete(ctx context.Context, store content.Store, target ocispec.Descriptor) error {
	return images.WalkNotEmpty(ctx, images.HandlerFunc(func(ctx context.Context, desc ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		if _, err := store.Info(ctx, desc.Digest); err != nil {
			return nil, err
		}
		return images.Children(ctx, store, desc)
	}), target)
}
