// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// SignPush signs what push pushes, for a tool with a push of its own: push passes
// the resolver to containerd.WithResolver, of a client.Push that is otherwise
// unmodified, for any number of images. The resolver serves that one call of push.
//
// Its Pusher needs a reference with the digest to sign, as client.Push passes it.
// It uploads by digest, and when the root of the image is committed, signs and
// attaches, and then writes the tag, if there is one. An error of these steps is
// returned by that Commit, and so by client.Push and by SignPush. The resolver
// resolves and fetches like [Client.Resolver].
//
// An image that another digest stands for than the one in the reference is not
// signed and not tagged, and its pusher cannot tell: from there it looks like a part
// of an index. SignPush can: the error is misconfigured unless what each reference
// names was pushed, and at least one was.
func (c *Client) SignPush(signer signing.Signer, push func(remotes.Resolver) error, opts ...SignOption) error {
	r := &signingResolver{
		plainResolver: plainResolver{client: c}, signer: signer, signOptions: makeSignOptions(opts), pushed: map[string]bool{},
	}
	err := push(r)
	if missing := r.end(); err == nil {
		err = missing
	}
	return err
}

type signingResolver struct {
	plainResolver
	signer      signing.Signer
	signOptions signOptions

	mu sync.Mutex
	// pushed says of each reference whether what it names is there.
	pushed map[string]bool
	ended  bool
}

// begin notes that ref is to be pushed.
func (r *signingResolver) begin(ref string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return errors.New("the push that this resolver is for is over")
	}
	if !r.pushed[ref] {
		r.pushed[ref] = false
	}
	return nil
}

func (r *signingResolver) finish(ref string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pushed[ref] = true
}

// end returns an error unless everything was pushed that was begun.
func (r *signingResolver) end() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	if len(r.pushed) == 0 {
		return fault.New(verify.ErrMisconfigured, opPush, "", "", errors.New("nothing was pushed with the resolver that signs"))
	}
	for _, ref := range slices.Sorted(maps.Keys(r.pushed)) {
		if !r.pushed[ref] {
			err := errors.New("another digest was pushed than the reference names; nothing is signed, and no tag is written")
			return fault.New(verify.ErrMisconfigured, opPush, ref, "", err)
		}
	}
	return nil
}

// Pusher returns a pusher for the image that ref names with its digest, as
// client.Push calls it: repository:tag@digest.
func (r *signingResolver) Pusher(ctx context.Context, ref string) (remotes.Pusher, error) {
	name, err := normalize(ref)
	if err == nil {
		err = r.client.checkRequest(name, r.signer, r.signOptions)
	}
	digested, ok := name.(reference.Digested)
	if err == nil && !ok {
		err = errors.New("no digest to sign")
	}
	if err == nil {
		err = r.begin(ref)
	}
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opPush, ref, "reference", err)
	}
	p := &signingPusher{
		resolver:   r,
		repository: repository{source: r.client.pushSource(), name: name},
		ref:        ref,
		root:       digested.Digest(),
	}
	if tagged, ok := name.(reference.Tagged); ok {
		p.tag = tagged.Tag()
	}
	return leash.Operation(ctx, verify.ErrRejected, opPush, ref, func(ctx context.Context) (remotes.Pusher, error) {
		return p, r.prepare(ctx, p)
	})
}

// prepare finds the way to the registry first: a signer may publish in its preflight.
func (r *signingResolver) prepare(ctx context.Context, p *signingPusher) (err error) {
	p.content, err = p.source.resolver.Pusher(r.client.quiet(ctx), p.digest(p.root))
	if err != nil {
		return fault.New(kindOf(err), opPush, p.ref, "", err)
	}
	if err := r.signOptions.preflight(ctx, r.signer, p.name, ocispec.Descriptor{Digest: p.root}); err != nil {
		return fault.New(verify.ErrInconclusive, opPush, p.ref, "preflight", err)
	}
	return nil
}
