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
