// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// TestAlteredBundlesAreRejected alters one thing at a time in a bundle that is
// good.
func TestAlteredBundlesAreRejected(t *testing.T) {
	t.Parallel()
	dsse := func(b object) object { return b["dsseEnvelope"].(object) }
	signature := func(b object) object { return dsse(b)["signatures"].([]any)[0].(object) }
	// within edits the statement and leaves the signature as it was.
	within := func(edit func(object)) func(object) {
		return func(b object) {
			raw, err := base64.StdEncoding.DecodeString(dsse(b)["payload"].(string))
			if err != nil {
				t.Fatal(err)
			}
			var s object
			if err := json.Unmarshal(raw, &s); err != nil {
				t.Fatal(err)
			}
			edit(s)
			dsse(b)["payload"] = marshal(t, s)
		}
	}
	flip := func(o object, key string, at int) {
		raw, err := base64.StdEncoding.DecodeString(o[key].(string))
		if err != nil {
			t.Fatal(err)
		}
		raw[(at+len(raw))%len(raw)] ^= 1
		o[key] = raw
	}
	for kind, key := range keys {
		sign := with(key(), crypto.SHA256)
		v := newVerifier(t, policyOf(key()))
		for name, alter := range map[string]func(object){
			"first bit of the signature":   func(b object) { flip(signature(b), "sig", 0) },
			"last bit of the signature":    func(b object) { flip(signature(b), "sig", -1) },
			"no signature bytes":           func(b object) { signature(b)["sig"] = "" },
			"signature cut short":          func(b object) { signature(b)["sig"] = signature(b)["sig"].(string)[:8] },
			"signature with bytes after":   func(b object) { signature(b)["sig"] = append(decode64(t, signature(b)["sig"]), 0) },
			"signature field is gone":      func(b object) { delete(signature(b), "sig") },
			"signature of another message": func(b object) { signature(b)["sig"] = sign(t, []byte("another message")) },
			"signature of the payload":     func(b object) { signature(b)["sig"] = sign(t, decode64(t, dsse(b)["payload"])) },
			"two signatures":               func(b object) { dsse(b)["signatures"] = []any{signature(b), signature(b)} },
			"no signatures":                func(b object) { dsse(b)["signatures"] = []any{} },
			"first byte of the payload":    func(b object) { flip(dsse(b), "payload", 0) },
			"last byte of the payload":     func(b object) { flip(dsse(b), "payload", -1) },
			"white space in the payload":   func(b object) { dsse(b)["payload"] = append([]byte(" "), decode64(t, dsse(b)["payload"])...) },
			"an empty payload":             func(b object) { dsse(b)["payload"] = "" },
			"the payload type":             func(b object) { dsse(b)["payloadType"] = "application/vnd.in-toto+json; x=1" },
			"the media type":               func(b object) { b["mediaType"] = "application/vnd.dev.sigstore.bundle.v9+json" },
			"the subject's digest":         within(func(s object) { subject(s)["digest"] = object{"sha256": otherHex} }),
			"the subject's name":           within(func(s object) { subject(s)["name"] = "evil.example/app" }),
			"an annotation":                within(func(s object) { subject(s)["annotations"] = object{"env": "test"} }),
			"no annotations":               within(func(s object) { delete(subject(s), "annotations") }),
			"a second subject":             within(func(s object) { s["subject"] = append(s["subject"].([]any), subjectOf(otherHex)) }),
			"the predicate type":           within(func(s object) { s["predicateType"] = "https://slsa.dev/provenance/v1" }),
			"the predicate":                within(func(s object) { s["predicate"] = object{"x": "y"} }),
			"the statement type":           within(func(s object) { s["_type"] = "https://in-toto.io/Statement/v0.1" }),
			"the order of keys":            func(b object) { dsse(b)["payload"] = reversed(t, decode64(t, dsse(b)["payload"])) },
			"a message signature instead":  func(b object) { delete(b, "dsseEnvelope"); b["messageSignature"] = object{"signature": "AAAA"} },
			"a certificate instead": func(b object) {
				b["verificationMaterial"] = object{"certificate": object{"rawBytes": selfSigned(t, key())}}
			},
			"no verification material": func(b object) { delete(b, "verificationMaterial") },
		} {
			var b object
			if err := json.Unmarshal(marshal(t, bundleOf(t, sign, marshal(t, statement()))), &b); err != nil {
				t.Fatal(err)
			}
			wantAccepted(t, v, bundleCandidate(t, b))
			alter(b)
			candidate := bundleCandidate(t, b)
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				wantRejected(t, v, candidate, "")
			})
		}
	}
}

func subject(s object) object { return s["subject"].([]any)[0].(object) }

func decode64(t testing.TB, v any) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(v.(string))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// reversed is the same object with its keys in the reverse order.
func reversed(t testing.TB, b []byte) []byte {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, key := range []string{"subject", "predicateType", "predicate", "_type"} {
		parts = append(parts, fmt.Sprintf("%q:%s", key, fields[key]))
	}
	return []byte("{" + strings.Join(parts, ",") + "}")
}

// TestAlteredPayloadsAreRejected alters one thing at a time in a legacy
// signature that is good.
func TestAlteredPayloadsAreRejected(t *testing.T) {
	t.Parallel()
	replace := func(old, new string) func(*verify.Candidate) {
		return func(c *verify.Candidate) {
			if !bytes.Contains(c.Payload, []byte(old)) {
				t.Fatalf("payload has no %s", old)
			}
			c.Payload = bytes.Replace(c.Payload, []byte(old), []byte(new), 1)
		}
	}
	sig := func(edit func([]byte) []byte) func(*verify.Candidate) {
		return func(c *verify.Candidate) {
			c.Annotations[sigKey] = base64.StdEncoding.EncodeToString(edit(decode64(t, c.Annotations[sigKey])))
		}
	}
	for kind, key := range keys {
		sign := with(key(), crypto.SHA256)
		v := newVerifier(t, policyOf(key()))
		good := legacyCandidate(t, sign, marshal(t, payloadOf()))
		wantAccepted(t, v, good)
		for name, alter := range map[string]func(*verify.Candidate){
			"first bit of the signature":    sig(func(b []byte) []byte { b[0] ^= 1; return b }),
			"last bit of the signature":     sig(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }),
			"signature cut short":           sig(func(b []byte) []byte { return b[:len(b)-1] }),
			"signature with a byte after":   sig(func(b []byte) []byte { return append(b, 0) }),
			"signature with a byte before":  sig(func(b []byte) []byte { return append([]byte{0}, b...) }),
			"no signature bytes":            sig(func([]byte) []byte { return nil }),
			"signature reversed":            sig(func(b []byte) []byte { return append(b[len(b)/2:], b[:len(b)/2]...) }),
			"signature of another message":  sig(func([]byte) []byte { return sign(t, []byte("another message")) }),
			"signature of the digest alone": sig(func([]byte) []byte { return sign(t, []byte(theDigest)) }),
			"signature annotation is gone":  func(c *verify.Candidate) { delete(c.Annotations, sigKey) },
			"the digest":                    replace(theHex, otherHex),
			"one digit of the digest":       replace(theHex[:4], "d065"),
			"the repository":                replace(repository, "evil.example/app"),
			"the type":                      replace("cosign container", "Cosign container"),
			"an annotation's value":         replace("prod", "test"),
			"an annotation's key":           replace(`"env"`, `"ENV"`),
			"an annotation more":            replace(`"env"`, `"x":"y","env"`),
			"white space":                   replace(":", ": "),
			"an escape for a letter":        replace("prod", `\u0070rod`),
			"a newline at the end":          func(c *verify.Candidate) { c.Payload = append(c.Payload, '\n') },
			"the last byte is gone":         func(c *verify.Candidate) { c.Payload = c.Payload[:len(c.Payload)-1] },
			"an empty payload":              func(c *verify.Candidate) { c.Payload = nil },
			"an empty bundle beside it":     func(c *verify.Candidate) { c.Bundle = []byte{} },
			"a payload over the limit":      func(c *verify.Candidate) { c.Payload = append(c.Payload, make([]byte, limits.Payload)...) },
		} {
			candidate := good
			candidate.Payload, candidate.Annotations = bytes.Clone(good.Payload), maps.Clone(good.Annotations)
			alter(&candidate)
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				wantRejected(t, v, candidate, "")
			})
		}
	}
}

// TestFlippedBitsAreNoticed flips bits of what is signed, and of the
// signature itself, at places that chance chooses.
func TestFlippedBitsAreNoticed(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	key := keys["Ed25519"]()
	sign := with(key, 0)
	v := newVerifier(t, policyOf(key))
	good := legacyCandidate(t, sign, marshal(t, payloadOf()))
	sig := decode64(t, good.Annotations[sigKey])
	for range 500 {
		candidate := good
		candidate.Payload = bytes.Clone(good.Payload)
		altered := bytes.Clone(sig)
		if at := random.IntN(len(sig) + len(candidate.Payload)); at < len(sig) {
			altered[at] ^= 1 << random.IntN(8)
		} else {
			candidate.Payload[at-len(sig)] ^= 1 << random.IntN(8)
		}
		candidate.Annotations = map[string]string{sigKey: base64.StdEncoding.EncodeToString(altered)}
		result, err := v.Verify(t.Context(), theImage(), []verify.Candidate{candidate})
		if err == nil || result.Accepted {
			t.Fatalf("accepted (seed %d): %s, signature %x", seed, candidate.Payload, altered)
		}
	}
}
