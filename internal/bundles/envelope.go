// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package bundles

import (
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
)

// AsMessage returns b with the signature of its envelope as one over a message,
// and that message, if this is how Rekor v1 recorded it: as a hashedrekord, by the
// hash of what is signed. The client specification allows that, and sigstore-go
// compares such entries with message signatures alone. Otherwise it returns nil.
func AsMessage(b *protobundle.Bundle) (*protobundle.Bundle, []byte) {
	signatures := b.GetDsseEnvelope().GetSignatures()
	entries := b.GetVerificationMaterial().GetTlogEntries()
	if len(signatures) != 1 || len(entries) == 0 {
		return nil, nil
	}
	for _, entry := range entries {
		if kind := entry.GetKindVersion(); kind.GetKind() != "hashedrekord" || kind.GetVersion() != "0.0.1" {
			return nil, nil
		}
	}
	message := dsse.PAE(b.GetDsseEnvelope().GetPayloadType(), b.GetDsseEnvelope().GetPayload())
	algorithm, hash := hashOf(entries[0].GetCanonicalizedBody())
	h := hash.New()
	h.Write(message)
	return &protobundle.Bundle{
		MediaType:            b.GetMediaType(),
		VerificationMaterial: b.GetVerificationMaterial(),
		Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: algorithm, Digest: h.Sum(nil)},
			Signature:     signatures[0].GetSig(),
		}},
	}, message
}

// WithoutCertificate returns b as if it had been made with a long-lived key. It
// shares everything else with b.
func WithoutCertificate(b *protobundle.Bundle) *protobundle.Bundle {
	material := b.GetVerificationMaterial()
	return &protobundle.Bundle{
		MediaType: b.GetMediaType(),
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content:                   &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{}},
			TlogEntries:               material.GetTlogEntries(),
			TimestampVerificationData: material.GetTimestampVerificationData(),
		},
		Content: b.GetContent(),
	}
}
