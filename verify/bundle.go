// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	intoto "github.com/in-toto/attestation/go/v1"
	"github.com/sigstore/cosign/v2/pkg/types"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	sgverify "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature/payload"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// verifyBundle checks a Sigstore bundle that holds a DSSE envelope with an
// in-toto statement.
func (v *validated) verifyBundle(ctx context.Context, image Image, b []byte, material root.TrustedMaterial) (finding, Claims, error) {
	if len(b) > limits.Bundle {
		return finding{}, Claims{}, limits.Exceeded("bundle in bytes", limits.Bundle)
	}
	pb := &protobundle.Bundle{}
	if err := protojson.Unmarshal(b, pb); err != nil {
		return finding{}, Claims{}, fmt.Errorf("bundle: %w", err)
	}
	sum, err := hex.DecodeString(image.Target.Digest.Encoded())
	if err != nil {
		return finding{}, Claims{}, err
	}
	e, err := newEntity(pb, func() sgverify.ArtifactPolicyOption {
		return sgverify.WithArtifactDigest(image.Target.Digest.Algorithm().String(), sum)
	})
	if err != nil {
		return finding{}, Claims{}, fmt.Errorf("bundle: %w", err)
	}
	envelope := pb.GetDsseEnvelope()
	if envelope == nil {
		return finding{}, Claims{}, errors.New("bundle without a DSSE envelope")
	}
	if envelope.GetPayloadType() != types.IntotoPayloadType {
		return finding{}, Claims{}, fmt.Errorf("envelope of type %.128q, want %q", envelope.GetPayloadType(), types.IntotoPayloadType)
	}
	found, err := v.verifyEntity(ctx, e, material)
	if err != nil {
		return found, Claims{}, err
	}
	claims, err := statementClaims(envelope.GetPayload(), image)
	if err != nil {
		return finding{}, Claims{}, err
	}
	return found, claims, nil
}

// statementClaims reads what a verified statement says about image. An
// attestation by the same signer names the digest as well, and is told from a
// signature by its predicate type alone.
func statementClaims(b []byte, image Image) (Claims, error) {
	var statement intoto.Statement
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, &statement); err != nil {
		return Claims{}, fmt.Errorf("statement: %w", err)
	}
	if got := statement.GetPredicateType(); got != types.CosignSignPredicateType {
		return Claims{}, fmt.Errorf("predicate type %.128q is not a signature, want %q", got, types.CosignSignPredicateType)
	}
	if got := statement.GetType(); got != intoto.StatementTypeUri {
		return Claims{}, fmt.Errorf("statement of type %.128q, want %q", got, intoto.StatementTypeUri)
	}
	want := image.Target.Digest
	for _, subject := range statement.GetSubject() {
		if subject.GetDigest()[want.Algorithm().String()] != want.Encoded() {
			continue
		}
		annotations := subject.GetAnnotations().AsMap()
		if len(annotations) > limits.Annotations {
			return Claims{}, limits.Exceeded("number of annotations", limits.Annotations)
		}
		rendered, err := json.Marshal(payload.SimpleContainerImage{
			Critical: payload.Critical{
				Identity: payload.Identity{DockerReference: subject.GetName()},
				Image:    payload.Image{DockerManifestDigest: want.String()},
				Type:     types.CosignSignPredicateType,
			},
			Optional: annotations,
		})
		if err != nil {
			return Claims{}, err
		}
		return Claims{Repository: subject.GetName(), Annotations: stringsOf(annotations), payload: rendered}, nil
	}
	return Claims{}, errors.New("no subject of the statement is the image")
}
