// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose

import (
	"context"
	"errors"
	"fmt"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

const opPush = "push project"

// Push has push push the images of the services that were asked for, and not of
// those that they depend on. With containerd.WithResolver(image.Resolver), each is
// signed as its services say, before its tag is written. An image of several
// services is pushed once, with the signatures of all.
//
// Before anything is uploaded, every key is opened, every passphrase is known to be
// right, and whoever signs with an identity has a certificate. The error has every
// failure, and the first one ends the pushes that are not finished; what was pushed
// by then stays. The result is not nil unless nothing was begun.
func (p *Plan) Push(ctx context.Context, push Mover) (*Result, error) {
	signers, err := p.signers(ctx)
	if err != nil {
		return nil, err
	}
	var uses []use
	for _, u := range p.uses {
		if u.Use == "" && !u.dependency {
			uses = append(uses, u)
		}
	}
	result := p.newResult(uses)
	w := p.newWork(ctx, opPush, result)
	pushes, err := p.pushes(uses, signers, w)
	if err != nil {
		return nil, err
	}
	for _, t := range pushes {
		if err := t.preflight(ctx); err != nil {
			w.fail(t.outcomes, err)
			return result, w.wait(p.project.Name)
		}
	}
	for _, t := range pushes {
		w.do(t.outcomes, func(ctx context.Context) error {
			w.tell(t.outcomes, Pushing)
			pushed, err := t.push(ctx, push)
			if err != nil {
				return err
			}
			w.set(t.outcomes, Pushed, func(o *Outcome) { o.Target = plain(pushed) })
			return nil
		})
	}
	return result, w.wait(p.project.Name)
}

// signedPush is a push with what signs it.
type signedPush struct {
	transfer
	signer *jointSigner // nil for an image that nobody signs
	client *registry.Client
	// attached is told of each signature.
	attached func(registry.Attached)
}

// push has push push the image, and does not take the tool's word for it that it
// used the resolver.
func (t *signedPush) push(ctx context.Context, push Mover) (pushed ocispec.Descriptor, err error) {
	if t.signer == nil {
		return push(ctx, t.image)
	}
	err = t.client.SignPush(t.signer, func(resolver remotes.Resolver) error {
		image := t.image
		image.Resolver = resolver
		pushed, err = push(ctx, image)
		return err
	}, registry.WithAttached(t.attached))
	if err == nil && !t.signer.signed(pushed.Digest) {
		err = fault.New(verify.ErrInconclusive, "push", t.image.Ref, "sign", fmt.Errorf("%s was pushed and not signed", fault.OneLine(pushed.Digest.String())))
	}
	return pushed, err
}

func (p *Plan) pushes(uses []use, signers map[string]signing.Signer, w *work) ([]*signedPush, error) {
	byRef := map[string]*signedPush{}
	var all []*signedPush
	for i, u := range uses {
		t := byRef[u.Image]
		if t == nil {
			t = &signedPush{transfer: transfer{image: Image{Ref: u.Image}}}
			byRef[u.Image] = t
			all = append(all, t)
		}
		t.add(i, u.Service)
		if signs(u.fields) {
			t.sign(i, u, signers[keyOf(u.fields.Sign)])
		}
	}
	for _, t := range all {
		if !uses[t.outcomes[0]].registry {
			continue
		}
		client, err := p.config.Adapter.Client(t.image.Ref)
		if err != nil {
			return nil, err
		}
		t.client, t.image.Resolver = client, client.Resolver()
		t.attached = func(a registry.Attached) {
			w.set(t.signer.owners(a), "", func(o *Outcome) { o.Signatures = append(o.Signatures, a) })
		}
	}
	return all, nil
}

// sign adds to what signs the image what a service asks for, once.
func (t *signedPush) sign(outcome int, u use, s signing.Signer) {
	if t.signer == nil {
		t.signer = &jointSigner{}
	}
	key := keyOf(u.fields.Sign)
	for _, part := range t.signer.parts {
		if part.key == key {
			part.outcomes = append(part.outcomes, outcome)
			return
		}
	}
	t.signer.parts = append(t.signer.parts, &part{key: key, outcomes: []int{outcome}, Signer: s})
}

func (t *signedPush) preflight(ctx context.Context) error {
	if t.signer == nil {
		return nil
	}
	name, err := reference.ParseNormalizedNamed(t.image.Ref)
	if err == nil {
		err = t.signer.Preflight(ctx, signing.Request{Repository: name.Name()})
	}
	if err != nil {
		return fault.New(verify.ErrInconclusive, "push", t.image.Ref, "preflight", err)
	}
	return nil
}

// PushWith pushes what the image store of cd has under the name of the image. The
// options are those of containerd's client.Push; a resolver among them is not used.
func PushWith(cd *containerd.Client, opts ...containerd.RemoteOpt) Mover {
	return func(ctx context.Context, image Image) (ocispec.Descriptor, error) {
		if image.Resolver == nil {
			return ocispec.Descriptor{}, fault.New(verify.ErrMisconfigured, "push", fault.OneLine(image.Ref), "", errNoResolver)
		}
		record, err := cd.ImageService().Get(ctx, image.Ref)
		if errdefs.IsNotFound(err) {
			return ocispec.Descriptor{}, fault.New(verify.ErrMisconfigured, "push", fault.OneLine(image.Ref), "", errors.New("not in the image store"))
		}
		if err == nil {
			err = cd.Push(ctx, image.Ref, record.Target, append(append([]containerd.RemoteOpt{}, opts...), containerd.WithResolver(image.Resolver))...)
		}
		if err != nil {
			return ocispec.Descriptor{}, fault.New(verify.ErrInconclusive, "push", fault.OneLine(image.Ref), "", fault.Printable(err))
		}
		return record.Target, nil
	}
}
