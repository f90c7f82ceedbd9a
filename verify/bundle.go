// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	intoto "github.com/in-toto/attestation/go/v1"
	"github.com/opencontainers/go-digest"
	"github.com/sigstore/cosign/v2/pkg/types"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	sgverify "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature/payload"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/cosignkit/cosignkit/internal/bundles"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/strictjson"
)

// verifyImageBundle checks a Sigstore bundle that is a signature for image: a
// DSSE envelope with cosign's statement, or, if the policy allows it, a message
// signature over the manifest, which claims nothing but the digest.
func (v *validated) verifyImageBundle(ctx context.Context, image Image, b []byte, material root.TrustedMaterial) (finding, Claims, error) {
	d := image.Target.Digest
	found, statement, err := v.verifyBundle(ctx, b, digestOption(d), material)
	if err != nil {
		return found, Claims{}, err
	}
	if statement == nil && !v.messageSignatures {
		return finding{}, Claims{}, errors.New("bundle with a message signature, which is one of a file and not of an image; the policy does not allow it")
	}
	if statement == nil {
		rendered, err := render(d, "", "", nil)
		return found, Claims{payload: rendered}, err
	}
	parsed, err := parseStatement(statement)
	if err != nil {
		return finding{}, Claims{}, err
	}
	// An attestation by the same signer names the digest as well, and is told
	// from a signature by its predicate type alone.
	if got := parsed.GetPredicateType(); got != types.CosignSignPredicateType {
		return finding{}, Claims{}, fmt.Errorf("predicate type %.128q is not a signature, want %q", got, types.CosignSignPredicateType)
	}
	if got := parsed.GetType(); got != intoto.StatementTypeUri {
		return finding{}, Claims{}, fmt.Errorf("statement of type %.128q, want %q", got, intoto.StatementTypeUri)
	}
	claims, err := imageClaims(parsed, d, statement)
	return found, claims, err
}

// imageClaims reads what a statement says about the image.
func imageClaims(statement *intoto.Statement, d digest.Digest, raw []byte) (Claims, error) {
	subject, err := subjectOf(statement, map[string]string{d.Algorithm().String(): d.Encoded()}, "image")
	if err != nil {
		return Claims{}, err
	}
	claims := claimsOf(statement, subject, raw)
	claims.payload, err = render(d, claims.PredicateType, claims.Repository, subject.GetAnnotations().AsMap())
	return claims, err
}

// verifyBundle checks a Sigstore bundle over an artifact, and returns the
// statement in it, or nil if it has a message signature.
func (v *validated) verifyBundle(ctx context.Context, b []byte, artifact artifactOption, material root.TrustedMaterial) (finding, []byte, error) {
	if int64(len(b)) > v.limits.Bundle {
		return finding{}, nil, limits.Exceeded("bundle in bytes", v.limits.Bundle)
	}
	if err := strictjson.Check(b); err != nil {
		return finding{}, nil, fmt.Errorf("bundle: %w", err)
	}
	pb := &protobundle.Bundle{}
	if err := protojson.Unmarshal(b, pb); err != nil {
		return finding{}, nil, fmt.Errorf("bundle: %w", err)
	}
	envelope := pb.GetDsseEnvelope()
	e, err := v.bundleEntity(pb, artifact)
	switch {
	case err != nil:
		return finding{}, nil, err
	case envelope == nil && pb.GetMessageSignature() == nil:
		return finding{}, nil, errors.New("bundle with neither a DSSE envelope nor a message signature")
	case envelope != nil && envelope.GetPayloadType() != types.IntotoPayloadType:
		return finding{}, nil, fmt.Errorf("envelope of type %.128q, want %q", envelope.GetPayloadType(), types.IntotoPayloadType)
	}
	found, err := v.verifyEntity(ctx, e, material)
	if err != nil || envelope == nil {
		return found, nil, err
	}
	return found, envelope.GetPayload(), nil
}

// bundleEntity is what is verified of a bundle: the bundle, or the message that a
// log recorded instead of the envelope.
func (v *validated) bundleEntity(pb *protobundle.Bundle, artifact artifactOption) (*entity, error) {
	if envelope := pb.GetDsseEnvelope(); envelope.GetPayloadType() == types.IntotoPayloadType {
		// No payload at all is said elsewhere.
		if err := strictjson.Check(envelope.GetPayload()); err != nil && len(envelope.GetPayload()) > 0 {
			return nil, fmt.Errorf("statement: %w", err)
		}
	}
	evidence := func() (*entity, error) { return newEntity(pb, v.limits.Chain, artifact) }
	e, err := newBareEntity(pb, v.limits.Chain, artifact, evidence)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	recorded, message := bundles.AsMessage(pb)
	if recorded == nil {
		return e, nil
	}
	// What sigstore-go would do with the statement; callers compare the digests.
	if err := e.checkStatement(); err != nil {
		return nil, err
	}
	pb, artifact = recorded, messageOption(message)
	if e, err = newBareEntity(pb, v.limits.Chain, artifact, evidence); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	return e, nil
}

// artifactOption is what sigstore-go has to find signed. It is asked for once for
// each time that a signature is checked.
type artifactOption func() sgverify.ArtifactPolicyOption

// digestOption is for a digest that is valid.
func digestOption(d digest.Digest) artifactOption {
	return func() sgverify.ArtifactPolicyOption {
		sum, _ := hex.DecodeString(d.Encoded())
		return sgverify.WithArtifactDigest(d.Algorithm().String(), sum)
	}
}

func messageOption(message []byte) artifactOption {
	return func() sgverify.ArtifactPolicyOption { return sgverify.WithArtifact(bytes.NewReader(message)) }
}

func parseStatement(b []byte) (*intoto.Statement, error) {
	statement := &intoto.Statement{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, statement); err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	return statement, nil
}

// subjectOf returns the first subject with one of digests, which are by the name
// of their algorithm, and are those of what.
func subjectOf(statement *intoto.Statement, digests map[string]string, what string) (*intoto.ResourceDescriptor, error) {
	for _, subject := range statement.GetSubject() {
		for algorithm, encoded := range digests {
			if subject.GetDigest()[algorithm] != encoded {
				continue
			}
			if len(subject.GetAnnotations().GetFields()) > limits.Annotations {
				return nil, limits.Exceeded("number of annotations", limits.Annotations)
			}
			return subject, nil
		}
	}
	return nil, fmt.Errorf("no subject of the statement is the %s", what)
}

func claimsOf(statement *intoto.Statement, subject *intoto.ResourceDescriptor, raw []byte) Claims {
	return Claims{
		Repository:    subject.GetName(),
		Annotations:   stringsOf(subject.GetAnnotations().AsMap()),
		PredicateType: statement.GetPredicateType(),
		Statement:     raw,
	}
}

// render writes what was signed in the form of a simple signing payload.
func render(d digest.Digest, kind, repository string, annotations map[string]any) (json.RawMessage, error) {
	return json.Marshal(payload.SimpleContainerImage{
		Critical: payload.Critical{
			Identity: payload.Identity{DockerReference: repository},
			Image:    payload.Image{DockerManifestDigest: d.String()},
			Type:     kind,
		},
		Optional: annotations,
	})
}
