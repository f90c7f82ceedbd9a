// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"

	"github.com/cosignkit/cosignkit/internal/bundles"
	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/layout"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

const opKeep = "keep signatures"

// KeepSignatures keeps the signatures of result that passed in store, with the
// image, so that [Client.VerifyLocal] needs no registry. [Client.PullWith] does so by
// itself; a tool that pulls in another way calls it after its pull, with what
// [WithResult] was told.
//
// Each signature is kept as the referrer that cosign would attach, and what it is
// for, the manifest or index in store, refers to it by a label. The garbage
// collection of containerd 1.6 and later keeps it as long as it keeps that. No lease
// is needed. Kept signatures are not trusted: each start verifies them again, with
// the policy of that time.
//
// At most 32 signatures are kept for one image; those of other results go first.
// Keeping what is kept already changes nothing. A result that was accepted
// unverified has none to keep. The error matches errdefs.ErrNotFound where
// something that was signed is not in store, such as the index around a manifest
// or another platform of it; the rest has been kept then.
func KeepSignatures(ctx context.Context, store content.Store, result *verify.Result) error {
	if result == nil || !result.Accepted {
		return fault.New(verify.ErrMisconfigured, opKeep, "", "", errors.New("the image is not accepted"))
	}
	if result.Unverified != nil {
		return nil
	}
	subjects, passed := passedBySubject(result)
	var errs []error
	for _, subject := range subjects {
		if err := keepFor(ctx, store, subject, passed[subject]); err != nil {
			errs = append(errs, fmt.Errorf("for %s: %w", subject, failed(ctx, err)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fault.New(storeKind(err), opKeep, result.Image.String(), "", fault.Printable(err))
	}
	return nil
}

// passedBySubject returns the signatures that passed, with what was checked. A
// verifier of somebody else's may not say what that was.
func passedBySubject(result *verify.Result) (subjects []digest.Digest, passed map[digest.Digest][]verify.Candidate) {
	passed = map[digest.Digest][]verify.Candidate{}
	for _, s := range result.Signatures {
		if s.Err != nil || s.Candidate.Bundle == nil && s.Candidate.Payload == nil {
			continue
		}
		if passed[s.Subject] == nil {
			subjects = append(subjects, s.Subject)
		}
		passed[s.Subject] = append(passed[s.Subject], s.Candidate)
	}
	return subjects, passed
}

// labelKept is how the labels of what this package keeps begin.
const labelKept = labelReferrer + "cosign."

// keepFor keeps signatures of subject. The references are made first, each to what
// is not there yet, and then what they refer to: nothing is ever there that is not
// referred to, so that no collection can come in between.
func keepFor(ctx context.Context, store content.Store, subject digest.Digest, candidates []verify.Candidate) error {
	b, err := readStore(ctx, store, subject, limits.Manifest)
	if err != nil {
		return err
	}
	m, err := layout.ParseManifest(b)
	if err != nil {
		return malformed(err)
	}
	kept := map[string]keptSignature{}
	for _, c := range candidates {
		if len(kept) == limits.KeptSignatures {
			break
		}
		k, err := newKept(describe(mediaTypeOf(m), b), c)
		if err != nil {
			return err
		}
		kept[k.label()] = k
	}
	if err := refer(ctx, store, subject, kept); err != nil {
		return err
	}
	for _, label := range slices.Sorted(maps.Keys(kept)) {
		if err := kept[label].write(ctx, store); err != nil {
			return err
		}
	}
	return nil
}

// refer has subject refer to what is kept, and to no more than the limit.
func refer(ctx context.Context, store content.Store, subject digest.Digest, kept map[string]keptSignature) error {
	info, err := store.Info(ctx, subject)
	if err != nil {
		return err
	}
	change := map[string]string{}
	for label, k := range kept {
		if info.Labels[label] != k.manifest.Digest.String() {
			change[label] = k.manifest.Digest.String()
		}
	}
	surplus := len(kept) - limits.KeptSignatures
	var others []string
	for label, value := range info.Labels {
		if _, ok := kept[label]; !ok && value != "" && strings.HasPrefix(label, labelKept) {
			others = append(others, label)
		}
	}
	slices.Sort(others)
	surplus += len(others)
	for _, label := range others[:max(0, surplus)] {
		change[label] = "" // which removes it
	}
	if len(change) == 0 {
		return nil
	}
	// Only these are written, so that nobody who adds others at the same time loses
	// them.
	var fields []string
	for label := range change {
		fields = append(fields, "labels."+label)
	}
	_, err = store.Update(ctx, content.Info{Digest: subject, Labels: change}, fields...)
	return err
}

// keptSignature is a signature as a content store has it.
type keptSignature struct {
	manifest, config, layer blob
}

// newKept makes the same bytes of the same signature every time, so that one that
// is kept twice is there once.
func newKept(subject ocispec.Descriptor, c verify.Candidate) (keptSignature, error) {
	config := ocispec.DescriptorEmptyJSON
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    describe(config.MediaType, config.Data),
		Subject:   &subject,
	}
	data := c.Bundle
	var layer ocispec.Descriptor
	if c.Bundle != nil {
		layer = describe(bundleMediaType, data)
		manifest.ArtifactType = bundleMediaType
		manifest.Annotations = map[string]string{
			"dev.sigstore.bundle.content": "dsse-envelope",
			annotationPredicateType:       cosigntypes.CosignSignPredicateType,
		}
	} else {
		data = c.Payload
		layer = describe(cosigntypes.SimpleSigningMediaType, data)
		layer.Annotations = bundles.LegacyParts(c.Annotations)
		manifest.ArtifactType = legacyArtifactType
		manifest.Config.MediaType = legacyArtifactType // where cosign looks for it
	}
	manifest.Layers = []ocispec.Descriptor{layer}
	b, err := json.Marshal(manifest)
	if err != nil {
		return keptSignature{}, err
	}
	if len(b) > limits.Manifest {
		return keptSignature{}, limits.Exceeded("manifest in bytes", limits.Manifest)
	}
	return keptSignature{
		manifest: blob{describe(manifest.MediaType, b), b},
		config:   blob{manifest.Config, config.Data},
		layer:    blob{layer, data},
	}, nil
}

func (k keptSignature) label() string { return labelKept + k.manifest.Digest.Encoded() }

// write writes the manifest, which keeps the rest, before the rest.
func (k keptSignature) write(ctx context.Context, store content.Store) error {
	err := put(ctx, store, k.manifest, map[string]string{
		"containerd.io/gc.ref.content.config": k.config.Digest.String(),
		"containerd.io/gc.ref.content.l.0":    k.layer.Digest.String(),
	})
	for _, b := range []blob{k.config, k.layer} {
		if err == nil {
			err = put(ctx, store, b, nil)
		}
	}
	return err
}

// put writes what is not there, and makes sure of the labels of what is. It writes
// under a name of its own: whoever else writes the same, and does not get on, is not
// waited for.
func put(ctx context.Context, store content.Store, b blob, labels map[string]string) error {
	info, err := store.Info(ctx, b.Digest)
	if errdefs.IsNotFound(err) {
		desc := ocispec.Descriptor{MediaType: b.MediaType, Digest: b.Digest, Size: b.Size}
		err = content.WriteBlob(ctx, store, "cosign-"+rand.Text(), bytes.NewReader(b.data), desc, content.WithLabels(labels))
		if err == nil && labels != nil {
			info, err = store.Info(ctx, b.Digest)
		}
	}
	if err != nil {
		return err
	}
	var fields []string
	for label, value := range labels {
		if info.Labels[label] != value {
			fields = append(fields, "labels."+label)
		}
	}
	if len(fields) > 0 {
		_, err = store.Update(ctx, content.Info{Digest: b.Digest, Labels: labels}, fields...)
	}
	return err
}
