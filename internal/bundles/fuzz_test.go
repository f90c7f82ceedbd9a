// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package bundles

import (
	"bytes"
	"crypto/x509"
	"testing"

	"github.com/go-openapi/runtime"
	"github.com/sigstore/rekor/pkg/generated/models"
	dsse "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1"

	"github.com/cosignkit/cosignkit/internal/der"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// FuzzCheckCertificate holds that what passes is a certificate in DER.
func FuzzCheckCertificate(f *testing.F) {
	certificates, _, stamps := realParts(f)
	for _, b := range append(certificates, stamps...) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := CheckCertificate(b); err != nil || len(b) == 0 {
			return
		}
		if _, err := x509.ParseCertificate(b); err != nil || der.Check(b) != nil {
			t.Errorf("passes, and is no certificate: %v", err)
		}
	})
}

// FuzzCheckTimestamp holds that what passes is DER, and that no timestamp panics.
func FuzzCheckTimestamp(f *testing.F) {
	_, _, stamps := realParts(f)
	for _, b := range stamps {
		f.Add(b)
	}
	f.Add(append(bytes.Repeat([]byte{0x31, 0x7f, 0x31, 0x02}, 8), make([]byte, 160)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := CheckTimestamp(b, limits.Chain); err == nil && der.Check(b) != nil {
			t.Error("passes, and is not DER")
		}
	})
}

// FuzzCheckEntryBody holds that Rekor's parsers read what passes as the check does:
// as one of the kinds that verifiers know, without proposed content.
func FuzzCheckEntryBody(f *testing.F) {
	_, bodies, _ := realParts(f)
	for _, b := range bodies {
		f.Add(b)
		f.Add(append(b, '1'))
	}
	f.Add([]byte(`{"apiVersion":"0.0.1","kind":"dsse","spec":{"proposedContent":{"envelope":"{}","verifiers":[""]}}}`))
	f.Add([]byte(`{"apiVersion":"0.0.1","kind":"rekord","spec":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if CheckEntryBody(b) != nil || len(b) == 0 {
			return
		}
		proposed, err := models.UnmarshalProposedEntry(bytes.NewReader(b), runtime.JSONConsumer())
		if err != nil {
			t.Fatalf("passes, and Rekor cannot read it: %v", err)
		}
		switch entry := proposed.(type) {
		case *models.Hashedrekord, *models.Intoto:
		case *models.DSSE:
			var spec models.DSSEV001Schema
			if dsse.DecodeEntry(entry.Spec, &spec) == nil && spec.ProposedContent != nil {
				t.Error("passes, and Rekor reads proposed content")
			}
		default:
			t.Errorf("passes, and Rekor reads kind %q", proposed.Kind())
		}
	})
}
