// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package bundles

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/cosignkit/cosignkit/internal/der"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/strictjson"
)

// mediaType03 is the version of bundles that signers make.
const mediaType03 = "application/vnd.dev.sigstore.bundle.v0.3+json"

// Shown returns the key in the certificate that a bundle of the version 0.3 comes
// with, and the bundle without that certificate, which says the same of a
// long-lived key. The key is nil, and the bundle as it is, if it comes with none.
func Shown(b []byte) (crypto.PublicKey, []byte, error) {
	if len(b) > limits.Bundle {
		return nil, nil, limits.Exceeded("bundle in bytes", limits.Bundle)
	}
	if err := strictjson.Check(b); err != nil {
		return nil, nil, err
	}
	pb := &protobundle.Bundle{}
	if err := protojson.Unmarshal(b, pb); err != nil {
		return nil, nil, err
	}
	if pb.GetMediaType() != mediaType03 {
		return nil, nil, fmt.Errorf("media type %.128q, want %q", pb.GetMediaType(), mediaType03)
	}
	material := pb.GetVerificationMaterial()
	if material.GetX509CertificateChain() != nil {
		return nil, nil, errors.New("a chain of certificates, which bundles of this version do not have")
	}
	if material.GetCertificate() == nil {
		return nil, b, nil
	}
	key, err := certifiedKey(material.GetCertificate().GetRawBytes())
	if err != nil {
		return nil, nil, err
	}
	without, err := protojson.Marshal(WithoutCertificate(pb))
	return key, without, err
}

// ShownLegacy returns the key in the certificate of a legacy signature, or nil if
// it comes with none, and an error if any part of it cannot be read.
func ShownLegacy(payload []byte, annotations map[string]string) (crypto.PublicKey, error) {
	for name, value := range annotations {
		if len(name)+len(value) > limits.Bundle {
			return nil, limits.Exceeded("annotation in bytes", limits.Bundle)
		}
	}
	parts := Parts{Certificate: HasCertificate(annotations), LogEntry: true, Timestamp: true}
	pb, err := FromLegacy(payload, annotations, parts)
	if err != nil {
		return nil, err
	}
	chain := pb.GetVerificationMaterial().GetX509CertificateChain().GetCertificates()
	if len(chain) == 0 {
		if annotations[ChainAnnotationKey] != "" {
			return nil, errors.New("a chain of certificates without the first")
		}
		return nil, nil
	}
	return certifiedKey(chain[0].GetRawBytes())
}

func certifiedKey(raw []byte) (crypto.PublicKey, error) {
	if err := der.Check(raw); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	c, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return c.PublicKey, nil
}
