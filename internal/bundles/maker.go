// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package bundles

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/cosign/v2/pkg/types"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/cosignkit/cosignkit/internal/keypair"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// Maker makes signatures with one key.
type Maker struct {
	Keypair keypair.Keypair
	// Certificate of the key, in DER. Nil for a long-lived key.
	Certificate []byte
	// Chain are the certificates above it, in DER, for legacy signatures.
	Chain [][]byte
	// Record adds log entries and timestamps to what was signed. Nil adds none.
	Record func(context.Context, *protobundle.Bundle) error
}

// ErrLogged is the cause of Record's error when a log has the very entry
// already, and it cannot be shown: another signature is needed.
var ErrLogged = errors.New("the log has this entry already")

// Bundle returns a Sigstore bundle v0.3 in JSON that signs an image.
func (m Maker) Bundle(ctx context.Context, s Subject) ([]byte, error) {
	statement, err := Statement(s)
	if err != nil {
		return nil, err
	}
	return m.Attestation(ctx, statement)
}

// Attestation returns a Sigstore bundle v0.3 in JSON with a DSSE envelope around
// statement, which must have passed [CheckStatement].
func (m Maker) Attestation(ctx context.Context, statement []byte) ([]byte, error) {
	return m.json(ctx, func() (*protobundle.Bundle, error) { return m.signStatement(ctx, statement) })
}

// Artifact returns a Sigstore bundle v0.3 in JSON with a message signature over
// data, which must have passed [CheckArtifact].
func (m Maker) Artifact(ctx context.Context, data []byte) ([]byte, error) {
	return m.json(ctx, func() (*protobundle.Bundle, error) { return m.signMessage(ctx, mediaType03, data) })
}

// Legacy returns a simple signing payload, and the annotations that sign it.
func (m Maker) Legacy(ctx context.Context, s Subject) (payload []byte, annotations map[string]string, err error) {
	payload, err = Payload(s)
	if err != nil {
		return nil, nil, err
	}
	pb, err := m.record(ctx, func() (*protobundle.Bundle, error) { return m.signMessage(ctx, mediaType01, payload) })
	if err != nil {
		return nil, nil, err
	}
	annotations, err = ToLegacy(pb, m.Chain)
	if err != nil {
		return nil, nil, err
	}
	return payload, annotations, nil
}

// IsLegacy reports whether b stands for a legacy signature: whether it has the
// version that [Maker] and [FromLegacy] give those.
func IsLegacy(b *protobundle.Bundle) bool { return b.GetMediaType() == mediaType01 }

func (m Maker) json(ctx context.Context, sign func() (*protobundle.Bundle, error)) ([]byte, error) {
	pb, err := m.record(ctx, sign)
	if err != nil {
		return nil, err
	}
	b, err := protojson.Marshal(pb)
	if err != nil {
		return nil, err
	}
	if len(b) > limits.Bundle {
		return nil, limits.Exceeded("bundle in bytes", limits.Bundle)
	}
	return b, nil
}

// record returns what sign returns, with log entries and timestamps.
func (m Maker) record(ctx context.Context, sign func() (*protobundle.Bundle, error)) (*protobundle.Bundle, error) {
	// An answer of the log that got lost leaves the entry there; a second
	// signature over the same content, unless the algorithm is deterministic,
	// is another entry.
	for again := false; ; again = true {
		pb, err := sign()
		if err != nil || m.Record == nil {
			return pb, err
		}
		err = m.Record(ctx, pb)
		if err == nil {
			return pb, nil
		}
		if again || !errors.Is(err, ErrLogged) {
			return nil, err
		}
	}
}

func (m Maker) signStatement(ctx context.Context, statement []byte) (*protobundle.Bundle, error) {
	sig, _, err := m.Keypair.SignData(ctx, dsse.PAE(types.IntotoPayloadType, statement))
	if err != nil {
		return nil, err
	}
	return &protobundle.Bundle{
		MediaType:            mediaType03,
		VerificationMaterial: m.material(),
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload:     statement,
			PayloadType: types.IntotoPayloadType,
			Signatures:  []*protodsse.Signature{{Sig: sig}},
		}},
	}, nil
}

func (m Maker) signMessage(ctx context.Context, mediaType string, data []byte) (*protobundle.Bundle, error) {
	sig, signed, err := m.Keypair.SignData(ctx, data)
	if err != nil {
		return nil, err
	}
	digest := &protocommon.HashOutput{Algorithm: m.Keypair.GetHashAlgorithm(), Digest: signed}
	if mediaType == mediaType03 && digest.GetAlgorithm() == protocommon.HashAlgorithm_HASH_ALGORITHM_UNSPECIFIED {
		// Ed25519 signs the artifact itself, which the digest identifies all the same.
		sum := sha256.Sum256(data)
		digest = &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: sum[:]}
	}
	return &protobundle.Bundle{
		MediaType:            mediaType,
		VerificationMaterial: m.material(),
		Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: digest,
			Signature:     sig,
		}},
	}, nil
}

// material is the certificate, or a hint at the key.
func (m Maker) material() *protobundle.VerificationMaterial {
	if m.Certificate != nil {
		return &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_Certificate{
			Certificate: &protocommon.X509Certificate{RawBytes: m.Certificate},
		}}
	}
	return &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_PublicKey{
		PublicKey: &protocommon.PublicKeyIdentifier{Hint: string(m.Keypair.GetHint())},
	}}
}
