// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/cosignkit/cosignkit/verify"
)

// The fuzz targets use the golden keys and signatures, so that an input means
// the same in every run. Nobody can forge a signature by chance: whatever is
// accepted must hold a payload that the golden keys have signed.

// FuzzParsePublicKey holds that no input panics, and that what is opened is a
// key that a policy takes and that survives being written again.
func FuzzParsePublicKey(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(goldenKeys, "*"))
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		b := readFile(f, file)
		f.Add(b)
		f.Add(b[:len(b)/2])
		if key, err := verify.ParsePublicKey(b); err == nil {
			f.Add(pkix(f, key))
		}
	}
	f.Add(pemOf("CERTIFICATE", selfSigned(f, keys["P-256"]())))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := verify.ParsePublicKey(b)
		if err != nil {
			wantFamily(t, err, verify.ErrMisconfigured)
			if key != nil {
				t.Errorf("a %T beside the error %v", key, err)
			}
			return
		}
		if _, err := verify.New(verify.Policy{Keys: []crypto.PublicKey{key}, InsecureIgnoreTransparencyLog: true}); err != nil {
			t.Errorf("opened, and no policy takes it: %v", err)
		}
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		again, err := verify.ParsePublicKey(der)
		if err != nil || !key.(publicKey).Equal(again) {
			t.Errorf("written and opened again it is %v, %v", again, err)
		}
	})
}

// FuzzVerifyBundle holds that no input panics, and that none is accepted but
// the statements of the golden bundles.
func FuzzVerifyBundle(f *testing.F) {
	known := map[string]bool{}
	for _, tool := range []string{"cosign2", "cosign3"} {
		for _, kind := range fuzzKinds {
			b := goldenBundle(f, tool, kind).Bundle
			f.Add(b)
			known[string(statementOf(f, b))] = true
			f.Add(marshal(f, object{"a": string(b)}))
		}
	}
	for _, seed := range []string{
		``, `null`, `{}`, `[]`,
		`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{}},"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AAAA"}]}}`,
		`{"mediaType":"application/vnd.dev.sigstore.bundle+json;version=0.1","verificationMaterial":{"x509CertificateChain":{"certificates":[{"rawBytes":"AAAA"}]},"tlogEntries":[{}]},"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"AAAA"},"signature":"AAAA"}}`,
		`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"certificate":{"rawBytes":"MAA="},"timestampVerificationData":{"rfc3161Timestamps":[{"signedTimestamp":"AA=="}]}},"dsseEnvelope":{"payload":"bnVsbA==","payloadType":"application/vnd.in-toto+json","signatures":[]}}`,
	} {
		f.Add([]byte(seed))
	}
	v := goldenVerifier(f, fuzzKinds...)
	f.Fuzz(func(t *testing.T, b []byte) {
		if b == nil {
			b = []byte{}
		}
		if wantVerdict(t, v, verify.Candidate{Bundle: b}) && !known[string(statementOf(t, b))] {
			t.Errorf("accepted a statement that nobody signed: %s", b)
		}
	})
}

// fuzzKinds are the keys that are quick to verify with.
var fuzzKinds = []string{"ecdsa-p256", "rsa-2048", "ed25519"}

func statementOf(t testing.TB, b []byte) []byte {
	t.Helper()
	var parsed protobundle.Bundle
	if err := protojson.Unmarshal(b, &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed.GetDsseEnvelope().GetPayload()
}

// wantVerdict verifies one candidate and holds what is true of every verdict.
func wantVerdict(t *testing.T, v verify.Verifier, candidate verify.Candidate) (accepted bool) {
	t.Helper()
	result, err := v.Verify(context.Background(), theImage(), []verify.Candidate{candidate})
	if result == nil || len(result.Signatures) != 1 || result.Accepted != (err == nil) || result.Accepted != (result.Signatures[0].Err == nil) {
		t.Fatalf("result is %+v beside the error %v", result, err)
	}
	if err != nil {
		wantFamily(t, err, verify.ErrRejected)
	}
	if _, err := json.Marshal(result); err != nil {
		t.Errorf("result has no JSON: %v", err)
	}
	payloads, err := result.Payloads()
	if err != nil || len(decode(t, payloads)) == 1 != result.Accepted {
		t.Errorf("payloads are %s, %v", payloads, err)
	}
	return result.Accepted
}

// FuzzVerifyLegacy is the same for a payload and its signature annotation.
func FuzzVerifyLegacy(f *testing.F) {
	known := map[string]bool{}
	for _, tool := range []string{"cosign2", "cosign3"} {
		for _, kind := range fuzzKinds {
			c := goldenLegacy(f, tool, kind)
			f.Add(c.Payload, c.Annotations[sigKey])
			known[string(c.Payload)+"\x00"+string(decode64(f, c.Annotations[sigKey]))] = true
			f.Add(c.Payload[:len(c.Payload)/2], c.Annotations[sigKey])
			f.Add(append([]byte(" "), c.Payload...), c.Annotations[sigKey])
		}
	}
	f.Add([]byte("null"), "AAAA")
	f.Add([]byte(`{"critical":{"image":null},"optional":[]}`), " \n")
	f.Add([]byte(nil), "")
	v := goldenVerifier(f, fuzzKinds...)
	f.Fuzz(func(t *testing.T, payload []byte, sig string) {
		if !wantVerdict(t, v, verify.Candidate{Payload: payload, Annotations: map[string]string{sigKey: sig}}) {
			return
		}
		// Base64 has several spellings of one signature.
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(sig))
		if err != nil || !known[string(payload)+"\x00"+string(raw)] {
			t.Errorf("accepted what nobody signed: %q with the signature %q, %v", payload, sig, err)
		}
	})
}

// FuzzVerifySignedStatement signs each input with a key of the policy, so that
// the fuzzer gets past the signature, to what reads the statement.
func FuzzVerifySignedStatement(f *testing.F) {
	good := string(marshal(f, statement()))
	for _, seed := range []string{
		good, "null", "[]", "{}", `{"subject":[null]}`,
		strings.Replace(good, "predicateType", "predicate_type", 1),
		strings.Replace(good, `"prod"`, `{"a":[1,null,true,{}]}`, 1),
		strings.Replace(good, `"subject":[`, `"subject":[{"digest":{"sha256":"`+otherHex+`"}},`, 1),
		good[:len(good)-1] + `,"predicateType":"https://slsa.dev/provenance/v1"}`,
	} {
		f.Add([]byte(seed))
	}
	key := keys["Ed25519"]()
	v, sign := newVerifier(f, policyOf(key)), with(key, 0)
	f.Fuzz(func(t *testing.T, payload []byte) {
		if !wantVerdict(t, v, bundleCandidate(t, bundleOf(t, sign, payload))) {
			return
		}
		if said := stringsIn(payload); !said[theHex] || !said[signType] || !said[statementURI] {
			t.Errorf("accepted a statement that does not say what it must: %s", payload)
		}
	})
}

// FuzzVerifySignedPayload is the same for the legacy form.
func FuzzVerifySignedPayload(f *testing.F) {
	good := string(marshal(f, payloadOf()))
	for _, seed := range []string{
		good, "null", "[]", "{}", `{"critical":null,"optional":{}}`,
		strings.Replace(good, `"prod"`, `{"a":[1,null,true,{}]}`, 1),
		strings.Replace(good, "critical", "CRITICAL", 1),
		good[:len(good)-1] + `,"critical":{"image":{"docker-manifest-digest":"sha256:` + otherHex + `"}}}`,
	} {
		f.Add([]byte(seed))
	}
	key := keys["Ed25519"]()
	v, sign := newVerifier(f, policyOf(key)), with(key, 0)
	f.Fuzz(func(t *testing.T, payload []byte) {
		if !wantVerdict(t, v, legacyCandidate(t, sign, payload)) {
			return
		}
		if said := stringsIn(payload); !said[theDigest] || !said["cosign container image signature"] {
			t.Errorf("accepted a payload that does not say what it must: %s", payload)
		}
	})
}

// stringsIn are the strings that b, which is JSON, has anywhere.
func stringsIn(b []byte) map[string]bool {
	said := map[string]bool{}
	decoder := json.NewDecoder(bytes.NewReader(b))
	for {
		token, err := decoder.Token()
		if err != nil {
			return said
		}
		if s, ok := token.(string); ok {
			said[s] = true
		}
	}
}
