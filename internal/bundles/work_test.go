// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package bundles

import (
	"bytes"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/worktest"
)

// realBundles are bundles that real tools made, with all kinds of log entries.
func realBundles(t testing.TB) []*protobundle.Bundle {
	t.Helper()
	var all []*protobundle.Bundle
	for _, pattern := range []string{"golden/v3.1.3-bundle-*/blobs/sha256/*", "public-good/bundles/*.json"} {
		files, err := filepath.Glob(filepath.Join("..", "..", "testdata", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			pb := &protobundle.Bundle{}
			if bytes.Contains(b, []byte("verificationMaterial")) && protojson.Unmarshal(b, pb) == nil {
				all = append(all, pb)
			}
		}
	}
	return all
}

// parts are what real bundles have of each kind, a few of each.
func realParts(t testing.TB) (certificates, bodies, stamps [][]byte) {
	t.Helper()
	kinds := map[string]bool{}
	for _, b := range realBundles(t) {
		material := b.GetVerificationMaterial()
		if c := material.GetCertificate(); c != nil && len(certificates) < 2 {
			certificates = append(certificates, c.GetRawBytes())
		}
		for _, entry := range material.GetTlogEntries() {
			if kind := entry.GetKindVersion().String(); !kinds[kind] {
				kinds[kind] = true
				bodies = append(bodies, entry.GetCanonicalizedBody())
			}
		}
		for _, stamp := range material.GetTimestampVerificationData().GetRfc3161Timestamps() {
			if len(stamps) < 2 {
				stamps = append(stamps, stamp.GetSignedTimestamp())
			}
		}
	}
	if len(certificates) == 0 || len(bodies) < 3 || len(stamps) == 0 {
		t.Fatalf("%d certificates, %d kinds of entries, %d timestamps", len(certificates), len(bodies), len(stamps))
	}
	return certificates, bodies, stamps
}

func TestRealBundlesAreLight(t *testing.T) {
	t.Parallel()
	for _, b := range realBundles(t) {
		if err := CheckWeight(b, limits.Chain); err != nil {
			t.Errorf("%v: %v", b.GetMediaType(), err)
		}
	}
}

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
