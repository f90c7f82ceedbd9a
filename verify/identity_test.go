// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// names of certificates in these tests.
func email(s string) []byte { return tlv(emailName, []byte(s)) }
func uri(s string) []byte   { return tlv(uriName, []byte(s)) }

// named gives the certificate these subjects.
func (a *attempt) named(all ...[]byte) { names(a.leaf, all...) }

// TestSubjects: a subject is the one that was asked for, byte for byte, or it is
// another.
func TestSubjects(t *testing.T) {
	t.Parallel()
	const address, workflow = "mallory@example.com", theSubject
	for name, test := range map[string]struct {
		policy string
		san    []byte
		why    string // "signed by" if empty
	}{
		"an email address":             {address, email(address), "ok"},
		"a URI":                        {workflow, uri(workflow), "ok"},
		"another name":                 {"user@host", otherName("user@host"), "ok"},
		"a tag":                        {"name+tag@example.com", email("name+tag@example.com"), "ok"},
		"a name beyond ASCII":          {"josé", otherName("josé"), "ok"},
		"a URI with an escape":         {"https://example.com/a%20b", uri("https://example.com/a%20b"), "ok"},
		"an international name":        {"user@xn--exmple-cua.com", email("user@xn--exmple-cua.com"), "ok"},
		"another address":              {address, email("mallory@example.org"), ""},
		"a tag more":                   {"name@example.com", email("name+tag@example.com"), ""},
		"a tag less":                   {"name+tag@example.com", email("name@example.com"), ""},
		"another tag":                  {"name+tag@example.com", email("name+tog@example.com"), ""},
		"upper case":                   {address, email("Mallory@example.com"), ""},
		"upper case in the domain":     {address, email("mallory@Example.com"), ""},
		"lower case":                   {"Mallory@example.com", email(address), ""},
		"an address longer":            {address, email(address + ".evil.com"), ""},
		"an address shorter":           {address, email("mallory@example.co"), ""},
		"an address within":            {address, email("x" + address), ""},
		"a dot after":                  {address, email(address + "."), ""},
		"a space after":                {address, otherName(address + " "), ""},
		"a space before":               {address, otherName(" " + address), ""},
		"a line break after":           {address, otherName(address + "\n"), ""},
		"a NUL after":                  {address, otherName(address + "\x00"), ""},
		"a NUL and more":               {address, otherName(address + "\x00.evil.com"), ""},
		"a NUL in an email address":    {address, email(address + "\x00"), ""},
		"a Cyrillic letter":            {address, otherName("m\u0430llory@example.com"), ""},
		"a full-width at":              {address, otherName("mallory\uff20example.com"), ""},
		"a zero-width joiner":          {address, otherName("mall\u200dory@example.com"), ""},
		"a zero-width space":           {address, otherName("mallory@example.com\u200b"), ""},
		"a soft hyphen":                {address, otherName("mal\u00adlory@example.com"), ""},
		"an override of direction":     {address, otherName("\u202emoc.elpmaxe@yrollam"), ""},
		"an ideographic full stop":     {address, otherName("mallory@example\u3002com"), ""},
		"a decomposed letter":          {"josé", otherName("jose\u0301"), ""},
		"the name that IDN stands for": {"user@exämple.com", email("user@xn--exmple-cua.com"), ""},
		"IDN for the name":             {"user@xn--exmple-cua.com", otherName("user@exämple.com"), ""},
		"an escape for a letter":       {workflow, uri(strings.Replace(workflow, "release", "r%65lease", 1)), ""},
		"an escape for a slash":        {workflow, uri(strings.Replace(workflow, "team/app", "team%2Fapp", 1)), ""},
		"an escape in the policy":      {strings.Replace(workflow, "release", "r%65lease", 1), uri(workflow), ""},
		"an escape in lower case":      {"https://example.com/%2F", uri("https://example.com/%2f"), ""},
		"a scheme in upper case":       {workflow, uri(strings.Replace(workflow, "https", "HTTPS", 1)), "not in its normal form"},
		"an empty fragment":            {workflow, uri(workflow + "#"), "not in its normal form"},
		"a fragment":                   {workflow, uri(workflow + "#x"), ""},
		"a query":                      {workflow, uri(workflow + "?"), ""},
		"a user":                       {workflow, uri(strings.Replace(workflow, "github.com", "x@github.com", 1)), ""},
		"a user with an escape":        {"https://userA@example.com/", uri("https://user%41@example.com/"), "not in its normal form"},
		"a port":                       {workflow, uri(strings.Replace(workflow, "github.com", "github.com:443", 1)), ""},
		"a host in upper case":         {workflow, uri(strings.Replace(workflow, "github.com", "GitHub.com", 1)), ""},
		"a path with dots":             {workflow, uri(strings.Replace(workflow, "team/app", "team/x/../app", 1)), ""},
		"another branch":               {workflow, uri(strings.Replace(workflow, "heads/main", "heads/main2", 1)), ""},
		"another repository":           {workflow, uri(strings.Replace(workflow, "team/app", "team/app2", 1)), ""},
		"an address as a URI":          {address, uri("mailto:" + address), ""},
		"an address as another name":   {address, otherName("mallory@example.com "), ""},
		"a DNS name":                   {"example.com", tlv(dnsName, []byte("example.com")), "no Subject Alternative Name"},
		"an empty email address":       {address, email(""), "no Subject Alternative Name"},
	} {
		for _, form := range forms {
			t.Run(name+" "+string(form), func(t *testing.T) {
				t.Parallel()
				a := newAttempt(form)
				a.policy.Identities[0].Subject = test.policy
				a.named(test.san)
				switch test.why {
				case "ok":
					if s := a.accepted(t); s.Identity.Subject != test.policy || s.Identity.Issuer != theIssuer {
						t.Errorf("signed by %+v", s.Identity)
					}
				case "":
					a.rejected(t, "signed by")
				default:
					a.rejected(t, test.why)
				}
			})
		}
	}
}

// TestSeveralSubjects: who of several has signed cannot be said.
func TestSeveralSubjects(t *testing.T) {
	t.Parallel()
	const one, two = "one@example.com", "two@example.com"
	mail := func(a *attempt) {
		a.policy.Identities = []verify.Identity{{SubjectRegexp: "one@example.com|two@example.com|https://example.com/one", Issuer: theIssuer}}
		a.named(email(one))
	}
	named := func(all ...[]byte) func(*attempt) { return func(a *attempt) { a.named(all...) } }
	const why = "subject alternative names, want 1"
	runTrials(t, []trial{
		{name: "none", attack: named(), honest: mail, why: "no Subject Alternative Name"},
		{name: "an empty list", attack: func(a *attempt) { extension(a.leaf, sanOID, tlv(0x30)) }, honest: mail, why: "no Subject Alternative Name"},
		{name: "two addresses", honest: mail, attack: named(email(one), email(two)), why: why},
		{name: "one address twice", honest: mail, attack: named(email(one), email(one)), why: why},
		{name: "an address and a URI", honest: mail, attack: named(email(one), uri("https://example.com/one")), why: why},
		{name: "a URI and an address", honest: mail, attack: named(uri("https://example.com/one"), email(one)), why: why},
		{name: "an address and a DNS name", honest: mail, attack: named(email(one), tlv(dnsName, []byte("example.com"))), why: why},
		{name: "an address and another name", honest: mail, attack: named(email(one), otherName(two)), why: why},
		{name: "another name and an address", honest: mail, attack: named(otherName(two), email(one)), why: why},
		{name: "two other names", honest: mail, attack: named(otherName(one), otherName(two)), why: why},
		{name: "bytes beyond ASCII", honest: mail, attack: altered(func(p *parts) {
			p.certificate = &x509.Certificate{Raw: bytes.Replace(p.certificate.Raw, []byte("one@"), []byte("\u00f6ne"), 1)}
		}), why: "x509"},
		{name: "the subject instead", honest: mail, attack: func(a *attempt) {
			a.named()
			a.leaf.Subject.CommonName = one
		}, why: "no Subject Alternative Name"},
	})
}

func TestIssuers(t *testing.T) {
	t.Parallel()
	const other = "https://accounts.example.com"
	// issuer sets the old extension and the new one. Nil leaves it out.
	issuer := func(v1, v2 []byte) func(*attempt) {
		return func(a *attempt) {
			extension(a.leaf, fulcio(1), v1)
			extension(a.leaf, fulcio(8), v2)
		}
	}
	good, bad := []byte(theIssuer), []byte(other)
	der := func(s string) []byte { return derOf(s, "utf8") }
	const disagree = "names two issuers"
	runTrials(t, []trial{
		{name: "another", attack: issuer(bad, der(other)), why: `issuer "https://accounts.example.com"`},
		{name: "another in the old extension alone", honest: issuer(good, nil), attack: issuer(bad, nil), why: `issuer "https://accounts.example.com"`},
		{name: "another in the new extension alone", honest: issuer(nil, der(theIssuer)), attack: issuer(nil, der(other)), why: `issuer "https://accounts.example.com"`},
		{name: "another in the old extension", attack: issuer(bad, der(theIssuer)), why: disagree},
		{name: "another in the new extension", attack: issuer(good, der(other)), why: disagree},
		{name: "another in the old extension after the new", attack: func(a *attempt) {
			extension(a.leaf, fulcio(1), nil)
			extension(a.leaf, fulcio(8), der(other))
			extension(a.leaf, fulcio(1), good)
		}, why: disagree},
		{name: "none", attack: issuer(nil, nil), why: `issuer ""`},
		{name: "with a slash", attack: issuer(nil, der(theIssuer+"/")), why: "signed by"},
		{name: "in upper case", attack: issuer(nil, der(strings.ToUpper(theIssuer))), why: "signed by"},
		{name: "longer", attack: issuer(nil, der(theIssuer+".evil.com")), why: "signed by"},
		{name: "shorter", attack: issuer(nil, der(theIssuer[:len(theIssuer)-1])), why: "signed by"},
		{name: "with a NUL", attack: issuer(nil, der(theIssuer+"\x00")), why: "signed by"},
		{name: "with a Cyrillic letter", attack: issuer(nil, der(strings.Replace(theIssuer, "a", "\u0430", 1))), why: "signed by"},
		{name: "with bytes after it", attack: issuer(nil, append(der(theIssuer), 0)), why: "trailing bytes"},
		{name: "that is no string", attack: issuer(nil, []byte{5, 0}), why: "issuer: "},
		{name: "that the old extension has in the new one's format", honest: issuer(good, nil), attack: issuer(der(theIssuer), nil), why: "signed by"},
		{name: "of a pattern that matches a part", honest: func(a *attempt) {
			a.policy.Identities[0].Issuer, a.policy.Identities[0].IssuerRegexp = "", `https://token\.actions\.githubusercontent\.com`
		}, attack: issuer(nil, der(theIssuer+".evil.com")), why: "signed by"},
	})
}

// TestPatterns: a pattern matches the whole of a subject or nothing of it.
func TestPatterns(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pattern, subject string
		want             bool
	}{
		"the whole":                               {`a@example\.com`, "a@example.com", true},
		"the beginning":                           {`a@example\.com`, "a@example.com.evil.com", false},
		"the end":                                 {`a@example\.com`, "evil+a@example.com", false},
		"the middle":                              {`example`, "a@example.com", false},
		"nothing at the end":                      {`a@example\.com|`, "b@example.com", false},
		"an empty pattern in parentheses":         {`()`, "b@example.com", false},
		"first of an alternation":                 {`a@example\.com|b@example\.com`, "a@example.com", true},
		"second of an alternation":                {`a@example\.com|b@example\.com`, "b@example.com", true},
		"first of an alternation and more":        {`a@example\.com|b@example\.com`, "a@example.com.evil.com", false},
		"second of an alternation and more":       {`a@example\.com|b@example\.com`, "evil@b@example.com", false},
		"anchors of its own":                      {`^a@example\.com$`, "a@example.com", true},
		"anchors of its own and more":             {`^a@example\.com$`, "a@example.com.evil.com", false},
		"an alternation with anchors of its own":  {`^a@example\.com|b@example\.com$`, "a@example.com.evil.com", false},
		"several lines, the first":                {`(?m)^a@example\.com$`, "a@example.com\nb@evil.com", false},
		"several lines, the last":                 {`(?m)^a@example\.com$`, "b@evil.com\na@example.com", false},
		"several lines, in an alternation":        {`(?m)x|^a@example\.com$`, "b@evil.com\na@example.com", false},
		"several lines, flag in a group":          {`(?m:^a@example\.com$)`, "b@evil.com\na@example.com", false},
		"several lines, and nothing else":         {`(?m)^a@example\.com$`, "a@example.com", true},
		"a line break at the end":                 {`a@example\.com`, "a@example.com\n", false},
		"a line break at the end, several lines":  {`(?m)a@example\.com$`, "a@example.com\n", false},
		"a line break for any character":          {`a.*com`, "a@evil\ncom", false},
		"a line break where it is asked for":      {`(?s)a.*com`, "a@evil\ncom", true},
		"a NUL at the end":                        {`a@example\.com`, "a@example.com\x00", false},
		"upper case":                              {`a@example\.com`, "A@example.com", false},
		"upper case where it is asked for":        {`(?i)a@example\.com`, "A@example.com", true},
		"a Cyrillic letter":                       {`a@example\.com`, "\u0430@example.com", false},
		"a Cyrillic letter in a class of letters": {`[a-z]@example\.com`, "\u0430@example.com", false},
		"a dot that is not escaped":               {`a@example.com`, "a@exampleXcom", true},
		"a quoted pattern":                        {`\Qa@example.com\E`, "a@example.com", true},
		"a quoted pattern and more":               {`\Qa@example.com\E`, "a@exampleXcom", false},
		"a quoted parenthesis":                    {`\Qa)|(b\E`, "b", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAttempt(signing.Legacy)
			a.policy.Identities = []verify.Identity{{SubjectRegexp: test.pattern, Issuer: theIssuer}}
			a.named(otherName(test.subject))
			if test.want {
				a.accepted(t)
			} else {
				a.rejected(t, "signed by")
			}
		})
	}
}

func TestIdentitiesThatSayTooLittle(t *testing.T) {
	t.Parallel()
	good := theIdentity()
	for name, test := range map[string]struct {
		edit func(*verify.Identity)
		why  string
	}{
		"nothing":                    {func(i *verify.Identity) { *i = verify.Identity{} }, "names no subject"},
		"no subject":                 {func(i *verify.Identity) { i.Subject = "" }, "names no subject"},
		"no issuer":                  {func(i *verify.Identity) { i.Issuer = "" }, "names no issuer"},
		"a workflow alone":           {func(i *verify.Identity) { *i = verify.Identity{GitHub: theWorkflow} }, "names no subject"},
		"two subjects":               {func(i *verify.Identity) { i.SubjectRegexp = ".*" }, "not both"},
		"two issuers":                {func(i *verify.Identity) { i.IssuerRegexp = ".*" }, "not both"},
		"a pattern that escapes":     {func(i *verify.Identity) { i.Subject, i.SubjectRegexp = "", "a)|(b" }, "unexpected )"},
		"an issuer that escapes":     {func(i *verify.Identity) { i.Issuer, i.IssuerRegexp = "", "a)|(b" }, "unexpected )"},
		"a flag that escapes":        {func(i *verify.Identity) { i.Subject, i.SubjectRegexp = "", "a)(?:b" }, "unexpected )"},
		"a quote that does not end":  {func(i *verify.Identity) { i.Subject, i.SubjectRegexp = "", `a\Q` }, "missing closing )"},
		"an escape at the end":       {func(i *verify.Identity) { i.Subject, i.SubjectRegexp = "", `a\` }, "trailing backslash"},
		"a class that does not end":  {func(i *verify.Identity) { i.Subject, i.SubjectRegexp = "", `[a` }, "missing closing ]"},
		"a group that does not end":  {func(i *verify.Identity) { i.Subject, i.SubjectRegexp = "", `(a` }, "missing closing )"},
		"a backward reference":       {func(i *verify.Identity) { i.Subject, i.SubjectRegexp = "", `(a)\1` }, "invalid escape"},
		"a pattern that is too long": {func(i *verify.Identity) { i.Subject, i.SubjectRegexp = "", strings.Repeat("a", limits.Pattern+1) }, "limit exceeded"},
		"a pattern too large":        {func(i *verify.Identity) { i.Subject, i.SubjectRegexp = "", "((a{100}){100}){100}" }, "repeat count"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			identity := good
			test.edit(&identity)
			policy := verify.Policy{Identities: []verify.Identity{good, identity}, TrustedRoots: ours.trust().parsed(t)}
			_, err := verify.New(policy)
			wantFamily(t, err, verify.ErrMisconfigured)
			if !strings.Contains(err.Error(), "identity 2: ") || !strings.Contains(err.Error(), test.why) {
				t.Errorf("reason is %q, want one about identity 2 that says %q", err, test.why)
			}
		})
	}
	policy := verify.Policy{TrustedRoots: ours.trust().parsed(t), Identities: make([]verify.Identity, limits.Identities+1)}
	_, err := verify.New(policy)
	wantFamily(t, err, verify.ErrMisconfigured)
}

// TestGitHubWorkflows: each field that the policy has must be in the certificate.
func TestGitHubWorkflows(t *testing.T) {
	t.Parallel()
	all := func(a *attempt) { a.policy.Identities[0].GitHub = theWorkflow }
	trials := []trial{{name: "of another kind of certificate", honest: all, attack: func(a *attempt) {
		for i := range 5 {
			extension(a.leaf, fulcio(2+i), nil)
		}
	}, why: "expected GithubWorkflow"}}
	for i, f := range []struct {
		name string
		set  func(*verify.GitHubWorkflow, string)
		good string
	}{
		{"Trigger", func(w *verify.GitHubWorkflow, s string) { w.Trigger = s }, theWorkflow.Trigger},
		{"SHA", func(w *verify.GitHubWorkflow, s string) { w.SHA = s }, theWorkflow.SHA},
		{"Name", func(w *verify.GitHubWorkflow, s string) { w.Name = s }, theWorkflow.Name},
		{"Repository", func(w *verify.GitHubWorkflow, s string) { w.Repository = s }, theWorkflow.Repository},
		{"Ref", func(w *verify.GitHubWorkflow, s string) { w.Ref = s }, theWorkflow.Ref},
	} {
		why := "expected GithubWorkflow" + f.name
		ask := func(s string) func(*attempt) {
			return func(a *attempt) { f.set(&a.policy.Identities[0].GitHub, s) }
		}
		trials = append(trials,
			trial{name: f.name + " alone", honest: ask(f.good), attack: ask(f.good + "x"), why: why},
			trial{name: f.name + " in another case", honest: ask(f.good), attack: ask(strings.ToUpper(f.good)), why: why},
			trial{name: f.name + " among all", honest: all, attack: ask(f.good + "x"), why: why},
			trial{name: f.name + " is missing", honest: all, attack: func(a *attempt) { extension(a.leaf, fulcio(2+i), nil) }, why: why},
			trial{name: f.name + " is another in the certificate", honest: all, attack: func(a *attempt) {
				extension(a.leaf, fulcio(2+i), []byte("x"+f.good))
			}, why: why},
		)
	}
	for i := range trials {
		if trials[i].name != "SHA in another case" && trials[i].name != "Trigger in another case" {
			continue
		}
		trials[i].why = "expected GithubWorkflow"
	}
	runTrials(t, trials)

	a := newAttempt(signing.Bundle)
	if s := a.accepted(t); s.Identity.GitHub != theWorkflow {
		t.Errorf("workflow is %+v", s.Identity.GitHub)
	}
}

// TestThresholdOfSigners counts who signed, not how often.
func TestThresholdOfSigners(t *testing.T) {
	t.Parallel()
	alice, bob := "alice@example.com", "bob@example.com"
	who := func(subject string) verify.Identity { return verify.Identity{Subject: subject, Issuer: theIssuer} }
	anybody := verify.Identity{SubjectRegexp: `.*@example\.com`, Issuer: theIssuer}
	by := func(form signing.Form, subject string) verify.Candidate {
		a := newAttempt(form)
		a.key = keys["P-521"]()
		a.named(email(subject))
		return a.candidate(t)
	}
	keyed := func(form signing.Form, kind string) verify.Candidate {
		a := newAttempt(form)
		a.key = keys[kind]()
		a.byKey()
		return a.candidate(t)
	}
	const b, l = signing.Bundle, signing.Legacy
	for name, test := range map[string]struct {
		keys       []string
		identities []verify.Identity
		threshold  int
		candidates []verify.Candidate
		why        string
	}{
		"two identities": {nil, []verify.Identity{who(alice), who(bob)}, 2, []verify.Candidate{by(b, alice), by(l, bob)}, ""},
		"one identity twice": {nil, []verify.Identity{who(alice), who(bob)}, 2, []verify.Candidate{by(b, alice), by(l, alice)},
			"signed by 1 of the 2 different signers required"},
		"a key and an identity": {[]string{"P-256"}, []verify.Identity{who(alice)}, 2, []verify.Candidate{by(b, alice), keyed(l, "P-256")}, ""},
		"a key twice": {[]string{"P-256"}, []verify.Identity{who(alice)}, 2, []verify.Candidate{keyed(b, "P-256"), keyed(l, "P-256")},
			"signed by 1 of the 2 different signers required"},
		"an identity twice and no key": {[]string{"P-384"}, []verify.Identity{who(alice)}, 2, []verify.Candidate{by(b, alice), by(l, alice)},
			"signed by 1 of the 2 different signers required"},
		"two keys and an identity": {[]string{"P-256", "P-384"}, []verify.Identity{who(alice)}, 3,
			[]verify.Candidate{keyed(b, "P-256"), keyed(l, "P-384"), by(b, alice)}, ""},
		"two whom one pattern matches": {nil, []verify.Identity{anybody, who("carol@example.com")}, 2, []verify.Candidate{by(b, alice), by(l, bob)},
			"signed by 1 of the 2 different signers required"},
		"the same identity twice in the policy": {nil, []verify.Identity{who(alice), who(alice)}, 2, []verify.Candidate{by(b, alice), by(l, alice)},
			"signed by 1 of the 2 different signers required"},
		"one who matches two": {nil, []verify.Identity{who(alice), anybody}, 2, []verify.Candidate{by(b, alice), by(l, alice)},
			"signed by 1 of the 2 different signers required"},
		"one of two": {nil, []verify.Identity{who(alice), who(bob)}, 1, []verify.Candidate{by(b, bob)}, ""},
		"a stranger": {nil, []verify.Identity{who(alice), who(bob)}, 1, []verify.Candidate{by(b, "mallory@example.com")}, `signed by "mallory@example.com"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy := verify.Policy{Identities: test.identities, Threshold: test.threshold, TrustedRoots: ours.trust().parsed(t)}
			for _, kind := range test.keys {
				policy.Keys = append(policy.Keys, keys[kind]().Public())
			}
			_, err := newVerifier(t, policy).Verify(t.Context(), theImage(), test.candidates)
			if test.why == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantReason(t, err, test.why)
		})
	}
}

// TestOneSignatureIsNotTwo: cosign sign --key --issue-certificate has the same person
// be a key and an identity. Who serves such a signature can show it with the
// certificate and without, and have the key's entry in the log as well.
func TestOneSignatureIsNotTwo(t *testing.T) {
	t.Parallel()
	bob := verify.Identity{Subject: "bob@example.com", Issuer: theIssuer}
	for _, form := range forms {
		for _, second := range []string{"the key", "another identity"} {
			t.Run(string(form)+" "+second, func(t *testing.T) {
				t.Parallel()
				a := newAttempt(form)
				p := a.make(t)
				shown := []verify.Candidate{p.candidate()}
				p.certificate = nil
				if second == "another identity" {
					b := newAttempt(form)
					b.named(email(bob.Subject))
					p.certificate = b.ca.issue(a.key, b.leaf, b.promises...)
				}
				p.entries = []*logEntry{a.record(p, a.records[0])}
				shown = append(shown, p.candidate())
				policy := verify.Policy{
					Identities: []verify.Identity{theIdentity()}, Threshold: 2, TrustedRoots: ours.trust().parsed(t),
				}
				other := newAttempt(form)
				other.key = keys["P-384"]()
				if second == "the key" {
					policy.Keys = []crypto.PublicKey{a.key.Public()}
				} else {
					policy.Identities = append(policy.Identities, bob)
					other.named(email(bob.Subject))
				}
				result, err := newVerifier(t, policy).Verify(t.Context(), theImage(), shown)
				wantReason(t, err, "signed by 1 of the 2 different signers required")
				for i, s := range result.Signatures {
					if s.Err != nil {
						t.Errorf("signature %d is not good by itself: %v", i, s.Err)
					}
				}
				// With one that the other has made, they are two.
				good := shown[0]
				if second == "the key" {
					good = shown[1]
				}
				if _, err := newVerifier(t, policy).Verify(t.Context(), theImage(), []verify.Candidate{good, other.candidate(t)}); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestWhatAPolicyAsksFor: keys do not stand for identities, nor the reverse.
func TestWhatAPolicyAsksFor(t *testing.T) {
	t.Parallel()
	onlyKey := func(a *attempt) {
		a.policy = verify.Policy{Keys: []crypto.PublicKey{a.key.Public()}}
	}
	runTrials(t, []trial{
		{name: "signed with a key, identities asked for", honest: (*attempt).byKey, attack: func(a *attempt) {
			a.policy = verify.Policy{Identities: []verify.Identity{theIdentity()}}
		}, why: "signed with a key, and the policy names only identities"},
		// The very key of the policy, in a certificate of whomever.
		{name: "signed with a certificate, a key asked for", only: signing.Bundle, honest: (*attempt).byKey, attack: func(a *attempt) {
			a.bare = false
		}, why: "signed with a certificate, and the policy names only keys"},
		{name: "certificate of the key, another key asked for", only: signing.Legacy, honest: func(a *attempt) {
			onlyKey(a)
			a.bare = true
		}, attack: func(a *attempt) {
			a.policy.Keys = []crypto.PublicKey{keys["P-384"]().Public()}
		}, why: "does not verify with the key"},
		{name: "another digest", attack: func(a *attempt) { a.image.Target.Digest = "sha256:" + otherHex }, why: "digest"},
		{name: "another digest in Rekor v2", only: signing.Bundle, honest: (*attempt).inRekorV2, attack: func(a *attempt) {
			a.image.Target.Digest = "sha256:" + otherHex
		}, why: "digest"},
	})
	// cosign verify --key accepts a legacy signature by the key whatever
	// certificate the layer has, as long as the log has the key.
	a := newAttempt(signing.Legacy)
	a.byKey()
	served(func(c *verify.Candidate) {
		c.Annotations[certificateKey] = string(pemOf("CERTIFICATE", foreign.intermediate.issue(a.key, leafTemplate()).Raw))
	})(a)
	a.accepted(t)
	a.policy.Identities = []verify.Identity{theIdentity()}
	a.accepted(t)
}

// TestAdvisoryGHSA_w6c6_c85g_mmv6: an attestation by the right signer is not a
// signature.
func TestAdvisoryGHSA_w6c6_c85g_mmv6(t *testing.T) {
	t.Parallel()
	predicate := func(kind string) func(*attempt) {
		return func(a *attempt) {
			s := statement()
			s["predicateType"] = kind
			a.content = marshalled(s)
		}
	}
	trials := []trial{}
	for _, kind := range []string{
		"https://slsa.dev/provenance/v1", "https://cosign.sigstore.dev/attestation/v1", "https://spdx.dev/Document", "",
		signType + "/", strings.ToUpper(signType), "https://sigstore.dev/cosign/sign/v2",
	} {
		for name, honest := range map[string]func(*attempt){"keyless": nil, "by key": (*attempt).byKey, "in Rekor v2": (*attempt).inRekorV2} {
			trials = append(trials, trial{name: fmt.Sprintf("predicate %q %s", kind, name), only: signing.Bundle, honest: honest,
				attack: predicate(kind), why: "is not a signature"})
		}
	}
	for name, honest := range map[string]func(*attempt){"keyless": nil, "by key": (*attempt).byKey} {
		trials = append(trials,
			trial{name: "statement as a payload " + name, only: signing.Legacy, honest: honest, attack: func(a *attempt) {
				a.content = contentOf(signing.Bundle)
			}, why: "digest"},
			// What is signed of an attestation is not its payload.
			trial{name: "signed message of an attestation as a payload " + name, only: signing.Legacy, honest: honest, attack: func(a *attempt) {
				predicate("https://slsa.dev/provenance/v1")(a)
				a.content = pae(a.content)
			}, why: "JSON"},
			trial{name: "payload of another type " + name, only: signing.Legacy, honest: honest, attack: func(a *attempt) {
				p := payloadOf()
				critical(p)["type"] = "atomic container signature"
				a.content = marshalled(p)
			}, why: "atomic container signature"},
			trial{name: "payload as a statement " + name, only: signing.Bundle, honest: honest, attack: func(a *attempt) {
				a.content = contentOf(signing.Legacy)
			}, why: "statement"},
		)
	}
	runTrials(t, trials)
}

func TestIdentityInWords(t *testing.T) {
	t.Parallel()
	const subject, issuer = "https://github.com/example/app", "https://token.actions.githubusercontent.com"
	for name, c := range map[string]struct {
		identity verify.Identity
		want     string
	}{
		"both exact":          {verify.Identity{Subject: subject, Issuer: issuer}, subject + " (" + issuer + ")"},
		"a subject's pattern": {verify.Identity{SubjectRegexp: subject + "/.*", Issuer: issuer}, "subject matching " + subject + "/.* (" + issuer + ")"},
		"an issuer's pattern": {verify.Identity{Subject: subject, IssuerRegexp: "https://.*"}, subject + " (issuer matching https://.*)"},
		"both patterns":       {verify.Identity{SubjectRegexp: ".+", IssuerRegexp: ".+"}, "subject matching .+ (issuer matching .+)"},
		"what is not UTF-8":   {verify.Identity{Subject: "a\xff", Issuer: "b"}, "a? (b)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := c.identity.String(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
