// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/verify"
)

// Store is where containerd keeps images. Its *client.Client is one.
type Store interface {
	ImageService() images.Store
	ContentStore() content.Store
}

// VerifyLocal verifies the image that ref stands for in the image store,
// before it runs. It reads the record once, and verifies the digest in it, first
// with the signatures that are kept with the image, see [KeepSignatures], and without
// a network. Only if these are not enough, it looks for signatures in the registry,
// and keeps those that pass. [WithoutRegistry] leaves the
// registry alone; [WithEverySignature] looks in both at once.
//
// Run the result's Image.Target and nothing else: the name may stand for
// something else by then. With [WithSignedPlatform] it can be a manifest in the
// index that was recorded.
//
// If the store has no such image, the error matches errdefs.ErrNotFound, and no
// other does; it is inconclusive, and a pull is what comes next. A record
// whose name has another digest than its target is rejected. Everything
// that is not an image reference, such as a path, an image ID or ipfs://, is
// misconfigured.
func (c *Client) VerifyLocal(ctx context.Context, store Store, ref string, verifier verify.Verifier, opts ...VerifyOption) (*verify.Result, error) {
	o := makeVerifyOptions(opts)
	return o.run(ctx, ref, func(ctx context.Context) (*verify.Result, error) {
		name, err := normalize(ref)
		if err != nil {
			return nil, fault.New(verify.ErrMisconfigured, opVerify, ref, "reference", err)
		}
		record, err := findRecord(ctx, store.ImageService(), name)
		if err != nil {
			return nil, fault.New(storeKind(err), opVerify, name.String(), "read image store", err)
		}
		return c.verifyStored(ctx, store, name, record.Target, verifier, o)
	})
}

// VerifyLocalImage is [Client.VerifyLocal] for an image whose record was read
// already. The store is not asked for it again.
func (c *Client) VerifyLocalImage(ctx context.Context, store Store, image verify.Image, verifier verify.Verifier, opts ...VerifyOption) (*verify.Result, error) {
	o := makeVerifyOptions(opts)
	return o.run(ctx, image.String(), func(ctx context.Context) (*verify.Result, error) {
		name, err := checkImage(image, o)
		if err != nil {
			return nil, err
		}
		return c.verifyStored(ctx, store, name, image.Target, verifier, o)
	})
}

func (c *Client) verifyStored(ctx context.Context, store Store, name reference.Named, target ocispec.Descriptor, verifier verify.Verifier, o verifyOptions) (*verify.Result, error) {
	target = ocispec.Descriptor{MediaType: target.MediaType, Digest: target.Digest, Size: target.Size}
	kept := source{resolver: storeResolver{store.ImageService(), store.ContentStore()}}
	v, limited, cancel, err := c.newVerification(ctx, kept, verify.Image{Name: name.String(), Target: target}, name, verifier, o)
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opVerify, name.String(), "", err)
	}
	defer cancel()
	result, err := v.decide(ctx, limited, target, func(ctx context.Context, target ocispec.Descriptor) (*verify.Result, error) {
		if o.offline {
			v.beside = []source{{}}
			return v.verify(ctx, target)
		}
		if !o.everySigner {
			if result, err := v.verify(ctx, target); err == nil || !v.mayHelp(ctx, err) {
				return result, err
			}
		}
		v.source, v.beside, v.indexes = c.pullSource(), []source{kept}, &budget{limits: v.limits}
		result, err := v.verify(ctx, target)
		if err == nil {
			c.keep(ctx, store, result)
		}
		return result, err
	})
	if err != nil {
		return result, presentError{err}
	}
	return result, nil
}

// mayHelp reports whether another place may have what err is the lack of.
func (v *verification) mayHelp(ctx context.Context, err error) bool {
	// The name of an index may stand for something else in the store.
	return ctx.Err() == nil && (!errors.Is(err, verify.ErrMisconfigured) || v.options.index != "")
}

// keep keeps the signatures of an image that is acceptable without. A failure
// costs a later start without a network, and not this one.
func (c *Client) keep(ctx context.Context, store Store, result *verify.Result) {
	if err := KeepSignatures(ctx, store.ContentStore(), result); err != nil {
		c.log.WarnContext(ctx, "signatures are not kept, and will be looked for in the registry again", "image", result.Image.Name, "error", err)
	}
}

// presentError keeps what a registry does not have from looking like an image that is
// to be pulled.
type presentError struct{ error }

func (e presentError) Is(target error) bool {
	return target != errdefs.ErrNotFound && errors.Is(e.error, target)
}

func (e presentError) As(target any) bool { return errors.As(e.error, target) }
