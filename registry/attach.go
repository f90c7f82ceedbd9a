// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"
	"golang.org/x/sync/errgroup"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// attach uploads a signature to where its form lives, makes sure that it is
// found there, and reads it back.
func (r repository) attach(ctx context.Context, target ocispec.Descriptor, s checked) (Attached, error) {
	if s.Form == signing.Legacy {
		return r.attachLegacy(ctx, target, s)
	}
	return r.attachBundle(ctx, target, s)
}

// checkPlaces refuses to sign subject if what is where signatures of form live
// keeps another one from being attached. Permission to write is not known before
// something is written.
func (r repository) checkPlaces(ctx context.Context, subject digest.Digest, form signing.Form) error {
	// The token is the one that attaching takes, which asks for more: what may be
	// read before a repository exists is less than what may be read then.
	ctx, err := docker.ContextWithRepositoryScope(ctx, r.spec(), true)
	if err != nil {
		return err
	}
	another := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: subject}
	if form != signing.Bundle && form != "" {
		err = r.checkTag(ctx, signatureTag(subject), &signatureManifest{add: another})
	}
	if err == nil && form != signing.Legacy {
		err = r.checkReferrers(ctx, subject, &referrersIndex{add: another})
	}
	if r.elsewhere != "" && isDenied(err) {
		return nil // it may not exist yet
	}
	return err
}

// checkReferrers looks at the referrers tag if bundles are listed there.
func (r repository) checkReferrers(ctx context.Context, subject digest.Digest, index *referrersIndex) error {
	hasAPI := errors.New("one is enough")
	b := &budget{limits: verify.Limits{}.WithDefaults()}
	err := r.eachReferrer(ctx, subject, b, func(int, ocispec.Descriptor, error) error { return hasAPI })
	switch {
	case errors.Is(err, errNoReferrersAPI), errors.Is(err, errNoIndexType):
	case err != nil && !errors.Is(err, hasAPI):
		return err
	case r.hosts != nil:
		return nil
	}
	return r.checkTag(ctx, referrersTag(subject), index)
}

func (r repository) checkTag(ctx context.Context, tag string, s shared) error {
	current, err := r.readTag(ctx, tag)
	if err == nil {
		_, err = s.merge(current)
	}
	if err != nil {
		return fmt.Errorf("tag %s: %w", tag, err)
	}
	return nil
}

// attachBundle pushes a manifest that refers to target and has the bundle as
// its layer, see
// https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md.
func (r repository) attachBundle(ctx context.Context, target ocispec.Descriptor, s checked) (Attached, error) {
	layer := describe(bundleMediaType, s.Bundle)
	config := ocispec.DescriptorEmptyJSON
	subject := ocispec.Descriptor{MediaType: target.MediaType, Digest: target.Digest, Size: target.Size}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: bundleMediaType,
		Config:       describe(config.MediaType, config.Data),
		Layers:       []ocispec.Descriptor{layer},
		Subject:      &subject,
		Annotations: map[string]string{
			ocispec.AnnotationCreated:     time.Now().UTC().Format(time.RFC3339),
			"dev.sigstore.bundle.content": "dsse-envelope",
			annotationPredicateType:       cosigntypes.CosignSignPredicateType,
		},
	})
	if err != nil {
		return Attached{}, err
	}
	if err := r.pushBlobs(ctx, blob{config, config.Data}, blob{layer, s.Bundle}); err != nil {
		return Attached{}, err
	}
	desc := describe(ocispec.MediaTypeImageManifest, manifest)
	if err := r.push(ctx, r.digest(desc.Digest), desc, manifest); err != nil {
		return Attached{}, err
	}
	desc.ArtifactType = bundleMediaType
	source, err := r.list(ctx, target.Digest, desc)
	if err != nil {
		return Attached{}, err
	}
	return Attached{Subject: target.Digest, Form: s.Form, Manifest: desc, Source: source}, r.readBack(ctx, desc, layer)
}

// list makes sure that the referrer desc of subject can be found: by the
// referrers API, which needs nothing, or under the referrers tag.
func (r repository) list(ctx context.Context, subject digest.Digest, desc ocispec.Descriptor) (source verify.Source, err error) {
	for attempt := 0; ; attempt++ {
		found, err := r.lists(ctx, subject, desc)
		if errors.Is(err, errNoReferrersAPI) || errors.Is(err, errNoIndexType) {
			break
		}
		if err != nil {
			return "", err
		}
		if found {
			if r.hosts != nil {
				return verify.SourceReferrersAPI, nil
			}
			// Behind a resolver of the caller's, the list may have come from the
			// tag; writing that again where it is complete changes nothing.
			if b, err := r.readTag(ctx, referrersTag(subject)); err != nil || b == nil {
				return verify.SourceReferrersAPI, err
			}
			break
		}
		if r.hosts == nil {
			break
		}
		// The API is there and does not list what was just pushed: registries
		// that are eventually consistent take a moment.
		if attempt == listAttempts {
			return "", errors.New("the registry's referrers API does not list the signature")
		}
		if err := sleep(ctx, limits.TagSettle); err != nil {
			return "", err
		}
	}
	err = r.mergeTag(ctx, referrersTag(subject), &referrersIndex{add: desc})
	return verify.SourceReferrersTag, err
}

// lists reports whether the referrers API has desc among the referrers of subject.
func (r repository) lists(ctx context.Context, subject digest.Digest, desc ocispec.Descriptor) (found bool, err error) {
	b := &budget{limits: verify.Limits{}.WithDefaults()}
	err = r.eachReferrer(ctx, subject, b, func(_ int, d ocispec.Descriptor, _ error) error {
		found = found || d.Digest == desc.Digest && d.Size == desc.Size
		return nil
	})
	return found, err
}

// listAttempts bounds how often a referrers API is asked for what was pushed.
const listAttempts = 8

// attachLegacy adds the signature to the manifest under the signature tag, see
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md.
func (r repository) attachLegacy(ctx context.Context, target ocispec.Descriptor, s checked) (Attached, error) {
	layer := describe(cosigntypes.SimpleSigningMediaType, s.Payload)
	if err := r.pushBlobs(ctx, blob{layer, s.Payload}); err != nil {
		return Attached{}, err
	}
	layer.Annotations = s.Annotations
	merged := &signatureManifest{add: layer}
	if err := r.mergeTag(ctx, signatureTag(target.Digest), merged); err != nil {
		return Attached{}, err
	}
	return Attached{Subject: target.Digest, Form: s.Form, Manifest: merged.last, Source: verify.SourceSignatureTag}, r.readBack(ctx, layer)
}

// readBack fetches what was uploaded. That it is in the list under which it is
// found was seen before; here the registry shows that it has the content.
func (r repository) readBack(ctx context.Context, descs ...ocispec.Descriptor) error {
	for _, desc := range descs {
		if _, err := r.fetch(ctx, r.digest(desc.Digest), desc, limits.Manifest, "signature"); err != nil {
			return fmt.Errorf("read back: %w", err)
		}
	}
	return nil
}

type blob struct {
	ocispec.Descriptor
	data []byte
}

func (r repository) pushBlobs(ctx context.Context, blobs ...blob) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, b := range blobs {
		g.Go(func() error { return r.push(ctx, r.digest(b.Digest), b.Descriptor, b.data) })
	}
	return g.Wait()
}

func describe(mediaType string, b []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
}
