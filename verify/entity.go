// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	sgverify "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/cosignkit/cosignkit/internal/bundles"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// entity is a signature of either form as sigstore-go verifies it. It is parsed
// for one verification by one goroutine: sigstore-go writes into it.
type entity struct {
	*bundle.Bundle
	intermediates []*x509.Certificate
	artifact      artifactOption
	maxChain      int
	// older has the certificate's key checked as if it were one without.
	older bool
	// evidence parses log entries and timestamps. Junk costs least where they are
	// parsed after the signature was checked, and only if the policy needs them.
	evidence func() (*entity, error)
	stamps   [][]byte
}

var _ sgverify.SignedEntity = (*entity)(nil)

// newBareEntity is an entity of pb without log entries and timestamps. Evidence
// returns the one that has them.
func newBareEntity(pb *protobundle.Bundle, maxChain int, artifact artifactOption, evidence func() (*entity, error)) (*entity, error) {
	bare := &protobundle.Bundle{MediaType: pb.GetMediaType(), Content: pb.GetContent()}
	if material := pb.GetVerificationMaterial(); material != nil {
		bare.VerificationMaterial = &protobundle.VerificationMaterial{Content: material.GetContent()}
	}
	e, err := newEntity(bare, maxChain, artifact)
	if err != nil {
		return nil, err
	}
	e.evidence = evidence
	return e, nil
}

func newEntity(pb *protobundle.Bundle, maxChain int, artifact artifactOption) (*entity, error) {
	// Before anything that may verify with what it parses.
	if err := bundles.CheckCertificates(pb, maxChain); err != nil {
		return nil, err
	}
	if err := bundles.CheckEntries(pb); err != nil {
		return nil, err
	}
	var options []bundle.Option
	if (&bundle.Bundle{Bundle: pb}).MinVersion("v0.3") {
		options = append(options, bundle.AllowCertificateChain())
	}
	b, err := bundle.NewBundle(pb, options...)
	if err != nil {
		return nil, err
	}
	e := &entity{Bundle: b, artifact: artifact, maxChain: maxChain}
	chain := pb.GetVerificationMaterial().GetX509CertificateChain().GetCertificates()
	for i, c := range chain {
		if i == 0 {
			continue
		}
		parsed, err := x509.ParseCertificate(c.GetRawBytes())
		if err != nil {
			return nil, fmt.Errorf("certificate chain: %w", err)
		}
		// A root that comes with a signature is of no use, and no harm.
		if parsed.IsCA && !bytes.Equal(parsed.RawIssuer, parsed.RawSubject) {
			e.intermediates = append(e.intermediates, parsed)
		}
	}
	if _, err := e.VerificationContent(); err != nil {
		return nil, err
	}
	return e, nil
}

// VerificationContent adds the intermediate certificates, which sigstore-go
// takes from the newest version of bundles only.
func (e *entity) VerificationContent() (sgverify.VerificationContent, error) {
	content, err := e.Bundle.VerificationContent()
	if err != nil {
		return nil, err
	}
	if c, ok := content.(*bundle.Certificate); ok && e.older {
		return older{c}, nil
	}
	if c, ok := content.(*bundle.Certificate); ok && len(e.intermediates) > 0 {
		return &chained{leaf: c, intermediates: e.intermediates}, nil
	}
	return content, nil
}

// TlogEntries wants each entry to be of one version of Rekor throughout, in its
// body, in the kind next to it, and in its checkpoint: how an entry is proved, and
// how it is bound to the signature, go together.
func (e *entity) TlogEntries() ([]*tlog.Entry, error) {
	entries, err := e.Bundle.TlogEntries()
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		tle := entry.TransparencyLogEntry()
		if err := checkCheckpoint(tle.GetInclusionProof().GetCheckpoint().GetEnvelope()); err != nil {
			return nil, err
		}
		// The origins of Rekor v1 have spaces, and those of v2 cannot.
		origin, _, _ := strings.Cut(tle.GetInclusionProof().GetCheckpoint().GetEnvelope(), "\n")
		if entry.IsRekorV2() && strings.Contains(origin, " ") {
			return nil, errors.New("entry of Rekor v2 with a checkpoint of Rekor v1")
		}
		var head struct{ Kind, APIVersion string }
		if err := json.Unmarshal(tle.GetCanonicalizedBody(), &head); err != nil {
			return nil, err
		}
		if says := tle.GetKindVersion(); says.GetKind() != head.Kind || says.GetVersion() != head.APIVersion {
			return nil, fmt.Errorf("entry of kind %.64q version %.64q is said to be %.64q version %.64q",
				head.Kind, head.APIVersion, says.GetKind(), says.GetVersion())
		}
	}
	return entries, nil
}

// Timestamps returns the timestamps that are safe to parse, when sigstore-go asks for
// them. A damaged timestamp becomes an empty one, which counts for nothing and does
// not spoil the others.
func (e *entity) Timestamps() ([][]byte, error) {
	if e.stamps != nil {
		return e.stamps, nil
	}
	stamps, err := e.Bundle.Timestamps()
	if err != nil || len(stamps) > limits.Timestamps {
		return stamps, err // sigstore-go refuses that many before it parses one
	}
	for i, stamp := range stamps {
		if err := bundles.CheckTimestamp(stamp, e.maxChain); errors.Is(err, limits.ErrExceeded) {
			return nil, fmt.Errorf("timestamp: %w", err)
		} else if err != nil {
			stamps[i] = nil
		}
	}
	e.stamps = stamps
	return stamps, nil
}

// checkCheckpoint bounds what is verified of a checkpoint: each line of a log's
// own key would be.
func checkCheckpoint(envelope string) error {
	if len(envelope) > limits.Checkpoint {
		return limits.Exceeded("checkpoint in bytes", limits.Checkpoint)
	}
	_, signatures, _ := strings.Cut(envelope, "\n\n")
	seen := map[string]bool{}
	for line := range strings.Lines(signatures) {
		// "— <name> <base64 of the hash of the key, and the signature>"
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		hash, err := base64.StdEncoding.DecodeString(fields[len(fields)-1])
		if err != nil || len(hash) < 4 {
			return errors.New("checkpoint with a signature that is none")
		}
		if seen[string(hash[:4])] {
			return errors.New("checkpoint with two signatures by one key")
		}
		seen[string(hash[:4])] = true
	}
	return nil
}

// Version names none that sigstore-go has a compatibility mode for: that mode
// writes to standard error.
func (e *entity) Version() (string, error) { return "exact", nil }

// checkStatement checks the form of the statement in an envelope.
func (e *entity) checkStatement() error {
	content, err := e.SignatureContent()
	if err != nil {
		return err
	}
	statement, err := content.EnvelopeContent().Statement()
	if err != nil {
		return fmt.Errorf("statement: %w", err)
	}
	if len(statement.GetSubject()) > limits.Subjects {
		return limits.Exceeded("number of subjects", limits.Subjects)
	}
	return nil
}

func (e *entity) hasCertificate() bool {
	material := e.GetVerificationMaterial()
	return material.GetCertificate() != nil || material.GetX509CertificateChain() != nil
}

// leaf has a name that does not hide the method Certificate.
type leaf = bundle.Certificate

type chained struct {
	*leaf
	intermediates []*x509.Certificate
}

func (c *chained) Intermediates() []*x509.Certificate { return c.intermediates }

// older is a certificate of which sigstore-go sees only the key, and that it is
// the one in the log entry. See verifyOlder.
type older struct{ *leaf }

func (older) Certificate() *x509.Certificate        { return nil }
func (older) PublicKey() sgverify.PublicKeyProvider { return noHint{} }

type noHint struct{}

func (noHint) Hint() string { return "" }
