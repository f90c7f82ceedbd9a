// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// shared is what several signers keep under one tag. It remembers every entry
// that it has seen there, so that an entry that another writer dropped is put
// back as well as its own.
type shared interface {
	// merge returns what is to be written in the place of current, which is nil
	// if there is nothing, or nil if current lacks nothing.
	merge(current []byte) (*document, error)
}

// document is a manifest or index with the blob that it needs, if any.
type document struct {
	blob
	needs *blob
}

// mergeTag adds to what is under tag and returns when, after the settle time,
// nothing is missing there.
//
// Registries have no conditional write. Two writers that read the same state
// replace each other's work; each then finds its own entry missing and merges
// again. An entry is lost only to a writer that reads before the entry is
// written and writes after its owner has looked again.
func (r repository) mergeTag(ctx context.Context, tag string, s shared) error {
	for range limits.TagAttempts {
		took, err := r.mergeOnce(ctx, tag, s)
		if err != nil {
			return err
		}
		// The other writers' requests take as long as ours. Jitter keeps those
		// that met once from meeting again.
		settle := max(limits.TagSettle, 2*took)
		if err := sleep(ctx, settle+rand.N(settle/2)); err != nil { //nolint:gosec // not a secret
			return err
		}
		current, err := r.readTag(ctx, tag)
		if err != nil {
			return err
		}
		if missing, err := s.merge(current); err != nil || missing == nil {
			return err
		}
	}
	return fmt.Errorf("tag %s: other writers replaced the signature %d times", tag, limits.TagAttempts)
}

// mergeOnce reads, merges and writes what is under tag, and returns how long
// that took from reading to having written. Within the process, one goroutine
// at a time does so for a tag.
func (r repository) mergeOnce(ctx context.Context, tag string, s shared) (took time.Duration, err error) {
	unlock, err := tagLocks.lock(ctx, r.tag(tag))
	if err != nil {
		return 0, err
	}
	defer unlock()
	ready := map[digest.Digest]bool{}
	for {
		start := time.Now()
		current, err := r.readTag(ctx, tag)
		if err != nil {
			return 0, err
		}
		next, err := s.merge(current)
		if err != nil || next == nil {
			return time.Since(start), err
		}
		// Between reading and writing there must be nothing else: first what
		// the document needs, then read again.
		if need := next.needs; need != nil && !ready[need.Digest] {
			if err := r.pushBlobs(ctx, *need); err != nil {
				return 0, err
			}
			ready[need.Digest] = true
			if time.Since(start) > limits.TagSettle/2 {
				continue
			}
		}
		err = r.push(ctx, r.tag(tag), next.Descriptor, next.data)
		return time.Since(start), err
	}
}

// referrersIndex is the index under the referrers tag (OCI distribution
// specification 1.1, referrers tag schema).
type referrersIndex struct {
	add  ocispec.Descriptor
	seen []ocispec.Descriptor
}

func (x *referrersIndex) merge(current []byte) (*document, error) {
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
	}
	if current != nil {
		if _, err := parseIndex(current); err != nil { // which counts before it allocates
			return nil, err
		}
		if err := json.Unmarshal(current, &index); err != nil {
			return nil, err
		}
		if index.MediaType != ocispec.MediaTypeImageIndex && index.MediaType != "" {
			return nil, fmt.Errorf("the referrers tag holds a %.128q, want an index", index.MediaType)
		}
	}
	var changed bool
	index.Manifests, changed = union(index.Manifests, append(x.seen, x.add), func(a, b ocispec.Descriptor) bool {
		return a.Digest == b.Digest
	})
	// An entry with another size cannot be read, and one with another artifact
	// type is not found by readers that filter.
	for i, d := range index.Manifests {
		if d.Digest == x.add.Digest && (d.ArtifactType != x.add.ArtifactType || d.Size != x.add.Size || d.MediaType != x.add.MediaType) {
			index.Manifests[i], changed = x.add, true
		}
	}
	x.seen = slices.Clone(index.Manifests)
	if !changed {
		return nil, nil
	}
	if len(index.Manifests) > limits.Candidates {
		return nil, limits.Exceeded("number of referrers", limits.Candidates)
	}
	index.SchemaVersion, index.MediaType = 2, ocispec.MediaTypeImageIndex
	b, err := marshal(index)
	if err != nil {
		return nil, err
	}
	return &document{blob: blob{describe(index.MediaType, b), b}}, nil
}

// signatureManifest is the manifest under the signature tag. Each layer is a
// payload, and has the signature in its annotations: signers of one payload
// share the blob and differ in the annotations.
type signatureManifest struct {
	add  ocispec.Descriptor
	seen []ocispec.Descriptor
	last ocispec.Descriptor
}

func (x *signatureManifest) merge(current []byte) (*document, error) {
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
	}
	if current != nil {
		if _, err := parseManifest(current); err != nil { // which counts before it allocates
			return nil, err
		}
		if err := json.Unmarshal(current, &m); err != nil {
			return nil, err
		}
		if !images.IsManifestType(m.MediaType) && m.MediaType != "" {
			return nil, fmt.Errorf("the signature tag holds a %.128q, want a manifest", m.MediaType)
		}
		x.last = describe(ocispec.MediaTypeImageManifest, current)
	}
	var changed bool
	m.Layers, changed = union(m.Layers, append(x.seen, x.add), func(a, b ocispec.Descriptor) bool {
		// One signature can be there twice, with a log entry and without.
		return a.Digest == b.Digest && a.Size == b.Size && a.MediaType == b.MediaType && maps.Equal(a.Annotations, b.Annotations)
	})
	x.seen = slices.Clone(m.Layers)
	if !changed {
		return nil, nil
	}
	if len(m.Layers) > limits.Candidates {
		return nil, limits.Exceeded("number of signatures", limits.Candidates)
	}
	config, err := imageConfig(m.Layers)
	if err != nil {
		return nil, err
	}
	m.SchemaVersion, m.MediaType, m.Config = 2, ocispec.MediaTypeImageManifest, config.Descriptor
	b, err := marshal(m)
	if err != nil {
		return nil, err
	}
	x.last = describe(m.MediaType, b)
	return &document{blob: blob{x.last, b}, needs: &config}, nil
}

// marshal writes nothing that would be too large to be read again, with the
// signatures of everybody in it.
func marshal(document any) ([]byte, error) {
	b, err := json.Marshal(document)
	if err == nil && len(b) > limits.Manifest {
		err = limits.Exceeded("manifest in bytes", limits.Manifest)
	}
	return b, err
}

// imageConfig is the configuration of the image that a signature manifest is in
// the eyes of cosign, which reads the diff IDs when it adds a signature.
func imageConfig(layers []ocispec.Descriptor) (blob, error) {
	ids := make([]digest.Digest, len(layers))
	for i, layer := range layers {
		ids[i] = layer.Digest
	}
	b, err := json.Marshal(ocispec.Image{RootFS: ocispec.RootFS{Type: "layers", DiffIDs: ids}})
	return blob{describe(ocispec.MediaTypeImageConfig, b), b}, err
}

// union appends to have what it lacks of want.
func union(have, want []ocispec.Descriptor, same func(a, b ocispec.Descriptor) bool) (all []ocispec.Descriptor, changed bool) {
	all = slices.Clone(have)
	for _, w := range want {
		if !slices.ContainsFunc(all, func(h ocispec.Descriptor) bool { return same(h, w) }) {
			all, changed = append(all, w), true
		}
	}
	return all, changed
}

// tagLocks serialises the writers of a tag within the process, whichever client
// they use.
var tagLocks = keyedLock{held: map[string]*lockEntry{}}

type keyedLock struct {
	mu   sync.Mutex
	held map[string]*lockEntry
}

type lockEntry struct {
	turn  chan struct{}
	users int
}

// lock waits for its turn or for the end of ctx.
func (l *keyedLock) lock(ctx context.Context, key string) (unlock func(), err error) {
	l.mu.Lock()
	e := l.held[key]
	if e == nil {
		e = &lockEntry{turn: make(chan struct{}, 1)}
		l.held[key] = e
	}
	e.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if e.users--; e.users == 0 {
			delete(l.held, key)
		}
	}
	select {
	case e.turn <- struct{}{}:
		return func() { <-e.turn; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, errors.Join(errors.New("waiting for another signer of the same image"), ctx.Err())
	}
}
