// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
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
					_, err := leash.Call(ctx, func(ctx context.Context) (struct{}, error) {
						return struct{}{}, place.read(ctx, s, &budget{limits: l})
					})
					if err != nil {
						s.emit(unreadable(verify.Origin{}, err))
					}
				})
			}
		}
		// What is abandoned may still emit, so found is never closed.
		read := make(chan struct{})
		go func() { reading.Wait(); close(read) }()
		var d distinct
		for more := true; more; {
			select {
			case c := <-found:
				if d.isNew(c) && !yield(c) {
					return
				}
			case <-read:
				more = false
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
	if _, ok := r.resolver.(storeResolver); ok {
		return []place{{verify.SourceContentStore, r.fromAPI}}
	}
	if r.resolver == nil {
		return []place{{verify.SourceReferrersAPI, fromNowhere}}
	}
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

// errNotAsked is why a registry is unknown that nobody wants to be asked.
var errNotAsked = errors.New("the registry was not asked")

// fromNowhere is for a registry that must not be asked.
func fromNowhere(context.Context, search, *budget) error { return errNotAsked }

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
