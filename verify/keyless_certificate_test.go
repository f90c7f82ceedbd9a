// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

const (
	outside  = "integrated time outside certificate validity"
	badChain = "failed to verify leaf certificate"
	badSCT   = "only able to verify 0 SCT entries"
	badTSA   = "threshold not met for verified signed timestamps: 0 < 1"
)

// stamped asks for a timestamp beside the log entry, and has it.
func stamped(a *attempt) {
	a.stamps = []stamp{{ours.tsa, noon}}
	a.policy.TimestampThreshold = 1
}

// stampedOnly has no log entry.
func stampedOnly(a *attempt) {
	stamped(a)
	a.records = nil
	a.policy.InsecureIgnoreTransparencyLog = true
}

// through issues the certificate by an authority that comes with the signature.
func through(ca *certifier, above ...*certifier) func(*attempt) {
	return func(a *attempt) {
		a.ca, a.chain = ca, []*x509.Certificate{ca.cert}
		for _, c := range above {
			a.chain = append(a.chain, c.cert)
		}
	}
}

func TestCertificateAuthorities(t *testing.T) {
	t.Parallel()
	early, late := noon.Add(-5*year), noon.Add(4*year)
	codeSigning := x509.ExtKeyUsageCodeSigning
	second := newCA("second", ours.root, early, late, codeSigning)
	third := newCA("third", second, early, late, codeSigning)
	servers := newCA("servers", ours.root, early, late, x509.ExtKeyUsageServerAuth)
	runTrials(t, []trial{
		{name: "certificate of another authority of the same name", attack: func(a *attempt) { a.ca = foreign.intermediate }, why: badChain},
		{name: "certificate of another authority that comes along", only: signing.Legacy, attack: through(foreign.intermediate, foreign.root), why: badChain},
		{name: "certificate of another authority in a chain", only: signing.Bundle, attack: through(foreign.intermediate), why: badChain},
		{name: "chain of another authority over a good certificate", attack: func(a *attempt) {
			a.ca, a.chain = foreign.intermediate, []*x509.Certificate{ours.intermediate.cert}
		}, why: badChain},
		{name: "certificate that signed itself", attack: func(a *attempt) {
			a.ca = certify(leafTemplate(), a.key, nil)
		}, why: badChain},
		{name: "certificate by a certificate that is no authority", attack: func(a *attempt) {
			key := newECDSA(elliptic.P256())
			notCA := &certifier{ours.intermediate.issue(key, leafTemplate()), key}
			a.ca = notCA
			if a.form == signing.Legacy {
				a.chain = []*x509.Certificate{notCA.cert}
			}
		}, why: badChain},
		{name: "authority that comes along is missing", honest: through(second), attack: func(a *attempt) { a.chain = nil }, why: badChain},
		{name: "one of two authorities that come along is missing", honest: through(third, second), attack: func(a *attempt) {
			a.chain = a.chain[:1]
		}, why: badChain},
		{name: "authority for something else comes along", honest: through(second), attack: through(servers), why: badChain},
		{name: "certificate for something else", attack: func(a *attempt) {
			a.leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}, why: badChain},
		{name: "certificate for nothing", attack: func(a *attempt) {
			a.leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
		}, why: badChain},
		{name: "unknown critical extension", attack: func(a *attempt) {
			extension(a.leaf, fulcio(99), []byte{5, 0})
			a.leaf.ExtraExtensions[len(a.leaf.ExtraExtensions)-1].Critical = true
		}, why: badChain},
		{name: "authority before it is trusted", attack: func(a *attempt) { a.trust.cas[0].valid.from = noon.Add(time.Second) }, why: badChain},
		{name: "authority after it is trusted", attack: func(a *attempt) { a.trust.cas[0].valid.to = noon.Add(-time.Second) }, why: badChain},
		{name: "signature by another key than the certificate's", attack: func(a *attempt) {
			evil := newECDSA(elliptic.P256())
			a.alter = append(a.alter, func(p *parts) {
				b := *a
				b.key = evil
				p.signature = b.sign(t, p.message())
				p.entries[0] = b.record(p, a.records[0])
			})
		}, why: "does not verify with the key of the certificate"},
		{name: "signature altered", honest: stampedOnly, attack: func(a *attempt) {
			a.alter = append(a.alter, func(p *parts) {
				p.signature = flipped(p.signature)
				p.timestamps[0] = ours.tsa.stamp(p.signature, noon)
			})
		}, why: "does not verify with the key of the certificate"},
		{name: "content altered", honest: stampedOnly, attack: altered(func(p *parts) {
			p.content = append(p.content, ' ')
		}), why: "does not verify with the key of the certificate"},
	})
}

// TestAdvisoryGHSA_wfqv_66vq_46rm (CVE-2026-24122): every certificate of the
// chain must be valid at the time of the signature, not the leaf alone.
func TestAdvisoryGHSA_wfqv_66vq_46rm(t *testing.T) {
	t.Parallel()
	codeSigning := x509.ExtKeyUsageCodeSigning
	var trials []trial
	for name, valid := range map[string]period{
		"expired":          {noon.Add(-year), noon.Add(-time.Second)},
		"not yet valid":    {noon.Add(time.Second), noon.Add(year)},
		"expired for long": {noon.Add(-2 * year), noon.Add(-year)},
	} {
		intermediate := newCA("intermediate", ours.root, valid.from, valid.to, codeSigning)
		root := newCA("root", nil, valid.from, valid.to)
		below := newCA("intermediate", root, noon.Add(-year), noon.Add(year), codeSigning)
		within := newCA("within", ours.intermediate, valid.from, valid.to, codeSigning)
		trials = append(trials,
			trial{name: "intermediate " + name, attack: func(a *attempt) {
				a.ca, a.trust.cas[0].chain[0] = intermediate, intermediate.cert
			}, why: badChain},
			trial{name: "intermediate that comes along " + name, attack: through(intermediate), why: badChain},
			trial{name: "second intermediate that comes along " + name, attack: through(within), why: badChain},
			trial{name: "root " + name, attack: func(a *attempt) {
				a.ca, a.trust.cas[0].chain = below, []*x509.Certificate{below.cert, root.cert}
			}, why: badChain},
			trial{name: "intermediate by timestamp " + name, honest: stampedOnly, attack: func(a *attempt) {
				a.ca, a.trust.cas[0].chain[0] = intermediate, intermediate.cert
			}, why: badChain},
		)
	}
	runTrials(t, trials)
}

// TestTimesOfCertificates: a certificate is good for the minutes that it names,
// by every clock that tells.
func TestTimesOfCertificates(t *testing.T) {
	t.Parallel()
	before, after := leafTemplate().NotBefore, leafTemplate().NotAfter
	logged := func(at time.Time) func(*attempt) { return func(a *attempt) { a.records[0].at = at } }
	stampedAt := func(at time.Time) func(*attempt) { return func(a *attempt) { a.stamps[0].at = at } }
	// A timestamp that nobody asked for is believed all the same.
	both := func(a *attempt) { a.stamps = []stamp{{ours.tsa, noon}} }
	var trials []trial
	for name, at := range map[string]time.Time{
		"a second before": before.Add(-time.Second), "a second after": after.Add(time.Second),
		"a year before": before.Add(-year + time.Hour), "a year after": after.Add(year - time.Hour),
	} {
		trials = append(trials,
			trial{name: "logged " + name, attack: logged(at), why: outside},
			trial{name: "stamped " + name, honest: stampedOnly, attack: stampedAt(at), why: badChain},
			trial{name: "logged in time and stamped " + name, honest: both, attack: stampedAt(at), why: badChain},
			trial{name: "logged in time and stamped as asked " + name, honest: stamped, attack: stampedAt(at), why: badChain},
			trial{name: "stamped in time and logged " + name, honest: both, attack: logged(at), why: outside},
			trial{name: "Rekor v2, stamped " + name, only: signing.Bundle, honest: (*attempt).inRekorV2, attack: stampedAt(at), why: badChain},
			trial{name: "two timestamps, one " + name, only: signing.Bundle, honest: func(a *attempt) {
				stamped(a)
				a.policy.TimestampThreshold = 2
				a.stamps = append(a.stamps, stamp{ours.otherTSA, noon})
			}, attack: func(a *attempt) { a.stamps[1].at = at }, why: badChain},
		)
	}
	for name, at := range map[string]time.Time{"first": before, "last": after} {
		trials = append(trials, trial{name: "no time, and logged in the " + name + " second", honest: logged(at),
			attack: func(a *attempt) { a.records = nil }, why: notCounted})
	}
	trials = append(trials,
		trial{name: "no time", honest: stampedOnly, attack: func(a *attempt) { a.stamps = nil }, why: notCounted},
		trial{name: "no timestamp where one is asked for", honest: stamped, attack: func(a *attempt) { a.stamps = nil }, why: badTSA},
	)
	runTrials(t, trials)
}

func TestTimestampAuthorities(t *testing.T) {
	t.Parallel()
	valid := func(from, to time.Time) func(*attempt) {
		return func(a *attempt) { a.trust.tsas[0].valid = period{from, to} }
	}
	expired := newTSA(ours.tsa.uri, noon.Add(-year), noon.Add(-time.Second))
	trusting := func(a *attempt, by *tsa) {
		a.trust.tsas[0].chain = []*x509.Certificate{by.leaf.cert, by.root.cert}
		a.stamps[0].by = by
	}
	bag := func(by *tsa, certificates ...*x509.Certificate) func(*attempt) {
		return altered(func(p *parts) { p.timestamps = [][]byte{by.stamp(p.signature, noon, certificates...)} })
	}
	var trials []trial
	for name, honest := range map[string]func(*attempt){"with entry": stamped, "without entry": stampedOnly} {
		trials = append(trials,
			trial{name: "authority that is not trusted", honest: honest, attack: func(a *attempt) { a.stamps[0].by = foreign.tsa }, why: badTSA},
			trial{name: "timestamp over another signature", honest: honest, attack: func(a *attempt) {
				a.alter = append(a.alter, func(p *parts) { p.timestamps[0] = ours.tsa.stamp(a.sign(t, p.message()), noon) })
			}, why: badTSA},
			trial{name: "timestamp over the content", honest: honest, attack: altered(func(p *parts) {
				p.timestamps[0] = ours.tsa.stamp(p.content, noon)
			}), why: badTSA},
			trial{name: "timestamp altered", honest: honest, attack: altered(func(p *parts) {
				p.timestamps[0] = flipped(p.timestamps[0])
			}), why: badTSA},
			trial{name: "timestamp with bytes after it", honest: honest, attack: altered(func(p *parts) {
				p.timestamps[0] = append(p.timestamps[0], 0)
			}), why: badTSA},
			trial{name: "timestamp cut short", honest: honest, attack: altered(func(p *parts) {
				p.timestamps[0] = p.timestamps[0][:len(p.timestamps[0])/2]
			}), why: badTSA},
			trial{name: "authority before it is trusted", honest: honest, attack: valid(noon.Add(time.Second), time.Time{}), why: badTSA},
			trial{name: "authority after it is trusted", honest: honest, attack: valid(noon.Add(-year), noon.Add(-time.Second)), why: badTSA},
			trial{name: "authority whose certificate has expired", honest: honest, attack: func(a *attempt) { trusting(a, expired) }, why: badTSA},
			trial{name: "another certificate below the same root", honest: honest, attack: func(a *attempt) {
				evil := *ours.tsa
				evil.leaf = certify(&x509.Certificate{
					SerialNumber: serial(), NotBefore: noon.Add(-year), NotAfter: noon.Add(year),
					ExtraExtensions: ours.tsa.leaf.cert.Extensions[:0:0], ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
				}, newECDSA(elliptic.P256()), ours.tsa.root)
				a.stamps[0].by = &evil
			}, why: badTSA},
			// GHSA-xm5m-wgh2-rrg3: whose signature it is, the certificates that
			// come in the response do not say.
			trial{name: "GHSA-xm5m-wgh2-rrg3 trusted certificate in the bag", honest: honest, attack: bag(foreign.tsa, ours.tsa.leaf.cert), why: badTSA},
			trial{name: "GHSA-xm5m-wgh2-rrg3 trusted chain in the bag", honest: honest, attack: bag(foreign.tsa, ours.tsa.leaf.cert, ours.tsa.root.cert), why: badTSA},
			trial{name: "GHSA-xm5m-wgh2-rrg3 certificate in the bag with the serial of the trusted", honest: honest, attack: func(a *attempt) {
				evil := *foreign.tsa
				template := *ours.tsa.leaf.cert
				template.ExtraExtensions, template.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}
				evil.leaf = certify(&template, newECDSA(elliptic.P256()), foreign.tsa.root)
				bag(&evil, ours.tsa.leaf.cert)(a)
			}, why: badTSA},
		)
		for i := range trials[len(trials)-13:] {
			trials[len(trials)-13+i].name += " " + name
		}
	}
	trials = append(trials, trial{name: "no authority that is trusted", honest: (*attempt).inRekorV2, only: signing.Bundle,
		attack: func(a *attempt) { a.trust.tsas = nil }, why: "threshold not met for verified signed & log entry integrated timestamps"})
	runTrials(t, trials)
}

// TestTimestampThatNobodyAskedFor: junk beside what is needed is no harm, and no
// help.
func TestTimestampThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	for _, form := range forms {
		a := newAttempt(form)
		a.stamps = []stamp{{foreign.tsa, noon}}
		if s := a.accepted(t); len(s.Timestamps) != 1 || s.Timestamps[0].Source != verify.TimestampFromLog || !s.Timestamps[0].Time.Equal(noon) {
			t.Errorf("%s: timestamps are %+v", form, s.Timestamps)
		}
		a = newAttempt(form)
		stampedOnly(a)
		if s := a.accepted(t); s.Timestamps[0].Source != verify.TimestampFromAuthority || s.Timestamps[0].URI != ours.tsa.uri {
			t.Errorf("%s: timestamps are %+v", form, s.Timestamps)
		}
	}
}

func TestCertificateTransparency(t *testing.T) {
	t.Parallel()
	promised := func(p ...promise) func(*attempt) { return func(a *attempt) { a.promises = p } }
	trials := []trial{
		{name: "none", attack: promised(), why: badSCT},
		{name: "by a log that is not trusted", attack: promised(promise{by: foreign.ct, at: noon}), why: badSCT},
		{name: "by a log that is not trusted with the id of one that is", attack: func(a *attempt) {
			evil := *foreign.ct
			evil.id = ours.ct.id
			a.promises[0].by = &evil
		}, why: badSCT},
		{name: "with the id of another trusted log", attack: func(a *attempt) {
			evil := *ours.ct
			evil.id = ours.otherCT.id
			a.promises[0].by = &evil
		}, why: badSCT},
		{name: "by a log of signatures", attack: promised(promise{by: ours.rekor, at: noon}), why: badSCT},
		{name: "for another certificate", attack: func(a *attempt) {
			a.promises[0].of = ours.intermediate.issue(a.key, leafTemplate())
		}, why: badSCT},
		{name: "for another authority's certificate", attack: func(a *attempt) {
			a.alter = nil
			a.trust.cas[0].chain[0] = foreign.intermediate.cert
			a.trust.cas[0].chain[1] = foreign.root.cert
			a.leaf.SerialNumber = serial()
			a.ca = &certifier{foreign.intermediate.cert, foreign.intermediate.key}
			bare := ours.intermediate.issue(a.key, a.leaf)
			a.promises[0].of = bare
		}, why: badSCT},
		{name: "of a key before its time", attack: func(a *attempt) { a.trust.ct[0].valid = period{from: noon} }, why: badSCT},
		{name: "of a key after its time", attack: func(a *attempt) { a.trust.ct[0].valid.to = noon.Add(-2 * time.Minute) }, why: badSCT},
		{name: "two that are not trusted", attack: promised(promise{by: foreign.ct, at: noon}, promise{by: foreign.otherCT, at: noon}), why: badSCT},
		{name: "stripped from the certificate", attack: altered(func(p *parts) {
			template := *leafTemplate()
			p.certificate = ours.intermediate.issue(keys["P-256"](), &template)
		}), why: "transparency log certificate does not match"},
		{name: "list that is junk", attack: func(a *attempt) {
			a.promises = nil
			extension(a.leaf, sctOID, derOf([]byte{0, 1, 2}))
		}, why: "signed certificate timestamp"},
		{name: "list that is no string", attack: func(a *attempt) {
			a.promises = nil
			extension(a.leaf, sctOID, []byte{5, 0})
		}, why: "signed certificate timestamp"},
		{name: "list that is empty", attack: func(a *attempt) {
			a.promises = nil
			extension(a.leaf, sctOID, derOf([]byte{0, 0}))
		}, why: "SCT"},
	}
	for i := range trials {
		trials[i].name = "SCT " + trials[i].name
	}
	runTrials(t, trials)

	for _, form := range forms {
		// One good among bad ones is enough, and none at all where the caller
		// says so; nothing else is ignored with it.
		a := newAttempt(form)
		a.promises = append([]promise{{by: foreign.ct, at: noon}}, a.promises...)
		a.accepted(t)
		insecure := func() *attempt {
			a := newAttempt(form)
			a.promises, a.trust.ct = nil, nil
			a.policy.InsecureIgnoreSCT = true
			return a
		}
		insecure().accepted(t)
		a = insecure()
		a.ca = foreign.intermediate
		a.rejected(t, badChain)
		a = insecure()
		a.records = nil
		a.rejected(t, notCounted)
		a = insecure()
		a.records[0].at = noon.Add(time.Hour)
		a.rejected(t, outside)
		a = insecure()
		a.policy.Identities[0].Subject += "x"
		a.rejected(t, "signed by")
	}
}

// TestAuthoritiesOfOneName: which of them issued a certificate, and so what a log
// promised, its name does not say.
func TestAuthoritiesOfOneName(t *testing.T) {
	t.Parallel()
	for _, form := range forms {
		a := newAttempt(form)
		a.trust.cas = append(foreign.trust().cas, a.trust.cas...)
		a.accepted(t)
	}
}

// TestPeriodsAreClosed: what is trusted is so in the first and in the last second.
func TestPeriodsAreClosed(t *testing.T) {
	t.Parallel()
	for name, edge := range map[string]func(at time.Time) period{
		"first": func(at time.Time) period { return period{from: at} },
		"last":  func(at time.Time) period { return period{noon.Add(-year), at} },
		"only":  func(at time.Time) period { return period{at, at} },
	} {
		for what, prepare := range map[string]func(*attempt){
			"authority":           func(a *attempt) { a.trust.cas[0].valid = edge(noon) },
			"log of certificates": func(a *attempt) { a.trust.ct[0].valid = edge(a.promises[0].at) },
			"log":                 func(a *attempt) { a.trust.log[0].valid = edge(noon) },
			"timestamp authority": func(a *attempt) { stampedOnly(a); a.trust.tsas[0].valid = edge(noon) },
			"log of version 2": func(a *attempt) {
				if a.form == signing.Bundle {
					a.inRekorV2()
					a.trust.log[2].valid = edge(noon)
				}
			},
		} {
			for _, form := range forms {
				t.Run(fmt.Sprintf("%s, the %s second, %s", what, name, form), func(t *testing.T) {
					t.Parallel()
					a := newAttempt(form)
					prepare(a)
					a.accepted(t)
				})
			}
		}
	}
}

func TestIgnoringTheTransparencyLog(t *testing.T) {
	t.Parallel()
	insecure := func(a *attempt) { a.policy.InsecureIgnoreTransparencyLog = true }
	junk := func(a *attempt) {
		stampedOnly(a)
		annotated(logKey, "junk")(a)
	}
	runTrials(t, []trial{
		{name: "with an entry and no timestamp", honest: insecure, attack: func(a *attempt) { a.records = nil }, why: notCounted},
		{name: "with a timestamp", honest: stampedOnly, attack: func(a *attempt) { a.stamps[0].by = foreign.tsa }, why: badTSA},
		{name: "with a timestamp that is not asked for", honest: func(a *attempt) {
			stampedOnly(a)
			a.policy.TimestampThreshold = 0
		}, attack: func(a *attempt) { a.stamps[0].by = foreign.tsa }, why: notCounted},
		{name: "with an entry of another log and a timestamp", honest: func(a *attempt) {
			insecure(a)
			stamped(a)
			a.records[0].by = foreign.rekor
		}, attack: func(a *attempt) { a.stamps = nil }, why: badTSA},
		{name: "with junk in the place of the entry", only: signing.Legacy, honest: junk, attack: func(a *attempt) { a.stamps = nil }, why: badTSA},
		{name: "with a body of junk in the place of the entry", only: signing.Legacy, honest: func(a *attempt) {
			stampedOnly(a)
			a.records = []record{{by: ours.rekor, at: noon, kind: "something", version: "0.0.1"}}
		}, attack: func(a *attempt) { a.stamps = nil }, why: badTSA},
		{name: "without SCT", honest: stampedOnly, attack: func(a *attempt) { a.promises = nil }, why: badSCT},
		{name: "by another", honest: stampedOnly, attack: func(a *attempt) { a.policy.Identities[0].Subject += "x" }, why: "signed by"},
	})
}

// TestEncodingsOfCertifiedSignatures: what holds for the signatures of keys, by the
// published vectors, holds for those of certificates.
func TestEncodingsOfCertifiedSignatures(t *testing.T) {
	t.Parallel()
	honest := func(a *attempt) { a.encode = func(sig []byte) []byte { return p1363(sig, 32) } }
	var trials []trial
	for name, encode := range map[string]func([]byte) []byte{
		"integers of 33 bytes": func(sig []byte) []byte { return p1363(sig, 33) },
		"integers of 66 bytes": func(sig []byte) []byte { return p1363(sig, 66) },
	} {
		trials = append(trials, trial{name: name, honest: honest, attack: func(a *attempt) { a.encode = encode }, why: "neither DER nor two integers"})
	}
	runTrials(t, trials)
}

// p1363 encodes an ECDSA signature in DER as two integers of size bytes.
func p1363(der []byte, size int) []byte {
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		panic(err)
	}
	return append(sig.R.FillBytes(make([]byte, size)), sig.S.FillBytes(make([]byte, size))...)
}
