// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

func subjectOf(hex string) object { return object{"digest": object{"sha256": hex}} }

// TestStatementsByTheRightKey: the signature is good in each case, and what
// decides is what was signed.
func TestStatementsByTheRightKey(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	sign := with(key, crypto.SHA256)
	v := newVerifier(t, policyOf(key))
	many := func(n int) []any {
		subjects := make([]any, n)
		for i := range subjects {
			subjects[i] = subjectOf(fmt.Sprintf("%064x", i))
		}
		return subjects
	}
	annotations := func(n int) object {
		m := object{}
		for i := range n {
			m[fmt.Sprint(i)] = "x"
		}
		return m
	}
	for name, c := range map[string]struct {
		edit func(object)
		why  string // empty where the candidate passes
	}{
		"as cosign v3 signs it":                   {func(object) {}, ""},
		"as cosign v2 signs it, no predicate":     {func(s object) { delete(s, "predicate") }, ""},
		"a subject without name and annotations":  {func(s object) { s["subject"] = []any{subjectOf(theHex)} }, ""},
		"the image is the second of two subjects": {func(s object) { s["subject"] = []any{subjectOf(otherHex), subjectOf(theHex)} }, ""},
		"the image is the first of two subjects":  {func(s object) { s["subject"] = []any{subjectOf(theHex), subjectOf(otherHex)} }, ""},
		"a second digest of the image":            {func(s object) { s["subject"] = []any{object{"digest": object{"sha256": theHex, "gitCommit": "00"}}} }, ""},
		"a predicate with content":                {func(s object) { s["predicate"] = object{"x": 1} }, ""},
		"annotations that are not strings": {func(s object) {
			s["subject"].([]any)[0].(object)["annotations"] = object{"a": 1, "b": nil, "c": object{}}
		}, ""},
		"256 annotations":                 {func(s object) { s["subject"].([]any)[0].(object)["annotations"] = annotations(limits.Annotations) }, ""},
		"257 annotations":                 {func(s object) { s["subject"].([]any)[0].(object)["annotations"] = annotations(limits.Annotations + 1) }, "limit exceeded"},
		"provenance of the image":         {func(s object) { s["predicateType"] = "https://slsa.dev/provenance/v1" }, "is not a signature"},
		"an SBOM of the image":            {func(s object) { s["predicateType"] = "https://spdx.dev/Document" }, "is not a signature"},
		"no predicate type":               {func(s object) { delete(s, "predicateType") }, "is not a signature"},
		"a predicate type with a suffix":  {func(s object) { s["predicateType"] = signType + "/x" }, "is not a signature"},
		"a predicate type in upper case":  {func(s object) { s["predicateType"] = strings.ToUpper(signType) }, "is not a signature"},
		"a predicate type with a space":   {func(s object) { s["predicateType"] = " " + signType }, "is not a signature"},
		"an old statement":                {func(s object) { s["_type"] = "https://in-toto.io/Statement/v0.1" }, "statement of type"},
		"no statement type":               {func(s object) { delete(s, "_type") }, "statement of type"},
		"a statement type that is long":   {func(s object) { s["_type"] = strings.Repeat("x", 10000) }, "statement of type"},
		"another image":                   {func(s object) { s["subject"] = []any{subjectOf(otherHex)} }, "digest"},
		"no subject":                      {func(s object) { s["subject"] = []any{} }, "digest"},
		"subject is missing":              {func(s object) { delete(s, "subject") }, "digest"},
		"subject is null":                 {func(s object) { s["subject"] = nil }, "digest"},
		"the subject in the list is null": {func(s object) { s["subject"] = []any{nil} }, "digest"},
		"a null subject beside the image": {func(s object) { s["subject"] = []any{nil, subjectOf(theHex)} }, "json"},
		"subject is an object":            {func(s object) { s["subject"] = subjectOf(theHex) }, "unmarshal"},
		"subject is a string":             {func(s object) { s["subject"] = theHex }, "unmarshal"},
		"a digest of another algorithm":   {func(s object) { s["subject"] = []any{object{"digest": object{"sha512": theHex}}} }, "digest"},
		"the algorithm in upper case":     {func(s object) { s["subject"] = []any{object{"digest": object{"SHA256": theHex}}} }, "digest"},
		"the digest in upper case":        {func(s object) { s["subject"] = []any{subjectOf(strings.ToUpper(theHex))} }, "no subject of the statement is the image"},
		"the digest with its algorithm":   {func(s object) { s["subject"] = []any{subjectOf(theDigest)} }, "digest"},
		"a digest that is a prefix":       {func(s object) { s["subject"] = []any{subjectOf(theHex[:62])} }, "digest"},
		"an empty digest":                 {func(s object) { s["subject"] = []any{subjectOf("")} }, "digest"},
		"digest is null":                  {func(s object) { s["subject"] = []any{object{"digest": nil}} }, "digest"},
		"digest is a string":              {func(s object) { s["subject"] = []any{object{"digest": theDigest}} }, "unmarshal"},
		"the digest in the name alone":    {func(s object) { s["subject"] = []any{object{"name": "app@" + theDigest}} }, "digest"},
		"the digest in the uri alone": {func(s object) {
			s["subject"] = []any{object{"uri": "app@" + theDigest, "digest": object{"sha256": otherHex}}}
		}, "digest"},
		"a field that in-toto does not know":       {func(s object) { s["extra"] = true }, "json"},
		"more subjects than sigstore reads":        {func(s object) { s["subject"] = append(many(5000), subjectOf(theHex)) }, "too many subjects"},
		"a digest that is no hex beside the image": {func(s object) { s["subject"] = []any{subjectOf("zz"), subjectOf(theHex)} }, "digest"},
		"the image in annotations of another image": {func(s object) {
			s["subject"] = []any{object{"digest": object{"sha256": otherHex}, "annotations": object{"sha256": theHex}}}
		}, "digest"},
	} {
		s := statement()
		c.edit(s)
		candidate := bundleCandidate(t, bundleOf(t, sign, marshal(t, s)))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.why == "" {
				wantAccepted(t, v, candidate)
			} else {
				wantRejected(t, v, candidate, c.why)
			}
		})
	}
}

// TestPayloadsOfABundleThatAreNoStatement: the signature is good.
func TestPayloadsOfABundleThatAreNoStatement(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	sign := with(key, crypto.SHA256)
	v := newVerifier(t, policyOf(key))
	good := string(marshal(t, statement()))
	for name, payload := range map[string]string{
		"empty":                            "",
		"null":                             "null",
		"an array":                         "[]",
		"an array of statements":           "[" + good + "]",
		"a number":                         "7",
		"a string":                         `"x"`,
		"true":                             "true",
		"an empty object":                  "{}",
		"truncated":                        good[:len(good)-1],
		"two statements":                   good + good,
		"trailing text":                    good + "x",
		"deeply nested":                    strings.Repeat(`{"predicate":`, 20000) + "1" + strings.Repeat("}", 20000),
		"a deep array":                     strings.Repeat("[", 100000),
		"a deep predicate":                 good[:len(good)-1] + `,"x":` + strings.Repeat(`[`, 50000) + strings.Repeat(`]`, 50000) + "}",
		"bytes that are not UTF-8":         strings.Replace(good, "prod", "\xff", 1),
		"a simple signing payload":         string(marshal(t, payloadOf())),
		"a duplicate predicate type":       good[:len(good)-1] + `,"predicateType":"https://slsa.dev/provenance/v1"}`,
		"a duplicate predicate type first": `{"predicateType":"https://slsa.dev/provenance/v1",` + good[1:],
		"a duplicate subject":              good[:len(good)-1] + `,"subject":[]}`,
		"a duplicate type":                 good[:len(good)-1] + `,"_type":"` + statementURI + `"}`,
		"a NUL":                            good + "\x00",
		"a byte order mark":                "\ufeff" + good,
		"an infinite number":               strings.Replace(good, `"prod"`, "1e999", 1),
	} {
		candidate := bundleCandidate(t, bundleOf(t, sign, []byte(payload)))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRejected(t, v, candidate, "")
		})
	}
}

// TestEnvelopesThatAreNotASignature: the statement is good in each.
func TestEnvelopesThatAreNotASignature(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	sign := with(key, crypto.SHA256)
	v := newVerifier(t, policyOf(key))
	payload := marshal(t, statement())
	certificate := selfSigned(t, key)
	dsse := func(b object) object { return b["dsseEnvelope"].(object) }
	for name, c := range map[string]struct {
		edit func(object)
		why  string // empty where the candidate passes
	}{
		"a good one":                    {func(object) {}, ""},
		"a hint that names another key": {func(b object) { b["verificationMaterial"] = object{"publicKey": object{"hint": "other"}} }, ""},
		"no hint":                       {func(b object) { b["verificationMaterial"] = object{"publicKey": object{}} }, ""},
		"the id of another key":         {func(b object) { dsse(b)["signatures"].([]any)[0].(object)["keyid"] = "x" }, "does not verify with the key"},
		"media type with a parameter":   {func(b object) { b["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.3" }, ""},
		"no media type":                 {func(b object) { delete(b, "mediaType") }, "media type"},
		"another media type":            {func(b object) { b["mediaType"] = "application/json" }, "media type"},
		"a version that is to come":     {func(b object) { b["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.4+json" }, "v0.4"},
		"no signature":                  {func(b object) { dsse(b)["signatures"] = []any{} }, "exactly one signature"},
		"no list of signatures":         {func(b object) { delete(dsse(b), "signatures") }, "exactly one signature"},
		"two good signatures": {func(b object) {
			dsse(b)["signatures"] = append(dsse(b)["signatures"].([]any), dsse(b)["signatures"].([]any)[0])
		}, "signature"},
		"a bad signature before a good": {func(b object) {
			dsse(b)["signatures"] = append([]any{object{"sig": "AAAA"}}, dsse(b)["signatures"].([]any)...)
		}, "signature"},
		"a null signature":              {func(b object) { dsse(b)["signatures"] = []any{nil} }, "null"},
		"no payload":                    {func(b object) { delete(dsse(b), "payload") }, "envelope"},
		"another payload type":          {func(b object) { dsse(b)["payloadType"] = "application/json" }, "envelope of type"},
		"no payload type":               {func(b object) { delete(dsse(b), "payloadType") }, "envelope of type"},
		"payload type with a parameter": {func(b object) { dsse(b)["payloadType"] = intotoType + ";v=1" }, "envelope of type"},
		"no verification material":      {func(b object) { delete(b, "verificationMaterial") }, "verification material"},
		"empty verification material":   {func(b object) { b["verificationMaterial"] = object{} }, "verification material"},
		"no content":                    {func(b object) { delete(b, "dsseEnvelope") }, "content"},
		"both contents":                 {func(b object) { b["messageSignature"] = object{"signature": "AAAA"} }, "oneof"},
		"a field that no bundle has":    {func(b object) { b["extra"] = 1 }, "unknown field"},
		"a certificate of the key":      {func(b object) { b["verificationMaterial"] = object{"certificate": object{"rawBytes": certificate}} }, "certificate"},
		"a certificate chain of the key": {func(b object) {
			b["verificationMaterial"] = object{"x509CertificateChain": object{"certificates": []any{object{"rawBytes": certificate}}}}
		}, "signed with a certificate"},
		"a certificate chain in v0.2": {func(b object) {
			b["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.2"
			b["verificationMaterial"] = object{"x509CertificateChain": object{"certificates": []any{object{"rawBytes": certificate}}}}
		}, "certificate"},
		"a certificate that is none":   {func(b object) { b["verificationMaterial"] = object{"certificate": object{"rawBytes": "AAAA"}} }, "x509"},
		"an empty certificate":         {func(b object) { b["verificationMaterial"] = object{"certificate": object{}} }, "verification material"},
		"junk in the place of entries": {func(b object) { b["verificationMaterial"].(object)["tlogEntries"] = []any{object{"logIndex": "1"}} }, ""},
		"a null entry":                 {func(b object) { b["verificationMaterial"].(object)["tlogEntries"] = []any{nil} }, "null"},
		"many entries": {func(b object) {
			entries := make([]any, 1000)
			for i := range entries {
				entries[i] = object{}
			}
			b["verificationMaterial"].(object)["tlogEntries"] = entries
		}, ""},
		"junk in the place of timestamps": {func(b object) {
			b["verificationMaterial"].(object)["timestampVerificationData"] = object{"rfc3161Timestamps": []any{object{"signedTimestamp": "AAAA"}}}
		}, ""},
	} {
		b := bundleOf(t, sign, payload)
		c.edit(b)
		candidate := bundleCandidate(t, b)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.why == "" {
				wantAccepted(t, v, candidate)
			} else {
				wantRejected(t, v, candidate, c.why)
			}
		})
	}
}

// selfSigned is a certificate for key, made by key.
func selfSigned(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestAPayloadTypeIsSigned: the type cannot be put right afterwards.
func TestAPayloadTypeIsSigned(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	b := envelopeOf(t, with(key, crypto.SHA256), "application/json", marshal(t, statement()))
	v := newVerifier(t, policyOf(key))
	wantRejected(t, v, bundleCandidate(t, b), "envelope of type")
	b["dsseEnvelope"].(object)["payloadType"] = intotoType
	wantRejected(t, v, bundleCandidate(t, b), "does not verify with the key")
}

// messageBundle is a bundle with a message signature, and the manifest that is
// the message.
func messageBundle(t testing.TB, sign signFunc, manifest []byte) (verify.Image, object) {
	t.Helper()
	d := digest.FromBytes(manifest)
	sum, err := hex.DecodeString(d.Encoded())
	if err != nil {
		t.Fatal(err)
	}
	image := theImage()
	image.Target.Digest = d
	return image, object{
		"mediaType":            "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": object{"publicKey": object{"hint": ""}},
		"messageSignature": object{
			"messageDigest": object{"algorithm": "SHA2_256", "digest": sum},
			"signature":     sign(t, manifest),
		},
	}
}

// TestMessageSignatures: they bind the digest, and claim nothing else. A policy
// has to ask for them.
func TestMessageSignatures(t *testing.T) {
	t.Parallel()
	manifest := []byte(`{"schemaVersion":2}`)
	for name, test := range map[string]struct {
		key  crypto.Signer
		sign func(crypto.Signer) signFunc
	}{
		"P-256":     {keys["P-256"](), func(k crypto.Signer) signFunc { return with(k, crypto.SHA256) }},
		"RSA":       {keys["RSA 2048"](), func(k crypto.Signer) signFunc { return with(k, crypto.SHA256) }},
		"Ed25519ph": {keys["Ed25519"](), withEd25519ph},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image, b := messageBundle(t, test.sign(test.key), manifest)
			check := func(image verify.Image, edit func(*verify.Policy)) (*verify.Result, error) {
				policy := policyOf(test.key)
				policy.AllowMessageSignaturesUnsafe = true
				edit(&policy)
				return newVerifier(t, policy).Verify(t.Context(), image, []verify.Candidate{bundleCandidate(t, b)})
			}
			result, err := check(image, func(*verify.Policy) {})
			if name == "Ed25519ph" {
				// sigstore-go has no way to check it with a digest alone.
				wantFamily(t, err, verify.ErrRejected)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s := result.Signatures[0]; s.Form != verify.FormBundle || s.KeyID == "" || s.Claims.Repository != "" || s.Claims.Statement != nil || s.Claims.PredicateType != "" {
				t.Errorf("%+v", s)
			}
			for why, edit := range map[string]func(*verify.Policy){
				"the policy does not allow it": func(p *verify.Policy) { p.AllowMessageSignaturesUnsafe = false },
				`annotation "env" is missing`:  func(p *verify.Policy) { p.Annotations = map[string]string{"env": "prod"} },
				"signed for repository":        func(p *verify.Policy) { p.Repository = verify.ExactRepository() },
				"does not verify with the key": func(p *verify.Policy) { p.Keys = policyOf(keys["P-384"]()).Keys },
			} {
				_, err := check(image, edit)
				wantFamily(t, err, verify.ErrRejected)
				if !strings.Contains(err.Error(), why) {
					t.Errorf("error %v, want one that says %q", err, why)
				}
			}
			_, err = check(theImage(), func(*verify.Policy) {})
			wantFamily(t, err, verify.ErrRejected)
		})
	}
	t.Run("the digest in the bundle is not trusted", func(t *testing.T) {
		t.Parallel()
		key := keys["P-256"]()
		_, b := messageBundle(t, with(key, crypto.SHA256), manifest)
		sum, _ := hex.DecodeString(theHex)
		b["messageSignature"].(object)["messageDigest"].(object)["digest"] = sum
		policy := policyOf(key)
		policy.AllowMessageSignaturesUnsafe = true
		wantRejected(t, newVerifier(t, policy), bundleCandidate(t, b), "does not verify with the key")
	})
}

func TestBundlesThatAreNone(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	v := newVerifier(t, policyOf(key))
	good := marshal(t, bundleOf(t, with(key, crypto.SHA256), marshal(t, statement())))
	for name, b := range map[string][]byte{
		"empty":                    {},
		"null":                     []byte("null"),
		"an array":                 []byte("[]"),
		"an array of bundles":      []byte("[" + string(good) + "]"),
		"a number":                 []byte("7"),
		"an empty object":          []byte("{}"),
		"truncated":                good[:len(good)-1],
		"two bundles":              append(bytes.Clone(good), good...),
		"deeply nested":            []byte(strings.Repeat(`{"verificationMaterial":`, 20000)),
		"a deep array":             []byte(strings.Repeat("[", 100000)),
		"binary":                   bytes.Repeat([]byte{0, 0xff}, 100),
		"a duplicate envelope":     []byte(string(good[:len(good)-1]) + `,"dsseEnvelope":{}}`),
		"a duplicate media type":   []byte(`{"mediaType":"x",` + string(good[1:])),
		"a statement":              marshal(t, statement()),
		"the signature is a list":  []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":[]}`),
		"base64 that is not":       bytes.Replace(good, []byte(`"payload":"`), []byte(`"payload":"*`), 1),
		"control characters":       []byte("{\"\x1b[31m\n\": \u009b2J\u202e}"),
		"one byte over the limit":  append(bytes.Clone(good), bytes.Repeat([]byte(" "), limits.Bundle+1-len(good))...),
		"far over the limit":       bytes.Repeat([]byte(" "), 8*limits.Bundle),
		"an envelope that is null": []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":null,"verificationMaterial":{"publicKey":{}}}`),
		"a bundle that is null":    []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{},"verificationMaterial":null}`),
		"a public key that is nil": []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AA=="}]},"verificationMaterial":{"publicKey":null}}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			why := ""
			if strings.Contains(name, "limit") {
				why = "limit exceeded"
			}
			wantRejected(t, v, verify.Candidate{Bundle: b}, why)
		})
	}
	t.Run("a signature over its own limit", func(t *testing.T) {
		t.Parallel()
		large := bundleOf(t, constant(make([]byte, limits.Payload+1)), marshal(t, statement()))
		wantRejected(t, v, bundleCandidate(t, large), "")
	})
	t.Run("the limit itself is accepted", func(t *testing.T) {
		t.Parallel()
		wantAccepted(t, v, verify.Candidate{Bundle: append(bytes.Clone(good), bytes.Repeat([]byte(" "), limits.Bundle-len(good))...)})
	})
}

// TestSignaturesOfOneFormAreNoneOfTheOther: a key signs many things, and each
// must be what it says.
func TestSignaturesOfOneFormAreNoneOfTheOther(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	sign := with(key, crypto.SHA256)
	v := newVerifier(t, policyOf(key))
	s, p := marshal(t, statement()), marshal(t, payloadOf())
	t.Run("a statement as a payload", func(t *testing.T) {
		t.Parallel()
		wantRejected(t, v, legacyCandidate(t, sign, s), "the payload is for digest")
	})
	t.Run("a payload as a statement", func(t *testing.T) {
		t.Parallel()
		wantRejected(t, v, bundleCandidate(t, bundleOf(t, sign, p)), "")
	})
	t.Run("a payload's signature in an envelope", func(t *testing.T) {
		t.Parallel()
		wantRejected(t, v, bundleCandidate(t, bundleOf(t, constant(sign(t, s)), s)), "does not verify with the key")
	})
	t.Run("an envelope's signature over a payload", func(t *testing.T) {
		t.Parallel()
		pae := fmt.Sprintf("DSSEv1 %d %s %d %s", len(intotoType), intotoType, len(p), p)
		wantRejected(t, v, legacyCandidate(t, constant(sign(t, []byte(pae))), p), "does not verify with the key")
	})
	t.Run("a bundle decides where there is also a payload", func(t *testing.T) {
		t.Parallel()
		candidate := legacyCandidate(t, sign, p)
		candidate.Bundle = []byte("{}")
		wantRejected(t, v, candidate, "")
	})
}

// TestKeyIDsTellKeysApart guards the key id, which is over
// the whole key.
func TestKeyIDsTellKeysApart(t *testing.T) {
	t.Parallel()
	a, b := newECDSA(elliptic.P256()), newECDSA(elliptic.P256())
	v := newVerifier(t, policyOf(a, b))
	sa := wantAccepted(t, v, bundleCandidate(t, bundleOf(t, with(a, crypto.SHA256), marshal(t, statement()))))
	sb := wantAccepted(t, v, bundleCandidate(t, bundleOf(t, with(b, crypto.SHA256), marshal(t, statement()))))
	if sa.Signatures[0].KeyID == sb.Signatures[0].KeyID {
		t.Error("two keys have one id")
	}
}
