// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"errors"

	containerd "github.com/containerd/containerd/v2/client"

	"github.com/cosignkit/cosignkit/examples/nerdctl/imgutil"
	"github.com/cosignkit/cosignkit/examples/nerdctl/referenceutil"
	"github.com/cosignkit/cosignkit/examples/nerdctl/signutil"
	"github.com/cosignkit/cosignkit/examples/nerdctl/types"
)

// EnsureImage is what pull, run and create, and those of compose, get images by.
func EnsureImage(ctx context.Context, client *containerd.Client, rawRef string, options types.ImagePullOptions) (*imgutil.EnsuredImage, error) {
	var ensured *imgutil.EnsuredImage
	parsedReference, err := referenceutil.Parse(rawRef)
	if err != nil {
		return nil, err
	}
	if parsedReference.Protocol != "" {
		if options.VerifyOptions.Provider != "none" {
			return nil, errors.New("--verify flag is not supported on IPFS as of now")
		}
		return nil, errors.New("this is no nerdctl: it has no IPFS")
	}
	ref, err := signutil.Verify(rawRef, options.VerifyOptions)
	if err != nil {
		return nil, err
	}
	verified, err := signutil.Cosign(options.GOptions).Ensure(ctx, client, ref, options.Mode, options.VerifyOptions)
	if err != nil {
		return nil, err
	}
	ensured, err = imgutil.EnsureImage(ctx, client, verified.Ref, options)
	if err != nil {
		return nil, err
	}
	return ensured, verified.Record(ctx, client, ensured.Image.Target())
}
