// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"
	"golang.org/x/sync/errgroup"

	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/verify"
)

// parallelFetches bounds the requests that are under way for one place.
const parallelFetches = 8

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
		if err := leash.Recovered(read); err != nil {
			r.emit(unreadable(origin, err))
		}
		return nil
	}
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
