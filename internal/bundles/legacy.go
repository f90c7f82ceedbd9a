// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package bundles

import (
	"cmp"
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/strictjson"
)

// mediaType01 is the one version of bundles whose log entries need no inclusion
// proof, which legacy signatures do not carry.
const mediaType01 = "application/vnd.dev.sigstore.bundle+json;version=0.1"

// Parts says what of a legacy signature is of interest, and how much of it there
// may be. What is of none is not even parsed.
type Parts struct {
	Certificate bool
	LogEntry    bool
	Timestamp   bool

	// In bytes, but for the number of certificates. Zero is the default.
	MaxPayload, MaxAnnotation int64
	MaxChain                  int
}

// The annotations of a layer that make it a legacy signature, by the names that
// cosign/v2/pkg/oci/static gives them.
const (
	SignatureAnnotationKey        = "dev.cosignproject.cosign/signature"
	CertificateAnnotationKey      = "dev.sigstore.cosign/certificate"
	ChainAnnotationKey            = "dev.sigstore.cosign/chain"
	BundleAnnotationKey           = "dev.sigstore.cosign/bundle"
	RFC3161TimestampAnnotationKey = "dev.sigstore.cosign/rfc3161timestamp"
)

// legacyAnnotations are those in which a legacy signature has its parts.
var legacyAnnotations = []string{
	SignatureAnnotationKey, CertificateAnnotationKey, ChainAnnotationKey,
	BundleAnnotationKey, RFC3161TimestampAnnotationKey,
}

// LegacyParts returns those of the annotations of a legacy signature that are read.
// The rest of them is whatever a registry adds.
func LegacyParts(annotations map[string]string) map[string]string {
	parts := map[string]string{}
	for _, key := range legacyAnnotations {
		if value, ok := annotations[key]; ok {
			parts[key] = value
		}
	}
	return parts
}

// FromLegacy translates a legacy signature. Without its certificate it is as if
// it had been made with a long-lived key. Nothing in the result is trusted, but
// the digest in it was computed from payload.
func FromLegacy(payload []byte, annotations map[string]string, parts Parts) (*protobundle.Bundle, error) {
	if limit := cmp.Or(parts.MaxPayload, limits.Payload); int64(len(payload)) > limit {
		return nil, limits.Exceeded("payload in bytes", limit)
	}
	for _, key := range legacyAnnotations {
		if limit := cmp.Or(parts.MaxAnnotation, limits.Bundle); int64(len(annotations[key])) > limit {
			return nil, limits.Exceeded("annotation "+key+" in bytes", limit)
		}
	}
	sig, err := base64.StdEncoding.DecodeString(strings.TrimSpace(annotations[SignatureAnnotationKey]))
	if err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	if len(sig) == 0 {
		return nil, errors.New("the layer carries no signature")
	}
	material := &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{}},
	}
	if parts.Certificate {
		chain, err := chainOf(annotations, cmp.Or(parts.MaxChain, limits.Chain))
		if err != nil {
			return nil, err
		}
		material.Content = &protobundle.VerificationMaterial_X509CertificateChain{X509CertificateChain: chain}
	}
	algorithm, hash := protocommon.HashAlgorithm_SHA2_256, crypto.SHA256
	if b := annotations[BundleAnnotationKey]; parts.LogEntry && b != "" {
		entry, err := entryOf(b)
		if err != nil {
			return nil, fmt.Errorf("log entry: %w", err)
		}
		material.TlogEntries = []*protorekor.TransparencyLogEntry{entry}
		algorithm, hash = hashOf(entry.GetCanonicalizedBody())
	}
	if b := annotations[RFC3161TimestampAnnotationKey]; parts.Timestamp && b != "" {
		var timestamp timestampBundle
		if err := strictjson.Decode([]byte(b), &timestamp); err != nil {
			return nil, fmt.Errorf("timestamp: %w", err)
		}
		if len(timestamp.SignedRFC3161Timestamp) > 0 {
			material.TimestampVerificationData = &protobundle.TimestampVerificationData{
				Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{
					{SignedTimestamp: timestamp.SignedRFC3161Timestamp},
				},
			}
		}
	}
	h := hash.New()
	h.Write(payload)
	return &protobundle.Bundle{
		MediaType:            mediaType01,
		VerificationMaterial: material,
		Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: algorithm, Digest: h.Sum(nil)},
			Signature:     sig,
		}},
	}, nil
}

// HasCertificate reports whether a legacy signature comes with a certificate.
func HasCertificate(annotations map[string]string) bool {
	return strings.TrimSpace(annotations[CertificateAnnotationKey]) != ""
}

// chainOf is the certificate and what lies between it and a root. A root in the
// annotation is of no use, since only the caller's are trusted.
func chainOf(annotations map[string]string, limit int) (*protocommon.X509CertificateChain, error) {
	leaf, err := certificatesOf(annotations[CertificateAnnotationKey], limit)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if len(leaf) != 1 {
		return nil, fmt.Errorf("%d certificates, want 1", len(leaf))
	}
	rest, err := certificatesOf(annotations[ChainAnnotationKey], limit)
	if err != nil {
		return nil, fmt.Errorf("certificate chain: %w", err)
	}
	chain := &protocommon.X509CertificateChain{}
	for _, der := range append(leaf, rest...) {
		chain.Certificates = append(chain.Certificates, &protocommon.X509Certificate{RawBytes: der})
	}
	return chain, nil
}

func certificatesOf(text string, limit int) ([][]byte, error) {
	blocks, err := pemBlocks([]byte(text), "certificate", limit)
	if err != nil {
		return nil, err
	}
	all := make([][]byte, 0, len(blocks))
	for _, block := range blocks {
		if block.Type != "CERTIFICATE" {
			return nil, errors.New("not a certificate in PEM")
		}
		all = append(all, block.Bytes)
	}
	return all, nil
}

// logBundle is cosign's RekorBundle with a body that can only be what every log
// writes: the base64 form of the entry.
type logBundle struct {
	SignedEntryTimestamp []byte
	Payload              struct {
		Body           []byte `json:"body"`
		IntegratedTime int64  `json:"integratedTime"`
		LogIndex       int64  `json:"logIndex"`
		LogID          string `json:"logID"`
	}
}

// timestampBundle is cosign's RFC3161Timestamp.
type timestampBundle struct {
	SignedRFC3161Timestamp []byte
}

// head is what the entries of all logs have in common.
type head struct {
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	Spec       struct {
		Data struct {
			Hash struct {
				Algorithm string `json:"algorithm"`
			} `json:"hash"`
		} `json:"data"`
	} `json:"spec"`
}

func entryOf(annotation string) (*protorekor.TransparencyLogEntry, error) {
	var b logBundle
	if err := strictjson.Decode([]byte(annotation), &b); err != nil {
		return nil, err
	}
	if len(b.SignedEntryTimestamp) == 0 {
		return nil, errors.New("no signed entry timestamp")
	}
	logID, err := hex.DecodeString(b.Payload.LogID)
	if err != nil {
		return nil, fmt.Errorf("log id: %w", err)
	}
	var h head
	if err := strictjson.Decode(b.Payload.Body, &h); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return &protorekor.TransparencyLogEntry{
		LogIndex:          b.Payload.LogIndex,
		LogId:             &protocommon.LogId{KeyId: logID},
		KindVersion:       &protorekor.KindVersion{Kind: h.Kind, Version: h.APIVersion},
		IntegratedTime:    b.Payload.IntegratedTime,
		InclusionPromise:  &protorekor.InclusionPromise{SignedEntryTimestamp: b.SignedEntryTimestamp},
		CanonicalizedBody: b.Payload.Body,
	}, nil
}

// hashOf is the hash that an entry names. It only says with which the payload is
// to be hashed for comparison.
func hashOf(body []byte) (protocommon.HashAlgorithm, crypto.Hash) {
	var h head
	if err := strictjson.Decode(body, &h); err != nil {
		return protocommon.HashAlgorithm_SHA2_256, crypto.SHA256
	}
	switch h.Spec.Data.Hash.Algorithm {
	case "sha384":
		return protocommon.HashAlgorithm_SHA2_384, crypto.SHA384
	case "sha512":
		return protocommon.HashAlgorithm_SHA2_512, crypto.SHA512
	default:
		return protocommon.HashAlgorithm_SHA2_256, crypto.SHA256
	}
}

// ToLegacy returns the annotations of a legacy signature that say what b, a
// message signature over the payload, says. chain are the certificates above the
// leaf, as cosign records them.
func ToLegacy(b *protobundle.Bundle, chain [][]byte) (map[string]string, error) {
	annotations := map[string]string{
		SignatureAnnotationKey: base64.StdEncoding.EncodeToString(b.GetMessageSignature().GetSignature()),
	}
	material := b.GetVerificationMaterial()
	if certificate := material.GetCertificate(); certificate != nil {
		annotations[CertificateAnnotationKey] = encodeCertificates([][]byte{certificate.GetRawBytes()})
		annotations[ChainAnnotationKey] = encodeCertificates(chain)
	}
	switch entries := material.GetTlogEntries(); len(entries) {
	case 0:
	case 1:
		entry := entries[0]
		if len(entry.GetInclusionPromise().GetSignedEntryTimestamp()) == 0 {
			return nil, errors.New("the log gave no signed entry timestamp, without which a legacy signature cannot show the entry")
		}
		var recorded logBundle
		recorded.SignedEntryTimestamp = entry.GetInclusionPromise().GetSignedEntryTimestamp()
		recorded.Payload.Body = entry.GetCanonicalizedBody()
		recorded.Payload.IntegratedTime = entry.GetIntegratedTime()
		recorded.Payload.LogIndex = entry.GetLogIndex()
		recorded.Payload.LogID = hex.EncodeToString(entry.GetLogId().GetKeyId())
		text, err := json.Marshal(recorded)
		if err != nil {
			return nil, err
		}
		annotations[BundleAnnotationKey] = string(text)
	default:
		return nil, fmt.Errorf("a legacy signature shows 1 log entry, not %d", len(entries))
	}
	switch timestamps := material.GetTimestampVerificationData().GetRfc3161Timestamps(); len(timestamps) {
	case 0:
	case 1:
		text, err := json.Marshal(timestampBundle{SignedRFC3161Timestamp: timestamps[0].GetSignedTimestamp()})
		if err != nil {
			return nil, err
		}
		annotations[RFC3161TimestampAnnotationKey] = string(text)
	default:
		return nil, fmt.Errorf("a legacy signature shows 1 timestamp, not %d", len(timestamps))
	}
	return annotations, nil
}

func encodeCertificates(all [][]byte) string {
	var b strings.Builder
	for _, der := range all {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return b.String()
}
