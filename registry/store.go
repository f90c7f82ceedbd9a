// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/layout"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// storeResolver makes containerd's image and content store what is verified from:
// images there, with the signatures that are kept beside them.
//
// A reference is looked up among the image records, by its full name; one with
// a digest also in the content store, which needs no record. The list of referrers
// is what the content of the image names in labels that begin with labelReferrer, as
// those do that containerd itself pulls with an image, if asked to.
type storeResolver struct {
	images  images.Store
	content content.Store
}

const opReadStore = "read image store"

func (r storeResolver) Resolve(ctx context.Context, ref string) (string, ocispec.Descriptor, error) {
	name, err := normalize(ref)
	if err != nil {
		return "", ocispec.Descriptor{}, fault.New(verify.ErrMisconfigured, opReadStore, ref, "reference", err)
	}
	desc, err := r.resolve(ctx, name)
	if err != nil {
		return "", ocispec.Descriptor{}, fault.New(storeKind(err), opReadStore, ref, "", err)
	}
	return ref, desc, nil
}

func (r storeResolver) resolve(ctx context.Context, name reference.Named) (ocispec.Descriptor, error) {
	record, err := findRecord(ctx, r.images, name)
	if err == nil {
		return record.Target, nil
	}
	digested, ok := name.(reference.Digested)
	if !ok || !errdefs.IsNotFound(err) {
		return ocispec.Descriptor{}, err
	}
	b, err := readStore(ctx, r.content, digested.Digest(), limits.Manifest)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	m, err := layout.ParseManifest(b)
	if err != nil {
		return ocispec.Descriptor{}, malformed(err)
	}
	return describe(mediaTypeOf(m), b), nil
}

// findRecord returns the record of an image. One with another digest in its name
// than that of its target is nobody's answer.
func findRecord(ctx context.Context, store images.Store, name reference.Named) (images.Image, error) {
	for _, n := range recordNames(name) {
		record, err := store.Get(ctx, n.String())
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return images.Image{}, err
		}
		if err := checkName(n, record.Target); err != nil {
			return images.Image{}, fmt.Errorf("record of an image: %w", err)
		}
		// A tag that has moved on says nothing about the digest that is wanted.
		if checkName(name, record.Target) == nil {
			return record, checkTarget(record.Target)
		}
	}
	return images.Image{}, fmt.Errorf("image %s: %w", name, errdefs.ErrNotFound)
}

// recordNames are the names under which tools record what name stands for. One
// with tag and digest is recorded with both, with either, or as both.
func recordNames(name reference.Named) []reference.Named {
	names := []reference.Named{name}
	digested, ok := name.(reference.Digested)
	tagged, tok := name.(reference.Tagged)
	if !ok || !tok {
		return names
	}
	repository := reference.TrimNamed(name)
	if n, err := reference.WithDigest(repository, digested.Digest()); err == nil {
		names = append(names, n)
	}
	if n, err := reference.WithTag(repository, tagged.Tag()); err == nil {
		names = append(names, n)
	}
	return names
}

// storeKind tells the family of an error of a store, which is not in the hands of
// strangers.
func storeKind(err error) error {
	if !errors.Is(err, errContent) && (errdefs.IsFailedPrecondition(err) || errdefs.IsInvalidArgument(err)) {
		return verify.ErrMisconfigured // such as a context without a namespace
	}
	return kindOf(err)
}

func mediaTypeOf(m layout.Manifest) string {
	if m.MediaType == "" {
		return ocispec.MediaTypeImageManifest
	}
	return m.MediaType
}

func (r storeResolver) Pusher(_ context.Context, ref string) (remotes.Pusher, error) {
	return nil, fault.New(verify.ErrMisconfigured, opPush, ref, "", errors.New("an image store is not pushed to"))
}

func (r storeResolver) Fetcher(context.Context, string) (remotes.Fetcher, error) {
	return storeFetcher{r.content}, nil
}

type storeFetcher struct{ content content.Store }

var _ remotes.ReferrersFetcher = storeFetcher{}

func (f storeFetcher) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	ra, err := f.content.ReaderAt(ctx, desc)
	if err != nil {
		return nil, fault.New(storeKind(err), opReadStore, desc.Digest.String(), "", err)
	}
	if ra.Size() != desc.Size {
		_ = ra.Close()
		return nil, fmt.Errorf("%w: %s has %d bytes, want %d", errContent, desc.Digest, ra.Size(), desc.Size)
	}
	return struct {
		io.Reader
		io.Closer
	}{content.NewReader(ra), ra}, nil
}

// FetchReferrers implements remotes.ReferrersFetcher. A referrer that cannot be
// read is listed, so that who reads it finds out; one that is not there is not:
// whoever was to write it has not done so yet, or never will.
func (f storeFetcher) FetchReferrers(ctx context.Context, d digest.Digest, opts ...remotes.FetchReferrersOpt) ([]ocispec.Descriptor, error) {
	var config remotes.FetchReferrersConfig
	for _, opt := range opts {
		if err := opt(ctx, &config); err != nil {
			return nil, err
		}
	}
	info, err := f.content.Info(ctx, d)
	if errdefs.IsNotFound(err) {
		return nil, nil // and so nothing is kept beside it
	}
	if err != nil {
		return nil, fault.New(storeKind(err), opReadStore, d.String(), "", err)
	}
	var found []ocispec.Descriptor
	for _, referrer := range referrersIn(info.Labels) {
		// A store on a disk does not ask.
		if err := ctx.Err(); err != nil {
			return found, err
		}
		if len(found) == limits.Candidates {
			return found, limits.Exceeded("number of referrers", limits.Candidates)
		}
		desc, err := f.describe(ctx, referrer)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return found, fault.New(storeKind(err), opReadStore, d.String(), "", err)
		}
		if wanted := config.ArtifactTypes; len(wanted) == 0 || slices.Contains(wanted, desc.ArtifactType) {
			found = append(found, desc)
		}
	}
	return found, nil
}

func (f storeFetcher) describe(ctx context.Context, d digest.Digest) (ocispec.Descriptor, error) {
	info, err := f.content.Info(ctx, d)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	plain := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: info.Size}
	b, err := readStore(ctx, f.content, d, limits.Manifest)
	if err != nil {
		return plain, ctx.Err()
	}
	m, err := layout.ParseManifest(b)
	if err != nil {
		return plain, nil //nolint:nilerr // who reads it finds out
	}
	return m.Describe(mediaTypeOf(m), d, info.Size), nil
}

// labelReferrer is how the labels begin by which the content of an image keeps
// what refers to it from being collected. It is containerd's, since 2.2.
const labelReferrer = "containerd.io/gc.ref.content.referrer."

// referrersIn returns what labels refer to, without what is there twice.
func referrersIn(labels map[string]string) []digest.Digest {
	var all []digest.Digest
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		d := digest.Digest(labels[key])
		if strings.HasPrefix(key, labelReferrer) && d.Validate() == nil && !slices.Contains(all, d) {
			all = append(all, d)
		}
	}
	return all
}

// readStore reads content of at most limit bytes, and checks it against its
// digest.
func readStore(ctx context.Context, store content.Store, d digest.Digest, limit int64) ([]byte, error) {
	ra, err := store.ReaderAt(ctx, ocispec.Descriptor{Digest: d})
	if err != nil {
		return nil, err
	}
	defer func() { _ = ra.Close() }()
	if ra.Size() > limit {
		return nil, limits.Exceeded("content in bytes", limit)
	}
	b, err := limits.ReadAll(content.NewReader(ra), limit, "content")
	if err != nil {
		return nil, err
	}
	if digest.FromBytes(b) != d {
		return nil, fmt.Errorf("%w: %s", errContent, d)
	}
	return b, nil
}
