// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package image stands in for nerdctl's pkg/cmd/image.
package image

import (
	"context"
	"errors"
	"fmt"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/images/converter"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/platforms"

	"github.com/cosignkit/cosignkit/examples/nerdctl/referenceutil"
	"github.com/cosignkit/cosignkit/examples/nerdctl/signutil"
	"github.com/cosignkit/cosignkit/examples/nerdctl/types"
)

// Push pushes rawRef, or the tags of options.
func Push(ctx context.Context, client *containerd.Client, rawRef string, options types.ImagePushOptions) error {
	var err error
	if options.Signing, err = signutil.Cosign(options.GOptions).Signing(ctx, options.SignOptions.Provider, options.SignOptions.CosignKey); err != nil {
		return err
	}
	if len(options.AllTags) == 0 {
		return pushSingle(ctx, client, rawRef, options)
	}
	for _, tag := range options.AllTags {
		if err := pushSingle(ctx, client, rawRef+":"+tag, options); err != nil {
			return err
		}
	}
	return nil
}

func pushSingle(ctx context.Context, client *containerd.Client, rawRef string, options types.ImagePushOptions) error {
	parsedReference, err := referenceutil.Parse(rawRef)
	if err != nil {
		return err
	}
	if parsedReference.Protocol != "" {
		if options.Signing.Enabled() {
			return errors.New("--sign flag is not supported on IPFS as of now")
		}
		return errors.New("this is no nerdctl: it has no IPFS")
	}
	pushRef := parsedReference.String()
	if !options.AllPlatforms {
		reduced, done, err := Reduce(ctx, client, pushRef, options.Platforms)
		if err != nil {
			return err
		}
		defer done()
		pushRef = reduced.Name
	}
	if !options.AllowNondistributableArtifacts || options.Signing.Enabled() {
		err = pushImageWithLocal(ctx, client, parsedReference, pushRef, options)
	} else {
		err = errors.New("this is no nerdctl: no daemon that pushes")
	}
	if err != nil {
		return err
	}
	img, err := client.ImageService().Get(ctx, pushRef)
	if err != nil {
		return err
	}
	return signutil.Sign(fmt.Sprintf("%s@%s", pushRef, img.Target.Digest), options.SignOptions)
}

// Reduce records the image ref with these platforms alone, or with that of this
// machine if there are none, until done is called. In nerdctl it is a part of
// pushSingle.
func Reduce(ctx context.Context, client *containerd.Client, ref string, only []string) (reduced *images.Image, done func(), err error) {
	wanted := platforms.DefaultStrict()
	if len(only) > 0 {
		parsed, err := platforms.ParseAll(only)
		if err != nil {
			return nil, nil, err
		}
		wanted = platforms.Any(parsed...)
	}
	reduced, err = converter.Convert(ctx, client, ref+"-tmp-reduced-platform", ref, converter.WithPlatform(wanted))
	if err != nil {
		return nil, nil, err
	}
	return reduced, func() { _ = client.ImageService().Delete(ctx, reduced.Name, images.SynchronousDelete()) }, nil
}

func pushImageWithLocal(ctx context.Context, client *containerd.Client, parsedReference *referenceutil.ImageReference, pushRef string, options types.ImagePushOptions) error {
	pushTracker := docker.NewInMemoryTracker()
	pushFunc := func(r remotes.Resolver) error {
		img, err := client.ImageService().Get(ctx, pushRef)
		if err != nil {
			return err
		}
		return client.Push(ctx, parsedReference.String(), img.Target, containerd.WithResolver(r))
	}
	if options.Signing.Enabled() {
		return options.Signing.Push(parsedReference.String(), pushTracker, pushFunc)
	}
	return pushFunc(docker.NewResolver(docker.ResolverOptions{
		Tracker: pushTracker,
		Hosts:   docker.ConfigureDefaultRegistries(docker.WithPlainHTTP(docker.MatchLocalhost)),
	}))
}
