// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"testing"

	"github.com/cosignkit/cosignkit/internal/worktest"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// proposedDSSE is the body of a log entry of kind dsse as a client proposes it: with
// the envelope, of which Rekor's parser tries each signature with each verifier. All
// but the last signature are by another key.
func proposedDSSE(t testing.TB, verifiers, signatures int) []byte {
	t.Helper()
	envelope, keys := proposedEnvelope(t, verifiers, signatures)
	return marshalled(object{"apiVersion": "0.0.1", "kind": "dsse", "spec": object{
		"proposedContent": object{"envelope": string(marshalled(envelope)), "verifiers": keys},
	}})
}

// proposedIntoto is the same for the kind intoto.
func proposedIntoto(t testing.TB, signatures int) []byte {
	t.Helper()
	envelope, keys := proposedEnvelope(t, 1, signatures)
	var all []any
	for _, s := range envelope["signatures"].([]any) {
		all = append(all, object{"publicKey": keys[0], "sig": []byte(s.(object)["sig"].(string))})
	}
	sum := object{"algorithm": "sha256", "value": fmt.Sprintf("%x", sha256.Sum256(nil))}
	return marshalled(object{"apiVersion": "0.0.2", "kind": "intoto", "spec": object{"content": object{
		"envelope": object{"payloadType": envelope["payloadType"], "payload": []byte(envelope["payload"].(string)), "signatures": all},
		"hash":     sum, "payloadHash": sum,
	}}})
}

func proposedEnvelope(t testing.TB, verifiers, signatures int) (envelope object, keys []any) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("DSSEv1 1 x 1 x"))
	good, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	var all []any
	for range signatures - 1 {
		all = append(all, object{"sig": "MAYCAQECAQE="}) // r = s = 1
	}
	for range verifiers {
		keys = append(keys, pemOf("PUBLIC KEY", derKey(key.Public())))
	}
	all = append(all, object{"sig": base64.StdEncoding.EncodeToString(good)})
	return object{"payload": base64.StdEncoding.EncodeToString([]byte("x")), "payloadType": "x", "signatures": all}, keys
}

// withBody puts another body into the first log entry.
func withBody(body []byte, kind, version string) func(*parts) {
	return func(p *parts) {
		e := p.entries[0]
		e.kind, e.version, e.body = kind, version, body
	}
}

// overlapping is BER of which each element is longer than the one around it, so that
// a parser that trusts lengths reads the inner ones twice, and twice again.
func overlapping(n int) []byte {
	return append(bytes.Repeat([]byte{0x31, 0x7f, 0x31, 0x02}, n), make([]byte, 160)...)
}

// TestHostileEvidenceIsRefused: a registry can put log entries and timestamps of its
// own next to a signature that is good, so the signature does not keep them from the
// parsers. The allocations show that those did not run.
func TestHostileEvidenceIsRefused(t *testing.T) {
	stamped := func(a *attempt) { a.policy.TimestampThreshold = 1; a.stamps = []stamp{{ours.tsa, noon}} }
	junkStamp := func(b []byte) func(*parts) { return func(p *parts) { p.timestamps = [][]byte{b} } }
	for name, c := range map[string]struct {
		honest func(*attempt)
		alter  func(*parts)
		why    string
	}{
		"a timestamp of overlapping elements":    {stamped, junkStamp(overlapping(14)), "verified signed timestamps: 0 < 1"},
		"a timestamp of nested elements":         {stamped, junkStamp(bytes.Repeat([]byte{0x31, 0x80}, 20_000)), "verified signed timestamps: 0 < 1"},
		"a timestamp of many elements":           {stamped, junkStamp(tlv(0x30, bytes.Repeat([]byte{5, 0}, 20_000))), "number of elements of ASN.1"},
		"an entry as proposed, of kind dsse":     {nil, withBody(proposedDSSE(t, 10, 40), "dsse", "0.0.1"), `not a recognizable form: field "proposedContent"`},
		"an entry as proposed, of kind intoto":   {nil, withBody(proposedIntoto(t, 16), "intoto", "0.0.2"), `not a recognizable form: field "payload"`},
		"an entry with many signatures":          {nil, withBody(marshalled(object{"apiVersion": "0.0.1", "kind": "dsse", "spec": object{"signatures": slices.Repeat([]any{object{"signature": "AAAA"}}, 1000)}}), "dsse", "0.0.1"), "number of signatures of a log entry"},
		"an entry with something after its body": {nil, func(p *parts) { p.entries[0].body = append(p.entries[0].body, '1') }, "something after the end"},
		"an entry with a field in another case": {nil, func(p *parts) {
			p.entries[0].body = bytes.Replace(p.entries[0].body, []byte(`"spec"`), []byte(`"Spec"`), 1)
		}, `not a recognizable form: field "Spec"`},
	} {
		for who, as := range map[string]func(*attempt){"identity": func(*attempt) {}, "key": (*attempt).byKey} {
			t.Run(name+", "+who, func(t *testing.T) {
				a := newAttempt(signing.Bundle)
				as(a)
				if c.honest != nil {
					c.honest(a)
				}
				good := a.candidate(t)
				a.alter = append(a.alter, c.alter)
				hostile := a.candidate(t)
				v := a.verifier(t)
				wantRejected(t, v, hostile, c.why)
				allocated := worktest.Allocated(func() { _, _ = v.Verify(t.Context(), a.image, []verify.Candidate{hostile}) })
				if most := uint64(1<<20 + 64*len(hostile.Bundle)); allocated > most {
					t.Errorf("%d bytes allocated for a bundle of %d, want %d at most", allocated, len(hostile.Bundle), most)
				}
				result, err := v.Verify(t.Context(), a.image, []verify.Candidate{hostile, good})
				if err != nil || result.Signatures[1].Err != nil {
					t.Errorf("a good one after it: %v", err)
				}
			})
		}
	}
}

// TestEvidenceThatNobodyNeedsIsNotRead: what a policy does not ask for is not even
// parsed, and what it asks for only if the signature is good.
func TestEvidenceThatNobodyNeedsIsNotRead(t *testing.T) {
	t.Parallel()
	hostile := func(a *attempt) {
		a.alter = append(a.alter, withBody(proposedDSSE(t, 1, 2), "dsse", "0.0.1"), func(p *parts) { p.timestamps = [][]byte{overlapping(14)} })
	}
	for _, form := range forms {
		a := newAttempt(form)
		a.byKey()
		hostile(a)
		a.policy.InsecureIgnoreTransparencyLog = true
		a.accepted(t)
		a.policy.InsecureIgnoreTransparencyLog = false
		a.rejected(t, "not a recognizable")
		a.alter = append(a.alter, func(p *parts) { p.signature = flipped(p.signature) })
		a.rejected(t, "does not verify with the key")

		a = newAttempt(form)
		hostile(a)
		a.policy.Identities[0].Subject = "https://example.com/somebody-else"
		a.rejected(t, "expected SAN value")
		a = newAttempt(form)
		hostile(a)
		a.ca = foreign.intermediate
		a.rejected(t, "leaf certificate verification failed")

		a = newAttempt(form)
		a.byKey()
		a.alter = append(a.alter, func(p *parts) { p.timestamps = [][]byte{overlapping(14)} })
		a.accepted(t)
	}
}

// hostileEvidence are changes that a registry can make to a good signature.
func hostileEvidence(t testing.TB) map[string]func(*parts) {
	t.Helper()
	huge := pemOf("CERTIFICATE", hugeRSA(t, 2<<10))
	sum := object{"algorithm": "sha256", "value": fmt.Sprintf("%x", sha256.Sum256(nil))}
	return map[string]func(*parts){
		"overlapping timestamp": func(p *parts) { p.timestamps = [][]byte{overlapping(14)} },
		"proposed entry":        withBody(proposedDSSE(t, 4, 10), "dsse", "0.0.1"),
		"nested entry":          func(p *parts) { p.entries[0].body = bytes.Repeat([]byte("["), 20_000) },
		"entry with a huge key": withBody(marshalled(object{"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": object{
			"data": object{"hash": sum}, "signature": object{"content": make([]byte, 2<<10), "publicKey": object{"content": huge}},
		}}), "hashedrekord", "0.0.1"),
	}
}

// hostileAmong returns a verifier, a candidate with hostile evidence, and a good one.
func hostileAmong(t testing.TB, form signing.Form, alter func(*parts)) (v verify.Verifier, hostile, good verify.Candidate) {
	t.Helper()
	a := newAttempt(form)
	a.policy.TimestampThreshold = 1
	a.stamps = []stamp{{ours.tsa, noon}}
	good = a.candidate(t)
	a.alter = append(a.alter, alter)
	return a.verifier(t), a.candidate(t), good
}
