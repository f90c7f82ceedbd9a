// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package bundles

import (
	"context"
	"errors"

	"github.com/sigstore/cosign/v2/pkg/types"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// Maker makes signatures with one key.
type Maker struct {
	Keypair sign.Keypair
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
	content, err := Statement(s)
	if err != nil {
		return nil, err
	}
	return m.bundle(ctx, content)
}

// Artifact returns a Sigstore bundle v0.3 in JSON with a message signature over
// data, which must have passed [CheckArtifact].
func (m Maker) Artifact(ctx context.Context, data []byte) ([]byte, error) {
	return m.bundle(ctx, &Artifact{sign.PlainData{Data: data}})
}

// Attestation returns a Sigstore bundle v0.3 in JSON with a DSSE envelope around
// statement, which must have passed [CheckStatement].
func (m Maker) Attestation(ctx context.Context, statement []byte) ([]byte, error) {
	return m.bundle(ctx, &sign.DSSEData{Data: statement, PayloadType: types.IntotoPayloadType})
}

func (m Maker) bundle(ctx context.Context, content sign.Content) ([]byte, error) {
	pb, err := m.sign(ctx, content)
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

// Legacy returns a simple signing payload, and the annotations that sign it.
func (m Maker) Legacy(ctx context.Context, s Subject) (payload []byte, annotations map[string]string, err error) {
	content, err := Payload(s)
	if err != nil {
		return nil, nil, err
	}
	pb, err := m.sign(ctx, content)
	if err != nil {
		return nil, nil, err
	}
	annotations, err = ToLegacy(pb, m.Chain)
	if err != nil {
		return nil, nil, err
	}
	return content.Data, annotations, nil
}

func (m Maker) sign(ctx context.Context, content sign.Content) (*protobundle.Bundle, error) {
	options := sign.BundleOptions{Context: ctx}
	if m.Certificate != nil {
		options.CertificateProvider = certificate(m.Certificate)
	}
	// An answer of the log that got lost leaves the entry there; a second
	// signature over the same content, unless the algorithm is deterministic,
	// is another entry.
	for again := false; ; again = true {
		pb, err := sign.Bundle(content, m.Keypair, options)
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

// certificate is a provider of the one certificate that there is.
type certificate []byte

func (c certificate) GetCertificate(context.Context, sign.Keypair, *sign.CertificateProviderOptions) ([]byte, error) {
	return c, nil
}
