// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/pkg/reference"
	"github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// RemoteResolver makes go-containerregistry's remote package the transport of a
// [Client], through [Config.Resolver], for tools that configure registries with
// its options. Images can be of any size when they are pulled; what is pushed
// is held in memory blob by blob, which suits signatures and small images. Of a
// list of referrers in several pages that package reads the first.
//
// Transport sends the requests; nil means [remote.DefaultTransport]. It replaces
// the one of remote.WithTransport: above it, secrets are kept from other servers, and
// an answer is refused whose header has more than 64 KiB.
func RemoteResolver(transport http.RoundTripper, nameOpts []name.Option, opts ...remote.Option) remotes.Resolver {
	if transport == nil {
		transport = remote.DefaultTransport
	}
	// The package appends to the options that it is given.
	return remoteResolver{headerTransport{transport}, slices.Clip(slices.Clone(nameOpts)), slices.Clip(slices.Clone(opts))}
}

type remoteResolver struct {
	transport http.RoundTripper
	nameOpts  []name.Option
	opts      []remote.Option
}

func (r remoteResolver) with(ctx context.Context, registry name.Registry) []remote.Option {
	return append(slices.Clone(r.opts), remote.WithContext(ctx), remote.WithTransport(r.guarded(registry)))
}

func (r remoteResolver) Resolve(ctx context.Context, ref string) (string, ocispec.Descriptor, error) {
	parsed, err := name.ParseReference(ref, r.nameOpts...)
	if err != nil {
		return "", ocispec.Descriptor{}, err
	}
	desc, err := remote.Head(parsed, r.with(ctx, parsed.Context().Registry)...)
	if err != nil {
		return "", ocispec.Descriptor{}, notFound(err)
	}
	return ref, ocispec.Descriptor{
		MediaType: string(desc.MediaType),
		Digest:    digest.Digest(desc.Digest.String()),
		Size:      desc.Size,
	}, nil
}

func (r remoteResolver) Fetcher(_ context.Context, ref string) (remotes.Fetcher, error) {
	parsed, err := name.ParseReference(ref, r.nameOpts...)
	if err != nil {
		return nil, err
	}
	return remoteFetcher{r, parsed.Context()}, nil
}

// Pusher takes references as containerd's pusher does. repository:tag@digest
// gives the tag to the manifest of that digest, and to no other.
func (r remoteResolver) Pusher(_ context.Context, ref string) (remotes.Pusher, error) {
	spec, err := reference.Parse(ref)
	if err != nil {
		return nil, err
	}
	repository, err := name.NewRepository(spec.Locator, r.nameOpts...)
	if err != nil {
		return nil, err
	}
	tag, root, _ := strings.Cut(spec.Object, "@")
	return remotePusher{r, repository, tag, digest.Digest(root)}, nil
}

type remoteFetcher struct {
	remoteResolver
	repository name.Repository
}

func (f remoteFetcher) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	ref := f.repository.Digest(desc.Digest.String())
	if isManifest(desc.MediaType) {
		m, err := remote.Get(ref, f.with(ctx, f.repository.Registry)...)
		if err != nil {
			return nil, notFound(err)
		}
		return io.NopCloser(bytes.NewReader(m.Manifest)), nil
	}
	layer, err := remote.Layer(ref, f.with(ctx, f.repository.Registry)...)
	if err != nil {
		return nil, notFound(err)
	}
	rc, err := layer.Compressed()
	return rc, notFound(err)
}

// FetchReferrers implements remotes.ReferrersFetcher.
func (f remoteFetcher) FetchReferrers(ctx context.Context, d digest.Digest, _ ...remotes.FetchReferrersOpt) ([]ocispec.Descriptor, error) {
	index, err := remote.Referrers(f.repository.Digest(d.String()), f.with(ctx, f.repository.Registry)...)
	if err != nil {
		return nil, notFound(err)
	}
	m, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(m.Manifests) > limits.Candidates {
		return nil, limits.Exceeded("number of referrers", limits.Candidates)
	}
	found := make([]ocispec.Descriptor, 0, len(m.Manifests))
	for _, desc := range m.Manifests {
		found = append(found, ocispec.Descriptor{
			MediaType:    string(desc.MediaType),
			Digest:       digest.Digest(desc.Digest.String()),
			Size:         desc.Size,
			ArtifactType: desc.ArtifactType,
			Annotations:  desc.Annotations,
		})
	}
	return found, nil
}

type remotePusher struct {
	remoteResolver
	repository name.Repository
	tag        string
	root       digest.Digest
}

func (p remotePusher) Push(_ context.Context, desc ocispec.Descriptor) (content.Writer, error) {
	return &remoteWriter{pusher: p, desc: desc, started: time.Now()}, nil
}

func (p remotePusher) put(ctx context.Context, desc ocispec.Descriptor, b []byte) error {
	if !isManifest(desc.MediaType) {
		return remote.WriteLayer(p.repository, static.NewLayer(b, types.MediaType(desc.MediaType)), p.with(ctx, p.repository.Registry)...)
	}
	var ref name.Reference = p.repository.Digest(desc.Digest.String())
	if p.tag != "" && (p.root == "" || p.root == desc.Digest) {
		ref = p.repository.Tag(p.tag)
	}
	return remote.Put(ref, rawManifest{b, types.MediaType(desc.MediaType)}, p.with(ctx, p.repository.Registry)...)
}

func isManifest(mediaType string) bool {
	return images.IsManifestType(mediaType) || images.IsIndexType(mediaType)
}

// isContent reports whether a request was for content, as opposed to a ping or a
// token, whose 404 says nothing about content.
func isContent(req *http.Request) bool {
	if req == nil || req.URL == nil {
		return false
	}
	return slices.ContainsFunc([]string{"/manifests/", "/blobs/", "/referrers/"}, func(part string) bool {
		return strings.Contains(req.URL.Path, part)
	})
}

// notFound gives a 404 the meaning that it has for containerd.
func notFound(err error) error {
	var answer *transport.Error
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound && isContent(answer.Request) {
		return fmt.Errorf("%w: %w", errdefs.ErrNotFound, err)
	}
	return err
}

// rawManifest is a remote.Taggable that is uploaded as it is.
type rawManifest struct {
	raw       []byte
	mediaType types.MediaType
}

func (m rawManifest) RawManifest() ([]byte, error)        { return m.raw, nil }
func (m rawManifest) MediaType() (types.MediaType, error) { return m.mediaType, nil }
func (m rawManifest) Digest() (v1.Hash, error)            { return v1.NewHash(digest.FromBytes(m.raw).String()) }
func (m rawManifest) Size() (int64, error)                { return int64(len(m.raw)), nil }

// remoteWriter collects what is pushed and uploads it when it is committed.
type remoteWriter struct {
	pusher  remotePusher
	desc    ocispec.Descriptor
	buf     bytes.Buffer
	started time.Time
}

func (w *remoteWriter) Write(b []byte) (int, error) {
	if int64(w.buf.Len()+len(b)) > w.desc.Size {
		return 0, fmt.Errorf("%w: more than %d bytes", errContent, w.desc.Size)
	}
	return w.buf.Write(b)
}

func (w *remoteWriter) Close() error          { return nil }
func (w *remoteWriter) Digest() digest.Digest { return digest.FromBytes(w.buf.Bytes()) }

func (w *remoteWriter) Truncate(size int64) error {
	if size < 0 || size > int64(w.buf.Len()) {
		return errors.New("truncate beyond what was written")
	}
	w.buf.Truncate(int(size))
	return nil
}

func (w *remoteWriter) Status() (content.Status, error) {
	return content.Status{
		Ref: w.desc.Digest.String(), Offset: int64(w.buf.Len()), Total: w.desc.Size,
		Expected: w.desc.Digest, StartedAt: w.started, UpdatedAt: w.started,
	}, nil
}

func (w *remoteWriter) Commit(ctx context.Context, _ int64, _ digest.Digest, _ ...content.Opt) error {
	if w.Digest() != w.desc.Digest {
		return fmt.Errorf("%w: %s", errContent, w.desc.Digest)
	}
	return w.pusher.put(ctx, w.desc, w.buf.Bytes())
}
