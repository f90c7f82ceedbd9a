// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"context"
	"encoding/base64"
	"encoding/json"

	intoto "github.com/in-toto/attestation/go/v1"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	"github.com/sigstore/cosign/v2/pkg/types"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore/pkg/signature/payload"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// signBundle signs an in-toto statement about the digest as a DSSE envelope,
// see https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md.
func (k keypair) signBundle(ctx context.Context, request Request) (Signature, error) {
	data, err := statement(request)
	if err != nil {
		return Signature{}, err
	}
	content := &sign.DSSEData{Data: data, PayloadType: types.IntotoPayloadType}
	pb, err := sign.Bundle(content, k, sign.BundleOptions{Context: ctx})
	if err != nil {
		return Signature{}, err
	}
	b, err := protojson.Marshal(pb)
	if err != nil {
		return Signature{}, err
	}
	if len(b) > limits.Bundle {
		return Signature{}, tooLarge("bundle in bytes", limits.Bundle)
	}
	return Signature{Form: Bundle, Bundle: b}, nil
}

// statement is the in-toto statement v1 that cosign v3 signs: an empty
// predicate, annotations on the subject. The subject's name is our addition,
// for policies that require the signed repository.
func statement(request Request) ([]byte, error) {
	subject := &intoto.ResourceDescriptor{
		Name:   request.Repository,
		Digest: map[string]string{request.Digest.Algorithm().String(): request.Digest.Encoded()},
	}
	if len(request.Annotations) > 0 {
		annotations, err := structpb.NewStruct(toAny(request.Annotations))
		if err != nil {
			return nil, err
		}
		subject.Annotations = annotations
	}
	return protojson.Marshal(&intoto.Statement{
		Type:          intoto.StatementTypeUri,
		Subject:       []*intoto.ResourceDescriptor{subject},
		PredicateType: types.CosignSignPredicateType,
		Predicate:     &structpb.Struct{},
	})
}

// signLegacy signs a simple signing payload, see
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md.
func (k keypair) signLegacy(ctx context.Context, request Request) (Signature, error) {
	data, err := json.Marshal(payload.SimpleContainerImage{
		Critical: payload.Critical{
			Identity: payload.Identity{DockerReference: request.Repository},
			Image:    payload.Image{DockerManifestDigest: request.Digest.String()},
			Type:     payload.CosignSignatureType,
		},
		Optional: toAny(request.Annotations),
	})
	if err != nil {
		return Signature{}, err
	}
	if len(data) > limits.Payload {
		return Signature{}, tooLarge("payload in bytes", limits.Payload)
	}
	sig, _, err := k.SignData(ctx, data)
	if err != nil {
		return Signature{}, err
	}
	return Signature{
		Form:        Legacy,
		Payload:     data,
		Annotations: map[string]string{static.SignatureAnnotationKey: base64.StdEncoding.EncodeToString(sig)},
	}, nil
}

// tooLarge refuses to make what verifiers refuse to read.
func tooLarge(what string, limit int64) error {
	return misconfigured("sign", "", limits.Exceeded(what, limit))
}

func toAny(annotations map[string]string) map[string]any {
	if len(annotations) == 0 {
		return nil
	}
	m := make(map[string]any, len(annotations))
	for k, v := range annotations {
		m[k] = v
	}
	return m
}
