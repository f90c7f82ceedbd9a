// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/verify"
)

// The modes of pulling, as nerdctl's users name them.
const (
	PullAlways  = "always"
	PullMissing = "missing"
	PullNever   = "never"
)

// Verified is an image that may be pulled and run, under the name that the user
// gave.
type Verified struct {
	// Ref is the reference to pull or run: repository:tag@digest, in full. Without
	// verification it is the reference as it was given.
	Ref string
	// Target is the manifest or index that was verified. Nil if nothing was.
	Target *ocispec.Descriptor
	// Result says who signed. Nil if nothing was verified.
	Result *verify.Result

	verification *Verification
	name         string
}

// Verify resolves ref once and verifies what it stands for in its registry.
// Without verification it returns ref as it is, and makes no request. What is no
// reference of a registry, such as a path or ipfs://, is misconfigured.
func (v *Verification) Verify(ctx context.Context, ref string) (*Verified, error) {
	if !v.Enabled() {
		return &Verified{Ref: ref, verification: v}, nil
	}
	client, err := v.adapter.Client(ref)
	if err != nil {
		return nil, err
	}
	result, err := client.Verify(ctx, ref, v.verifier)
	return v.verified(ref, result, err)
}

// Ensure verifies the image that a tool is about to make sure of, with the mode
// that its --pull has: [PullAlways] is [Verification.Verify]; [PullMissing] and
// [PullNever] verify what ref stands for in the image store, by its digest
// and at first with the signatures that are kept beside it, see
// registry.Client.VerifyLocal; and where ref stands for nothing there, the former
// is Verify and the latter an error that matches errdefs.ErrNotFound. An image
// that is there and not acceptable is never replaced by another: that is
// PullAlways.
//
// The store has an image of the name [Verified.Ref] then if it had one of the
// name ref, so that a tool which looks the reference up finds what was verified.
func (v *Verification) Ensure(ctx context.Context, store registry.Store, ref, pull string) (*Verified, error) {
	switch {
	case !v.Enabled():
		return v.Verify(ctx, ref) // whatever pull is, it is the tool's affair
	case pull != PullAlways && pull != PullMissing && pull != PullNever:
		return nil, fault.New(verify.ErrMisconfigured, "verify", printable(ref), "", fmt.Errorf("unknown pull mode %s, want %s, %s or %s", quote(pull), PullAlways, PullMissing, PullNever))
	case pull == PullAlways:
		return v.Verify(ctx, ref)
	}
	client, err := v.adapter.Client(ref)
	if err != nil {
		return nil, err
	}
	result, err := client.VerifyLocal(ctx, store, ref, v.verifier)
	if errdefs.IsNotFound(err) && pull == PullMissing {
		return v.Verify(ctx, ref)
	}
	if errors.Is(err, verify.ErrRejected) {
		v.adapter.log.WarnContext(ctx, "the image that is here under the name "+printable(ref)+" is not acceptable; --pull=always takes that of the registry")
	}
	verified, err := v.verified(ref, result, err)
	if err != nil {
		return nil, err
	}
	return verified, registry.Pin(ctx, store.ImageService(), verified.Ref, *verified.Target)
}

// CheckTarget verifies the target of image, which a tool has read from the image
// store, as [Verification.Ensure] does without looking the name up. Without
// verification it is nil.
func (v *Verification) CheckTarget(ctx context.Context, store registry.Store, image images.Image) error {
	if !v.Enabled() {
		return nil
	}
	client, err := v.adapter.Client(image.Name)
	if err != nil {
		return err
	}
	result, err := client.VerifyLocalImage(ctx, store, verify.Image{Name: image.Name, Target: image.Target}, v.verifier)
	if err != nil {
		return err
	}
	// As an index may be accepted for a manifest in it.
	if result.Image.Target.Digest != image.Target.Digest {
		return errTarget(image.Name, image.Target, result.Image.Target)
	}
	return nil
}

func (v *Verification) verified(ref string, result *verify.Result, err error) (*Verified, error) {
	if err != nil {
		return nil, err
	}
	pinned, err := result.Pinned()
	if err != nil {
		return nil, err
	}
	target := result.Image.Target
	v.adapter.log.Info("verified " + pinned)
	return &Verified{Ref: pinned, Target: &target, Result: result, verification: v, name: ref}, nil
}

func errTarget(name string, got, want ocispec.Descriptor) error {
	return fault.New(verify.ErrRejected, "verify", printable(name), "", fmt.Errorf("the image store has %s for it, and %s was verified", got.Digest, want.Digest))
}

// Record makes the name that the user gave stand for what was verified in the
// image store, which must have it, and keeps the signatures beside it, so
// that a later start needs no registry. The target is that of the image which the
// tool has found for Ref and is about to run: another one than was verified is
// rejected. Without verification Record does nothing.
func (v *Verified) Record(ctx context.Context, store registry.Store, target ocispec.Descriptor) error {
	if v.Target == nil {
		return nil
	}
	if target.Digest != v.Target.Digest {
		return errTarget(v.name, target, *v.Target)
	}
	if _, err := store.ContentStore().Info(ctx, v.Target.Digest); err != nil {
		kind := verify.ErrInconclusive
		if errdefs.IsNotFound(err) {
			kind, err = verify.ErrMisconfigured, errors.New("it is not in the content store")
		}
		return fault.New(kind, "record", printable(v.Ref), "", err)
	}
	if err := registry.KeepSignatures(ctx, store.ContentStore(), v.Result); err != nil {
		// It costs a later start without a network, and not this one.
		v.verification.adapter.log.WarnContext(ctx, "signatures are not kept, and will be looked for in the registry again", "error", err)
	}
	return registry.Pin(ctx, store.ImageService(), v.name, *v.Target)
}
