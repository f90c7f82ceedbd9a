// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/signature/payload"

	"github.com/cosignkit/cosignkit/internal/bundles"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/strictjson"
)

// verifyLegacy checks a simple signing payload and the signature in the
// annotations of its layer, as the bundle that says the same.
func (v *validated) verifyLegacy(ctx context.Context, image Image, c Candidate, material root.TrustedMaterial) (finding, Claims, error) {
	// cosign ignores the certificate of a signature that it has a key for.
	certificate := bundles.HasCertificate(c.Annotations) && len(v.identities) > 0
	found, err := v.verifyPayload(ctx, c, certificate, material)
	if err != nil && certificate && len(v.keys) > 0 {
		if byKey, keyErr := v.verifyPayload(ctx, c, false, material); keyErr == nil {
			found, err = byKey, nil
		}
	}
	if err != nil {
		return found, Claims{}, err
	}
	claims, err := legacyClaims(c.Payload, image)
	if err != nil {
		return finding{}, Claims{}, err
	}
	return found, claims, nil
}

func (v *validated) verifyPayload(ctx context.Context, c Candidate, withCertificate bool, material root.TrustedMaterial) (finding, error) {
	parts := bundles.Parts{
		Certificate: withCertificate,
		MaxPayload:  v.limits.Payload, MaxAnnotation: v.limits.Bundle, MaxChain: v.limits.Chain,
	}
	pb, err := bundles.FromLegacy(c.Payload, c.Annotations, parts)
	if err != nil {
		return finding{}, err
	}
	e, err := newBareEntity(pb, v.limits.Chain, messageOption(c.Payload), func() (*entity, error) { return v.payloadEvidence(c, parts) })
	if err != nil {
		return finding{}, err
	}
	return v.verifyEntity(ctx, e, material)
}

func (v *validated) payloadEvidence(c Candidate, parts bundles.Parts) (*entity, error) {
	parts.LogEntry = parts.Certificate || !v.ignoreLog
	parts.Timestamp = parts.Certificate || v.timestampThreshold > 0
	e, err := v.payloadEntity(c, parts)
	if err != nil && v.ignoreLog && parts.LogEntry {
		parts.LogEntry = false
		e, err = v.payloadEntity(c, parts)
	}
	return e, err
}

func (v *validated) payloadEntity(c Candidate, parts bundles.Parts) (*entity, error) {
	pb, err := bundles.FromLegacy(c.Payload, c.Annotations, parts)
	if err != nil {
		return nil, err
	}
	return newEntity(pb, v.limits.Chain, messageOption(c.Payload))
}

func legacyClaims(b []byte, image Image) (Claims, error) {
	if err := strictjson.Check(b); err != nil {
		return Claims{}, fmt.Errorf("payload: %w", err)
	}
	var p payload.SimpleContainerImage
	if err := json.Unmarshal(b, &p); err != nil {
		return Claims{}, err
	}
	if got := p.Critical.Image.DockerManifestDigest; got != image.Target.Digest.String() {
		return Claims{}, fmt.Errorf("the payload is for digest %.128q, not for the image", got)
	}
	if p.Critical.Type != payload.CosignSignatureType {
		return Claims{}, fmt.Errorf("payload of type %.128q, want %q", p.Critical.Type, payload.CosignSignatureType)
	}
	if len(p.Optional) > limits.Annotations {
		return Claims{}, limits.Exceeded("number of annotations", limits.Annotations)
	}
	return payloadClaims(p, b), nil
}

func payloadClaims(p payload.SimpleContainerImage, raw []byte) Claims {
	return Claims{
		Repository:  p.Critical.Identity.DockerReference,
		Annotations: stringsOf(p.Optional),
		payload:     json.RawMessage(raw),
	}
}

// stringsOf keeps the annotations that are strings: a policy can only ask for
// those, and a number is not the string that looks like it.
func stringsOf(m map[string]any) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}
