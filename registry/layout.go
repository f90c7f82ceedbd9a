// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/remotes"
	refspec "github.com/containerd/containerd/v2/pkg/reference"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/layout"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// LayoutResolver makes an OCI image layout, in a directory, what a [Client]
// works on, through [Config.Resolver]: images are signed, verified, pushed and
// pulled there with their signatures, and no registry is asked. It opens the
// directory for each use and keeps nothing open.
//
// It reads what follows the OCI image specification 1.1, whichever tool wrote
// it, and what "cosign save" writes. A directory that does not exist, or is no
// layout, is misconfigured, and never an image without signatures. One that does
// not exist or is empty becomes a layout when something is first written to it.
//
// # Names
//
// A layout is one set of images, and a reference finds one of them
//
//   - by its digest, also if index.json does not list it;
//   - by the annotation io.containerd.image.name or
//     org.opencontainers.image.ref.name, where that is the reference;
//   - by the annotation org.opencontainers.image.ref.name, where that is the tag;
//   - with any tag, where the layout has one image only and gives it no name, as
//     "cosign save" does. The names of signatures are excepted.
//
// A name that several images have is an error. Repositories are not told apart
// otherwise: signatures claim the repository of the reference that is given, and
// what is pushed is listed by its tag.
//
// # Signatures
//
// Bundles are manifests that index.json lists and that refer to the image;
// manifests under the referrers tag are found as in a registry. Where cosign 3
// saved the image, which it leaves bundles out of the list of, they are looked
// for among the blobs. Legacy signatures are under the tag sha256-<hex>.sig, or
// are what cosign marks as the signatures of its image.
//
// Cosign reads layouts of one image. The first image that is pushed or signed
// is marked as this one, so that "cosign verify --local-image" reads its legacy
// signatures, and version 3 the bundles of an image that is no index.
//
// # Limits
//
// Nothing in the directory is trusted. Links that lead out of it and files that
// are not regular are errors. An index.json lists up to 2048 manifests, each is
// of up to 4 MiB, and up to 32 MiB of them are read to find signatures. A listed
// manifest that cannot be read might be one: the look-up then fails, beside what
// it found, unless the list says of what other type it is.
//
// Writers lock the file index.json.lock in the directory, so that of several
// processes none undoes what another did; other tools do not wait for them.
func LayoutResolver(dir string) remotes.Resolver { return layoutResolver{dir} }

type layoutResolver struct{ dir string }

func (r layoutResolver) failed(op string, err error) error {
	switch {
	case errors.Is(err, layout.ErrNoLayout):
		return fault.New(verify.ErrMisconfigured, op, r.dir, "", err)
	case err != nil:
		return fmt.Errorf("%s %s: %w", op, r.dir, err)
	}
	return nil
}

const (
	opReadLayout  = "read image layout"
	opWriteLayout = "write image layout"
)

func (r layoutResolver) Resolve(ctx context.Context, ref string) (string, ocispec.Descriptor, error) {
	desc, err := r.resolve(ctx, ref)
	if err != nil {
		return "", ocispec.Descriptor{}, r.failed(opReadLayout, err)
	}
	return ref, desc, nil
}

func (r layoutResolver) resolve(ctx context.Context, ref string) (ocispec.Descriptor, error) {
	name, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	v, err := r.open()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer func() { _ = v.Close() }()
	if d, ok := name.(reference.Digested); ok {
		return v.byDigest(d.Digest())
	}
	if tagged, ok := reference.TagNameOnly(name).(reference.NamedTagged); ok {
		return v.byTag(ctx, tagged)
	}
	return ocispec.Descriptor{}, reference.ErrReferenceInvalidFormat
}

func (r layoutResolver) Fetcher(_ context.Context, ref string) (remotes.Fetcher, error) {
	if _, err := reference.ParseNormalizedNamed(ref); err != nil {
		return nil, err
	}
	return layoutFetcher{r}, nil
}

// Pusher takes references as containerd's pusher does. repository:tag@digest
// gives the tag to the manifest of that digest, and to no other.
func (r layoutResolver) Pusher(_ context.Context, ref string) (remotes.Pusher, error) {
	spec, err := refspec.Parse(ref)
	if err != nil {
		return nil, err
	}
	p := layoutPusher{layoutResolver: r}
	tag, root, _ := strings.Cut(spec.Object, "@")
	if p.root = digest.Digest(root); tag == "" {
		return p, nil
	}
	named, err := reference.ParseNormalizedNamed(spec.Locator)
	if err == nil {
		p.name, err = reference.WithTag(named, tag)
	}
	return p, err
}

// layoutView is a layout at one moment.
type layoutView struct {
	*layout.Layout
	index ocispec.Index
}

func (r layoutResolver) open() (*layoutView, error) {
	l, err := layout.Open(r.dir)
	if err != nil {
		return nil, err
	}
	index, err := l.Index()
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return &layoutView{l, index}, nil
}

// manifest reads a manifest that is listed. One that is not there is no
// errdefs.ErrNotFound: the layout is incomplete, and says nothing.
func (v *layoutView) manifest(desc ocispec.Descriptor) (layout.Manifest, error) {
	m, err := v.Manifest(desc)
	if errdefs.IsNotFound(err) {
		err = fmt.Errorf("manifest %s is listed, and is not there", desc.Digest)
	}
	return m, err
}

// checked returns a descriptor from the list once its manifest agrees with it.
func (v *layoutView) checked(desc ocispec.Descriptor) (ocispec.Descriptor, error) {
	_, err := v.manifest(desc)
	return ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}, err
}

func (v *layoutView) byDigest(d digest.Digest) (ocispec.Descriptor, error) {
	for _, desc := range v.index.Manifests {
		if desc.Digest == d && isManifest(desc.MediaType) {
			return v.checked(desc)
		}
	}
	desc, _, err := v.Unlisted(d)
	return desc, err
}

func (v *layoutView) byTag(ctx context.Context, name reference.NamedTagged) (ocispec.Descriptor, error) {
	found, err := layout.Find(v.index, name)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %w", name, err)
	}
	if _, _, attached := layout.AttachedTo(name.Tag()); found == nil && !attached {
		found, err = v.onlyImage(ctx)
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if found == nil {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %w", name, errdefs.ErrNotFound)
	}
	return v.checked(*found)
}

// onlyImage returns the image of a layout that has one, which has no name, or nil.
func (v *layoutView) onlyImage(ctx context.Context) (*ocispec.Descriptor, error) {
	var found *ocispec.Descriptor
	left := int64(limits.TotalBytes)
	for i, desc := range v.index.Manifests {
		if !isManifest(desc.MediaType) || layout.IsAttached(desc) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := charge(&left, desc); err != nil {
			return nil, err
		}
		m, err := v.manifest(desc)
		switch {
		case err != nil:
			return nil, err
		case m.Subject != nil:
		case found == nil && layout.IsNamed(desc):
			return nil, nil
		case found == nil:
			found = &v.index.Manifests[i]
		case found.Digest != desc.Digest:
			return nil, nil
		}
	}
	return found, nil
}

// charge accounts for a manifest that is about to be read.
func charge(left *int64, desc ocispec.Descriptor) error {
	if desc.Size > limits.Manifest {
		return limits.Exceeded("manifest in bytes", limits.Manifest)
	}
	if *left -= max(desc.Size, 0); *left < 0 {
		return limits.Exceeded("manifests of the layout in bytes", limits.TotalBytes)
	}
	return nil
}

// referrers returns the manifests that refer to d, beside the first error.
func (v *layoutView) referrers(ctx context.Context, d digest.Digest) (found []ocispec.Descriptor, failure error) {
	// What is no signature must not use up what may be read.
	listed := slices.Clone(v.index.Manifests)
	slices.SortStableFunc(listed, func(a, b ocispec.Descriptor) int {
		return cmp.Compare(otherArtifact(a), otherArtifact(b))
	})
	left := int64(limits.TotalBytes)
	seen := map[digest.Digest]bool{d: true}
	for _, desc := range listed {
		if !isManifest(desc.MediaType) || seen[desc.Digest] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return found, err
		}
		err := charge(&left, desc)
		var m layout.Manifest
		if err == nil {
			m, err = v.manifest(desc)
		}
		switch {
		case err == nil && m.RefersTo(d):
			seen[desc.Digest] = true
			found = append(found, m.Describe(desc.MediaType, desc.Digest, desc.Size))
		case err != nil && failure == nil && otherArtifact(desc) == 0:
			failure = err
		}
	}
	if layout.IsCosignImage(v.index, d) {
		unlisted, err := v.Referrers(ctx, d, v.index.Manifests)
		found = append(found, unlisted...)
		failure = cmp.Or(failure, err)
	}
	return found, failure
}

// otherArtifact is 1 if its descriptor says of a manifest that it is no
// signature. That of an image often has the media type of its configuration.
func otherArtifact(desc ocispec.Descriptor) int {
	switch {
	case desc.ArtifactType == "", desc.ArtifactType == ocispec.MediaTypeEmptyJSON, desc.ArtifactType == legacyArtifactType,
		strings.HasPrefix(desc.ArtifactType, bundleMediaTypePrefix):
		return 0
	default:
		return 1
	}
}

type layoutFetcher struct{ layoutResolver }

var _ remotes.ReferrersFetcher = layoutFetcher{}

func (f layoutFetcher) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	rc, err := f.fetch(ctx, desc)
	if err != nil {
		return nil, f.failed(opReadLayout, err)
	}
	return rc, nil
}

func (f layoutFetcher) fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	l, err := layout.Open(f.dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.Close() }()
	file, size, err := l.Blob(desc.Digest)
	if err != nil {
		return nil, err
	}
	if size != desc.Size {
		_ = file.Close()
		return nil, fmt.Errorf("%w: blob %s has %d bytes, want %d", errContent, desc.Digest, size, desc.Size)
	}
	return struct {
		io.Reader
		io.Closer
	}{layout.Reader(ctx, file), file}, nil
}

// FetchReferrers implements remotes.ReferrersFetcher. What was found is returned
// also beside an error.
func (f layoutFetcher) FetchReferrers(ctx context.Context, d digest.Digest, opts ...remotes.FetchReferrersOpt) ([]ocispec.Descriptor, error) {
	var config remotes.FetchReferrersConfig
	for _, opt := range opts {
		if err := opt(ctx, &config); err != nil {
			return nil, err
		}
	}
	v, err := f.open()
	if err != nil {
		return nil, f.failed(opReadLayout, err)
	}
	defer func() { _ = v.Close() }()
	found, err := v.referrers(ctx, d)
	if wanted := config.ArtifactTypes; len(wanted) > 0 {
		found = slices.DeleteFunc(found, func(desc ocispec.Descriptor) bool { return !slices.Contains(wanted, desc.ArtifactType) })
	}
	return found, f.failed(opReadLayout, err)
}

type layoutPusher struct {
	layoutResolver
	name reference.NamedTagged // nil without a tag
	root digest.Digest
}

func (p layoutPusher) Push(ctx context.Context, desc ocispec.Descriptor) (content.Writer, error) {
	w, err := p.newWriter(ctx, desc)
	if err != nil {
		return nil, p.failed(opWriteLayout, err)
	}
	return w, nil
}

func (p layoutPusher) newWriter(ctx context.Context, desc ocispec.Descriptor) (content.Writer, error) {
	if isManifest(desc.MediaType) && desc.Size > limits.Manifest {
		return nil, limits.Exceeded("manifest in bytes", limits.Manifest)
	}
	if err := checkDescriptor(desc); err != nil {
		return nil, err
	}
	l, err := layout.Create(ctx, p.dir)
	if err != nil {
		return nil, err
	}
	// A manifest is written even so: its name may be new.
	if !isManifest(desc.MediaType) && l.Has(ctx, desc) {
		_ = l.Close()
		return nil, fmt.Errorf("blob %s: %w", desc.Digest, errdefs.ErrAlreadyExists)
	}
	blob, err := l.NewBlob(desc.Digest)
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	now := time.Now()
	return &layoutWriter{pusher: p, layout: l, blob: blob, desc: desc, started: now, updated: now}, nil
}

// list gives the manifest in b its name, or its place among the referrers. What
// has neither is found through the manifest that it belongs to.
func (p layoutPusher) list(ctx context.Context, l *layout.Layout, desc ocispec.Descriptor, b []byte) error {
	m, err := layout.ParseManifest(b)
	if err != nil {
		return err
	}
	entry := ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}
	var subject digest.Digest
	if m.Subject != nil {
		subject = m.Subject.Digest
		entry = m.Describe(desc.MediaType, desc.Digest, desc.Size)
	}
	switch {
	case p.name != nil && (p.root == "" || p.root == desc.Digest):
		return l.Update(ctx, func(index *ocispec.Index) { layout.Tag(index, p.name, subject, entry) })
	case m.Subject != nil:
		return l.Update(ctx, func(index *ocispec.Index) { layout.List(index, subject, entry) })
	default:
		return nil
	}
}

// layoutWriter writes to a file, which becomes a blob when it is committed.
type layoutWriter struct {
	pusher           layoutPusher
	layout           *layout.Layout
	blob             *layout.BlobWriter
	desc             ocispec.Descriptor
	written          int64
	manifest         bytes.Buffer // what was written, of a manifest
	started, updated time.Time
	closed           bool
}

func (w *layoutWriter) Write(b []byte) (int, error) {
	if w.closed {
		return 0, errWriterClosed
	}
	if int64(len(b)) > w.desc.Size-w.written {
		return 0, fmt.Errorf("%w: more than %d bytes", errContent, w.desc.Size)
	}
	n, err := w.blob.Write(b)
	w.written, w.updated = w.written+int64(n), time.Now()
	if isManifest(w.desc.MediaType) {
		_, _ = w.manifest.Write(b[:n]) // which never fails
	}
	return n, err
}

var errWriterClosed = fmt.Errorf("writer is closed: %w", errdefs.ErrFailedPrecondition)

func (w *layoutWriter) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	w.blob.Close()
	return w.layout.Close()
}

func (w *layoutWriter) Digest() digest.Digest { return w.blob.Digest() }

func (w *layoutWriter) Status() (content.Status, error) {
	return content.Status{
		Ref: w.desc.Digest.String(), Offset: w.written, Total: w.desc.Size,
		Expected: w.desc.Digest, StartedAt: w.started, UpdatedAt: w.updated,
	}, nil
}

func (w *layoutWriter) Truncate(size int64) error {
	if size != 0 {
		return errors.New("a blob can only be truncated to its beginning")
	}
	if w.closed {
		return errWriterClosed
	}
	w.written = 0
	w.manifest.Reset()
	return w.blob.Reset()
}

func (w *layoutWriter) Commit(ctx context.Context, size int64, expected digest.Digest, _ ...content.Opt) error {
	if w.closed {
		return errWriterClosed
	}
	defer func() { _ = w.Close() }()
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.written != w.desc.Size || size > 0 && size != w.written || expected != "" && expected != w.desc.Digest {
		return fmt.Errorf("%w: %s of %d bytes", errContent, w.desc.Digest, w.desc.Size)
	}
	err := w.blob.Commit()
	if err == nil && isManifest(w.desc.MediaType) {
		err = w.pusher.list(ctx, w.layout, w.desc, w.manifest.Bytes())
	}
	return w.pusher.failed(opWriteLayout, err)
}
