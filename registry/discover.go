// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

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

func (r repository) locator() string               { return r.name.Name() }
func (r repository) tag(t string) string           { return r.name.Name() + ":" + t }
func (r repository) digest(d digest.Digest) string { return r.name.Name() + "@" + d.String() }
func referrersTag(d digest.Digest) string          { return strings.Replace(d.String(), ":", "-", 1) }
func signatureTag(d digest.Digest) string          { return referrersTag(d) + ".sig" }

// discover collects the candidate signatures of target from every place. A
// place that could not be looked at is in the list, as a candidate with an
// error.
func (r repository) discover(ctx context.Context, target ocispec.Descriptor) []verify.Candidate {
	budget := &byteBudget{}
	places := []func(context.Context) ([]verify.Candidate, error){
		func(ctx context.Context) ([]verify.Candidate, error) { return r.fromAPI(ctx, target.Digest, budget) },
		func(ctx context.Context) ([]verify.Candidate, error) {
			return r.fromReferrersTag(ctx, target.Digest, budget)
		},
		func(ctx context.Context) ([]verify.Candidate, error) {
			return r.fromSignatureTag(ctx, target.Digest, budget)
		},
	}
	names := []verify.Source{verify.SourceReferrersAPI, verify.SourceReferrersTag, verify.SourceSignatureTag}
	found := make([][]verify.Candidate, len(places))
	var g errgroup.Group
	for i, place := range places {
		g.Go(func() error {
			candidates, err := place(ctx)
			if err != nil {
				candidates = append(candidates, unreadable(verify.Origin{Source: names[i]}, err))
			}
			found[i] = candidates
			return nil
		})
	}
	_ = g.Wait() // the functions keep their errors in found
	return merge(found)
}

// unreadable is a candidate that stands for what could not be read.
func unreadable(origin verify.Origin, err error) verify.Candidate {
	return verify.Candidate{Origin: origin, Err: fault.New(kindOf(err), "read signature", "", "", err)}
}

// merge joins the places. A registry that has the API lists under the referrers
// tag what was written before it had.
func merge(found [][]verify.Candidate) []verify.Candidate {
	type key struct {
		manifest digest.Digest
		layer    int
	}
	seen := map[key]bool{}
	var all []verify.Candidate
	for _, candidates := range found {
		for _, c := range candidates {
			k := key{c.Origin.Manifest, c.Origin.Layer}
			if k.manifest != "" && seen[k] {
				continue
			}
			seen[k] = true
			all = append(all, c)
		}
	}
	return all
}

func (r repository) fromAPI(ctx context.Context, d digest.Digest, budget *byteBudget) ([]verify.Candidate, error) {
	referrers, err := r.referrers(ctx, r.locator(), d)
	if errors.Is(err, errNoReferrersAPI) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return r.readReferrers(ctx, verify.SourceReferrersAPI, referrers, budget), nil
}

func (r repository) fromReferrersTag(ctx context.Context, d digest.Digest, budget *byteBudget) ([]verify.Candidate, error) {
	b, _, err := r.readTag(ctx, referrersTag(d))
	if err != nil || b == nil {
		return nil, err
	}
	if err := budget.take(int64(len(b))); err != nil {
		return nil, err
	}
	var index ocispec.Index
	if err := json.Unmarshal(b, &index); err != nil {
		return nil, fmt.Errorf("%w: %w", errContent, err)
	}
	if len(index.Manifests) > limits.Candidates {
		return nil, limits.Exceeded("number of referrers", limits.Candidates)
	}
	return r.readReferrers(ctx, verify.SourceReferrersTag, index.Manifests, budget), nil
}

func (r repository) fromSignatureTag(ctx context.Context, d digest.Digest, budget *byteBudget) ([]verify.Candidate, error) {
	b, desc, err := r.readTag(ctx, signatureTag(d))
	if err != nil || b == nil {
		return nil, err
	}
	if err := budget.take(int64(len(b))); err != nil {
		return nil, err
	}
	return r.readLayers(ctx, verify.Origin{Source: verify.SourceSignatureTag, Manifest: desc.Digest}, b, budget)
}

// readTag returns the manifest or index under tag, or nil if there is none.
func (r repository) readTag(ctx context.Context, tag string) ([]byte, ocispec.Descriptor, error) {
	desc, err := r.lookUp(ctx, r.tag(tag))
	if isNotFound(err) {
		return nil, desc, nil
	}
	if err != nil {
		return nil, desc, err
	}
	b, err := r.fetch(ctx, r.tag(tag), desc, limits.Manifest, "manifest")
	return b, desc, err
}

// readReferrers reads the referrers that may be signatures. One that cannot be
// read is a candidate with an error.
func (r repository) readReferrers(ctx context.Context, source verify.Source, referrers []ocispec.Descriptor, budget *byteBudget) []verify.Candidate {
	found := make([][]verify.Candidate, len(referrers))
	var g errgroup.Group
	g.SetLimit(parallelFetches)
	for i, desc := range referrers {
		if !maySign(desc) {
			continue
		}
		g.Go(func() error {
			origin := verify.Origin{Source: source, Manifest: desc.Digest}
			candidates, err := r.readReferrer(ctx, origin, desc, budget)
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

func (r repository) readReferrer(ctx context.Context, origin verify.Origin, desc ocispec.Descriptor, budget *byteBudget) ([]verify.Candidate, error) {
	if err := budget.take(desc.Size); err != nil {
		return nil, err
	}
	b, err := r.fetch(ctx, r.digest(desc.Digest), desc, limits.Manifest, "manifest")
	if err != nil {
		return nil, err
	}
	return r.readLayers(ctx, origin, b, budget)
}

// readLayers reads the signatures that are the layers of a manifest.
func (r repository) readLayers(ctx context.Context, origin verify.Origin, manifest []byte, budget *byteBudget) ([]verify.Candidate, error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", errContent, err)
	}
	if len(m.Layers) > limits.Candidates {
		return nil, limits.Exceeded("number of layers", limits.Candidates)
	}
	found := make([]*verify.Candidate, len(m.Layers))
	var g errgroup.Group
	g.SetLimit(parallelFetches)
	for i, layer := range m.Layers {
		limit := layerLimit(layer.MediaType)
		if limit == 0 {
			continue
		}
		g.Go(func() error {
			c := verify.Candidate{Origin: origin}
			c.Origin.Layer = i
			b, err := r.readBlob(ctx, layer, limit, budget)
			switch {
			case err != nil:
				c = unreadable(c.Origin, err)
			case layer.MediaType == cosigntypes.SimpleSigningMediaType:
				c.Payload, c.Annotations = b, layer.Annotations
			default:
				c.Bundle = b
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

func (r repository) readBlob(ctx context.Context, desc ocispec.Descriptor, limit int64, budget *byteBudget) ([]byte, error) {
	if desc.Size > limit {
		return nil, limits.Exceeded("signature in bytes", limit)
	}
	if err := budget.take(desc.Size); err != nil {
		return nil, err
	}
	return r.fetch(ctx, r.digest(desc.Digest), desc, limit, "signature")
}

// byteBudget is what one verification may read in all. It is charged before
// reading, with the size that the reader will then insist on.
type byteBudget struct{ used atomic.Int64 }

func (b *byteBudget) take(n int64) error {
	if n < 0 || n > limits.TotalBytes || b.used.Add(n) > limits.TotalBytes {
		return limits.Exceeded("signatures of the image in bytes", limits.TotalBytes)
	}
	return nil
}
