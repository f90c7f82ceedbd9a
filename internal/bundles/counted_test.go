// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package bundles

import (
	"encoding/pem"
	"testing"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/worktest"
)

// TestDecodersDoLinearWork counts what each decoder of this package allocates. It
// runs alone.
func TestDecodersDoLinearWork(t *testing.T) {
	certificates, bodies, stamps := realParts(t)
	payload, annotations := published(t, "legacy-keyless")
	const statement = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x","digest":{"sha256":"aa"},"annotations":{"a":"b"}}],` +
		`"predicateType":"https://slsa.dev/provenance/v1","predicate":{"a":[1,{"b":null}],"c":"d"}}`
	of := func(check func([]byte) error) func([]byte) { return func(b []byte) { _ = check(b) } }
	annotation := func(key string) func([]byte) {
		return func(b []byte) {
			changed := map[string]string{signatureKey: annotations[signatureKey], certificateKey: annotations[certificateKey]}
			changed[key] = string(b)
			_, _ = FromLegacy(payload, changed, everything)
		}
	}
	for name, d := range map[string]worktest.Decoder{
		"certificate":                 {Decode: of(CheckCertificate), Seeds: certificates, PerByte: 64},
		"key in PEM":                  {Decode: of(CheckKeyPEM), Seeds: [][]byte{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificates[0]})}, PerByte: 64},
		"timestamp":                   {Decode: of(func(b []byte) error { return CheckTimestamp(b, limits.Chain) }), Seeds: stamps, PerByte: 256},
		"log entry":                   {Decode: of(CheckEntryBody), Seeds: bodies, PerByte: 64},
		"annotation of a certificate": {Decode: annotation(certificateKey), Seeds: [][]byte{[]byte(annotations[certificateKey])}, PerByte: 64},
		"annotation of a chain":       {Decode: annotation(chainKey), Seeds: [][]byte{[]byte(annotations[chainKey])}, PerByte: 64},
		"annotation of a log entry":   {Decode: annotation(bundleKey), Seeds: [][]byte{[]byte(annotations[bundleKey])}, PerByte: 64},
		"annotation of a timestamp":   {Decode: annotation(timestampKey), Seeds: [][]byte{[]byte(`{"SignedRFC3161Timestamp":"MAA="}`)}, PerByte: 64},
		"statement":                   {Decode: of(CheckStatement), Seeds: [][]byte{[]byte(statement)}, PerByte: 256},
	} {
		d.Fixed = 32 << 10
		t.Run(name, func(t *testing.T) { worktest.Run(t, d) })
	}
}
