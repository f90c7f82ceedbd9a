// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosign

import (
	"context"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	cbundle "github.com/sigstore/cosign/v2/pkg/cosign/bundle"
	"github.com/sigstore/cosign/v2/pkg/oci"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/cosignkit/cosignkit/internal/bundles"
	"github.com/cosignkit/cosignkit/internal/strictjson"
	"github.com/cosignkit/cosignkit/verify"
)

func (e *engine) openLegacy(image verify.Image, c verify.Candidate, roots root.TrustedMaterial) (attempt, error) {
	hash, err := v1.NewHash(image.Target.Digest.String())
	if err != nil {
		return nil, err
	}
	if err := e.guardLegacy(c, roots); err != nil {
		return nil, err
	}
	sig, err := read(c)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, options *cosign.CheckOpts) (verify.Signature, error) {
		if _, err := cosign.VerifyImageSignature(ctx, sig, hash, options); err != nil {
			return verify.Signature{}, err
		}
		if options.SigVerifier != nil {
			return verify.Signature{}, nil
		}
		leaf, err := sig.Cert()
		if err != nil {
			return verify.Signature{}, err
		}
		summary, err := certificate.SummarizeCertificate(leaf)
		if err != nil {
			return verify.Signature{}, err
		}
		return verify.Signature{Identity: identityOf(summary)}, nil
	}, nil
}

// guardLegacy refuses what cosign's parsers had better not see.
func (e *engine) guardLegacy(c verify.Candidate, roots root.TrustedMaterial) error {
	pb, err := bundles.FromLegacy(c.Payload, c.Annotations, bundles.Parts{
		Certificate: c.Annotations[bundles.CertificateAnnotationKey] != "",
		LogEntry:    !e.options.IgnoreTlog,
		Timestamp:   e.options.UseSignedTimestamps,
		MaxPayload:  e.limits.Payload, MaxAnnotation: e.limits.Bundle, MaxChain: e.limits.Chain,
	})
	if err != nil {
		return err
	}
	if err := strictjson.Check(c.Payload); err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	if err := bundles.CheckWeight(pb, e.limits.Chain); err != nil {
		return err
	}
	if !e.options.UseSignedTimestamps {
		return nil
	}
	stamps := pb.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps()
	if len(stamps) == 0 {
		return errors.New("no timestamp; cosign asks for none, and the policy does")
	}
	return stamped(stamps[0].GetSignedTimestamp(), pb.GetMessageSignature().GetSignature(), roots)
}

// stamped returns an error unless an authority has stamped a signature. cosign does
// the same, and when none has it writes to standard error and panics.
func stamped(stamp, signature []byte, material root.TrustedMaterial) error {
	var reasons []error
	for _, authority := range material.TimestampingAuthorities() {
		_, err := authority.Verify(stamp, signature)
		if err == nil {
			return nil
		}
		reasons = append(reasons, err)
	}
	return fmt.Errorf("no trusted authority has made the timestamp: %w", errors.Join(reasons...))
}

// read is how cosign reads a layer. What it parses is JSON in strict form.
func read(c verify.Candidate) (oci.Signature, error) {
	var options []static.Option
	if text := c.Annotations[bundles.BundleAnnotationKey]; text != "" {
		var logged cbundle.RekorBundle
		if err := strictjson.Decode([]byte(text), &logged); err != nil {
			return nil, fmt.Errorf("log entry: %w", err)
		}
		options = append(options, static.WithBundle(&logged))
	}
	if text := c.Annotations[bundles.RFC3161TimestampAnnotationKey]; text != "" {
		var stamped cbundle.RFC3161Timestamp
		if err := strictjson.Decode([]byte(text), &stamped); err != nil {
			return nil, fmt.Errorf("timestamp: %w", err)
		}
		options = append(options, static.WithRFC3161Timestamp(&stamped))
	}
	if text := c.Annotations[bundles.CertificateAnnotationKey]; text != "" {
		options = append(options, static.WithCertChain([]byte(text), []byte(c.Annotations[bundles.ChainAnnotationKey])))
	}
	return static.NewSignature(c.Payload, c.Annotations[bundles.SignatureAnnotationKey], options...)
}
