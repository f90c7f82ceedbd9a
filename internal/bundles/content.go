// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package bundles

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	intoto "github.com/in-toto/attestation/go/v1"
	"github.com/opencontainers/go-digest"
	"github.com/sigstore/cosign/v2/pkg/types"
	"github.com/sigstore/sigstore/pkg/signature/payload"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/strictjson"
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
func Statement(s Subject) ([]byte, error) {
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
	// protojson puts spaces where the build of the program has them. What is
	// signed should be the same from every build.
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		return nil, err
	}
	if compact.Len() > limits.Statement {
		return nil, limits.Exceeded("statement in bytes", limits.Statement)
	}
	return compact.Bytes(), nil
}

// CheckStatement returns an error for what is not an in-toto statement v1 in
// JSON, https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, for
// one that readers could understand in different ways, and for an image
// signature, which is made from a [Subject] alone.
func CheckStatement(b []byte) error {
	if len(b) > limits.Statement {
		return limits.Exceeded("statement in bytes", limits.Statement)
	}
	if err := strictjson.Check(b); err != nil {
		return fmt.Errorf("not an in-toto statement in JSON: %w", err)
	}
	var statement intoto.Statement
	if err := protojson.Unmarshal(b, &statement); err != nil {
		return fmt.Errorf("not an in-toto statement in JSON: %w", err)
	}
	// Protobuf has other names for the same fields, which others do not know.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		return err
	}
	for name := range fields {
		if !slices.Contains([]string{"_type", "subject", "predicateType", "predicate"}, name) {
			return fmt.Errorf("a statement has no field %.64q", name)
		}
	}
	switch got := statement.GetPredicateType(); {
	case statement.GetType() != intoto.StatementTypeUri:
		return fmt.Errorf("statement of type %.128q, want %q", statement.GetType(), intoto.StatementTypeUri)
	case got == "":
		return errors.New("the statement has no predicate type")
	case got == types.CosignSignPredicateType:
		return fmt.Errorf("predicate type %q is an image signature, which only Sign makes", got)
	}
	return checkSubjects(statement.GetSubject())
}

func checkSubjects(subjects []*intoto.ResourceDescriptor) error {
	if len(subjects) == 0 {
		return errors.New("the statement has no subject")
	}
	if len(subjects) > limits.Subjects {
		return limits.Exceeded("number of subjects", limits.Subjects)
	}
	for i, subject := range subjects {
		if len(subject.GetDigest()) == 0 {
			return fmt.Errorf("subject %d has no digest", i+1)
		}
		if len(subject.GetDigest()) > limits.SubjectDigests {
			return limits.Exceeded("number of digests of a subject", limits.SubjectDigests)
		}
		if err := subject.Validate(); err != nil {
			return fmt.Errorf("subject %d: %w", i+1, err)
		}
	}
	return nil
}

// Payload returns the content of a legacy signature: a simple signing payload,
// see https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md.
func Payload(s Subject) ([]byte, error) {
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
	return data, nil
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
