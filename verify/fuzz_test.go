// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// The fuzz targets begin with what real tools signed, so that an input means the
// same in every process of a run: a fuzzer's seeds are made in one and tried in
// others. Nobody can forge a signature by chance: whatever is accepted must hold
// what was really signed, for the image that it was signed for.
//
// Behind a signature there are parsers as well. To reach those, a target signs
// what it is given, with fuzzKey, or has a log or an authority of these tests do
// so.

// fuzzKey signs deterministically and is the same in every process.
var fuzzKey crypto.Signer = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

// silence holds that nothing is printed.
type silence struct{ file *os.File }

func newSilence(f *testing.F) silence {
	f.Helper()
	file, err := os.CreateTemp(f.TempDir(), "")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = file.Close() })
	return silence{file}
}

func (s silence) during(t *testing.T, check func()) {
	t.Helper()
	stdout, stderr, logged := os.Stdout, os.Stderr, log.Writer()
	os.Stdout, os.Stderr = s.file, s.file
	log.SetOutput(s.file)
	defer func() {
		os.Stdout, os.Stderr = stdout, stderr
		log.SetOutput(logged)
		if info, err := s.file.Stat(); err != nil || info.Size() > 0 {
			t.Errorf("printed something: %v", err)
		}
	}()
	check()
}

// wantOneLine holds that a terminal can show err.
func wantOneLine(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	for _, c := range text {
		if unicode.IsControl(c) || unicode.In(c, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			t.Errorf("error has the control character %U: %q", c, text)
			return
		}
	}
	if !utf8.ValidString(text) || len(text) > 8<<10 {
		t.Errorf("error is not text, or has %d bytes: %.1000q", len(text), text)
	}
}

// wantVerdict verifies candidates and holds what is true of every verdict.
func wantVerdict(t *testing.T, v verify.Verifier, image verify.Image, candidates ...verify.Candidate) *verify.Result {
	t.Helper()
	ctx := context.Background()
	result, err := v.Verify(ctx, image, candidates)
	if result == nil || len(result.Signatures) != len(candidates) || result.Accepted != (err == nil) {
		t.Fatalf("result is %+v beside the error %v", result, err)
	}
	if err != nil {
		wantFamily(t, err, verify.ErrRejected)
		wantOneLine(t, err)
	}
	passed := 0
	for _, s := range result.Signatures {
		switch {
		case s.Err == nil:
			passed++
			if (s.Identity == nil) == (s.KeyID == "") {
				t.Errorf("passed, and who signed is %+v", s)
			}
		case strings.Contains(s.Err.Error(), "panic"):
			t.Errorf("a panic: %v", s.Err)
		}
	}
	if result.Accepted && passed == 0 {
		t.Error("accepted, and nothing passed")
	}
	if _, err := json.Marshal(result); err != nil {
		t.Errorf("result has no JSON: %v", err)
	}
	payloads, err := result.Payloads()
	if err != nil || len(decode(t, payloads)) != passed {
		t.Errorf("payloads are %s, %v; want %d", payloads, err, passed)
	}
	pinned, err := result.Pinned()
	if (err == nil) != result.Accepted || err == nil && !strings.HasSuffix(pinned, "@"+image.Target.Digest.String()) {
		t.Errorf("accepted is %t, pinned %q, %v", result.Accepted, pinned, err)
	}
	streamed, err := v.(verify.StreamVerifier).VerifyStream(ctx, image, slices.Values(candidates))
	if streamed == nil || streamed.Accepted != result.Accepted || (err == nil) != result.Accepted || len(streamed.Signatures) > len(candidates) {
		t.Fatalf("one by one the result is %+v, %v; together %+v", streamed, err, result)
	}
	return result
}

// signedThings are signatures that real tools made, of real images.
type signedThings struct {
	policy     verify.Policy // of everybody who signed, and nothing else
	images     []verify.Image
	candidates []signedThing
	known      map[string]bool // of each image, by content
}

type signedThing struct {
	verify.Candidate
	image uint8
}

// fuzzVectors are a few of those in testdata/golden, with keys that are quick to
// verify with: every kind of proof, in both forms.
var fuzzVectors = []string{
	"v1.13.6-legacy-keyless-rekor-v1", "v2.6.5-legacy-keyless-rekor-v1-tsa", "v3.1.3-legacy-keyless-tsa",
	"v3.1.3-legacy-p256", "v3.1.3-legacy-p256-rekor-v1-tsa", "v3.1.3-legacy-workflow-rekor-v1",
	"v2.6.5-bundle-keyless-rekor-v1", "v3.1.3-bundle-keyless-tsa", "v3.1.3-bundle-keyless-rekor-v2-tsa",
	"v3.1.3-bundle-p256-rekor-v1-tsa", "v3.1.3-bundle-p256-rekor-v2-tsa", "v3.1.3-bundle-rsa-2048", "v3.1.3-bundle-ed25519",
}

func readSignedThings(f *testing.F) *signedThings {
	f.Helper()
	all := &signedThings{known: map[string]bool{}}
	set := vectors(f)
	for _, v := range set.Vectors {
		if !slices.Contains(fuzzVectors, v.Name) {
			continue
		}
		policy := set.policy(f, v)
		all.policy.Keys = append(all.policy.Keys, policy.Keys...)
		for _, identity := range policy.Identities {
			all.add(identity)
		}
		for _, c := range set.candidates(f, v, v.Digest) {
			all.found(f, v.Digest, c)
		}
	}
	all.add(verify.Identity{Subject: "mitr@redhat.com", Issuer: "https://github.com/login/oauth"})
	key, err := verify.ParsePublicKey(readFile(f, publicGood, "legacy-key", "cosign2.pub"))
	if err != nil {
		f.Fatal(err)
	}
	all.policy.Keys = append(all.policy.Keys, key)
	for _, dir := range []string{"legacy-key", "legacy-keyless"} {
		c := verify.Candidate{Payload: readFile(f, publicGood, dir, "payload.json")}
		readJSON(f, &c.Annotations, publicGood, dir, "annotations.json")
		all.found(f, published, c)
	}
	// A file that somebody signed, as if it were an image.
	all.add(verify.Identity{Subject: "a@tny.town", Issuer: "https://github.com/login/oauth"})
	all.found(f, digest.FromBytes(readFile(f, publicGood, "bundles", "a.txt")),
		verify.Candidate{Bundle: readFile(f, publicGood, "bundles", "a.txt.sigstore.json")})
	all.policy.AllowMessageSignaturesUnsafe = true
	all.policy.TrustedRoots = rootsIn(f, "../testdata/golden", publicGood)
	return all
}

func (s *signedThings) add(identity verify.Identity) {
	if !slices.Contains(s.policy.Identities, identity) {
		s.policy.Identities = append(s.policy.Identities, identity)
	}
}

func (s *signedThings) found(f *testing.F, d digest.Digest, c verify.Candidate) {
	f.Helper()
	image := theImage()
	image.Target.Digest = d
	at := slices.IndexFunc(s.images, func(i verify.Image) bool { return i.Target.Digest == d })
	if at < 0 {
		at = len(s.images)
		s.images = append(s.images, image)
	}
	s.candidates = append(s.candidates, signedThing{c, uint8(at)})
	s.known[knownAs(f, image, c)] = true
}

// knownAs is what a candidate signs, which several encodings can say.
func knownAs(t testing.TB, image verify.Image, c verify.Candidate) string {
	t.Helper()
	content := c.Payload
	if c.Bundle != nil {
		content = statementOf(t, c.Bundle)
	}
	return image.Target.Digest.String() + "\n" + string(content)
}

func (s *signedThings) image(i uint8) verify.Image { return s.images[int(i)%len(s.images)] }

// verifiers are such that every parser runs: that of log entries, of certificates,
// and of timestamps.
func (s *signedThings) verifiers(f *testing.F) []verify.Verifier {
	f.Helper()
	stamped := s.policy
	stamped.TimestampThreshold = 1
	stamped.InsecureIgnoreTransparencyLog, stamped.InsecureIgnoreSCT = true, true
	bare := verify.Policy{Keys: s.policy.Keys, InsecureIgnoreTransparencyLog: true}
	all := []verify.Verifier{newVerifier(f, s.policy), newVerifier(f, stamped), newVerifier(f, bare)}
	for _, c := range s.candidates {
		wantAcceptedByOne(f, all, s.image(c.image), c.Candidate)
	}
	return all
}

// wantAcceptedByOne holds that a good seed is one.
func wantAcceptedByOne(f *testing.F, verifiers []verify.Verifier, image verify.Image, c verify.Candidate) {
	f.Helper()
	var errs []error
	for _, v := range verifiers {
		_, err := v.Verify(f.Context(), image, []verify.Candidate{c})
		if err == nil {
			return
		}
		errs = append(errs, err)
	}
	f.Fatalf("nobody accepts what is good: %v", errs)
}

// wantKnown holds that no verifier accepts what was not signed.
func (s *signedThings) wantKnown(t *testing.T, verifiers []verify.Verifier, image verify.Image, c verify.Candidate) {
	t.Helper()
	for i, v := range verifiers {
		if wantVerdict(t, v, image, c).Accepted && !s.known[knownAs(t, image, c)] {
			t.Errorf("verifier %d accepted what nobody signed: %+v", i, c)
		}
	}
}

func readJSON(t testing.TB, v any, file ...string) {
	t.Helper()
	if err := json.Unmarshal(readFile(t, file...), v); err != nil {
		t.Fatal(err)
	}
}

// rootsIn is a trusted root with all that those in dirs name.
func rootsIn(t testing.TB, dirs ...string) *verify.TrustedRoot {
	t.Helper()
	merged := map[string]any{}
	for _, dir := range dirs {
		var parts map[string]any
		readJSON(t, &parts, dir, "trusted_root.json")
		for name, part := range parts {
			if list, ok := part.([]any); ok {
				have, _ := merged[name].([]any)
				merged[name] = append(have, list...)
			} else {
				merged[name] = part
			}
		}
	}
	r, err := trust.Parse(marshal(t, merged))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

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
	f.Add(pemOf("CERTIFICATE", selfSigned(f, fuzzKey)))
	f.Add(pemOf("RSA PUBLIC KEY", []byte{0x30, 6, 2, 1, 1, 2, 1, 3}))
	quiet := newSilence(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		quiet.during(t, func() { parseAndWriteKey(t, b) })
	})
}

func parseAndWriteKey(t *testing.T, b []byte) {
	t.Helper()
	key, err := verify.ParsePublicKey(b)
	if err != nil {
		wantFamily(t, err, verify.ErrMisconfigured)
		wantOneLine(t, err)
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
}

// FuzzVerifyBundle holds that no input panics, and that none is accepted but
// the statements of real bundles, for their images.
func FuzzVerifyBundle(f *testing.F) {
	things := readSignedThings(f)
	for _, c := range things.candidates {
		if c.Bundle != nil {
			f.Add(c.image, c.Bundle)
			f.Add(c.image+1, c.Bundle)
		}
	}
	for _, seed := range []string{
		``, `null`, `{}`, `[]`,
		`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{}},"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AAAA"}]}}`,
		`{"mediaType":"application/vnd.dev.sigstore.bundle+json;version=0.1","verificationMaterial":{"x509CertificateChain":{"certificates":[{"rawBytes":"AAAA"}]},"tlogEntries":[{}]},"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"AAAA"},"signature":"AAAA"}}`,
		`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"certificate":{"rawBytes":"MAA="},"timestampVerificationData":{"rfc3161Timestamps":[{"signedTimestamp":"AA=="}]}},"dsseEnvelope":{"payload":"bnVsbA==","payloadType":"application/vnd.in-toto+json","signatures":[]}}`,
	} {
		f.Add(uint8(0), []byte(seed))
	}
	verifiers, quiet := things.verifiers(f), newSilence(f)
	f.Fuzz(func(t *testing.T, image uint8, b []byte) {
		c := verify.Candidate{Bundle: append([]byte{}, b...)} // which is not nil
		quiet.during(t, func() { things.wantKnown(t, verifiers, things.image(image), c) })
	})
}

func statementOf(t testing.TB, b []byte) []byte {
	t.Helper()
	var parsed protobundle.Bundle
	if err := protojson.Unmarshal(b, &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed.GetDsseEnvelope().GetPayload()
}

// FuzzVerifyLegacy is the same for a payload and all the annotations of its layer.
func FuzzVerifyLegacy(f *testing.F) {
	things := readSignedThings(f)
	for _, c := range things.candidates {
		if c.Bundle == nil {
			a := c.Annotations
			f.Add(c.image, c.Payload, a[sigKey], a[certificateKey], a[chainKey], a[logKey], a[timestampKey])
			f.Add(c.image+1, c.Payload[:len(c.Payload)/2], a[sigKey], a[certificateKey]+a[chainKey], "", a[logKey], "")
		}
	}
	f.Add(uint8(0), []byte("null"), "AAAA", "", "", "null", "null")
	f.Add(uint8(0), []byte(`{"critical":{"image":null},"optional":[]}`), " \n", " \n", " \n", "{}", "{}")
	f.Add(uint8(0), []byte(nil), "", "", "", "", "")
	f.Add(uint8(0), []byte("{}"), "AAAA", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "",
		`{"SignedEntryTimestamp":"AA==","Payload":{"body":"bnVsbA=="}}`, `{"SignedRFC3161Timestamp":"MAA="}`)
	verifiers, quiet := things.verifiers(f), newSilence(f)
	f.Fuzz(func(t *testing.T, image uint8, payload []byte, sig, certificate, chain, entry, timestamp string) {
		c := verify.Candidate{Payload: payload, Annotations: map[string]string{}}
		for key, value := range map[string]string{
			sigKey: sig, certificateKey: certificate, chainKey: chain, logKey: entry, timestampKey: timestamp,
		} {
			if value != "" {
				c.Annotations[key] = value
			}
		}
		quiet.during(t, func() { things.wantKnown(t, verifiers, things.image(image), c) })
	})
}

// FuzzVerifySignedStatement signs each input with a key of the policy, so that
// the fuzzer gets past the signature, to what reads the statement.
func FuzzVerifySignedStatement(f *testing.F) {
	good := string(marshal(f, statement()))
	for _, seed := range []string{
		good, "null", "[]", "{}", `{"subject":[null]}`,
		strings.Replace(good, "predicateType", "predicate_type", 1),
		strings.Replace(good, theHex, strings.ToUpper(theHex), 1),
		strings.Replace(good, statementURI, "https://in-toto.io/Statement/v0.1", 1),
		strings.Replace(good, signType, "https://slsa.dev/provenance/v1", 1),
		strings.Replace(good, `"prod"`, `{"a":[1,null,true,{}]}`, 1),
		strings.Replace(good, `"prod"`, `1e999`, 1),
		strings.Replace(good, `"subject":[`, `"subject":[{"digest":{"sha256":"`+otherHex+`"}},`, 1),
		good[:len(good)-1] + `,"predicateType":"https://slsa.dev/provenance/v1"}`,
	} {
		f.Add([]byte(seed))
	}
	policy := policyOf(fuzzKey)
	v, sign, quiet := newVerifier(f, policy), with(fuzzKey, 0), newSilence(f)
	f.Fuzz(func(t *testing.T, payload []byte) {
		c := bundleCandidate(t, bundleOf(t, sign, payload))
		quiet.during(t, func() {
			accepted := wantVerdict(t, v, theImage(), c).Accepted
			if accepted && !states(payload, statementURI, signType) {
				t.Errorf("accepted a statement that does not say what it must: %s", payload)
			}
			s := wantArtifact(t, policy, verify.Artifact{Digest: theDigest}, c.Bundle)
			switch {
			case accepted && s.Err != nil:
				t.Errorf("accepted for an image and not for an artifact: %v", s.Err)
			case s.Err != nil:
			case !bytes.Equal(s.Claims.Statement, payload) || !states(payload, "", ""):
				t.Errorf("accepted %s, which was not signed or is of another artifact", s.Claims.Statement)
			}
		})
	})
}

// states reports whether a statement is about the image, and of the types given,
// as a reader of any JSON sees it.
func states(b []byte, statementType, predicateType string) bool {
	var s map[string]any
	if json.Unmarshal(b, &s) != nil {
		return false
	}
	says := func(want string, keys ...string) bool {
		return want == "" || slices.ContainsFunc(keys, func(key string) bool { return s[key] == want })
	}
	subjects, _ := s["subject"].([]any)
	return says(statementType, "_type", "type") && says(predicateType, "predicateType", "predicate_type") &&
		slices.ContainsFunc(subjects, func(subject any) bool {
			o, _ := subject.(object)
			digests, _ := o["digest"].(object)
			return digests["sha256"] == theHex
		})
}

// wantArtifact verifies a bundle by itself and holds what is true of every verdict.
func wantArtifact(t *testing.T, policy verify.Policy, artifact verify.Artifact, b []byte) *verify.Signature {
	t.Helper()
	s, err := verify.Bundle(context.Background(), policy, artifact, b)
	if s == nil || (s.Err == nil) != (err == nil) {
		t.Fatalf("signature is %+v beside the error %v", s, err)
	}
	if err == nil {
		if (s.Identity == nil) == (s.KeyID == "") {
			t.Errorf("passed, and who signed is %+v", s)
		}
		return s
	}
	wantFamily(t, err, verify.ErrRejected)
	wantOneLine(t, err)
	if strings.Contains(err.Error(), "panic") {
		t.Errorf("a panic: %v", err)
	}
	return s
}

// FuzzVerifySignedPayload is the same for the legacy form.
func FuzzVerifySignedPayload(f *testing.F) {
	good := string(marshal(f, payloadOf()))
	for _, seed := range []string{
		good, "null", "[]", "{}", `{"critical":null,"optional":{}}`,
		strings.Replace(good, `"prod"`, `{"a":[1,null,true,{}]}`, 1),
		strings.Replace(good, "critical", "CRITICAL", 1),
		good[:len(good)-1] + `,"critical":{"image":{"docker-manifest-digest":"sha256:` + otherHex + `"}}}`,
		good + " ",
	} {
		f.Add([]byte(seed))
	}
	v, sign, quiet := newVerifier(f, policyOf(fuzzKey)), with(fuzzKey, 0), newSilence(f)
	f.Fuzz(func(t *testing.T, payload []byte) {
		c := legacyCandidate(t, sign, payload)
		quiet.during(t, func() {
			if !wantVerdict(t, v, theImage(), c).Accepted {
				return
			}
			if said := stringsIn(payload); !said[theDigest] || !said["cosign container image signature"] {
				t.Errorf("accepted a payload that does not say what it must: %s", payload)
			}
		})
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

// FuzzVerifyLogEntry has a log that is trusted sign whatever entry it is given, so
// that the fuzzer gets to what compares the entry with the signature.
func FuzzVerifyLogEntry(f *testing.F) {
	attempts := map[signing.Form]*attempt{}
	for _, form := range forms {
		a := newAttempt(form)
		a.key = fuzzKey
		a.byKey()
		attempts[form] = a
		for _, kind := range []string{"", "dsse", "hashedrekord", "intoto", "rekord"} {
			a.records[0].kind, a.records[0].version = kind, "0.0.1"
			if kind == "intoto" {
				a.records[0].version = "0.0.2"
			}
			body := string(a.make(f).entries[0].body)
			f.Add([]byte(body), int64(3), form == signing.Legacy, false)
			f.Add([]byte(strings.Replace(body, `"0.0.1"`, `"0.0.2"`, 1)), int64(3), form == signing.Legacy, true)
		}
		a.records[0].kind = ""
		wantAcceptedByOne(f, []verify.Verifier{a.verifier(f)}, theImage(), a.candidate(f))
		v2 := newAttempt(form)
		v2.key = fuzzKey
		v2.byKey()
		v2.inRekorV2()
		f.Add(v2.make(f).entries[0].body, int64(0), form == signing.Legacy, true)
	}
	for _, seed := range []string{``, `null`, `{}`, `{"kind":"dsse","apiVersion":"0.0.1","spec":null}`, `{"kind":"hashedrekord","apiVersion":"0.0.1","spec":{"data":{},"signature":{"publicKey":{}}}}`} {
		f.Add([]byte(seed), int64(math.MinInt64), true, true)
	}
	quiet := newSilence(f)
	f.Fuzz(func(t *testing.T, body []byte, index int64, legacy, proof bool) {
		form := signing.Bundle
		if legacy {
			form = signing.Legacy
		}
		a := attempts[form]
		p := a.make(t)
		e := p.entries[0]
		var head struct{ Kind, APIVersion string }
		_ = json.Unmarshal(body, &head)
		e.body, e.index, e.kind, e.version = body, index, head.Kind, head.APIVersion
		e.seal(record{by: ours.rekor, noProof: !proof})
		c := p.candidate()
		v := newVerifier(t, a.policy)
		quiet.during(t, func() {
			if !wantVerdict(t, v, theImage(), c).Accepted {
				return
			}
			said := valuesIn(body)
			verifier, _ := pem.Decode(a.verifierPEM(p))
			if !said[string(p.signature)] || !said[string(verifier.Bytes)] {
				t.Errorf("accepted with the entry of another signature: %s", body)
			}
			if !said[string(sumOf(crypto.SHA256, p.content))] && !said[string(sumOf(crypto.SHA512, p.content))] {
				t.Errorf("accepted with the entry of another content: %s", body)
			}
		})
	})
}

// valuesIn are what the strings of b, which is JSON, stand for in hexadecimal, and
// in base64 once or twice, with PEM inside or not.
func valuesIn(b []byte) map[string]bool {
	values := map[string]bool{}
	for s := range stringsIn(b) {
		if value, err := hex.DecodeString(s); err == nil {
			values[string(value)] = true
		}
		for range 2 {
			value, err := base64.StdEncoding.DecodeString(s)
			if err != nil {
				break
			}
			values[string(value)] = true
			if block, _ := pem.Decode(value); block != nil {
				values[string(block.Bytes)] = true
			}
			s = string(value)
		}
	}
	return values
}

// FuzzVerifyCertificate has an authority that is trusted certify whatever names it
// is given.
func FuzzVerifyCertificate(f *testing.F) {
	san := tlv(0x30, tlv(uriName, []byte(theSubject)))
	issuer := derOf(theIssuer, "utf8")
	f.Add(san, []byte(theIssuer), issuer)
	f.Add(san, []byte{}, issuer)
	f.Add(san, []byte(theIssuer), []byte{})
	f.Add(san, []byte("https://issuer.example"), issuer)
	f.Add(tlv(0x30, tlv(uriName, []byte(theSubject)), tlv(emailName, []byte("name@example.com"))), []byte{}, issuer)
	f.Add(tlv(0x30, tlv(emailName, []byte("name@example.com"))), []byte{}, derOf(theIssuer, "printable"))
	f.Add(tlv(0x30, tlv(uriName, []byte("HTTPS://github.com/%74eam/app"))), []byte(theIssuer), []byte{0x0c, 0})
	f.Add(tlv(0x30, otherName("name\u202e")), []byte{}, issuer)
	f.Add(san, []byte{}, tlv(asn1.TagBMPString, []byte("\x00"+strings.Join(strings.Split(theIssuer, ""), "\x00"))))
	f.Add(tlv(0x30, tlv(dnsName, []byte("*.example.com"))), []byte("\x00"), append(issuer, 0))
	f.Add([]byte{}, []byte{}, []byte{})
	a := newAttempt(signing.Legacy)
	a.key = fuzzKey
	wantAcceptedByOne(f, []verify.Verifier{a.verifier(f)}, theImage(), a.candidate(f))
	quiet := newSilence(f)
	f.Fuzz(func(t *testing.T, san, oldIssuer, issuer []byte) {
		a := *a
		a.leaf = leafTemplate()
		for id, value := range map[string][]byte{sanOID.String(): san, fulcio(1).String(): oldIssuer, fulcio(8).String(): issuer} {
			for i, e := range a.leaf.ExtraExtensions {
				if e.Id.String() == id {
					a.leaf.ExtraExtensions[i].Value = value
				}
			}
		}
		if !isCertifiable(a.key, a.leaf) {
			return
		}
		c := a.candidate(t)
		quiet.during(t, func() {
			if !wantVerdict(t, newVerifier(t, a.policy), theImage(), c).Accepted {
				return
			}
			if !bytes.Contains(san, []byte(theSubject)) || !bytes.Contains(slices.Concat(oldIssuer, []byte{0}, issuer), []byte(theIssuer)) {
				t.Errorf("accepted the names %q of %q and %q", san, oldIssuer, issuer)
			}
		})
	})
}

// isCertifiable reports whether crypto/x509 makes and reads such a certificate.
func isCertifiable(key crypto.Signer, template *x509.Certificate) bool {
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		return false
	}
	_, err = x509.ParseCertificate(der)
	return err == nil
}

// FuzzVerifyChain trusts a root alone, so that it takes the intermediate
// certificate, from the annotation of a legacy signature or from a bundle. Both
// must come to the same verdict.
func FuzzVerifyChain(f *testing.F) {
	var annotations map[string]string
	readJSON(f, &annotations, publicGood, "legacy-keyless", "annotations.json")
	payload := readFile(f, publicGood, "legacy-keyless", "payload.json")
	leaf := certificatesIn([]byte(annotations[certificateKey]))[0]
	real := certificatesIn([]byte(annotations[chainKey]))
	f.Add([]byte(annotations[chainKey]))
	f.Add(pemOf("CERTIFICATE", real[0]))
	f.Add(pemOf("TRUSTED CERTIFICATE", real[0]))
	for _, seed := range [][][]byte{
		real, {real[0]}, {real[1]}, {real[1], real[0]}, {leaf, real[0]}, {real[0][:100]}, slices.Repeat([][]byte{real[0]}, 15), slices.Repeat([][]byte{real[0]}, 16), nil,
		{selfSigned(f, fuzzKey), real[0]}, {{0x30, 0}}, {append(slices.Clone(real[0]), 0)},
	} {
		f.Add(bytes.Join(seed, nil))
	}
	identity := verify.Identity{Subject: "mitr@redhat.com", Issuer: "https://github.com/login/oauth"}
	policy := verify.Policy{Identities: []verify.Identity{identity}, TrustedRoots: rootsAlone(f)}
	v, quiet := newVerifier(f, policy), newSilence(f)
	wantAcceptedByOne(f, []verify.Verifier{v}, publishedImage(), verify.Candidate{Payload: payload, Annotations: annotations})
	f.Fuzz(func(t *testing.T, b []byte) {
		verdict := func(chain string) bool {
			c := verify.Candidate{Payload: payload, Annotations: map[string]string{chainKey: chain}}
			for _, key := range []string{sigKey, certificateKey, logKey} {
				c.Annotations[key] = annotations[key]
			}
			image := publishedImage()
			return wantVerdict(t, v, image, c).Accepted
		}
		quiet.during(t, func() {
			if verdict(string(b)) && !holds(certificatesIn(b), real[0]) {
				t.Errorf("accepted without the intermediate certificate: %q", b)
			}
			chain := certificatesIn(b)
			var encoded strings.Builder
			for _, der := range chain {
				encoded.Write(pemOf("CERTIFICATE", der))
			}
			accepted := verdict(encoded.String())
			if accepted && !holds(chain, real[0]) {
				t.Errorf("accepted without the intermediate certificate: %q", b)
			}
			s := wantArtifact(t, policy, verify.Artifact{Content: bytes.NewReader(payload)}, bundleWith(t, annotations, payload, append([][]byte{leaf}, chain...)))
			if (s.Err == nil) != accepted {
				t.Errorf("the legacy signature is accepted: %t; the bundle: %v", accepted, s.Err)
			}
		})
	})
}

// certificatesIn splits PEM, or one DER value after the other. What is neither is
// one more.
func certificatesIn(b []byte) (all [][]byte) {
	for len(b) > 0 {
		if block, rest := pem.Decode(b); block != nil {
			all, b = append(all, block.Bytes), bytes.TrimSpace(rest)
			continue
		}
		var value asn1.RawValue
		rest, err := asn1.Unmarshal(b, &value)
		if err != nil {
			return append(all, b)
		}
		all, b = append(all, value.FullBytes), rest
	}
	return all
}

// holds reports whether chain has a certificate for the key of one.
func holds(chain [][]byte, one []byte) bool {
	want, err := x509.ParseCertificate(one)
	return err == nil && slices.ContainsFunc(chain, func(der []byte) bool {
		c, err := x509.ParseCertificate(der)
		return err == nil && bytes.Equal(c.RawTBSCertificate, want.RawTBSCertificate)
	})
}

// rootsAlone is the public trusted root without intermediate certificates.
func rootsAlone(t testing.TB) *verify.TrustedRoot {
	t.Helper()
	var parts map[string]any
	readJSON(t, &parts, publicGood, "trusted_root.json")
	for _, ca := range parts["certificateAuthorities"].([]any) {
		chain := ca.(object)["certChain"].(object)
		all := chain["certificates"].([]any)
		chain["certificates"] = all[len(all)-1:]
	}
	r, err := trust.Parse(marshal(t, parts))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// bundleWith is a legacy signature as a bundle, of the version in which chains
// come along and log entries need no proof.
func bundleWith(t testing.TB, annotations map[string]string, payload []byte, chain [][]byte) []byte {
	t.Helper()
	var entry struct {
		SignedEntryTimestamp []byte
		Payload              struct {
			Body                     []byte
			IntegratedTime, LogIndex int64
			LogID                    string
		}
	}
	if err := json.Unmarshal([]byte(annotations[logKey]), &entry); err != nil {
		t.Fatal(err)
	}
	logID, err := hex.DecodeString(entry.Payload.LogID)
	if err != nil {
		t.Fatal(err)
	}
	var certificates []any
	for _, der := range chain {
		certificates = append(certificates, object{"rawBytes": der})
	}
	return marshal(t, object{
		"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.1",
		"verificationMaterial": object{
			"x509CertificateChain": object{"certificates": certificates},
			"tlogEntries": []any{object{
				"logIndex": fmt.Sprint(entry.Payload.LogIndex), "logId": object{"keyId": logID},
				"kindVersion": object{"kind": "hashedrekord", "version": "0.0.1"}, "integratedTime": fmt.Sprint(entry.Payload.IntegratedTime),
				"inclusionPromise":  object{"signedEntryTimestamp": entry.SignedEntryTimestamp},
				"canonicalizedBody": entry.Payload.Body,
			}},
		},
		"messageSignature": object{
			"messageDigest": object{"algorithm": "SHA2_256", "digest": sumOf(crypto.SHA256, payload)},
			"signature":     annotations[sigKey],
		},
	})
}

// FuzzVerifyArtifact holds that a bundle is accepted for the artifact that it was
// made for alone, and that it is the same whether that is given by its content or
// by its digest.
func FuzzVerifyArtifact(f *testing.F) {
	policy := verify.Policy{
		Identities: []verify.Identity{
			{Subject: "a@tny.town", Issuer: "https://github.com/login/oauth"},
			{Subject: "cody@soyland.com", Issuer: "https://github.com/login/oauth"},
			{SubjectRegexp: `https://github\.com/(sigstore/sigstore-js|stacklok/minder)/.*`, Issuer: theIssuer},
		},
		TrustedRoots: rootsIn(f, publicGood),
	}
	content := readFile(f, publicGood, "bundles", "a.txt")
	signed := []digest.Digest{
		digest.FromBytes(content),
		"sha256:732112270d7e59418a8c080b134b24cabd67d250d0d0147a97ed95ba5c280aa4",
		"sha256:a9d3ea83979bfa3522d59064c32473ed3bac88f62c36b3dd243fefe95dec6da0",
		"sha512:46d4e2f74c4877316640000a6fdf8a8b59f1e0847667973e9859f774dd31b8f1e0937813b777fb66a2ac67d50540fe34640966eee9fc2ccca387082b4c85cd3c",
	}
	for i, name := range []string{"a.txt", "oci-attestation", "minder-chart", "sigstore-js-2.0.0-provenance"} {
		b := readFile(f, publicGood, "bundles", name+".sigstore.json")
		if _, err := verify.Bundle(f.Context(), policy, verify.Artifact{Digest: signed[i]}, b); err != nil {
			f.Fatal(name, err)
		}
		f.Add(b, string(signed[i]), content)
		f.Add(b, string(signed[(i+1)%len(signed)]), []byte{})
	}
	for _, d := range []string{"", "sha256:", "md5:00", "sha384:" + strings.Repeat("0", 96), "sha256:" + strings.ToUpper(theHex), "\u202esha256:\n"} {
		f.Add([]byte("{}"), d, []byte("content"))
	}
	quiet := newSilence(f)
	f.Fuzz(func(t *testing.T, b []byte, d string, content []byte) {
		quiet.during(t, func() {
			given := verify.Artifact{Digest: digest.Digest(d)}
			if d == "" || given.Digest.Validate() != nil {
				s, err := verify.Bundle(context.Background(), policy, given, b)
				wantFamily(t, err, verify.ErrMisconfigured)
				wantOneLine(t, err)
				if s != nil {
					t.Errorf("%+v beside the error %v", s, err)
				}
			} else if s := wantArtifact(t, policy, given, b); s.Err == nil && !slices.Contains(signed, given.Digest) {
				t.Errorf("accepted for %s, which nobody signed", d)
			}
			byContent := wantArtifact(t, policy, verify.Artifact{Content: bytes.NewReader(content)}, b)
			var byDigest bool
			for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
				d := algorithm.FromBytes(content)
				ok := wantArtifact(t, policy, verify.Artifact{Digest: d}, b).Err == nil
				byDigest = byDigest || ok
				if ok && !slices.Contains(signed, d) {
					t.Errorf("accepted for content of %s, which nobody signed", d)
				}
			}
			if byDigest != (byContent.Err == nil) {
				t.Errorf("accepted by digest: %t; by content: %v", byDigest, byContent.Err)
			}
		})
	})
}

// FuzzPolicy holds that no policy panics, and that the verifier which is made of
// one decides as the policy reads. The signatures are by a key and by a workflow,
// the latter twice, with one log entry and one timestamp each.
func FuzzPolicy(f *testing.F) {
	const (
		withKey = 1 << iota
		withIdentity
		withRegexps
		withOther
		ignoreLog
		ignoreSCT
		exactRepository
		remapRepository
		withRoot
	)
	byKey, byWorkflow, again := newAttempt(signing.Bundle), newAttempt(signing.Bundle), newAttempt(signing.Legacy)
	byKey.key = fuzzKey
	byKey.byKey()
	var candidates []verify.Candidate
	for _, a := range []*attempt{byKey, byWorkflow, again} {
		a.stamps = []stamp{{ours.tsa, noon}}
		candidates = append(candidates, a.candidate(f))
	}
	trusted := ours.trust().parsed(f)
	add := func(flags uint16, subject, issuer, repository, key, value, prefix string, threshold, logs, stamps int, limit int64) {
		f.Add(flags, subject, issuer, repository, key, value, prefix, threshold, logs, stamps, limit)
	}
	const everything = withKey | withIdentity | withRoot
	add(everything, theSubject, theIssuer, "", "", "", "", 0, 0, 0, 0)
	add(everything, theSubject, theIssuer, "team/app", "env", "prod", "", 2, 1, 1, 0)
	add(everything|withOther, theSubject, theIssuer, "", "env", "test", "", 3, 2, 0, 0)
	add(everything|withRegexps, `https://github\.com/team/.*`, `.*`, "", "", "", "", 2, 0, 0, 1<<20)
	add(everything|withRegexps, `https://github\.com/team/app|x`, `(?i)HTTPS://.*$`, "", "", "", "", 1, 0, 0, 100)
	add(everything|withRegexps, `a)|(b`, `[`, "", "", "", "", 0, 0, 0, 0)
	add(withIdentity|withRegexps|withRoot, `(?m)^https:.*`, `(?s).{3,1000}`, "", "", "", "", 0, 0, 2, 0)
	add(withIdentity|withRoot|ignoreLog|ignoreSCT, theSubject, theIssuer, "other/app", "", "", "", 0, -1, 1, 0)
	add(withIdentity|withRoot|ignoreLog, theSubject, "", "", "", "", "", -1, 0, 0, 0)
	add(withKey|ignoreLog|exactRepository, "", "", "", "", "", "", 1, 0, 0, -1)
	add(withKey|ignoreLog|remapRepository, "", "", "", "", "", "registry.example/", 1, 0, 0, 0)
	add(withKey|remapRepository|withRoot, "", "", "", "", "", "registry.example", 1, 4, 0, 3000)
	add(0, "", "", "", "", "", "", 0, 0, 0, 0)
	add(withKey, "", "", "", "", "", "", 0, 0, 0, 0)
	quiet := newSilence(f)
	f.Fuzz(func(t *testing.T, flags uint16, subject, issuer, workflowOf, key, value, prefix string, threshold, logs, stamps int, limit int64) {
		has := func(flag uint16) bool { return flags&flag != 0 }
		policy := verify.Policy{
			Threshold: threshold, LogThreshold: logs, TimestampThreshold: stamps, Limits: verify.Limits{Bundle: limit},
			InsecureIgnoreTransparencyLog: has(ignoreLog), InsecureIgnoreSCT: has(ignoreSCT),
		}
		var signers []func(verify.Candidate) bool
		if has(withKey) {
			policy.Keys = append(policy.Keys, fuzzKey.Public(), fuzzKey.Public())
			signers = append(signers, func(c verify.Candidate) bool { return c.Bundle != nil && bytes.Equal(c.Bundle, candidates[0].Bundle) })
		}
		if has(withOther) {
			policy.Keys = append(policy.Keys, keys["P-384"]().Public())
			policy.Identities = append(policy.Identities, verify.Identity{Subject: theSubject + "s", Issuer: theIssuer})
			signers = append(signers, nil, nil)
		}
		if has(withIdentity) {
			identity := verify.Identity{Subject: subject, Issuer: issuer, GitHub: verify.GitHubWorkflow{Repository: workflowOf}}
			matches := subject == theSubject && issuer == theIssuer
			if has(withRegexps) {
				identity.Subject, identity.Issuer, identity.SubjectRegexp, identity.IssuerRegexp = "", "", subject, issuer
				matches = matchesWhole(subject, theSubject) && matchesWhole(issuer, theIssuer)
			}
			policy.Identities = append(policy.Identities, identity)
			matches = matches && (workflowOf == "" || workflowOf == theWorkflow.Repository)
			signers = append(signers, func(c verify.Candidate) bool {
				return matches && (c.Bundle == nil || !bytes.Equal(c.Bundle, candidates[0].Bundle))
			})
		}
		if key != "" || value != "" {
			policy.Annotations = map[string]string{key: value}
		}
		claimed := true
		switch {
		case has(exactRepository):
			policy.Repository = verify.ExactRepository()
		case has(remapRepository):
			policy.Repository = verify.RemapRepository(map[string]string{prefix: "registry.example/other"})
			rest, ok := strings.CutPrefix(repository, prefix)
			claimed = prefix == "" || !ok || "registry.example/other"+rest == repository ||
				rest != "" && rest[0] != '/' && !strings.HasSuffix(prefix, "/")
		}
		if has(withRoot) {
			policy.TrustedRoots = trusted
		}
		quiet.during(t, func() {
			v, err := verify.New(policy)
			if err != nil {
				wantFamily(t, err, verify.ErrMisconfigured)
				if v != nil {
					t.Errorf("a verifier beside the error %v", err)
				}
				return
			}
			if len(signers) == 0 || threshold < 0 || threshold > len(signers) || logs < 0 || stamps < 0 || limit < 0 ||
				has(withIdentity) && (subject == "" || issuer == "") || !has(withRoot) && (stamps > 0 || !has(ignoreLog) || len(policy.Identities) > 0) {
				t.Fatalf("a verifier for %+v", policy)
			}
			signed := 0
			for _, s := range signers {
				if s != nil && slices.ContainsFunc(candidates, func(c verify.Candidate) bool { return s(c) && fits(c, limit) }) {
					signed++
				}
			}
			want := signed >= max(threshold, 1) && claimed && (key == "" && value == "" || key == "env" && value == "prod") &&
				(has(ignoreLog) || logs <= 1) && stamps <= 1
			if got := wantVerdict(t, v, theImage(), candidates...).Accepted; got != want {
				t.Errorf("accepted is %t, want %t, by %+v", got, want, policy)
			}
		})
	})
}

func fits(c verify.Candidate, limit int64) bool {
	longest := len(c.Bundle)
	for _, a := range c.Annotations {
		longest = max(longest, len(a))
	}
	return limit == 0 || int64(longest) <= limit
}

// matchesWhole reports whether pattern matches all of s: the longest match that
// begins first is s itself.
func matchesWhole(pattern, s string) bool {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return false
	}
	re.Longest()
	return slices.Equal(re.FindStringIndex(s), []int{0, len(s)})
}
