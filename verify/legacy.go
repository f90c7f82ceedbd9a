// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	"github.com/sigstore/sigstore/pkg/signature/payload"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// verifyLegacy checks a simple signing payload and the signature in the
// annotations of its layer.
func (v *validated) verifyLegacy(ctx context.Context, image Image, c Candidate) (policyKey, Claims, error) {
	if len(c.Payload) > limits.Payload {
		return policyKey{}, Claims{}, limits.Exceeded("payload in bytes", limits.Payload)
	}
	sig := strings.TrimSpace(c.Annotations[static.SignatureAnnotationKey])
	if sig == "" {
		return policyKey{}, Claims{}, errors.New("the layer carries no signature")
	}
	if len(sig) > limits.Payload {
		return policyKey{}, Claims{}, limits.Exceeded("signature in bytes", limits.Payload)
	}
	// Only payload and signature are handed over: no check with a key needs the
	// other annotations, and what is not parsed can do no harm.
	signed, err := static.NewSignature(c.Payload, sig)
	if err != nil {
		return policyKey{}, Claims{}, err
	}
	hash, err := v1.NewHash(image.Target.Digest.String())
	if err != nil {
		return policyKey{}, Claims{}, err
	}
	key, err := v.anyKey(ctx, func(key policyKey) error {
		_, err := cosign.VerifyImageSignature(ctx, signed, hash, &cosign.CheckOpts{
			SigVerifier:   key.verifiers,
			ClaimVerifier: cosign.SimpleClaimVerifier,
			IgnoreTlog:    true,
			Offline:       true,
		})
		return err
	})
	if err != nil {
		return policyKey{}, Claims{}, err
	}
	claims, err := legacyClaims(c.Payload)
	return key, claims, err
}

func legacyClaims(b []byte) (Claims, error) {
	var p payload.SimpleContainerImage
	if err := json.Unmarshal(b, &p); err != nil {
		return Claims{}, err
	}
	if p.Critical.Type != payload.CosignSignatureType {
		return Claims{}, fmt.Errorf("payload of type %.128q, want %q", p.Critical.Type, payload.CosignSignatureType)
	}
	if len(p.Optional) > limits.Annotations {
		return Claims{}, limits.Exceeded("number of annotations", limits.Annotations)
	}
	return Claims{
		Repository:  p.Critical.Identity.DockerReference,
		Annotations: stringsOf(p.Optional),
		payload:     json.RawMessage(b),
	}, nil
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
