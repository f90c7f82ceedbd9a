// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// Pusher uploads an image: it passes the reference and the resolver to containerd's
// client.Push, or to whatever pushes instead.
type Pusher func(ctx context.Context, ref string, resolver remotes.Resolver) error

// PushWith has push upload target, an image in store, as ref, and signs it. Package
// registry/hooks has a Push for containerd's client. Content goes up by digest,
// target's digest is signed, the signature is attached and read back, and then the tag
// of ref is written. If anything fails, the tag is as it was, and the error says what
// was left behind without one.
func (c *Client) PushWith(ctx context.Context, store content.Store, ref string, target ocispec.Descriptor, signer signing.Signer, push Pusher, opts ...SignOption) ([]Attached, error) {
	name, err := normalize(ref)
	if err == nil {
		err = c.checkSigning(name, target, signer, makeSignOptions(opts))
	}
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opPush, ref, "reference", err)
	}
	var attached attachments
	_, err = leash.Operation(ctx, verify.ErrRejected, opPush, name.String(), func(ctx context.Context) (none struct{}, err error) {
		root, err := readStore(ctx, store, target.Digest, limits.Manifest)
		if err != nil {
			return none, fault.New(storeKind(err), opPush, ref, "read content store", err)
		}
		if err := checkRoot(target, root); err != nil {
			return none, fault.New(verify.ErrMisconfigured, opPush, ref, "manifest", err)
		}
		err = c.SignPush(signer, func(resolver remotes.Resolver) error {
			return push(c.quiet(ctx), withDigest(name, target.Digest), resolver)
		}, append(slices.Clip(opts), &attached)...)
		if err != nil {
			return none, fault.New(kindOf(err), opPush, name.String(), "", failed(ctx, err))
		}
		return none, nil
	})
	return attached.list(), err
}

// withDigest is the form of reference from which client.Push, and a signing
// pusher, take the tag to write last.
func withDigest(name reference.Named, d digest.Digest) string {
	if _, ok := name.(reference.Digested); ok {
		return name.String()
	}
	return name.String() + "@" + d.String()
}

// signingPusher uploads an image so that its tag appears last.
type signingPusher struct {
	repository
	resolver *signingResolver

	ref  string
	tag  string
	root digest.Digest
	// content uploads by digest.
	content remotes.Pusher
}

var _ content.Ingester = (*signingPusher)(nil)

// Writer implements content.Ingester, which containerd prefers to Push: two
// manifests of an index may share a layer, and the second to upload it has to
// wait for the first.
func (p *signingPusher) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	var o content.WriterOpts
	for _, opt := range opts {
		if err := opt(&o); err != nil {
			return nil, err
		}
	}
	if ingester, ok := p.content.(content.Ingester); ok && o.Desc.Digest != p.root {
		return ingester.Writer(p.resolver.client.quiet(ctx), opts...)
	}
	return p.Push(ctx, o.Desc)
}

// Push hands everything but the root on. The root is held back, whether the
// registry has it or not: its content is needed to write the tag.
func (p *signingPusher) Push(ctx context.Context, desc ocispec.Descriptor) (content.Writer, error) {
	if desc.Digest != p.root {
		return p.content.Push(p.resolver.client.quiet(ctx), desc)
	}
	if err := p.resolver.client.checkSigning(p.name, desc, p.resolver.signer, p.resolver.signOptions); err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opPush, p.ref, "", err)
	}
	now := time.Now()
	return &rootWriter{pusher: p, desc: desc, started: now, updated: now}, nil
}

// finish runs when the content of the root is complete and everything that it
// refers to is in the registry.
func (p *signingPusher) finish(ctx context.Context, desc ocispec.Descriptor, b []byte) error {
	_, err := leash.Operation(ctx, verify.ErrRejected, opPush, p.ref, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, p.signRoot(ctx, desc, b)
	})
	return err
}

func (p *signingPusher) signRoot(ctx context.Context, desc ocispec.Descriptor, b []byte) error {
	ctx = p.resolver.client.ownContext(ctx, limits.Manifest)
	if err := checkRoot(desc, b); err != nil {
		return fault.New(verify.ErrMisconfigured, opPush, p.ref, "manifest", err)
	}
	if err := p.pushRoot(ctx, desc, b); err != nil {
		return fault.New(kindOf(err), opPush, p.ref, "manifest by digest", err)
	}
	if err := p.resolver.client.signTarget(ctx, p.source, p.name, desc, p.resolver.signer, p.resolver.signOptions); err != nil {
		return p.leftBehind("sign", err)
	}
	if p.tag != "" {
		if err := p.push(ctx, p.repository.tag(p.tag), desc, b); err != nil {
			return p.leftBehind("tag", err)
		}
	}
	p.resolver.finish(p.ref)
	return nil
}

// checkRoot wants the content to be what the media type says, which goes up with
// it: a manifest or an index.
func checkRoot(desc ocispec.Descriptor, b []byte) error {
	err := checkIndex(b)
	if err != nil && !errors.Is(err, errNoIndex) {
		return err
	}
	if (err == nil) != images.IsIndexType(desc.MediaType) {
		return fmt.Errorf("%w: it is no %s", errContent, desc.MediaType)
	}
	return nil
}

// pushRoot uses the pusher of the content, and with it the name under which a
// tracker shows its progress.
func (p *signingPusher) pushRoot(ctx context.Context, desc ocispec.Descriptor, b []byte) error {
	w, err := p.content.Push(ctx, desc)
	if errdefs.IsAlreadyExists(err) {
		return p.ensureRoot(ctx, desc, b)
	}
	if err != nil {
		return failed(ctx, err)
	}
	defer func() { _ = w.Close() }()
	if err := content.Copy(ctx, w, bytes.NewReader(b), desc.Size, desc.Digest); err != nil && !errdefs.IsAlreadyExists(err) {
		return failed(ctx, err)
	}
	return nil
}

// ensureRoot does not take a tracker's word for it that the root is in this
// repository: behind a resolver of the caller's, the tracker may remember
// another one.
func (p *signingPusher) ensureRoot(ctx context.Context, desc ocispec.Descriptor, b []byte) error {
	if p.hosts != nil {
		return nil
	}
	return p.push(ctx, p.digest(desc.Digest), desc, b)
}

func (p *signingPusher) leftBehind(stage string, err error) error {
	kind := kindOf(err)
	if p.tag == "" {
		return fault.New(kind, opPush, p.ref, stage, fmt.Errorf("the image is in the registry without a complete signature: %w", err))
	}
	return fault.New(kind, opPush, p.ref, stage, fmt.Errorf("tag %s is not written, the content is in the registry by digest: %w", p.tag, err))
}

// rootWriter collects the root manifest or index. It acts when it is committed.
type rootWriter struct {
	pusher  *signingPusher
	desc    ocispec.Descriptor
	buf     bytes.Buffer
	started time.Time
	updated time.Time
	closed  bool
}

var _ content.Writer = (*rootWriter)(nil)

func (w *rootWriter) Write(b []byte) (int, error) {
	if w.closed {
		return 0, errors.New("write to a closed writer")
	}
	if int64(w.buf.Len()+len(b)) > w.desc.Size {
		return 0, fmt.Errorf("%w: more than %d bytes", errContent, w.desc.Size)
	}
	w.updated = time.Now()
	return w.buf.Write(b)
}

func (w *rootWriter) Close() error {
	w.closed = true
	return nil
}

func (w *rootWriter) Digest() digest.Digest { return digest.FromBytes(w.buf.Bytes()) }

func (w *rootWriter) Status() (content.Status, error) {
	return content.Status{
		Ref:       w.pusher.ref,
		Offset:    int64(w.buf.Len()),
		Total:     w.desc.Size,
		Expected:  w.desc.Digest,
		StartedAt: w.started,
		UpdatedAt: w.updated,
	}, nil
}

func (w *rootWriter) Truncate(size int64) error {
	if size != 0 {
		return errors.New("a manifest can only be truncated to its beginning")
	}
	w.buf.Reset()
	return nil
}

func (w *rootWriter) Commit(ctx context.Context, size int64, expected digest.Digest, _ ...content.Opt) error {
	b := w.buf.Bytes()
	if size > 0 && size != int64(len(b)) || expected != "" && expected != w.desc.Digest || digest.FromBytes(b) != w.desc.Digest {
		return fault.New(verify.ErrRejected, opPush, w.pusher.ref, "manifest", errContent)
	}
	w.closed = true
	return w.pusher.finish(ctx, w.desc, b)
}
