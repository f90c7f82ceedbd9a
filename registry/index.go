// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"slices"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// parallelNodes bounds how many manifests of an index are signed or verified at a
// time.
const parallelNodes = 4

// nodes returns the manifests and indexes that index contains, those of nested
// indexes included, each digest once.
func (r repository) nodes(ctx context.Context, index ocispec.Descriptor, limit int64) ([]ocispec.Descriptor, error) {
	var all []ocispec.Descriptor
	seen := map[digest.Digest]bool{index.Digest: true}
	level := []ocispec.Descriptor{index}
	for depth := 0; len(level) > 0; depth++ {
		if depth == limits.IndexDepth {
			return nil, limits.Exceeded("depth of an index", limits.IndexDepth)
		}
		var next []ocispec.Descriptor
		for _, parent := range level {
			b, err := r.fetch(ctx, r.digest(parent.Digest), parent, limit, "index")
			if err != nil {
				return nil, err
			}
			err = eachDescriptor(b, "manifests", func(_ int, n ocispec.Descriptor, err error) error {
				if err == nil {
					err = checkTarget(n)
				}
				if err != nil || seen[n.Digest] {
					return err
				}
				if seen[n.Digest] = true; len(seen) > limits.IndexManifests {
					return limits.Exceeded("number of manifests in an index", limits.IndexManifests)
				}
				n = ocispec.Descriptor{MediaType: n.MediaType, Digest: n.Digest, Size: n.Size, Platform: n.Platform, Annotations: n.Annotations}
				all = append(all, n)
				if images.IsIndexType(n.MediaType) {
					next = append(next, n)
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		level = next
	}
	return all, nil
}

// bestFor returns the manifest that matcher likes best, or nil.
func bestFor(matcher platforms.MatchComparer, nodes []ocispec.Descriptor) *ocispec.Descriptor {
	nodes = slices.DeleteFunc(slices.Clone(nodes), func(n ocispec.Descriptor) bool {
		return images.IsIndexType(n.MediaType) || n.Platform == nil || !matcher.Match(*n.Platform)
	})
	if len(nodes) == 0 {
		return nil
	}
	slices.SortStableFunc(nodes, func(a, b ocispec.Descriptor) int {
		switch {
		case matcher.Less(*a.Platform, *b.Platform):
			return -1
		case matcher.Less(*b.Platform, *a.Platform):
			return 1
		default:
			return 0
		}
	})
	return &ocispec.Descriptor{MediaType: nodes[0].MediaType, Digest: nodes[0].Digest, Size: nodes[0].Size}
}

// isForNoPlatform recognises the manifests in which BuildKit keeps attestations
// beside those of the platforms.
func isForNoPlatform(n ocispec.Descriptor) bool {
	return n.Annotations["vnd.docker.reference.type"] == "attestation-manifest" &&
		n.Platform != nil && n.Platform.OS == "unknown" && n.Platform.Architecture == "unknown"
}
