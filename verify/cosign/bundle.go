// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosign

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/cosign/v2/pkg/types"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	sgverify "github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/cosignkit/cosignkit/internal/bundles"
	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/strictjson"
	"github.com/cosignkit/cosignkit/verify"
)

var errAnnotations = errors.New("cosign checks no annotations of bundles, and the policy asks for some")

func (e *engine) openBundle(image verify.Image, c verify.Candidate, _ root.TrustedMaterial) (attempt, error) {
	if len(e.options.Annotations) > 0 {
		return nil, fault.New(verify.ErrMisconfigured, "ask cosign", "", "", errAnnotations)
	}
	pb, err := e.guardBundle(c.Bundle)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	b, err := bundle.NewBundle(pb)
	if err != nil {
		return nil, err
	}
	// As cosign has it when it finds a bundle.
	if !b.MinVersion("v0.3") {
		return nil, errors.New("cosign: bundle version too old")
	}
	sum, err := hex.DecodeString(image.Target.Digest.Encoded())
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, options *cosign.CheckOpts) (verify.Signature, error) {
		artifact := sgverify.WithArtifactDigest(image.Target.Digest.Algorithm().String(), sum)
		result, err := cosign.VerifyNewBundle(ctx, options, artifact, quiet{b})
		if err != nil {
			return verify.Signature{}, err
		}
		return signatureOf(result, pb)
	}, nil
}

// guardBundle parses a bundle as far as cosign's own parsers may see it.
func (e *engine) guardBundle(b []byte) (*protobundle.Bundle, error) {
	if int64(len(b)) > e.limits.Bundle {
		return nil, limits.Exceeded("bundle in bytes", e.limits.Bundle)
	}
	if err := strictjson.Check(b); err != nil {
		return nil, err
	}
	pb := &protobundle.Bundle{}
	if err := protojson.Unmarshal(b, pb); err != nil {
		return nil, err
	}
	if payload := pb.GetDsseEnvelope().GetPayload(); len(payload) > 0 {
		if err := strictjson.Check(payload); err != nil {
			return nil, fmt.Errorf("statement: %w", err)
		}
	}
	if err := bundles.CheckCertificates(pb, e.limits.Chain); err != nil {
		return nil, err
	}
	if err := bundles.CheckEntries(pb); err != nil {
		return nil, err
	}
	stamps := pb.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps()
	if len(stamps) > limits.Timestamps {
		return nil, limits.Exceeded("number of timestamps", limits.Timestamps)
	}
	for _, stamp := range stamps {
		if err := bundles.CheckTimestamp(stamp.GetSignedTimestamp(), e.limits.Chain); errors.Is(err, limits.ErrExceeded) {
			return nil, fmt.Errorf("timestamp: %w", err)
		} else if err != nil && stamp != nil {
			stamp.SignedTimestamp = nil // counts for nothing, and does not spoil the others
		}
	}
	return pb, nil
}

// quiet keeps sigstore-go from trying SHA-256 with the certificates of larger curves,
// of which it tells on standard error.
type quiet struct{ *bundle.Bundle }

func (quiet) Version() (string, error) { return "exact", nil }

func signatureOf(result *sgverify.VerificationResult, pb *protobundle.Bundle) (verify.Signature, error) {
	var s verify.Signature
	if pb.GetDsseEnvelope() == nil || result.Statement == nil {
		return s, errors.New("bundle does not contain a DSSE envelope") // in cosign's words
	}
	// cosign verify takes any attestation for a signature.
	if got := result.Statement.GetPredicateType(); got != types.CosignSignPredicateType {
		return s, fmt.Errorf("predicate type %.128q is not a signature, want %q", got, types.CosignSignPredicateType)
	}
	if c := result.Signature.Certificate; c != nil {
		s.Identity = identityOf(*c)
	}
	s.Claims.Statement = pb.GetDsseEnvelope().GetPayload()
	return s, nil
}
