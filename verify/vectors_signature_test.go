// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/internal/golden"
)

// inSignature are changes to the signature and what is signed.
func inSignature() []alteration {
	statement := func(f func(object) bool) change {
		return func(t testing.TB, s, _ *specimen) bool {
			return s.first().bundle != nil && editObject(t, s.first().content(), f)
		}
	}
	payload := func(f func(object) bool) change {
		return func(t testing.TB, s, _ *specimen) bool {
			return s.first().bundle == nil && editObject(t, s.first().content(), f)
		}
	}
	envelope := func(f func(envelope, signature object)) change {
		return func(_ testing.TB, s, _ *specimen) bool {
			e := s.first().envelope()
			if e == nil {
				return false
			}
			f(e, within(e, "signatures", 0))
			return true
		}
	}
	return []alteration{
		{"signature, a bit of it", func(_ testing.TB, s, _ *specimen) bool { return flipAt(s.first().signature(), -1) }, badSignature},
		{"signature, its first bit", func(_ testing.TB, s, _ *specimen) bool { return flipAt(s.first().signature(), 0) }, badSignature},
		{"signature, cut short", func(_ testing.TB, s, _ *specimen) bool {
			return edit(s.first().signature(), func(b []byte) []byte { return b[:len(b)-1] })
		}, badSignature},
		{"signature, a byte more", func(_ testing.TB, s, _ *specimen) bool {
			return edit(s.first().signature(), func(b []byte) []byte { return append(b, 0) })
		}, badSignature},
		{"signature, empty", func(_ testing.TB, s, _ *specimen) bool { return setBytes(s.first().signature(), nil) }, because("the layer carries no signature").in("bundle", badSignature)},
		{"signature, twice", func(_ testing.TB, s, _ *specimen) bool {
			return edit(s.first().signature(), func(b []byte) []byte { return append(b, b...) })
		}, badSignature},
		{"signature, nothing but zeros", func(_ testing.TB, s, _ *specimen) bool {
			return edit(s.first().signature(), func(b []byte) []byte { return make([]byte, len(b)) })
		}, badSignature},
		{"signature, gone", func(_ testing.TB, s, _ *specimen) bool {
			return without(s.first().annotations, sigKey) || without(within(s.first().envelope(), "signatures", 0), "sig")
		}, because("the layer carries no signature").in("bundle", badSignature)},
		{"signature, of another image", func(_ testing.TB, s, another *specimen) bool {
			return copied(s.first().signature(), another.first().signature())
		}, badSignature},
		{"signature and all that belongs to it, of another image", func(_ testing.TB, s, another *specimen) bool {
			s.samples = another.samples
			s.policy = another.policy
			return true
		}, anotherDigest},
		{"envelope, no signature", envelope(func(e, _ object) { e["signatures"] = []any{} }), because("exactly one signature is required")},
		{"envelope, the signature twice", envelope(func(e, sig object) { e["signatures"] = []any{sig, sig} }), because("exactly one signature is required")},
		{"envelope, another signature before", func(_ testing.TB, s, another *specimen) bool {
			e := s.first().envelope()
			if e == nil {
				return false
			}
			e["signatures"] = []any{within(another.first().envelope(), "signatures", 0), within(e, "signatures", 0)}
			return true
		}, because("exactly one signature is required")},
		{"envelope, its type", envelope(func(e, _ object) { e["payloadType"] = "application/json" }), because(`envelope of type "application/json"`)},
		{"message signature in its place", func(_ testing.TB, s, _ *specimen) bool {
			e := s.first().envelope()
			if e == nil {
				return false
			}
			s.first().bundle["messageSignature"] = object{
				"messageDigest": object{"algorithm": "SHA2_256", "digest": hexIn(object{"": s.Digest.Encoded()}, "").get()},
				"signature":     within(e, "signatures", 0)["sig"],
			}
			delete(s.first().bundle, "dsseEnvelope")
			return true
		}, badSignature},
		{"message signature beside it", func(_ testing.TB, s, _ *specimen) bool {
			e := s.first().envelope()
			if e == nil {
				return false
			}
			s.first().bundle["messageSignature"] = object{"signature": within(e, "signatures", 0)["sig"]}
			return true
		}, because("oneof .* is already set")},
		{"content, of another image", func(_ testing.TB, s, another *specimen) bool {
			return copied(s.first().content(), another.first().content())
		}, badContent},
		{"content, white space", func(_ testing.TB, s, _ *specimen) bool {
			return edit(s.first().content(), func(b []byte) []byte { return append(b, ' ') })
		}, badContent},
		{"content, its first bit", func(_ testing.TB, s, _ *specimen) bool { return flipAt(s.first().content(), 0) }, badContent},
		{"content, its last bit", func(_ testing.TB, s, _ *specimen) bool { return flipAt(s.first().content(), -1) }, badContent},
		{"content, cut short", func(_ testing.TB, s, _ *specimen) bool {
			return edit(s.first().content(), func(b []byte) []byte { return b[:len(b)-1] })
		}, badContent},
		{"content, twice", func(_ testing.TB, s, _ *specimen) bool {
			return edit(s.first().content(), func(b []byte) []byte { return append(b, b...) })
		}, badContent},
		{"content, empty", func(_ testing.TB, s, _ *specimen) bool { return setBytes(s.first().content(), nil) }, because("does not verify with").in("identity bundle", because("missing valid envelope")).in("identity legacy", badContent)},
		{"payload, digest", payload(func(o object) bool {
			return put(within(o, "critical", "image"), "docker-manifest-digest", "sha256:"+otherHex)
		}), badContent},
		{"payload, digest of another algorithm", payload(func(o object) bool {
			return put(within(o, "critical", "image"), "docker-manifest-digest", "sha512:"+otherHex+otherHex)
		}), badContent},
		{"payload, no digest", payload(func(o object) bool { return without(within(o, "critical", "image"), "docker-manifest-digest") }), badContent},
		{"payload, type", payload(func(o object) bool { return put(within(o, "critical"), "type", "atomic container signature") }), badContent},
		{"payload, repository", payload(func(o object) bool {
			return put(within(o, "critical", "identity"), "docker-reference", "evil.example/app")
		}), badContent},
		{"payload, annotation", payload(func(o object) bool { return put(within(o, "optional"), "env", "prod") }), badContent},
		{"payload, another annotation", payload(func(o object) bool { return put(o, "optional", object{"env": "golden", "run": "7", "x": "y"}) }), badContent},
		{"statement, digest", statement(func(o object) bool { return put(within(o, "subject", 0, "digest"), "sha256", otherHex) }), badContent},
		{"statement, annotation", statement(func(o object) bool { return put(within(o, "subject", 0, "annotations"), "env", "prod") }), badContent},
		{"statement, another annotation", statement(func(o object) bool {
			return put(within(o, "subject", 0), "annotations", object{"env": "golden", "run": "7", "x": "y"})
		}), badContent},
		{"statement, another subject", statement(func(o object) bool {
			return put(o, "subject", append(o["subject"].([]any), subjectOf(otherHex)))
		}), badContent},
		{"statement, no subject", statement(func(o object) bool { return put(o, "subject", []any{}) }), badContent},
		{"statement, type", statement(func(o object) bool { return put(o, "_type", "https://in-toto.io/Statement/v0.1") }), badContent},
		{"statement, predicate type", statement(func(o object) bool { return put(o, "predicateType", "https://slsa.dev/provenance/v1") }), badContent},
		{"statement, predicate", statement(func(o object) bool { return put(o, "predicate", object{"x": "y"}) }), badContent},
		{"one signer twice", func(_ testing.TB, s, _ *specimen) bool {
			if s.Signers < 2 {
				return false
			}
			s.samples[0] = s.samples[1]
			return true
		}, because("signed by 1 of the 2 different signers required$")},
	}
}

// inMaterial are changes to what shows whose signature it is.
func inMaterial() []alteration {
	const (
		v9  = "application/vnd.dev.sigstore.bundle.v0.9+json"
		v01 = "application/vnd.dev.sigstore.bundle+json;version=0.1"
	)
	return []alteration{
		{"media type, none", func(_ testing.TB, s, _ *specimen) bool { return without(s.first().bundle, "mediaType") }, because("unsupported media type")},
		{"media type, unknown version", func(_ testing.TB, s, _ *specimen) bool { return put(s.first().bundle, "mediaType", v9) }, because("bundle version v0.9 is not yet supported")},
		// Logs of Rekor v2 make no promises, which this version requires.
		{"media type, v0.1", func(_ testing.TB, s, _ *specimen) bool {
			return s.Log == golden.RekorV2 && put(s.first().bundle, "mediaType", v01)
		}, because("inclusion promises missing in bundle")},
		{"material, none", func(_ testing.TB, s, _ *specimen) bool {
			return put(s.first().bundle, "verificationMaterial", object{})
		}, because("missing verification material")},
		{"material, a public key for the certificate", func(_ testing.TB, s, _ *specimen) bool {
			if !without(s.first().material(), "certificate") {
				return false
			}
			s.first().material()["publicKey"] = object{"hint": "key"}
			return true
		}, because("signed with a key, and the policy names only identities")},
		{"material, a certificate for the public key", func(t testing.TB, s, _ *specimen) bool {
			if !without(s.first().material(), "publicKey") {
				return false
			}
			s.first().material()["certificate"] = object{"rawBytes": strangers(t, s).first().certificate().get()}
			return true
		}, because("signed with a certificate, and the policy names only keys")},
		{"material, a public key beside the certificate", func(_ testing.TB, s, _ *specimen) bool {
			if s.first().bundle == nil || s.first().certificate() == nil {
				return false
			}
			s.first().material()["publicKey"] = object{"hint": "key"}
			return true
		}, because("oneof .* is already set")},
		{"certificate, of another signature", func(_ testing.TB, s, another *specimen) bool {
			return copied(s.first().certificate(), another.first().certificate())
		}, because("does not verify with the key of the certificate|signed by .*: expected SAN value")},
		{"certificate, a bit of its signature", func(_ testing.TB, s, _ *specimen) bool { return flipAt(s.first().certificate(), -1) }, because("leaf certificate verification failed")},
		{"certificate, subject", func(_ testing.TB, s, _ *specimen) bool {
			return edit(s.first().certificate(), func(b []byte) []byte {
				b = bytes.Replace(b, []byte("person@example.com"), []byte("nosrep@example.com"), 1)
				return bytes.Replace(b, []byte("github.com/example"), []byte("github.com/elpmaxe"), 1)
			})
		}, anotherName},
		{"certificate, gone", func(_ testing.TB, s, _ *specimen) bool {
			return without(s.first().annotations, certificateKey) || without(s.first().material(), "certificate")
		}, because("missing verification material").in("legacy", because("signed with a key, and the policy names only identities"))},
		{"certificate, that of the authority", func(t testing.TB, s, _ *specimen) bool {
			return setBytes(s.first().certificate(), authority(t, s))
		}, noName},
		{"certificate, junk", func(_ testing.TB, s, _ *specimen) bool { return setBytes(s.first().certificate(), []byte("junk")) }, because("x509: malformed certificate")},
		{"certificate, two", func(_ testing.TB, s, _ *specimen) bool {
			text, ok := s.first().annotations[certificateKey].(string)
			return ok && put(s.first().annotations, certificateKey, text+"\n"+text)
		}, because("2 certificates, want 1")},
		{"chain, junk in it", func(_ testing.TB, s, _ *specimen) bool {
			if text, ok := s.first().annotations[chainKey].(string); ok {
				s.first().annotations[chainKey] = text + "\njunk"
				return true
			}
			return chained(s, []byte("junk"))
		}, because("certificate chain: x509: malformed certificate").in("legacy", because("certificate chain: not a certificate in PEM"))},
		{"chain, the authority before the certificate", func(t testing.TB, s, _ *specimen) bool {
			c := s.first().certificate()
			if c == nil {
				return false
			}
			leaf := c.get()
			c.put(authority(t, s))
			if s.first().bundle == nil {
				s.first().annotations[chainKey] = string(pemOf("CERTIFICATE", leaf))
				return true
			}
			return chained(s, leaf)
		}, because("non-CA certificate found in certificate chain").in("legacy", noName)},
		{"chain, too long", func(t testing.TB, s, _ *specimen) bool {
			above := slices.Repeat([][]byte{authority(t, s)}, 100)
			if s.first().certificate() != nil && s.first().bundle == nil {
				return put(s.first().annotations, chainKey, strings.Repeat(string(pemOf("CERTIFICATE", above[0])), len(above)))
			}
			return chained(s, above...)
		}, because("number of certificates is larger than 16")},
	}
}

// chained makes a chain of the certificate of a bundle and others.
func chained(s *specimen, above ...[]byte) bool {
	leaf := within(s.first().material(), "certificate")
	if leaf == nil {
		return false
	}
	certificates := []any{leaf}
	for _, der := range above {
		certificates = append(certificates, object{"rawBytes": der})
	}
	delete(s.first().material(), "certificate")
	s.first().material()["x509CertificateChain"] = object{"certificates": certificates}
	return true
}

// authority is the certificate of the certificate authority.
func authority(t testing.TB, s *specimen) []byte {
	t.Helper()
	chain := within(s.trusted(t), "certificateAuthorities", 0, "certChain", "certificates", 0)
	return base64In(chain, "rawBytes").get()
}

// strangers is a specimen with a certificate.
func strangers(t testing.TB, s *specimen) *specimen {
	t.Helper()
	i := slices.IndexFunc(s.set.Vectors, func(v golden.Vector) bool { return v.Form == golden.Bundle && v.Identity != nil })
	return specimens(t, s.set, s.set.Vectors[i])()
}
