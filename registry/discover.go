// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteserrors "github.com/containerd/containerd/v2/core/remotes/errors"
	refspec "github.com/containerd/containerd/v2/pkg/reference"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"
	"golang.org/x/sync/errgroup"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

const (
	// bundleMediaType is what is written; any version is read.
	bundleMediaType       = "application/vnd.dev.sigstore.bundle.v0.3+json"
	bundleMediaTypePrefix = "application/vnd.dev.sigstore.bundle"
	// legacyArtifactType marks cosign's experimental OCI 1.1 form of a legacy
	// signature.
	legacyArtifactType = "application/vnd.dev.cosign.artifact.sig.v1+json"

	annotationPredicateType = "dev.sigstore.bundle.predicateType"
)

// parallelFetches bounds the requests that are under way for one place.
const parallelFetches = 8

// repository is a repository of a registry, as seen through one source.
type repository struct {
	source
	name reference.Named
	// elsewhere is the name, if this is not the repository of the image.
	elsewhere string
}

func (r repository) tag(t string) string           { return r.name.Name() + ":" + t }
func (r repository) digest(d digest.Digest) string { return r.name.Name() + "@" + d.String() }
func (r repository) spec() refspec.Spec            { return refspec.Spec{Locator: r.name.Name()} }

func referrersTag(d digest.Digest) string { return strings.Replace(d.String(), ":", "-", 1) }
func signatureTag(d digest.Digest) string { return referrersTag(d) + ".sig" }

// hostsWith returns the hosts that have capabilities, or if none has, those that
// may resolve; and ctx with the scope that reading the repository takes.
func (r repository) hostsWith(ctx context.Context, capabilities docker.HostCapabilities) ([]docker.RegistryHost, context.Context, error) {
	ctx, err := docker.ContextWithRepositoryScope(ctx, r.spec(), false)
	if err != nil {
		return nil, ctx, err
	}
	all, err := r.hosts(reference.Domain(r.name))
	if err != nil {
		return nil, ctx, err
	}
	for _, wanted := range []docker.HostCapabilities{capabilities, docker.HostCapabilityResolve} {
		var hosts []docker.RegistryHost
		for _, host := range all {
			if host.Capabilities.Has(wanted) {
				hosts = append(hosts, host)
			}
		}
		if len(hosts) > 0 {
			return hosts, ctx, nil
		}
	}
	return nil, ctx, fault.New(verify.ErrMisconfigured, "configure registry", reference.Domain(r.name), "", errNoHost)
}

// search is one verification's look for signatures of one digest.
type search struct {
	target digest.Digest
	// emit hands a candidate on. It returns false once the search is over.
	emit func(verify.Candidate) bool
}

// discover ranges over the candidate signatures of target in every place of every
// repository, in the order in which they arrive. Ending the iteration ends what
// is still being read. A place that could not be looked at is a candidate with
// an error; those come last, since they can satisfy no policy.
func discover(ctx context.Context, repositories []repository, target digest.Digest, l verify.Limits) iter.Seq[verify.Candidate] {
	return func(yield func(verify.Candidate) bool) {
		ctx, cancel := context.WithCancel(ctx)
		found := make(chan verify.Candidate)
		var reading sync.WaitGroup
		defer reading.Wait()
		defer cancel()
		emit := func(c verify.Candidate) bool {
			select {
			case found <- c:
				return true
			case <-ctx.Done():
				return false
			}
		}
		s := search{target: target, emit: emit}
		for _, r := range repositories {
			for _, place := range r.places() {
				// Each place has a budget of its own: junk in one must not hide
				// what is in another.
				s := s
				s.emit = func(c verify.Candidate) bool {
					c.Origin.Source, c.Origin.Repository = place.source, r.elsewhere
					return emit(c)
				}
				reading.Go(func() {
					err := recovered(func() error { return place.read(ctx, s, &budget{limits: l}) })
					if err != nil {
						s.emit(unreadable(verify.Origin{}, err))
					}
				})
			}
		}
		go func() { reading.Wait(); close(found) }()
		var d distinct
		for c := range found {
			if d.isNew(c) && !yield(c) {
				return
			}
		}
		for _, c := range d.unread() {
			if !yield(c) {
				return
			}
		}
	}
}

// place is where signatures of a repository live.
type place struct {
	source verify.Source
	read   func(context.Context, search, *budget) error
}

func (r repository) places() []place {
	return []place{
		{verify.SourceReferrersAPI, r.fromAPI},
		{verify.SourceReferrersTag, r.fromReferrersTag},
		{verify.SourceSignatureTag, r.fromSignatureTag},
	}
}

// unreadable is a candidate that stands for what could not be read.
func unreadable(origin verify.Origin, err error) verify.Candidate {
	if origin.Manifest.Validate() != nil {
		origin.Manifest = "" // it would be shown, and is the registry's text
	}
	return verify.Candidate{Origin: origin, Err: fault.New(kindOf(err), "read signature", "", "", err)}
}

// distinct drops what is there twice: a registry that has the API lists under
// the referrers tag what was written before it had. What was read counts; that
// it could not be read elsewhere, or under another name, does not.
type distinct struct {
	readable map[layerKey]verify.Origin
	failed   []verify.Candidate
}

type layerKey struct {
	manifest digest.Digest
	layer    int
}

// isNew reports whether c was read, and was not before. What could not be read
// is kept for later.
func (d *distinct) isNew(c verify.Candidate) bool {
	if c.Err != nil {
		d.failed = append(d.failed, c)
		return false
	}
	k := layerKey{c.Origin.Manifest, c.Origin.Layer}
	if _, ok := d.readable[k]; ok {
		return false
	}
	if d.readable == nil {
		d.readable = map[layerKey]verify.Origin{}
	}
	d.readable[k] = c.Origin
	return true
}

// unread returns what could not be read, but for what was in another place.
func (d *distinct) unread() []verify.Candidate {
	return slices.DeleteFunc(d.failed, func(c verify.Candidate) bool {
		where, ok := d.readable[layerKey{c.Origin.Manifest, c.Origin.Layer}]
		return ok && where != c.Origin
	})
}

func (r repository) fromAPI(ctx context.Context, s search, b *budget) error {
	reader := r.newReader(s, b)
	defer reader.wait()
	err := r.eachReferrer(ctx, s.target, b, func(_ int, desc ocispec.Descriptor, err error) error {
		return reader.referrer(ctx, desc, err)
	})
	if errors.Is(err, errNoReferrersAPI) {
		return nil
	}
	return err
}

func (r repository) fromReferrersTag(ctx context.Context, s search, b *budget) error {
	return r.fromTag(ctx, s, b, referrersTag(s.target), func(reader *reader, index blob) error {
		return eachDescriptor(index.data, "manifests", reader.descriptors(), func(_ int, desc ocispec.Descriptor, err error) error {
			return reader.referrer(ctx, desc, err)
		})
	})
}

func (r repository) fromSignatureTag(ctx context.Context, s search, b *budget) error {
	return r.fromTag(ctx, s, b, signatureTag(s.target), func(reader *reader, manifest blob) error {
		return reader.layers(ctx, verify.Origin{Manifest: manifest.Digest}, manifest.data, reader.begin)
	})
}

func (r repository) fromTag(ctx context.Context, s search, b *budget, tag string, read func(*reader, blob) error) error {
	reader := r.newReader(s, b)
	defer reader.wait()
	found, unanswered := r.readTags(ctx, tag, b.limits.Manifest)
	for _, f := range found {
		err := b.take(f.Size, b.limits.Manifest, "manifest in bytes")
		if err == nil {
			err = read(reader, f)
		}
		if err != nil {
			return err
		}
	}
	return unanswered
}

// readTag returns the manifest or index under tag, or nil if there is none. It
// is for sources of one host.
func (r repository) readTag(ctx context.Context, tag string) ([]byte, error) {
	found, err := r.readTags(ctx, tag, limits.Manifest)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0].data, nil
}

// readTags returns what is under tag, which on a mirror can be an older state.
// What was found is returned also beside the error of a host that did not
// answer; that a host has nothing is no error.
func (r repository) readTags(ctx context.Context, tag string, limit int64) ([]blob, error) {
	if r.hosts == nil {
		return r.resolveTag(ctx, tag, limit)
	}
	hosts, ctx, err := r.hostsWith(ctx, docker.HostCapabilityPull|docker.HostCapabilityResolve)
	if err != nil {
		return nil, err
	}
	var all []blob
	var unanswered error
	for _, host := range hosts {
		b, err := r.getTag(ctx, host, tag, limit)
		switch {
		case err != nil && unanswered == nil:
			unanswered = fmt.Errorf("%s: %w", host.Host, err)
		case err == nil && b != nil && !slices.ContainsFunc(all, func(a blob) bool { return a.Digest == b.Digest }):
			all = append(all, *b)
		}
	}
	return all, unanswered
}

// resolveTag is readTags behind a resolver of the caller's.
func (r repository) resolveTag(ctx context.Context, tag string, limit int64) ([]blob, error) {
	_, desc, err := r.resolver.Resolve(ctx, r.tag(tag))
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, failed(ctx, err)
	}
	b, err := r.fetch(ctx, r.tag(tag), desc, limit, "manifest")
	if err != nil {
		return nil, err
	}
	return []blob{{desc, b}}, nil
}

// getTag returns what host has under tag, or nil. Only a 404 for this very
// resource means that there is nothing: containerd's resolver also says "not
// found" of what is too large, and of what a token server does not know.
func (r repository) getTag(ctx context.Context, host docker.RegistryHost, tag string, limit int64) (*blob, error) {
	u := endpoint(host, r.spec(), "manifests", tag)
	resp, err := r.get(ctx, host, u, ocispec.MediaTypeImageIndex+", "+ocispec.MediaTypeImageManifest+", "+images.MediaTypeDockerSchema2Manifest)
	if err != nil {
		return nil, failed(ctx, err)
	}
	defer done(resp)
	if resp.StatusCode == http.StatusNotFound {
		return nil, nil
	}
	if resp.StatusCode != http.StatusOK {
		return nil, failed(ctx, remoteserrors.NewUnexpectedStatusErr(resp))
	}
	b, err := limits.ReadAll(resp.Body, limit, "manifest")
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &blob{describe(resp.Header.Get("Content-Type"), b), b}, nil
}

// reader reads the signatures of one place, several at a time.
type reader struct {
	repository
	search
	*budget
	group errgroup.Group
	seen  map[manifestKey]bool
}

type manifestKey struct {
	digest digest.Digest
	size   int64
}

func (r repository) newReader(s search, b *budget) *reader {
	reader := &reader{repository: r, search: s, budget: b}
	reader.group.SetLimit(parallelFetches)
	return reader
}

// wait returns when everything that was begun has been emitted.
func (r *reader) wait() { _ = r.group.Wait() } // its functions emit their errors

// isNew reports whether a manifest is seen for the first time: a mirror has the
// same ones as the registry itself.
func (r *reader) isNew(d digest.Digest, size int64) bool {
	k := manifestKey{d, size}
	if r.seen[k] {
		return false
	}
	if r.seen == nil {
		r.seen = map[manifestKey]bool{}
	}
	r.seen[k] = true
	return true
}

// begin runs read beside the others, once there are not too many of them. It is for
// the goroutine that goes through a list: one that hangs takes the place of one,
// and does not keep what is further down the list from being read.
func (r *reader) begin(origin verify.Origin, read func() error) {
	r.group.Go(r.emitting(origin, read))
}

// join runs read beside the others, or here where there are enough of them. It is
// for what those begin, which would wait for each other.
func (r *reader) join(origin verify.Origin, read func() error) {
	if f := r.emitting(origin, read); !r.group.TryGo(f) {
		_ = f() // which is nil
	}
}

func (r *reader) emitting(origin verify.Origin, read func() error) func() error {
	return func() error {
		if err := recovered(read); err != nil {
			r.emit(unreadable(origin, err))
		}
		return nil
	}
}

// recovered has a panic of a parser, or of a resolver of the caller's, be an error
// of what was being read.
func recovered(read func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: panic while reading: %.256v", errContent, r)
		}
	}()
	return read()
}

// referrer reads a referrer, if it may be a signature. One that cannot be read is
// a candidate with an error. Only one goroutine lists referrers.
func (r *reader) referrer(ctx context.Context, desc ocispec.Descriptor, err error) error {
	origin := verify.Origin{Manifest: desc.Digest}
	if err == nil && (!maySign(desc) || !r.isNew(desc.Digest, desc.Size)) {
		return ctx.Err()
	}
	if err := r.takeReferrer(); err != nil {
		return err
	}
	if err != nil {
		r.emit(unreadable(origin, err))
		return ctx.Err()
	}
	r.begin(origin, func() error {
		if err := r.take(desc.Size, r.limits.Manifest, "manifest in bytes"); err != nil {
			return err
		}
		manifest, err := r.listed(ctx, desc, r.limits.Manifest, "manifest")
		if err != nil {
			return err
		}
		return r.layers(ctx, origin, manifest, r.join)
	})
	return ctx.Err()
}

// maySign tells from its descriptor whether a referrer can be a signature. The
// artifact type alone does not say: cosign v2 lists its bundles as empty
// artifacts. What the annotations name as an attestation is left out, since
// those can be large; verification would refuse it by what is signed.
func maySign(desc ocispec.Descriptor) bool {
	if p := desc.Annotations[annotationPredicateType]; p != "" && p != cosigntypes.CosignSignPredicateType {
		return false
	}
	switch desc.ArtifactType {
	case "", ocispec.MediaTypeEmptyJSON, legacyArtifactType:
		return true
	default:
		return strings.HasPrefix(desc.ArtifactType, bundleMediaTypePrefix)
	}
}

// layers reads the signatures that are the layers of a manifest.
func (r *reader) layers(ctx context.Context, origin verify.Origin, manifest []byte, start func(verify.Origin, func() error)) error {
	return eachDescriptor(manifest, "layers", r.descriptors(), func(i int, layer ocispec.Descriptor, err error) error {
		origin := origin
		origin.Layer = i
		if err != nil {
			if limitErr := r.takeCandidate(); limitErr != nil {
				return limitErr
			}
			r.emit(unreadable(origin, err))
			return ctx.Err()
		}
		limit := r.layerLimit(layer.MediaType)
		if limit == 0 {
			return nil
		}
		if err := r.takeCandidate(); err != nil {
			return err
		}
		start(origin, func() error {
			if err := r.take(layer.Size, limit, "signature in bytes"); err != nil {
				return err
			}
			data, err := r.listed(ctx, layer, limit, "signature")
			if err != nil {
				return err
			}
			c := verify.Candidate{Origin: origin}
			if layer.MediaType == cosigntypes.SimpleSigningMediaType {
				c.Payload, c.Annotations = data, layer.Annotations
			} else {
				c.Bundle = data
			}
			r.emit(c)
			return nil
		})
		return ctx.Err()
	})
}

// listed fetches what a list or manifest names. That the one host there is does
// not have it is an answer, and a bad one; of several, any may have kept it back.
func (r *reader) listed(ctx context.Context, desc ocispec.Descriptor, limit int64, what string) ([]byte, error) {
	b, err := r.fetch(ctx, r.digest(desc.Digest), desc, limit, what)
	if err == nil || !isNotFound(err) || r.hosts == nil {
		return b, err
	}
	if hosts, _, hostsErr := r.hostsWith(ctx, docker.HostCapabilityPull); hostsErr == nil && len(hosts) == 1 {
		return nil, fmt.Errorf("%w: it is listed and not there: %w", errContent, err)
	}
	return nil, err
}

// layerLimit is the size that a layer of a media type may have; 0 for what is
// no signature.
func (r *reader) layerLimit(mediaType string) int64 {
	switch {
	case mediaType == cosigntypes.SimpleSigningMediaType:
		return r.limits.Payload
	case strings.HasPrefix(mediaType, bundleMediaTypePrefix):
		return r.limits.Bundle
	default:
		return 0
	}
}

// budget is what one place may have read for it in one verification.
type budget struct {
	limits     verify.Limits
	bytes      atomic.Int64
	referrers  atomic.Int64
	candidates atomic.Int64
}

// take charges for what is about to be read, with the size that the reader will
// then insist on, or for what was read. What is refused costs nothing.
func (b *budget) take(n, limit int64, what string) error {
	if n < 0 || n > limit {
		return limits.Exceeded(what, limit)
	}
	for {
		taken := b.bytes.Load()
		if n > b.limits.TotalBytes-taken {
			return limits.Exceeded("signatures of the image in bytes", b.limits.TotalBytes)
		}
		if b.bytes.CompareAndSwap(taken, taken+n) {
			return nil
		}
	}
}

// descriptors is how many entries of one list are looked at, whatever they are.
func (b *budget) descriptors() int { return max(limits.Descriptors, 8*b.limits.Candidates) }

func (b *budget) takeReferrer() error {
	if b.referrers.Add(1) > int64(b.limits.Candidates) {
		return limits.Exceeded("number of referrers", b.limits.Candidates)
	}
	return nil
}

func (b *budget) takeCandidate() error {
	if b.candidates.Add(1) > int64(b.limits.Candidates) {
		return limits.Exceeded("number of signatures", b.limits.Candidates)
	}
	return nil
}
