// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"crypto/x509"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit/signing"
)

// TestOlderHashes: clients once hashed with SHA-256 whatever the curve of the
// certificate's key. All else is checked as for any certificate.
func TestOlderHashes(t *testing.T) {
	t.Parallel()
	var trials []trial
	for _, curve := range []string{"P-384", "P-521"} {
		older := func(a *attempt) { a.key, a.hash = keys[curve](), crypto.SHA256 }
		for name, attack := range map[string]trial{
			"a bit of the signature":  {attack: altered(func(p *parts) { p.signature = flipped(p.signature) }), why: "verif"},
			"another hash":            {attack: func(a *attempt) { a.hash = crypto.SHA224 }, why: "verif", legacyWhy: "does not verify with the key of the certificate"},
			"another identity":        {attack: func(a *attempt) { a.policy.Identities[0].Subject = "https://example.com/somebody-else" }, why: "expected SAN value"},
			"another authority":       {attack: func(a *attempt) { a.ca = foreign.intermediate }, why: "certificate"},
			"no SCT":                  {attack: func(a *attempt) { a.promises = nil }, why: "certificate"},
			"an SCT of another log":   {attack: func(a *attempt) { a.promises[0].by = foreign.ct }, why: "certificate"},
			"no log entry":            {attack: func(a *attempt) { a.records = nil }, why: "log"},
			"an entry of another log": {attack: func(a *attempt) { a.records[0].by = foreign.rekor }, why: "log"},
			"after its life":          {attack: func(a *attempt) { a.records[0].at = noon.Add(time.Hour) }, why: "certificate"},
			"before its life":         {attack: func(a *attempt) { a.records[0].at = noon.Add(-time.Hour) }, why: "certificate"},
			"the entry of another certificate": {attack: altered(func(p *parts) {
				p.certificate = ours.intermediate.issue(keys[curve](), leafTemplate(), promise{by: ours.ct, at: noon.Add(-time.Minute)})
			}), why: "certificate"},
			"the certificate of another key": {attack: altered(func(p *parts) {
				p.certificate = ours.intermediate.issue(keys["P-256"](), leafTemplate(), promise{by: ours.ct, at: noon.Add(-time.Minute)})
			}), why: "verif"},
			"an authority whose time has passed": {attack: func(a *attempt) { a.trust.cas[0].valid.to = noon.Add(-time.Hour) }, why: "certificate"},
		} {
			attack.name, attack.honest = curve+", "+name, older
			trials = append(trials, attack)
		}
		// Authorities may come with the signature.
		second := newCA("second", ours.root, noon.Add(-year), noon.Add(year), x509.ExtKeyUsageCodeSigning)
		expired := newCA("second", ours.root, noon.Add(-year), noon.Add(-time.Second), x509.ExtKeyUsageCodeSigning)
		for name, attack := range map[string]func(*attempt){
			"is missing":          func(a *attempt) { a.chain = nil },
			"is of another root":  through(foreign.intermediate),
			"has expired by then": through(expired),
		} {
			trials = append(trials, trial{name: curve + ", an authority that comes along " + name, honest: func(a *attempt) {
				older(a)
				through(second)(a)
			}, attack: attack, why: badChain})
		}
		// The chain is checked whether certificate transparency logs are asked or not.
		for name, attack := range map[string]func(*attempt){
			"another authority":                  func(a *attempt) { a.ca = foreign.intermediate },
			"after its life":                     func(a *attempt) { a.records[0].at = noon.Add(time.Hour) },
			"an authority whose time has passed": func(a *attempt) { a.trust.cas[0].valid.to = noon.Add(-time.Hour) },
		} {
			trials = append(trials, trial{name: curve + ", without SCT, " + name, honest: func(a *attempt) {
				older(a)
				a.promises, a.trust.ct = nil, nil
				a.policy.InsecureIgnoreSCT = true
			}, attack: attack, why: "certificate"})
		}
	}
	runTrials(t, trials)
}

// TestTimestampsOfOneAuthority: none may say that the certificate was used outside
// of its life, also where another one of the same authority says otherwise.
func TestTimestampsOfOneAuthority(t *testing.T) {
	t.Parallel()
	var trials []trial
	for name, at := range map[string]time.Time{"after": noon.Add(time.Hour), "before": noon.Add(-time.Hour)} {
		for order, stamps := range map[string][]stamp{
			"first": {{ours.tsa, at}, {ours.tsa, noon}}, "last": {{ours.tsa, noon}, {ours.tsa, at}},
		} {
			trials = append(trials, trial{
				name: name + ", " + order, only: signing.Bundle, honest: func(a *attempt) {
					a.inRekorV2()
					a.stamps = []stamp{{ours.tsa, noon}, {ours.tsa, noon.Add(time.Second)}}
				},
				attack: func(a *attempt) { a.stamps = stamps }, why: "certificate",
			})
		}
	}
	runTrials(t, trials)
}
