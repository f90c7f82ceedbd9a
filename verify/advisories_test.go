// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	pkixname "crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// This file holds what is guaranteed of a verifier in the light of advisories
// about others, each beside a signature without the flaw, which is accepted.
// GHSA-w6c6-c85g-mmv6, GHSA-wfqv-66vq-46rm, GHSA-whqx-f9j3-ch6m and
// GHSA-9vcr-p3rj-q5q6 are where what they are about is tested, and go on here.
// Those about a registry are in package registry.

// wants is the policy of the workflow beside a key that has not signed.
func wants(identity bool, keys ...crypto.Signer) verify.Policy {
	var policy verify.Policy
	if identity {
		policy.Identities = []verify.Identity{theIdentity()}
	}
	for _, key := range keys {
		policy.Keys = append(policy.Keys, key.Public())
	}
	return policy
}

// TestAdvisoryGHSA_fx35_mq7g_6g98: a public key that comes with a signature, in
// the place of the certificate or anywhere else, verifies nothing and stands for
// nobody.
func TestAdvisoryGHSA_fx35_mq7g_6g98(t *testing.T) {
	t.Parallel()
	mallory, owner := keys["P-384"](), keys["Ed25519"]()
	theirKey := string(pemOf("PUBLIC KEY", derKey(mallory.Public())))
	// byMallory is signed and logged with a key that nobody trusts.
	byMallory := func(serve func(*verify.Candidate)) func(*attempt) {
		return func(a *attempt) {
			a.key, a.bare = mallory, true
			served(serve)(a)
		}
	}
	annotation := func(text string) func(*attempt) {
		return byMallory(func(c *verify.Candidate) { c.Annotations[certificateKey] = text })
	}
	material := func(v object) func(*attempt) {
		return byMallory(func(c *verify.Candidate) {
			var o object
			if err := json.Unmarshal(c.Bundle, &o); err != nil {
				t.Error(err)
			}
			m := o["verificationMaterial"].(object)
			delete(m, "publicKey")
			for key, value := range v {
				m[key] = value
			}
			c.Bundle = marshalled(o)
		})
	}
	const noCertificate = "certificate: not a certificate in PEM"
	der := object{"rawBytes": derKey(mallory.Public())}
	trials := []trial{
		{name: "key in the certificate annotation", only: signing.Legacy, attack: annotation(theirKey), why: noCertificate},
		{name: "key of another PEM type in the certificate annotation", only: signing.Legacy,
			attack: annotation(strings.ReplaceAll(theirKey, "PUBLIC KEY", "EC PUBLIC KEY")), why: noCertificate},
		{name: "key that says it is a certificate", only: signing.Legacy,
			attack: annotation(strings.ReplaceAll(theirKey, "PUBLIC KEY", "CERTIFICATE")), why: "x509"},
		{name: "key before a good certificate", only: signing.Legacy, attack: annotation(theirKey +
			string(pemOf("CERTIFICATE", ours.intermediate.issue(keys["P-256"](), leafTemplate()).Raw))), why: noCertificate},
		{name: "key after a good certificate", only: signing.Legacy, attack: annotation(
			string(pemOf("CERTIFICATE", ours.intermediate.issue(keys["P-256"](), leafTemplate()).Raw)) + theirKey), why: noCertificate},
		{name: "key in the certificate chain", only: signing.Legacy, attack: func(a *attempt) {
			annotated(chainKey, theirKey)(a)
		}, why: "certificate chain: not a certificate in PEM"},
		{name: "key in the hint", only: signing.Bundle, attack: material(object{"publicKey": object{"hint": theirKey}}),
			why: "signed with a key, and the policy names only identities"},
		{name: "key in the certificate", only: signing.Bundle, attack: material(object{"certificate": der}), why: "x509"},
		{name: "key in a chain of certificates", only: signing.Bundle,
			attack: material(object{"x509CertificateChain": object{"certificates": []any{der}}}), why: "x509"},
		{name: "key beside a good certificate", only: signing.Bundle, attack: material(object{
			"publicKey":   object{"hint": theirKey},
			"certificate": object{"rawBytes": ours.intermediate.issue(keys["P-256"](), leafTemplate()).Raw},
		}), why: "oneof"},
	}
	// The policy also names a key, before which none that comes along goes.
	for _, tr := range slices.Clone(trials) {
		attack := tr.attack
		tr.name += ", and a key asked for"
		tr.honest = func(a *attempt) { a.policy = wants(true, owner) }
		if tr.attack = attack; strings.Contains(tr.why, "names only identities") {
			tr.why = "does not verify with the key"
		}
		trials = append(trials, tr)
	}
	trials = append(trials,
		trial{name: "key in the certificate annotation, and only a key asked for", only: signing.Legacy, honest: (*attempt).byKey,
			attack: annotation(theirKey), why: "does not verify with the key"},
		trial{name: "key in the hint, and only a key asked for", only: signing.Bundle, honest: (*attempt).byKey,
			attack: material(object{"publicKey": object{"hint": theirKey}}), why: "does not verify with the key"},
	)
	runTrials(t, trials)
}

// TestAdvisoryGHSA_w6c6_c85g_mmv6_MalformedPayloads: a payload that the right
// one signed, and that cannot be parsed, says nothing about the image.
func TestAdvisoryGHSA_w6c6_c85g_mmv6_MalformedPayloads(t *testing.T) {
	t.Parallel()
	var trials []trial
	for name, content := range map[string]func([]byte) []byte{
		"cut short":         func(b []byte) []byte { return b[:len(b)-1] },
		"with a byte more":  func(b []byte) []byte { return append(slices.Clone(b), '}') },
		"null":              func([]byte) []byte { return []byte("null") },
		"a list of the one": func(b []byte) []byte { return slices.Concat([]byte("["), b, []byte("]")) },
		"no text":           func(b []byte) []byte { return append([]byte{0xff, 0xfe}, b...) },
		"empty":             func([]byte) []byte { return []byte("{}") },
	} {
		for who, honest := range map[string]func(*attempt){"keyless": nil, "by key": (*attempt).byKey} {
			trials = append(trials, trial{name: name + " " + who, honest: honest, attack: func(a *attempt) {
				a.content = content(a.content)
			}})
		}
	}
	runTrials(t, trials)
}

// TestAdvisoryGHSA_wfqv_66vq_46rm_EachTime: an issuer that was valid at one of
// the times that are vouched for, and not at the other.
func TestAdvisoryGHSA_wfqv_66vq_46rm_EachTime(t *testing.T) {
	t.Parallel()
	later := noon.Add(2 * time.Minute)
	// Both times are within the certificate itself.
	both := func(logged, stamped time.Time) func(*attempt) {
		return func(a *attempt) {
			a.records[0].at = logged
			a.stamps = []stamp{{ours.tsa, stamped}}
			a.policy.TimestampThreshold = 1
		}
	}
	var trials []trial
	for name, honest := range map[string]func(*attempt){
		"logged before, stamped after": both(noon, later), "stamped before, logged after": both(later, noon),
	} {
		expires := newCA("intermediate", ours.root, noon.Add(-year), noon.Add(time.Minute), x509.ExtKeyUsageCodeSigning)
		begins := newCA("intermediate", ours.root, noon.Add(time.Minute), noon.Add(year), x509.ExtKeyUsageCodeSigning)
		trials = append(trials,
			trial{name: "issuer expires, " + name, honest: honest, attack: through(expires), why: badChain},
			trial{name: "issuer begins, " + name, honest: honest, attack: through(begins), why: badChain},
		)
	}
	// The chain of a timestamp authority has a time as well: that of the timestamp.
	authority := func(from, to time.Time) func(*attempt) {
		root := newCA("root of a timestamp authority", nil, from, to)
		by := *ours.tsa
		by.root, by.leaf = root, certify(&x509.Certificate{
			SerialNumber: serial(), Subject: ours.tsa.leaf.cert.Subject, NotBefore: noon.Add(-year), NotAfter: noon.Add(year),
			KeyUsage: x509.KeyUsageDigitalSignature, ExtraExtensions: timeStampingOnly(),
		}, newECDSA(elliptic.P256()), root)
		return func(a *attempt) {
			a.trust.tsas[0].chain = []*x509.Certificate{by.leaf.cert, by.root.cert}
			a.stamps[0].by = &by
		}
	}
	good := func(a *attempt) {
		stamped(a)
		authority(noon.Add(-year), noon.Add(year))(a)
	}
	trials = append(trials,
		trial{name: "issuer of the timestamp authority expired", honest: good, attack: authority(noon.Add(-year), noon.Add(-time.Second)), why: badTSA},
		trial{name: "issuer of the timestamp authority not yet valid", honest: good, attack: authority(noon.Add(time.Second), noon.Add(year)), why: badTSA},
	)
	runTrials(t, trials)
}

// TestAdvisoryGHSA_9vcr_p3rj_q5q6_Signers: the threshold of a policy counts
// signers, not what they left behind.
func TestAdvisoryGHSA_9vcr_p3rj_q5q6_Signers(t *testing.T) {
	t.Parallel()
	alice, bob := "alice@example.com", "bob@example.com"
	by := func(form signing.Form, subject string, more ...func(*attempt)) verify.Candidate {
		a := newAttempt(form)
		a.named(email(subject))
		for _, f := range more {
			f(a)
		}
		return a.candidate(t)
	}
	elsewhere := func(c verify.Candidate) verify.Candidate {
		c.Origin = verify.Origin{Source: verify.SourceReferrersTag, Manifest: "sha256:" + otherHex}
		return c
	}
	policy := verify.Policy{
		Identities:   []verify.Identity{{Subject: alice, Issuer: theIssuer}, {Subject: bob, Issuer: theIssuer}},
		Threshold:    2,
		TrustedRoots: ours.trust().parsed(t),
	}
	v := newVerifier(t, policy)
	first := by(signing.Bundle, alice)
	const tooFew = "signed by 1 of the 2 different signers required"
	for name, candidates := range map[string][]verify.Candidate{
		"one candidate in two places":      {first, elsewhere(first)},
		"one candidate 100 times":          slices.Repeat([]verify.Candidate{first}, 100),
		"two certificates of one identity": {first, by(signing.Bundle, alice)},
		"two forms":                        {first, by(signing.Legacy, alice)},
		"two keys of one identity":         {first, by(signing.Bundle, alice, func(a *attempt) { a.key = keys["P-384"]() })},
		"two logs":                         {first, by(signing.Bundle, alice, func(a *attempt) { a.records[0].by = ours.otherRekor })},
		"both versions of Rekor":           {first, by(signing.Bundle, alice, (*attempt).inRekorV2)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := v.Verify(t.Context(), theImage(), candidates)
			wantFamily(t, err, verify.ErrRejected)
			wantReason(t, err, tooFew)
			for i, s := range result.Signatures {
				if s.Err != nil {
					t.Errorf("candidate %d is not good by itself: %v", i, s.Err)
				}
			}
			// With another signer beside them, they are enough.
			result, err = v.Verify(t.Context(), theImage(), append(slices.Clone(candidates), by(signing.Legacy, bob, func(a *attempt) { a.key = keys["P-521"]() })))
			if err != nil || !result.Accepted {
				t.Errorf("accepted is %t, error %v", result.Accepted, err)
			}
		})
	}
}

// TestAdvisoryGHSA_wqqc_jjcq_vfxm: what a key that has a period of validity signs
// for outside of it counts for nothing. The keys of a policy have none.
func TestAdvisoryGHSA_wqqc_jjcq_vfxm(t *testing.T) {
	t.Parallel()
	windows := map[string]period{
		"ended":     {from: noon.Add(-year), to: noon.Add(-time.Second)},
		"not begun": {from: noon.Add(time.Second)},
		"1970":      {from: time.Unix(0, 0), to: time.Unix(1, 0)},
	}
	within := period{from: noon, to: noon}
	const noTime = "threshold not met for verified signed & log entry integrated timestamps"
	keyed := func(f ...func(*attempt)) func(*attempt) {
		return func(a *attempt) {
			for _, g := range f {
				g(a)
			}
			identities := a.policy
			a.byKey()
			a.policy.TimestampThreshold = identities.TimestampThreshold
			a.policy.InsecureIgnoreTransparencyLog = identities.InsecureIgnoreTransparencyLog
		}
	}
	var trials []trial
	for name, window := range windows {
		for _, key := range []struct {
			name   string
			only   signing.Form
			honest func(*attempt)
			of     func(*attempt) *period
			why    string
		}{
			{"log", "", nil, func(a *attempt) *period { return &a.trust.log[0].valid }, notCounted},
			{"log, signed with a key", "", keyed(), func(a *attempt) *period { return &a.trust.log[0].valid }, notCounted},
			{"log of Rekor v2", signing.Bundle, (*attempt).inRekorV2, func(a *attempt) *period { return &a.trust.log[2].valid }, notCounted},
			{"log of Rekor v2, signed with a key and stamped", signing.Bundle, keyed((*attempt).inRekorV2, func(a *attempt) { a.policy.TimestampThreshold = 1 }),
				func(a *attempt) *period { return &a.trust.log[2].valid }, notCounted},
			{"log that says no time, signed with a key and stamped by the way", signing.Bundle,
				keyed(func(a *attempt) { a.records[0].noSET = true; stamped(a) }), func(a *attempt) *period { return &a.trust.log[0].valid }, notCounted},
			{"log of Rekor v2, signed with a key and stamped by the way", signing.Bundle, keyed((*attempt).inRekorV2),
				func(a *attempt) *period { return &a.trust.log[2].valid }, notCounted},
			{"timestamp authority", "", stamped, func(a *attempt) *period { return &a.trust.tsas[0].valid }, badTSA},
			{"timestamp authority alone", "", stampedOnly, func(a *attempt) *period { return &a.trust.tsas[0].valid }, badTSA},
			{"timestamp authority, signed with a key", "", keyed(stamped), func(a *attempt) *period { return &a.trust.tsas[0].valid }, badTSA},
			{"timestamp authority of Rekor v2", signing.Bundle, (*attempt).inRekorV2, func(a *attempt) *period { return &a.trust.tsas[0].valid }, noTime},
			{"certificate authority", "", nil, func(a *attempt) *period { return &a.trust.cas[0].valid }, badChain},
			{"log of certificates", "", func(a *attempt) { a.promises[0].at = noon }, func(a *attempt) *period { return &a.trust.ct[0].valid }, badSCT},
		} {
			if strings.HasSuffix(key.name, "by the way") && window.to.IsZero() {
				continue // it is trusted now
			}
			trials = append(trials, trial{name: key.name + ", " + name, only: key.only, honest: func(a *attempt) {
				if key.honest != nil {
					key.honest(a)
				}
				*key.of(a) = within
			}, attack: func(a *attempt) { *key.of(a) = window }, why: key.why})
		}
	}
	// Where nothing says when the log took the entry, it takes it now.
	for name, of := range map[string]struct {
		honest func(*attempt)
		log    int
	}{
		"Rekor v1": {keyed(func(a *attempt) { a.records[0].noSET = true }), 0},
		"Rekor v2": {keyed((*attempt).inRekorV2, func(a *attempt) { a.stamps = nil }), 2},
	} {
		for window, p := range map[string]period{
			"ended": {from: noon.Add(-year), to: noon.Add(time.Hour)}, "not begun": {from: time.Now().Add(time.Hour)},
		} {
			trials = append(trials, trial{name: "log that says no time, " + name + ", " + window, only: signing.Bundle, honest: func(a *attempt) {
				of.honest(a)
				a.trust.log[of.log].valid = period{from: noon, to: time.Now().Add(time.Hour)}
			}, attack: func(a *attempt) { a.trust.log[of.log].valid = p }, why: "the log is not trusted any more or not yet"})
		}
	}
	runTrials(t, trials)
}

// TestAdvisoryGHSA_xm5m_wgh2_rrg3: what is asked of the certificate of a timestamp
// authority is asked of the one that signed, wherever it is among those that come
// with the timestamp. TestTimestampAuthorities has what an authority that is not
// trusted tries.
func TestAdvisoryGHSA_xm5m_wgh2_rrg3(t *testing.T) {
	t.Parallel()
	template := func(edit func(*x509.Certificate)) *x509.Certificate {
		c := &x509.Certificate{
			SerialNumber: ours.tsa.leaf.cert.SerialNumber, Subject: ours.tsa.leaf.cert.Subject,
			NotBefore: noon.Add(-year), NotAfter: noon.Add(year), KeyUsage: x509.KeyUsageDigitalSignature,
			ExtraExtensions: timeStampingOnly(),
		}
		if edit != nil {
			edit(c)
		}
		return c
	}
	// decoy says all that is asked for, and is by nobody.
	decoy := func() *x509.Certificate {
		nobody := newCA("root of "+ours.tsa.uri, nil, noon.Add(-10*year), noon.Add(10*year))
		return certify(template(nil), newECDSA(elliptic.P256()), nobody).cert
	}
	// below is a certificate of the trusted root, which is not the authority's.
	below := func(edit func(*x509.Certificate)) *tsa {
		by := *ours.tsa
		by.leaf = certify(template(edit), newECDSA(elliptic.P256()), ours.tsa.root)
		return &by
	}
	usages := func(all ...x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtraExtensions, c.ExtKeyUsage = nil, all }
	}
	signers := map[string]*tsa{
		"for code":                    below(usages(x509.ExtKeyUsageCodeSigning)),
		"for times, and not critical": below(usages(x509.ExtKeyUsageTimeStamping)),
		"for times and code":          below(usages(x509.ExtKeyUsageTimeStamping, x509.ExtKeyUsageCodeSigning)),
		"for anything":                below(usages(x509.ExtKeyUsageAny)),
		"for nothing":                 below(usages()),
		"of another serial number":    below(func(c *x509.Certificate) { c.SerialNumber = serial() }),
		"that is an authority itself": below(func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageDigitalSignature|x509.KeyUsageCertSign
		}),
		"that has expired": below(func(c *x509.Certificate) { c.NotAfter = noon.Add(-time.Second) }),
	}
	bag := func(by *tsa, certificates ...*x509.Certificate) func(*attempt) {
		return altered(func(p *parts) { p.timestamps = [][]byte{by.stamp(p.signature, noon, certificates...)} })
	}
	var trials []trial
	for with, honest := range map[string]func(*attempt){
		"with entry": stamped, "without entry": stampedOnly, "honest root in the bag": func(a *attempt) {
			stamped(a)
			bag(ours.tsa, ours.tsa.root.cert)(a)
		},
	} {
		for name, by := range signers {
			trials = append(trials,
				trial{name: "certificate " + name + " alone, " + with, honest: honest, attack: bag(by), why: badTSA},
				trial{name: "certificate " + name + " after a decoy, " + with, honest: honest, attack: bag(by, decoy()), why: badTSA},
				trial{name: "certificate " + name + " after the trusted one, " + with, honest: honest, attack: bag(by, ours.tsa.leaf.cert), why: badTSA},
			)
		}
	}
	runTrials(t, trials)
}

// timeStampingOnly is the one purpose that a timestamp authority's certificate
// must have, critical as RFC 3161 wants it, section 2.3.
func timeStampingOnly() []pkixname.Extension {
	var usage []pkixname.Extension
	for _, e := range ours.tsa.leaf.cert.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 37}) {
			usage = append(usage, e)
		}
	}
	return usage
}

// TestAdvisoryGHSA_cq38_jh5f_37mq: a bundle that goes on and on within the size
// that is read is refused before much is made of it.
func TestAdvisoryGHSA_cq38_jh5f_37mq(t *testing.T) {
	t.Parallel()
	const many = 20_000
	repeat := func(v any, n int) []any { return slices.Repeat([]any{v}, n) }
	edited := func(edit func(o object)) func(*attempt) {
		return served(func(c *verify.Candidate) {
			var o object
			if err := json.Unmarshal(c.Bundle, &o); err != nil {
				t.Error(err)
			}
			edit(o)
			c.Bundle = marshalled(o)
		})
	}
	material := func(o object) object { return o["verificationMaterial"].(object) }
	entry := func(o object) object { return material(o)["tlogEntries"].([]any)[0].(object) }
	subjects := func(n int) func(*attempt) {
		return func(a *attempt) {
			s := statement()
			s["subject"] = append(repeat(subjectOf(otherHex), n-1), s["subject"].([]any)...)
			a.content = marshalled(s)
		}
	}
	digests := func(n int) func(*attempt) {
		return func(a *attempt) {
			s, all := statement(), object{"sha256": theHex}
			for i := range n - 1 {
				all[fmt.Sprint("x", i)] = "00"
			}
			subject(s)["digest"] = all
			a.content = marshalled(s)
		}
	}
	entries := func(n int) func(*attempt) {
		return func(a *attempt) {
			for i := range n - 1 {
				a.records = append(a.records, record{by: ours.rekor, at: noon, index: int64(10 + i)})
			}
		}
	}
	timestamps := func(n int) func(*attempt) {
		return func(a *attempt) { a.stamps = slices.Repeat([]stamp{{ours.tsa, noon}}, n) }
	}
	trials := []trial{
		{name: "log entries", honest: entries(32), attack: entries(2), why: "too many tlog entries"},
		{name: "log entries, empty", attack: edited(func(o object) { material(o)["tlogEntries"] = repeat(object{}, many) }), why: "too many tlog entries"},
		{name: "timestamps", honest: timestamps(32), attack: func(a *attempt) { timestamps(33)(a) }, why: "too many signed timestamps"},
		{name: "timestamps, empty", honest: stamped, attack: edited(func(o object) {
			material(o)["timestampVerificationData"] = object{"rfc3161Timestamps": repeat(object{}, many)}
		}), why: "too many signed timestamps"},
		{name: "signatures", attack: edited(func(o object) {
			dsse := o["dsseEnvelope"].(object)
			dsse["signatures"] = repeat(object{"sig": "AAAA"}, many)
		}), why: "signature"},
		{name: "certificates", attack: edited(func(o object) {
			m := material(o)
			m["x509CertificateChain"] = object{"certificates": repeat(m["certificate"], 500)}
			delete(m, "certificate")
		}), why: "number of certificates is larger than"},
		{name: "subjects", honest: subjects(1024), attack: subjects(1025), why: "too many subjects"},
		{name: "digests of the subject", honest: digests(32), attack: digests(33), why: "too many digests"},
		{name: "hashes of the inclusion proof", attack: edited(func(o object) {
			entry(o)["inclusionProof"].(object)["hashes"] = repeat(make([]byte, 32), many)
		}), why: "number of hashes of an inclusion proof"},
		{name: "lines of the checkpoint", attack: altered(func(p *parts) {
			p.entries[0].proof.checkpoint = strings.Repeat("x\n", 200_000) + p.entries[0].proof.checkpoint
		}), why: "checkpoint"},
		{name: "signatures of the checkpoint by one key", attack: altered(func(p *parts) {
			c := p.entries[0].proof.checkpoint
			p.entries[0].proof.checkpoint += c[strings.Index(c, "\u2014"):]
		}), why: "two signatures by one key"},
		{name: "signatures of the checkpoint by one key, in bulk", attack: altered(func(p *parts) {
			c := p.entries[0].proof.checkpoint
			p.entries[0].proof.checkpoint += strings.Repeat(c[strings.Index(c, "\u2014"):], 5000)
		}), why: "checkpoint in bytes is larger than"},
		{name: "SCTs of the certificate", attack: func(a *attempt) {
			a.promises = slices.Repeat([]promise{{by: foreign.ct, at: noon}}, 500)
		}, why: badSCT},
		{name: "names of the certificate", attack: func(a *attempt) {
			a.named(slices.Repeat([][]byte{uri(theSubject)}, 700)...)
		}, why: "number of names in a certificate"},
		{name: "depth", attack: func(a *attempt) {
			s := string(statementWithout("predicate"))
			a.content = []byte(s[:len(s)-1] + `,"predicate":` + strings.Repeat(`{"a":`, 50_000) + "1" + strings.Repeat("}", 50_001))
		}, why: "statement"},
		{name: "bytes", attack: served(func(c *verify.Candidate) {
			c.Bundle = append(c.Bundle, bytes.Repeat([]byte(" "), 1<<20)...)
		}), why: "limit exceeded"},
	}
	for i := range trials {
		trials[i].only = signing.Bundle
	}
	runTrials(t, trials)
}

func statementWithout(key string) []byte {
	s := statement()
	delete(s, key)
	return marshalled(s)
}

// TestAdvisoryGHSA_8gw7_4j42_w388: a log entry replaces no other check, and one
// that does not verify is not like none at all.
func TestAdvisoryGHSA_8gw7_4j42_w388(t *testing.T) {
	t.Parallel()
	subject := func(name string) func(*attempt) {
		return func(a *attempt) { a.named(uri(name)) }
	}
	asksFor := func(g verify.GitHubWorkflow) func(*attempt) {
		return func(a *attempt) { a.policy.Identities[0].GitHub = g }
	}
	trials := []trial{
		{name: "a good entry of another signature", attack: func(a *attempt) {
			a.alter = append(a.alter, func(p *parts) { p.entries = another(t, a).entries })
		}, why: "transparency log signature does not match"},
		{name: "a good entry, and another subject", attack: subject("https://github.com/mallory/app/.github/workflows/release.yml@refs/heads/main"), why: "signed by"},
		{name: "a good entry, and another issuer", attack: func(a *attempt) {
			extension(a.leaf, fulcio(1), []byte("https://issuer.test"))
			extension(a.leaf, fulcio(8), derOf("https://issuer.test", "utf8"))
		}, why: "signed by"},
		{name: "a good entry, and another repository of the workflow", honest: asksFor(theWorkflow), attack: func(a *attempt) {
			extension(a.leaf, fulcio(5), []byte("mallory/app"))
		}, why: "mallory/app"},
		{name: "a good entry, and another trigger of the workflow", honest: asksFor(theWorkflow), attack: func(a *attempt) {
			extension(a.leaf, fulcio(2), []byte("pull_request"))
		}, why: "pull_request"},
		{name: "a good entry, and a certificate that expired before", attack: func(a *attempt) {
			a.records[0].at = a.leaf.NotAfter.Add(time.Second)
		}, why: outside},
		{name: "an entry that the log did not sign", attack: altered(func(p *parts) {
			p.entries[0].set = flipped(p.entries[0].set)
		}), why: notCounted},
		{name: "an entry that is not in the log", only: signing.Bundle, attack: altered(func(p *parts) {
			p.entries[0].proof.root = flipped(p.entries[0].proof.root)
		}), why: "calculated root"},
		{name: "an entry of another log", attack: func(a *attempt) { a.records[0].by = foreign.rekor }, why: notCounted},
		{name: "an entry that is junk", attack: altered(func(p *parts) { p.entries[0].body = []byte("{}") }), why: "not a recognizable"},
		{name: "an entry that is junk, and a timestamp", honest: stamped, attack: altered(func(p *parts) {
			p.entries[0].body = []byte("{}")
		}), why: "not a recognizable"},
		{name: "a bad signature and its good entry", attack: altered(func(p *parts) {
			p.signature = flipped(p.signature)
		}), why: "does not verify with the key of the certificate"},
		{name: "an entry that the log did not sign, by key", honest: (*attempt).byKey, attack: altered(func(p *parts) {
			p.entries[0].set = flipped(p.entries[0].set)
		}), why: notCounted},
	}
	// Who needs no log gets the rest all the same.
	insecure := func(a *attempt) {
		stamped(a)
		a.policy.InsecureIgnoreTransparencyLog = true
	}
	trials = append(trials,
		trial{name: "no log is needed, and another subject", honest: insecure, attack: subject("https://github.com/mallory/app"), why: "signed by"},
		trial{name: "no log is needed, and the signature is bad", honest: insecure, attack: func(a *attempt) {
			a.alter = append(a.alter, func(p *parts) {
				p.signature = flipped(p.signature)
				p.timestamps = [][]byte{ours.tsa.stamp(p.signature, noon)}
			})
		}, why: "does not verify with the key of the certificate"},
	)
	runTrials(t, trials)
}

// TestAdvisoryGHSA_vjxv_45g9_9296: that there are attestations, of whatever type
// and by whomever, is not that there is a signature.
func TestAdvisoryGHSA_vjxv_45g9_9296(t *testing.T) {
	t.Parallel()
	attestation := func(predicateType, digest string, more ...func(*attempt)) verify.Candidate {
		a := newAttempt(signing.Bundle)
		s := statement()
		s["predicateType"], s["predicate"] = predicateType, object{"Data": "x"}
		s["subject"] = []any{subjectOf(digest)}
		a.content = marshalled(s)
		for _, f := range more {
			f(a)
		}
		return a.candidate(t)
	}
	policy := wants(true, keys["P-256"]())
	policy.TrustedRoots = ours.trust().parsed(t)
	v := newVerifier(t, policy)
	const custom, spdx, slsa = "https://cosign.sigstore.dev/attestation/v1", "https://spdx.dev/Document", "https://slsa.dev/provenance/v1"
	bare := func(a *attempt) { a.bare = true }
	for name, candidates := range map[string][]verify.Candidate{
		"one":              {attestation(custom, theHex)},
		"one by the key":   {attestation(custom, theHex, bare)},
		"one of each type": {attestation(custom, theHex), attestation(spdx, theHex), attestation(slsa, theHex)},
		"one of no type":   {attestation("", theHex)},
		"one of the image and one signature of another": {attestation(custom, theHex), attestation(signType, otherHex)},
		"many": slices.Repeat([]verify.Candidate{attestation(slsa, theHex)}, 20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := v.Verify(t.Context(), theImage(), candidates)
			wantFamily(t, err, verify.ErrRejected)
			wantReason(t, err, "is not a signature")
			wantLists(t, result, candidates)
			for i, s := range result.Signatures {
				if s.Err == nil {
					t.Errorf("candidate %d passed", i)
				}
			}
			if payloads, err := result.Payloads(); err != nil || string(payloads) != "[]" {
				t.Errorf("payloads are %s, %v", payloads, err)
			}
			// Beside a signature they are no harm, and still none.
			good := append(slices.Clone(candidates), newAttempt(signing.Bundle).candidate(t))
			result, err = v.Verify(t.Context(), theImage(), good)
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range result.Signatures {
				if passed := s.Err == nil; passed != (i == len(candidates)) {
					t.Errorf("candidate %d passed: %t, %v", i, passed, s.Err)
				}
			}
		})
	}
}

// TestAdvisoryGHSA_ccxc_vr6p_4858: who may write to the registry cannot have it
// that a signature was logged by showing an entry that was.
func TestAdvisoryGHSA_ccxc_vr6p_4858(t *testing.T) {
	t.Parallel()
	// of alters an annotation of the candidate into that of another attempt.
	of := func(other func(*attempt), edit func(mine, theirs object)) func(*attempt) {
		return func(a *attempt) {
			b := newAttempt(signing.Legacy)
			b.bare = a.bare
			other(b)
			theirs := b.candidate(t).Annotations[logKey]
			served(func(c *verify.Candidate) {
				if c.Annotations[logKey] == theirs {
					t.Error("the entries are the same")
				}
				var mine, yours object
				for text, to := range map[string]*object{c.Annotations[logKey]: &mine, theirs: &yours} {
					if err := json.Unmarshal([]byte(text), to); err != nil {
						t.Error(err)
					}
				}
				edit(mine, yours)
				c.Annotations[logKey] = string(marshalled(mine))
			})(a)
		}
	}
	all := func(mine, theirs object) {
		mine["SignedEntryTimestamp"], mine["Payload"] = theirs["SignedEntryTimestamp"], theirs["Payload"]
	}
	member := func(names ...string) func(mine, theirs object) {
		return func(mine, theirs object) {
			for _, name := range names {
				if name == "SignedEntryTimestamp" {
					mine[name] = theirs[name]
					continue
				}
				mine["Payload"].(object)[name] = theirs["Payload"].(object)[name]
			}
		}
	}
	image := func(b *attempt) { b.content = bytes.ReplaceAll(b.content, []byte(theHex), []byte(otherHex)) }
	again := func(*attempt) {}
	key := func(b *attempt) { b.key = keys["P-384"]() }
	const otherSignature = "transparency log signature does not match"
	var trials []trial
	for who, honest := range map[string]func(*attempt){"keyless": func(*attempt) {}, "by key": (*attempt).byKey} {
		for name, tr := range map[string]trial{
			"entry of another image":                 {attack: of(image, all), why: otherSignature},
			"entry of another signature of the same": {attack: of(again, all), why: otherSignature},
			"entry of another key":                   {attack: of(key, all), why: otherSignature},
			"body of another entry":                  {attack: of(image, member("body")), why: notCounted},
			"promise of another entry":               {attack: of(image, member("SignedEntryTimestamp")), why: notCounted},
			"promise and time of another entry":      {attack: of(image, member("SignedEntryTimestamp", "integratedTime", "logIndex", "logID")), why: notCounted},
			"time of another entry":                  {attack: of(func(b *attempt) { b.records[0].at = noon.Add(time.Second) }, member("integratedTime")), why: notCounted},
			"index of another entry":                 {attack: of(func(b *attempt) { b.records[0].index = 9 }, member("logIndex")), why: notCounted},
			"entry of a log that is not trusted":     {attack: of(func(b *attempt) { b.records[0].by = foreign.rekor }, all), why: notCounted},
			"no entry":                               {attack: served(func(c *verify.Candidate) { delete(c.Annotations, logKey) }), why: notCounted},
		} {
			tr.name, tr.only, tr.honest = name+" "+who, signing.Legacy, honest
			trials = append(trials, tr)
		}
	}
	runTrials(t, trials)
}

// gone is in the place of a value that is to be left out.
type gone struct{}

// confusions are values of every type that JSON has.
var confusions = map[string]any{
	"left out": gone{}, "null": nil, "true": true, "0": 0, "-1": -1, "1.5": 1.5, "a large number": json.Number("1e400"),
	"an empty string": "", "text": "x", "zeros in base64": "AAAA", "a number in a string": "5",
	"an empty array": []any{}, "an array of null": []any{nil}, "an array of text": []any{"x"}, "arrays": []any{[]any{}},
	"an empty object": object{}, "an object of null": object{"a": nil}, "an object with text": object{"sha256": "x", "rawBytes": "AAAA"},
}

// places lists the paths of all values in v that are below path.
func places(path []any, v any) [][]any {
	all := [][]any{path}
	below := func(key, v any) { all = append(all, places(append(slices.Clip(path), key), v)...) }
	switch v := v.(type) {
	case object:
		for key, member := range v {
			below(key, member)
		}
	case []any:
		for i, element := range v {
			below(i, element)
		}
	}
	return all
}

// confused returns the JSON b with the value at path replaced by v.
func confused(t testing.TB, b []byte, path []any, v any) []byte {
	t.Helper()
	var whole any
	if err := json.Unmarshal(b, &whole); err != nil {
		t.Fatal(err)
	}
	if len(path) == 0 {
		if v == (gone{}) {
			return nil
		}
		return marshalled(v)
	}
	at := whole
	for _, key := range path[:len(path)-1] {
		if i, ok := key.(int); ok {
			at = at.([]any)[i]
		} else {
			at = at.(object)[key.(string)]
		}
	}
	switch last := path[len(path)-1].(type) {
	case int:
		if at.([]any)[last] = v; v == (gone{}) {
			at.([]any)[last] = nil // an array has no other way
		}
	case string:
		if at.(object)[last] = v; v == (gone{}) {
			delete(at.(object), last)
		}
	}
	return marshalled(whole)
}

// slashed is a path as text.
func slashed(path []any) string {
	var all []string
	for _, key := range path {
		all = append(all, fmt.Sprint(key))
	}
	return strings.Join(all, "/")
}

// TestAnnotationsAndIdentitiesOfEveryForm: what a policy asks for beside the
// digest is asked of bundles as of legacy signatures, and several identities may
// be named for both.
func TestAnnotationsAndIdentitiesOfEveryForm(t *testing.T) {
	t.Parallel()
	annotated := func(a *attempt) { a.policy.Annotations = map[string]string{"env": "prod"} }
	several := func(a *attempt) {
		a.policy.Identities = []verify.Identity{
			{Subject: "alice@example.com", Issuer: theIssuer}, theIdentity(), {SubjectRegexp: ".*@example.com", Issuer: theIssuer},
		}
	}
	without := func(a *attempt) {
		a.content = bytes.ReplaceAll(a.content, []byte(`"env":"prod"`), []byte(`"run":"7"`))
	}
	var trials []trial
	for name, kind := range map[string]struct {
		only   signing.Form
		honest func(*attempt)
	}{"keyless": {}, "by key": {"", (*attempt).byKey}, "in Rekor v2": {signing.Bundle, (*attempt).inRekorV2}, "stamped only": {"", stampedOnly}} {
		honest := func(f func(*attempt)) func(*attempt) {
			return func(a *attempt) {
				if kind.honest != nil {
					kind.honest(a)
				}
				f(a)
			}
		}
		trials = append(trials,
			trial{name: "annotation is missing, " + name, only: kind.only, honest: honest(annotated), attack: without, why: `annotation "env" is missing`},
			trial{name: "annotation has another value, " + name, only: kind.only, honest: honest(annotated), attack: func(a *attempt) {
				a.policy.Annotations["env"] = "test"
			}, why: `annotation "env" is "prod", want "test"`},
		)
		if name == "by key" {
			continue
		}
		trials = append(trials, trial{name: "none of several identities, " + name, only: kind.only, honest: honest(several), attack: func(a *attempt) {
			a.named(uri("https://github.com/mallory/app"))
		}, why: `signed by "https://github.com/mallory/app"`})
	}
	runTrials(t, trials)
}

// TestOneVerifierAndOneCandidateServeManyGoroutines: sigstore-go writes into
// what it parses, most of all where a subject is of Fulcio's own kind.
func TestOneVerifierAndOneCandidateServeManyGoroutines(t *testing.T) {
	t.Parallel()
	const goroutines = 32
	var candidates []verify.Candidate
	var bad []bool
	for _, form := range forms {
		for _, by := range []*sigstore{ours, foreign} {
			a := newAttempt(form)
			through(newCA("second", by.root, noon.Add(-year), noon.Add(year)))(a)
			a.named(otherName("user@host"))
			a.stamps = []stamp{{ours.tsa, noon}}
			b := newAttempt(form)
			b.key = keys["P-384"]()
			b.byKey()
			candidates = append(candidates, a.candidate(t), b.candidate(t))
			bad = append(bad, by == foreign, false)
		}
	}
	policy := verify.Policy{
		Identities:   []verify.Identity{{Subject: "user@host", Issuer: theIssuer}},
		TrustedRoots: ours.trust().parsed(t), Threshold: 2,
	}
	for _, key := range keys {
		policy.Keys = append(policy.Keys, key().Public())
	}
	v := newVerifier(t, policy)
	start := make(chan struct{})
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			<-start
			result, err := v.Verify(t.Context(), theImage(), candidates)
			if err != nil {
				t.Error(err)
				return
			}
			for i, s := range result.Signatures {
				if (s.Err != nil) != bad[i] {
					t.Errorf("candidate %d: %v", i, s.Err)
				}
			}
		})
	}
	close(start)
	all.Wait()
}
