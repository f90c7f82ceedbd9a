// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// parallelNodes bounds how many manifests of an index are signed or verified at a
// time.
const parallelNodes = 4

// errNoIndex means that something is a manifest, by what is in it.
var errNoIndex = fmt.Errorf("%w: it is not an index", errContent)

// nodes returns the manifests and indexes that index contains, those of nested
// indexes included, each with every platform that it is listed for. With a matcher, nested indexes that are for
// another platform are left alone. What decides whether something is an index is
// its content: the media type of the first one is the registry's word, which no
// signature covers.
func (r repository) nodes(ctx context.Context, index ocispec.Descriptor, b *budget, matcher platforms.Matcher) ([]ocispec.Descriptor, error) {
	var all []ocispec.Descriptor
	types := map[digest.Digest]string{index.Digest: index.MediaType}
	seen := map[string]bool{}
	level := []ocispec.Descriptor{index}
	for depth := 0; len(level) > 0; depth++ {
		if depth == limits.IndexDepth {
			return nil, limits.Exceeded("depth of an index", limits.IndexDepth)
		}
		var next []ocispec.Descriptor
		for _, parent := range level {
			content, err := r.read(ctx, parent, b, "index")
			if err == nil {
				err = checkIndex(content)
			}
			if errors.Is(err, errNoIndex) && depth > 0 {
				err = fmt.Errorf("%w: %s is listed as an index and is none", errContent, parent.Digest)
			}
			if err != nil {
				return nil, err
			}
			err = eachDescriptor(content, "manifests", b.descriptors(), func(_ int, n ocispec.Descriptor, err error) error {
				if err != nil {
					return err
				}
				// The specification of image indexes has types that are unknown ignored.
				if !isManifest(n.MediaType) {
					return nil
				}
				if err := checkTarget(n); err != nil {
					return err
				}
				listed, again := types[n.Digest]
				if again && listed != n.MediaType {
					return fmt.Errorf("%w: %s is listed under two media types", errContent, n.Digest)
				}
				types[n.Digest] = n.MediaType
				n = ocispec.Descriptor{MediaType: n.MediaType, Digest: n.Digest, Size: n.Size, Platform: n.Platform, Annotations: n.Annotations}
				// One manifest can be for several platforms.
				if key := entryKey(n); !seen[key] {
					seen[key] = true
					all = append(all, n)
				}
				if len(seen) >= limits.IndexManifests {
					return limits.Exceeded("number of manifests in an index", limits.IndexManifests)
				}
				if !again && images.IsIndexType(n.MediaType) && (matcher == nil || n.Platform == nil || matcher.Match(*n.Platform)) {
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

func entryKey(n ocispec.Descriptor) string {
	key := fmt.Sprint(n.Digest, " ", isForNoPlatform(n))
	if n.Platform != nil {
		key += " " + platforms.FormatAll(*n.Platform)
	}
	return key
}

// distinctDigests returns the first entry of each digest.
func distinctDigests(nodes []ocispec.Descriptor) []ocispec.Descriptor {
	seen := map[digest.Digest]bool{}
	return slices.DeleteFunc(slices.Clone(nodes), func(n ocispec.Descriptor) bool {
		again := seen[n.Digest]
		seen[n.Digest] = true
		return again
	})
}

// read fetches what is charged to b.
func (r repository) read(ctx context.Context, desc ocispec.Descriptor, b *budget, what string) (content []byte, err error) {
	if err := b.take(desc.Size, b.limits.Manifest, what+" in bytes"); err != nil {
		return nil, err
	}
	err = leash.Recovered(func() (err error) {
		content, err = r.fetch(ctx, r.digest(desc.Digest), desc, b.limits.Manifest, what)
		return err
	})
	return content, err
}

// checkIndex tells an index from a manifest, and refuses what could be either.
func checkIndex(content []byte) error {
	var document struct {
		MediaType string          `json:"mediaType"`
		Manifests json.RawMessage `json:"manifests"`
		Config    json.RawMessage `json:"config"`
		Layers    json.RawMessage `json:"layers"`
	}
	if err := json.Unmarshal(content, &document); err != nil {
		return malformed(err)
	}
	isManifest := document.Config != nil || document.Layers != nil
	switch {
	case isManifest && document.Manifests == nil && !images.IsIndexType(document.MediaType):
		return errNoIndex
	case isManifest, document.MediaType != "" && !images.IsIndexType(document.MediaType):
		return fmt.Errorf("%w: it is both an index and a manifest", errContent)
	}
	return nil
}

// isFor checks that a manifest is for a platform by its configuration.
func (r repository) isFor(ctx context.Context, desc ocispec.Descriptor, b *budget, matcher platforms.Matcher) error {
	content, err := r.read(ctx, desc, b, "manifest")
	if err != nil {
		return err
	}
	manifest, err := parse[struct {
		Config ocispec.Descriptor `json:"config"`
	}](content)
	if err != nil {
		return err
	}
	if !images.IsConfigType(manifest.Config.MediaType) {
		return fmt.Errorf("%w: configuration of type %.128q is not that of an image", errContent, manifest.Config.MediaType)
	}
	if content, err = r.read(ctx, manifest.Config, b, "configuration"); err != nil {
		return err
	}
	platform, err := parse[ocispec.Platform](content)
	if err != nil {
		return err
	}
	if !matcher.Match(platforms.Normalize(platform)) {
		return fmt.Errorf("%w: the image is for %.64q", errContent, platforms.FormatAll(platform))
	}
	return nil
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
