// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/verify"
)

// VerifyLocal verifies the image that ref stands for in the image store of cd,
// by its digest, and asks no registry if the signatures that are kept beside it
// are enough ([Client.Pull] keeps them, and so does [KeepSignatures]). Only where
// they are not, those in the registry are looked for. A record whose name has
// another digest than its target is rejected. Run the result's Image.Target and
// nothing else: the name may stand for something else by then.
func (c *Client) VerifyLocal(ctx context.Context, cd *containerd.Client, ref string, verifier verify.Verifier, opts ...VerifyOption) (*verify.Result, error) {
	return nil, errors.New("not built")
}

// KeepSignatures keeps the signatures of result that passed in store, beside the
// image that they are for, which must be there. containerd's garbage collection
// keeps them as long as it keeps the image.
func KeepSignatures(ctx context.Context, store content.Store, result *verify.Result) error {
	return errors.New("not built")
}

// StoreResolver makes containerd's image and content store what a Client works
// on, through Config.Resolver: images there are verified with the signatures
// that are kept beside them, and no registry is asked.
func StoreResolver(images images.Store, content content.Store) remotes.Resolver { return nil }

// Pin records in store that ref, which may have a tag, a digest or both, stands
// for target. It replaces what ref stood for. A digest in ref that is not
// target's is misconfigured.
func Pin(ctx context.Context, store images.Store, ref string, target ocispec.Descriptor) error {
	return errors.New("not built")
}
