// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package bundles

import (
	"encoding/json"

	intoto "github.com/in-toto/attestation/go/v1"
	"github.com/opencontainers/go-digest"
	"github.com/sigstore/cosign/v2/pkg/types"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore/pkg/signature/payload"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// Subject is what a signature is about.
type Subject struct {
	Digest      digest.Digest
	Repository  string
	Annotations map[string]string
}

// Statement returns the content of a bundle: an in-toto statement v1 for a DSSE
// envelope, as cosign v3 signs it, with an empty predicate and annotations on the
// subject; see https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md.
// The subject's name is our addition, for policies that require the signed
// repository.
func Statement(s Subject) (sign.Content, error) {
	subject := &intoto.ResourceDescriptor{
		Name:   s.Repository,
		Digest: map[string]string{s.Digest.Algorithm().String(): s.Digest.Encoded()},
	}
	if len(s.Annotations) > 0 {
		annotations, err := structpb.NewStruct(toAny(s.Annotations))
		if err != nil {
			return nil, err
		}
		subject.Annotations = annotations
	}
	data, err := protojson.Marshal(&intoto.Statement{
		Type:          intoto.StatementTypeUri,
		Subject:       []*intoto.ResourceDescriptor{subject},
		PredicateType: types.CosignSignPredicateType,
		Predicate:     &structpb.Struct{},
	})
	if err != nil {
		return nil, err
	}
	return &sign.DSSEData{Data: data, PayloadType: types.IntotoPayloadType}, nil
}

// Payload returns the content of a legacy signature: a simple signing payload,
// see https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md.
func Payload(s Subject) (*sign.PlainData, error) {
	data, err := json.Marshal(payload.SimpleContainerImage{
		Critical: payload.Critical{
			Identity: payload.Identity{DockerReference: s.Repository},
			Image:    payload.Image{DockerManifestDigest: s.Digest.String()},
			Type:     payload.CosignSignatureType,
		},
		Optional: toAny(s.Annotations),
	})
	if err != nil {
		return nil, err
	}
	if len(data) > limits.Payload {
		return nil, limits.Exceeded("payload in bytes", limits.Payload)
	}
	return &sign.PlainData{Data: data}, nil
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
