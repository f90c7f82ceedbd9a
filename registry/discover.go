// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
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

// discover collects the candidate signatures of target from every place. A
// place that could not be looked at is in the list, as a candidate with an
// error.
func (r repository) discover(ctx context.Context, target ocispec.Descriptor) []verify.Candidate {
	places := []struct {
		source verify.Source
		read   func(context.Context, digest.Digest, *budget) ([]verify.Candidate, error)
	}{
		{verify.SourceReferrersAPI, r.fromAPI},
		{verify.SourceReferrersTag, r.fromReferrersTag},
		{verify.SourceSignatureTag, r.fromSignatureTag},
	}
	found := make([][]verify.Candidate, len(places))
	var g errgroup.Group
	for i, place := range places {
		g.Go(func() error {
			// Each place has its own: junk in one must not hide what is in another.
			candidates, err := place.read(ctx, target.Digest, &budget{})
			if err != nil {
				candidates = append(candidates, unreadable(verify.Origin{Source: place.source}, err))
			}
			found[i] = candidates
			return nil
		})
	}
	_ = g.Wait() // the functions keep their errors in found
	return merge(slices.Concat(found...))
}

// unreadable is a candidate that stands for what could not be read.
func unreadable(origin verify.Origin, err error) verify.Candidate {
	if origin.Manifest.Validate() != nil {
		origin.Manifest = "" // it would be shown, and is the registry's text
	}
	return verify.Candidate{Origin: origin, Err: fault.New(kindOf(err), "read signature", "", "", err)}
}

// merge drops what is there twice: a registry that has the API lists under the
// referrers tag what was written before it had. What was read counts; that it
// could not be read elsewhere, or under another name, does not.
func merge(found []verify.Candidate) []verify.Candidate {
	type key struct {
		manifest digest.Digest
		layer    int
	}
	readable := map[key]bool{}
	var all, unread []verify.Candidate
	for _, c := range found {
		k := key{c.Origin.Manifest, c.Origin.Layer}
		switch {
		case c.Err != nil:
			unread = append(unread, c)
		case !readable[k]:
			readable[k] = true
			all = append(all, c)
		}
	}
	for _, c := range unread {
		if c.Origin.Manifest == "" || !readable[key{c.Origin.Manifest, c.Origin.Layer}] {
			all = append(all, c)
		}
	}
	return all
}

func (r repository) fromAPI(ctx context.Context, d digest.Digest, b *budget) ([]verify.Candidate, error) {
	referrers, err := r.referrers(ctx, d)
	if errors.Is(err, errNoReferrersAPI) {
		return nil, nil
	}
	return r.readReferrers(ctx, verify.SourceReferrersAPI, referrers, b), err
}

func (r repository) fromReferrersTag(ctx context.Context, d digest.Digest, b *budget) ([]verify.Candidate, error) {
	found, unanswered := r.readTags(ctx, referrersTag(d))
	var all []verify.Candidate
	for _, f := range found {
		index, err := parseIndex(f.data)
		if err != nil {
			return all, err
		}
		all = append(all, r.readReferrers(ctx, verify.SourceReferrersTag, index.Manifests, b)...)
	}
	return all, unanswered
}

func (r repository) fromSignatureTag(ctx context.Context, d digest.Digest, b *budget) ([]verify.Candidate, error) {
	found, unanswered := r.readTags(ctx, signatureTag(d))
	var all []verify.Candidate
	for _, f := range found {
		origin := verify.Origin{Source: verify.SourceSignatureTag, Manifest: f.Digest}
		candidates, err := r.readLayers(ctx, origin, f.data, b)
		if err != nil {
			return all, err
		}
		all = append(all, candidates...)
	}
	return all, unanswered
}

// readTag returns the manifest or index under tag, or nil if there is none. It
// is for sources of one host.
func (r repository) readTag(ctx context.Context, tag string) ([]byte, error) {
	found, err := r.readTags(ctx, tag)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0].data, nil
}

// readTags returns what is under tag, which on a mirror can be an older state.
// What was found is returned also beside the error of a host that did not
// answer; that a host has nothing is no error.
func (r repository) readTags(ctx context.Context, tag string) ([]blob, error) {
	if r.hosts == nil {
		return r.resolveTag(ctx, tag)
	}
	hosts, ctx, err := r.hostsWith(ctx, docker.HostCapabilityPull|docker.HostCapabilityResolve)
	if err != nil {
		return nil, err
	}
	var all []blob
	var unanswered error
	for _, host := range hosts {
		b, err := r.getTag(ctx, host, tag)
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
func (r repository) resolveTag(ctx context.Context, tag string) ([]blob, error) {
	_, desc, err := r.resolver.Resolve(ctx, r.tag(tag))
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, failed(ctx, err)
	}
	b, err := r.fetch(ctx, r.tag(tag), desc, limits.Manifest, "manifest")
	if err != nil {
		return nil, err
	}
	return []blob{{desc, b}}, nil
}

// getTag returns what host has under tag, or nil. Only a 404 for this very
// resource means that there is nothing: containerd's resolver also says "not
// found" of what is too large, and of what a token server does not know.
func (r repository) getTag(ctx context.Context, host docker.RegistryHost, tag string) (*blob, error) {
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
	b, err := limits.ReadAll(resp.Body, limits.Manifest, "manifest")
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &blob{describe(resp.Header.Get("Content-Type"), b), b}, nil
}

// readReferrers reads the referrers that may be signatures. One that cannot be
// read is a candidate with an error.
func (r repository) readReferrers(ctx context.Context, source verify.Source, referrers []ocispec.Descriptor, b *budget) []verify.Candidate {
	found := make([][]verify.Candidate, len(referrers))
	var g errgroup.Group
	g.SetLimit(parallelFetches)
	for i, desc := range referrers {
		if !maySign(desc) {
			continue
		}
		g.Go(func() error {
			origin := verify.Origin{Source: source, Manifest: desc.Digest}
			candidates, err := r.readReferrer(ctx, origin, desc, b)
			if err != nil {
				candidates = append(candidates, unreadable(origin, err))
			}
			found[i] = candidates
			return nil
		})
	}
	_ = g.Wait() // the functions keep their errors in found
	var all []verify.Candidate
	for _, candidates := range found {
		all = append(all, candidates...)
	}
	return all
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

func (r repository) readReferrer(ctx context.Context, origin verify.Origin, desc ocispec.Descriptor, b *budget) ([]verify.Candidate, error) {
	if err := b.take(desc.Size, limits.Referrer, "manifest in bytes"); err != nil {
		return nil, err
	}
	manifest, err := r.fetch(ctx, r.digest(desc.Digest), desc, limits.Referrer, "manifest")
	if err != nil {
		return nil, err
	}
	return r.readLayers(ctx, origin, manifest, b)
}

// readLayers reads the signatures that are the layers of a manifest.
func (r repository) readLayers(ctx context.Context, origin verify.Origin, manifest []byte, b *budget) ([]verify.Candidate, error) {
	m, err := parseManifest(manifest)
	if err != nil {
		return nil, err
	}
	found := make([]*verify.Candidate, len(m.Layers))
	var g errgroup.Group
	g.SetLimit(parallelFetches)
	for i, layer := range m.Layers {
		limit := layerLimit(layer.MediaType)
		if limit == 0 {
			continue
		}
		if err := b.takeCandidate(); err != nil {
			_ = g.Wait() // nothing that was started is used
			return nil, err
		}
		g.Go(func() error {
			c := verify.Candidate{Origin: origin}
			c.Origin.Layer = i
			data, err := r.readBlob(ctx, layer, limit, b)
			switch {
			case err != nil:
				c = unreadable(c.Origin, err)
			case layer.MediaType == cosigntypes.SimpleSigningMediaType:
				c.Payload, c.Annotations = data, layer.Annotations
			default:
				c.Bundle = data
			}
			found[i] = &c
			return nil
		})
	}
	_ = g.Wait() // the functions keep their errors in found
	var all []verify.Candidate
	for _, c := range found {
		if c != nil {
			all = append(all, *c)
		}
	}
	return all, nil
}

// layerLimit is the size that a layer of a media type may have; 0 for what is
// no signature.
func layerLimit(mediaType string) int64 {
	switch {
	case mediaType == cosigntypes.SimpleSigningMediaType:
		return limits.Payload
	case strings.HasPrefix(mediaType, bundleMediaTypePrefix):
		return limits.Bundle
	default:
		return 0
	}
}

func (r repository) readBlob(ctx context.Context, desc ocispec.Descriptor, limit int64, b *budget) ([]byte, error) {
	if err := b.take(desc.Size, limit, "signature in bytes"); err != nil {
		return nil, err
	}
	return r.fetch(ctx, r.digest(desc.Digest), desc, limit, "signature")
}

// budget is what one place may have read for it in one verification.
type budget struct {
	bytes      atomic.Int64
	candidates atomic.Int64
}

// take charges for what is about to be read, with the size that the reader will
// then insist on. What is refused costs nothing.
func (b *budget) take(n, limit int64, what string) error {
	if n < 0 || n > limit {
		return limits.Exceeded(what, limit)
	}
	if b.bytes.Add(n) > limits.TotalBytes {
		b.bytes.Add(-n)
		return limits.Exceeded("signatures of the image in bytes", limits.TotalBytes)
	}
	return nil
}

func (b *budget) takeCandidate() error {
	if b.candidates.Add(1) > limits.Candidates {
		return limits.Exceeded("number of signatures", limits.Candidates)
	}
	return nil
}
