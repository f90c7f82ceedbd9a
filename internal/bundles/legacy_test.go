// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package bundles

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/proto"

	"github.com/cosignkit/cosignkit/internal/limits"
)

const (
	signatureKey   = "dev.cosignproject.cosign/signature"
	certificateKey = "dev.sigstore.cosign/certificate"
	chainKey       = "dev.sigstore.cosign/chain"
	bundleKey      = "dev.sigstore.cosign/bundle"
	timestampKey   = "dev.sigstore.cosign/rfc3161timestamp"
)

var everything = Parts{Certificate: true, LogEntry: true, Timestamp: true}

// published reads a legacy signature that others made.
func published(t testing.TB, dir string) (payload []byte, annotations map[string]string) {
	t.Helper()
	dir = filepath.Join("..", "..", "testdata", "public-good", dir)
	payload, err := os.ReadFile(filepath.Join(dir, "payload.json"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "annotations.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &annotations); err != nil {
		t.Fatal(err)
	}
	return payload, annotations
}

func pemOf(blockType string, der ...[]byte) string {
	var b strings.Builder
	for _, d := range der {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: d}))
	}
	return b.String()
}

// made is a message signature in a bundle, with all that it can have.
func made() *protobundle.Bundle {
	sum := sha256.Sum256([]byte("payload"))
	return &protobundle.Bundle{
		MediaType: mediaType01,
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: []byte("leaf")}},
			TlogEntries: []*protorekor.TransparencyLogEntry{{
				LogIndex: 7, LogId: &protocommon.LogId{KeyId: []byte{1, 2, 3}}, IntegratedTime: 1674247893,
				KindVersion:       &protorekor.KindVersion{Kind: "hashedrekord", Version: "0.0.1"},
				InclusionPromise:  &protorekor.InclusionPromise{SignedEntryTimestamp: []byte("promise")},
				CanonicalizedBody: []byte(`{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256"}}}}`),
			}},
			TimestampVerificationData: &protobundle.TimestampVerificationData{
				Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: []byte("timestamp")}},
			},
		},
		Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: sum[:]},
			Signature:     []byte("signature"),
		}},
	}
}

func TestToLegacyAndBack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		edit  func(*protobundle.VerificationMaterial)
		chain [][]byte
	}{
		"everything":   {func(*protobundle.VerificationMaterial) {}, [][]byte{[]byte("intermediate"), []byte("root")}},
		"no chain":     {func(*protobundle.VerificationMaterial) {}, nil},
		"no entry":     {func(m *protobundle.VerificationMaterial) { m.TlogEntries = nil }, nil},
		"no timestamp": {func(m *protobundle.VerificationMaterial) { m.TimestampVerificationData = nil }, nil},
		"a key alone": {func(m *protobundle.VerificationMaterial) {
			m.TlogEntries, m.TimestampVerificationData = nil, nil
			m.Content = &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{}}
		}, nil},
		"the largest numbers": {func(m *protobundle.VerificationMaterial) {
			m.TlogEntries[0].LogIndex, m.TlogEntries[0].IntegratedTime = 1<<63-1, 1<<63-1
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := made()
			test.edit(b.VerificationMaterial)
			annotations, err := ToLegacy(b, test.chain)
			if err != nil {
				t.Fatal(err)
			}
			parts := everything
			parts.Certificate = HasCertificate(annotations)
			back, err := FromLegacy([]byte("payload"), annotations, parts)
			if err != nil {
				t.Fatal(err)
			}
			if c := b.VerificationMaterial.GetCertificate(); c != nil {
				all := []*protocommon.X509Certificate{c}
				for _, der := range test.chain {
					all = append(all, &protocommon.X509Certificate{RawBytes: der})
				}
				b.VerificationMaterial.Content = &protobundle.VerificationMaterial_X509CertificateChain{
					X509CertificateChain: &protocommon.X509CertificateChain{Certificates: all},
				}
			}
			if !proto.Equal(b, back) {
				t.Errorf("came back as\n%v, was\n%v", back, b)
			}
		})
	}
}

func TestToLegacyRefusesWhatItCannotSay(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		edit func(*protobundle.VerificationMaterial)
		why  string
	}{
		"entry of Rekor v2": {func(m *protobundle.VerificationMaterial) { m.TlogEntries[0].InclusionPromise = nil }, "no signed entry timestamp"},
		"two entries":       {func(m *protobundle.VerificationMaterial) { m.TlogEntries = append(m.TlogEntries, m.TlogEntries[0]) }, "1 log entry, not 2"},
		"two timestamps": {func(m *protobundle.VerificationMaterial) {
			d := m.TimestampVerificationData
			d.Rfc3161Timestamps = append(d.Rfc3161Timestamps, d.Rfc3161Timestamps[0])
		}, "1 timestamp, not 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := made()
			test.edit(b.VerificationMaterial)
			if annotations, err := ToLegacy(b, nil); err == nil || !strings.Contains(err.Error(), test.why) {
				t.Errorf("annotations are %v, error %v, want one that says %q", annotations, err, test.why)
			}
		})
	}
}

// TestPublishedSignaturesAndBack: nothing of what cosign wrote is lost on the way.
func TestPublishedSignaturesAndBack(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"legacy-keyless", "legacy-key"} {
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			payload, annotations := published(t, dir)
			parts := everything
			parts.Certificate = HasCertificate(annotations)
			if want := dir == "legacy-keyless"; parts.Certificate != want {
				t.Fatalf("has a certificate: %t, want %t", parts.Certificate, want)
			}
			b, err := FromLegacy(payload, annotations, parts)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(payload)
			if got := b.GetMessageSignature().GetMessageDigest(); !bytes.Equal(got.GetDigest(), sum[:]) {
				t.Errorf("digest is %v, want that of the payload", got)
			}
			var chain [][]byte
			if certificates := b.GetVerificationMaterial().GetX509CertificateChain().GetCertificates(); len(certificates) > 0 {
				for _, c := range certificates[1:] {
					chain = append(chain, c.GetRawBytes())
				}
				b.VerificationMaterial.Content = &protobundle.VerificationMaterial_Certificate{Certificate: certificates[0]}
			}
			back, err := ToLegacy(b, chain)
			if err != nil {
				t.Fatal(err)
			}
			for key, want := range annotations {
				got := back[key]
				if key == bundleKey {
					got, want = canonical(t, got), canonical(t, want)
				}
				if strings.TrimSpace(got) != strings.TrimSpace(want) {
					t.Errorf("%s came back as %q, was %q", key, got, want)
				}
			}
		})
	}
}

func canonical(t *testing.T, text string) string {
	t.Helper()
	var v any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestOnlyThePartsOfInterestAreRead: what is not asked for can be anything.
func TestOnlyThePartsOfInterestAreRead(t *testing.T) {
	t.Parallel()
	good, err := ToLegacy(made(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for key, test := range map[string]struct {
		ask  Parts
		gone func(*protobundle.VerificationMaterial) bool
	}{
		certificateKey: {Parts{LogEntry: true, Timestamp: true}, func(m *protobundle.VerificationMaterial) bool { return m.GetPublicKey() != nil }},
		chainKey:       {Parts{LogEntry: true, Timestamp: true}, func(m *protobundle.VerificationMaterial) bool { return m.GetPublicKey() != nil }},
		bundleKey:      {Parts{Certificate: true, Timestamp: true}, func(m *protobundle.VerificationMaterial) bool { return m.GetTlogEntries() == nil }},
		timestampKey:   {Parts{Certificate: true, LogEntry: true}, func(m *protobundle.VerificationMaterial) bool { return m.GetTimestampVerificationData() == nil }},
	} {
		annotations := maps.Clone(good)
		annotations[key] = "junk"
		if _, err := FromLegacy([]byte("payload"), annotations, everything); err == nil {
			t.Errorf("junk in %s is no error", key)
		}
		b, err := FromLegacy([]byte("payload"), annotations, test.ask)
		if err != nil || !test.gone(b.GetVerificationMaterial()) {
			t.Errorf("junk in %s that is not asked for: %v, %v", key, b, err)
		}
	}
}

func TestHostileAnnotations(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("A", limits.Bundle+1)
	many := make([][]byte, limits.Chain+1)
	for i := range many {
		many[i] = []byte("certificate")
	}
	for name, test := range map[string]struct {
		key, value, why string
	}{
		"no signature":                     {signatureKey, "", "no signature"},
		"a signature of white space":       {signatureKey, " \n", "no signature"},
		"a signature that is no base64":    {signatureKey, "?", "signature"},
		"a signature in another base64":    {signatureKey, "-_-_", "signature"},
		"a huge signature":                 {signatureKey, huge, limits.ErrExceeded.Error()},
		"no certificate":                   {certificateKey, " \n", "0 certificates, want 1"},
		"a certificate that is no PEM":     {certificateKey, "junk", "certificate: "},
		"a key":                            {certificateKey, pemOf("PRIVATE KEY", []byte("a")), "certificate: "},
		"two certificates":                 {certificateKey, pemOf("CERTIFICATE", []byte("a"), []byte("b")), "2 certificates, want 1"},
		"a certificate and junk":           {certificateKey, pemOf("CERTIFICATE", []byte("a")) + "junk", "certificate: "},
		"junk and a certificate":           {chainKey, pemOf("JUNK", []byte("a")) + pemOf("CERTIFICATE", []byte("a")), "certificate chain: "},
		"too many certificates":            {chainKey, pemOf("CERTIFICATE", many...), limits.ErrExceeded.Error()},
		"a huge chain":                     {chainKey, huge, limits.ErrExceeded.Error()},
		"an entry that is no JSON":         {bundleKey, "junk", "log entry: "},
		"an entry and junk":                {bundleKey, `{"SignedEntryTimestamp":"AA==","Payload":{"body":"e30="}} junk`, "log entry: "},
		"an entry that is null":            {bundleKey, "null", "no signed entry timestamp"},
		"an entry without promise":         {bundleKey, `{"Payload":{"body":"e30="}}`, "no signed entry timestamp"},
		"an empty promise":                 {bundleKey, `{"SignedEntryTimestamp":"","Payload":{"body":"e30="}}`, "no signed entry timestamp"},
		"a promise that is a number":       {bundleKey, `{"SignedEntryTimestamp":1}`, "log entry: "},
		"no body":                          {bundleKey, `{"SignedEntryTimestamp":"AA==","Payload":{}}`, "body: "},
		"a body that is a number":          {bundleKey, `{"SignedEntryTimestamp":"AA==","Payload":{"body":1}}`, "log entry: "},
		"a body that is an object":         {bundleKey, `{"SignedEntryTimestamp":"AA==","Payload":{"body":{}}}`, "log entry: "},
		"a body that is an array of bytes": {bundleKey, `{"SignedEntryTimestamp":"AA==","Payload":{"body":[1,"a"]}}`, "log entry: "},
		"a body that is null":              {bundleKey, `{"SignedEntryTimestamp":"AA==","Payload":{"body":null}}`, "body: "},
		"a body that is no JSON":           {bundleKey, `{"SignedEntryTimestamp":"AA==","Payload":{"body":"AAAA"}}`, "body: "},
		"a body whose kind is a number":    {bundleKey, `{"SignedEntryTimestamp":"AA==","Payload":{"body":"` + base64.StdEncoding.EncodeToString([]byte(`{"kind":1}`)) + `"}}`, "body: "},
		"a payload that is an array":       {bundleKey, `{"SignedEntryTimestamp":"AA==","Payload":[]}`, "log entry: "},
		"a log id that is no hexadecimal":  {bundleKey, `{"SignedEntryTimestamp":"AA==","Payload":{"body":"e30=","logID":"xyz"}}`, "log id: "},
		"a time that is no number":         {bundleKey, `{"SignedEntryTimestamp":"AA==","Payload":{"body":"e30=","integratedTime":"1"}}`, "log entry: "},
		"an index out of range":            {bundleKey, `{"SignedEntryTimestamp":"AA==","Payload":{"body":"e30=","logIndex":9223372036854775808}}`, "log entry: "},
		"a huge entry":                     {bundleKey, huge, limits.ErrExceeded.Error()},
		"a timestamp that is no JSON":      {timestampKey, "junk", "timestamp: "},
		"a timestamp that is a number":     {timestampKey, `{"SignedRFC3161Timestamp":1}`, "timestamp: "},
		"a timestamp that is no base64":    {timestampKey, `{"SignedRFC3161Timestamp":"?"}`, "timestamp: "},
		"a huge timestamp":                 {timestampKey, huge, limits.ErrExceeded.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			annotations, err := ToLegacy(made(), nil)
			if err != nil {
				t.Fatal(err)
			}
			annotations[test.key] = test.value
			b, err := FromLegacy([]byte("payload"), annotations, everything)
			if err == nil || b != nil || !strings.Contains(err.Error(), test.why) {
				t.Errorf("bundle is %v, error %.300v, want one that says %q", b, err, test.why)
			}
			if err != nil && len(err.Error()) > 300 {
				t.Errorf("the error repeats what it was given: %d bytes", len(err.Error()))
			}
		})
	}
	_, err := FromLegacy(make([]byte, limits.Payload+1), map[string]string{signatureKey: "AAAA"}, Parts{})
	if !errors.Is(err, limits.ErrExceeded) {
		t.Errorf("a payload that is too large: %v", err)
	}
}

// TestHashOfTheEntry: the payload is hashed as the entry says, so that the two
// can be compared, and an unknown hash does not match anything.
func TestHashOfTheEntry(t *testing.T) {
	t.Parallel()
	for algorithm, size := range map[string]int{"sha256": 32, "sha384": 48, "sha512": 64, "sha1": 32, "md5": 32, "": 32} {
		b := made()
		b.VerificationMaterial.TlogEntries[0].CanonicalizedBody = []byte(`{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"` + algorithm + `"}}}}`)
		annotations, err := ToLegacy(b, nil)
		if err != nil {
			t.Fatal(err)
		}
		back, err := FromLegacy([]byte("payload"), annotations, everything)
		if err != nil {
			t.Fatal(err)
		}
		if digest := back.GetMessageSignature().GetMessageDigest().GetDigest(); len(digest) != size {
			t.Errorf("%q: digest of %d bytes, want %d", algorithm, len(digest), size)
		}
	}
}

// FuzzFromLegacy holds that no annotations panic, that a digest is that of the
// payload, and that what was read can be written and read again.
func FuzzFromLegacy(f *testing.F) {
	for _, dir := range []string{"legacy-keyless", "legacy-key"} {
		payload, a := published(f, dir)
		f.Add(payload, a[signatureKey], a[certificateKey], a[chainKey], a[bundleKey], `{"SignedRFC3161Timestamp":"AAAA"}`)
		f.Add(payload, a[signatureKey], " \n", a[chainKey], strings.Replace(a[bundleKey], `"body":"`, `"body":1,"x":"`, 1), "null")
		f.Add(payload, a[signatureKey], a[certificateKey], a[certificateKey]+a[chainKey], strings.Replace(a[bundleKey], "logID", "logid", 1), "{}")
	}
	f.Add([]byte(nil), "", "", "", "", "")
	f.Add([]byte("{}"), "AAAA", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "", `{"SignedEntryTimestamp":"AA==","Payload":{"body":"bnVsbA=="}}`, "[]")
	f.Fuzz(func(t *testing.T, payload []byte, sig, certificate, chain, entry, timestamp string) {
		annotations := map[string]string{
			signatureKey: sig, certificateKey: certificate, chainKey: chain, bundleKey: entry, timestampKey: timestamp,
		}
		for _, parts := range []Parts{everything, {}, {LogEntry: true}, {Certificate: true}, {Timestamp: true}} {
			b, err := FromLegacy(payload, annotations, parts)
			if err != nil {
				if b != nil {
					t.Errorf("%v beside the error %v", b, err)
				}
				continue
			}
			if got := b.GetMessageSignature().GetMessageDigest(); got.GetAlgorithm() == protocommon.HashAlgorithm_SHA2_256 {
				if sum := sha256.Sum256(payload); !bytes.Equal(got.GetDigest(), sum[:]) {
					t.Errorf("digest is %x, want that of the payload", got.GetDigest())
				}
			}
			material := b.GetVerificationMaterial()
			certificates := material.GetX509CertificateChain().GetCertificates()
			if parts.Certificate != (len(certificates) > 0) || len(certificates) > limits.Chain+1 {
				t.Errorf("%d certificates, asked for: %t", len(certificates), parts.Certificate)
			}
			if !parts.LogEntry && len(material.GetTlogEntries()) > 0 || !parts.Timestamp && material.GetTimestampVerificationData() != nil {
				t.Errorf("has what was not asked for: %v", material)
			}
			again := proto.Clone(b).(*protobundle.Bundle)
			var above [][]byte
			if len(certificates) > 0 {
				for _, c := range certificates[1:] {
					above = append(above, c.GetRawBytes())
				}
				again.VerificationMaterial.Content = &protobundle.VerificationMaterial_Certificate{Certificate: certificates[0]}
			}
			written, err := ToLegacy(again, above)
			if err != nil {
				t.Fatal(err)
			}
			back, err := FromLegacy(payload, written, parts)
			if err != nil || !proto.Equal(b, back) {
				t.Errorf("came back as\n%v, %v, was\n%v", back, err, b)
			}
		}
	})
}
