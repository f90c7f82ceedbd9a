// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/policyfile"
)

// inRule is a policy with one rule, whose first line is line 3.
func inRule(lines ...string) string {
	return "version: 1\nrules:\n- scope: registry.example\n  " + strings.Join(lines, "\n  ") + "\n"
}

const oneKey = "keys: [KEYS/p256.pub]"

func TestProblems(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy string
		want   []string
	}{
		"nothing":                     {"", []string{"1: the file is empty"}},
		"only a comment":              {"# nothing\n", []string{"1: the file is empty"}},
		"not YAML":                    {"version: 1\nrules: [\n", []string{"2: did not find expected node content"}},
		"a tab to indent":             {"version: 1\nrules:\n\t- scope: x\n", []string{"3: found character that cannot start any token"}},
		"no mapping":                  {"- version: 1\n", []string{"1: a list, want a mapping"}},
		"only text":                   {"reject\n", []string{`1: the text "reject", want a mapping`}},
		"two documents":               {"version: 1\nrules:\n- {scope: registry.example, reject: true}\n---\nversion: 1\n", []string{"4: a second document begins, want one"}},
		"no version":                  {"rules:\n- {scope: registry.example, reject: true}\n", []string{"1: version: is missing, want version: 1"}},
		"another version":             {"version: 2\nrules:\n- {scope: registry.example, reject: true}\n", []string{"1: version: the number 2, want 1"}},
		"version as text":             {"version: '1'\nrules:\n- {scope: registry.example, reject: true}\n", []string{`1: version: the text "1", want 1`}},
		"no rules":                    {"version: 1\n", []string{"1: rules: is missing, want a list of rules"}},
		"rules left out":              {"version: 1\nrules:\n", []string{"2: rules: is empty; leave it out, or give it a value"}},
		"an empty list":               {"version: 1\nrules: []\n", []string{"2: rules: is empty; leave it out, or give it a value"}},
		"rules as a mapping":          {"version: 1\nrules: {scope: registry.example}\n", []string{"2: rules: a mapping, want a list"}},
		"a rule that is text":         {"version: 1\nrules:\n- registry.example\n", []string{`3: rules: the text "registry.example", want a mapping`}},
		"default of a slip":           {"version: 1\ndefault: accept\nrules:\n- {scope: registry.example, reject: true}\n", []string{`2: default: the text "accept", want reject or insecureAcceptAnything`}},
		"a default with a scope":      {"version: 1\ndefault: {scope: docker.io, reject: true}\n", []string{"2: scope: unknown field; those known here are reject, insecureAcceptAnything, mode, keys, identities, threshold, logThreshold, timestampThreshold, insecureIgnoreTransparencyLog, insecureIgnoreSCT, annotations, claimedRepository, signatureRepository, trustedRoot, tuf"}},
		"a default of contradictions": {"version: 1\ndefault:\n  reject: true\n  insecureAcceptAnything: true\n", []string{"3: the rule has reject and insecureAcceptAnything, which exclude each other"}},
		"a default without a root":    {"version: 1\ndefault:\n  keys: [KEYS/p256.pub]\n", []string{"3: the rule needs a trusted root, by which identities, log entries and timestamps are verified, want tuf or trustedRoot in it or in the file"}},
		"a default with a field twice": {"version: 1\ndefault:\n  mode: warn\n  mode: enforce\n  keys: [KEYS/p256.pub]\n  insecureIgnoreTransparencyLog: true\n", []string{
			"4: mode: is there twice, first on line 3",
		}},
		"a default that asks for nothing": {"version: 1\ndefault: {mode: enforce}\n", []string{"2: the rule asks for nothing, want one of keys, identities, reject and insecureAcceptAnything"}},
		"a default as a list":             {"version: 1\ndefault: [reject]\nrules:\n- {scope: registry.example, reject: true}\n", []string{"2: default: a list, want reject or insecureAcceptAnything"}},

		"a field misspelt":        {inRule("key: [a.pub]", "reject: true"), []string{"4: key: unknown field; did you mean keys?"}},
		"capital letters":         {inRule("Reject: true", oneKey, "insecureIgnoreTransparencyLog: true"), []string{"4: Reject: unknown field; did you mean reject?"}},
		"a field of nothing like": {inRule("attestors: []", "reject: true"), []string{"4: attestors: unknown field; those known here are scope, reject, insecureAcceptAnything, mode, keys, identities, threshold, logThreshold, timestampThreshold, insecureIgnoreTransparencyLog, insecureIgnoreSCT, annotations, claimedRepository, signatureRepository, trustedRoot, tuf"}},
		"a field twice":           {inRule("reject: true", "reject: true"), []string{"5: reject: is there twice, first on line 4"}},
		"a field twice that differs": {inRule(oneKey, "insecureIgnoreTransparencyLog: true", "mode: enforce", "mode: warn"), []string{
			"7: mode: is there twice, first on line 6",
		}},
		"an alias": {inRule("keys: &k [KEYS/p256.pub]", "insecureIgnoreTransparencyLog: true") + "- scope: other.example\n  keys: *k\n", []string{
			"4: keys: an anchor; there are no aliases to use it",
			"7: keys: an alias, want the value itself: what a rule says must be seen there",
		}},
		"a merge key": {"version: 1\nbase: &b {reject: true}\nrules:\n- scope: registry.example\n  <<: *b\n", []string{
			"2: base: an anchor; there are no aliases to use it",
			"2: base: unknown field; those known here are version, trustedRoot, tuf, default, rules",
			`5: rules: "<<" is no name of a field; quote it if it is one`,
		}},
		"a tag":                    {inRule("reject: !!bool true"), []string{"4: reject: a tag, want a plain value"}},
		"a field that is a number": {inRule("reject: true", "1: true"), []string{"5: rules: the number 1 is no name of a field; quote it if it is one"}},
		"a field that is a list":   {inRule("reject: true", "[a]: true"), []string{"5: rules: a list is no name of a field; quote it if it is one"}},

		"no scope":                  {"version: 1\nrules:\n- reject: true\n", []string{"3: scope: is missing, want REGISTRY or REGISTRY/REPOSITORY"}},
		"two rules of one scope":    {inRule("reject: true") + "- scope: registry.example\n  insecureAcceptAnything: true\n", []string{"5: scope: registry.example has a rule on line 3 already"}},
		"one scope twice in a list": {"version: 1\nrules:\n- scope:\n  - registry.example\n  - registry.example\n  reject: true\n", []string{"5: scope: registry.example has a rule on line 4 already"}},
		"nothing asked for":         {inRule("mode: warn"), []string{"3: the rule asks for nothing, want one of keys, identities, reject and insecureAcceptAnything"}},
		"everything":                {inRule("reject: true", "insecureAcceptAnything: true", oneKey), []string{"3: the rule has reject and insecureAcceptAnything and keys or identities, which exclude each other"}},
		"reject and something":      {inRule("reject: true", "mode: warn"), []string{"5: mode: does nothing beside reject"}},
		"reject that says false":    {inRule("reject: false"), []string{"4: reject: the boolean false, want true, or leave the field out"}},
		"accept that says yes":      {inRule("insecureAcceptAnything: yes"), []string{`4: insecureAcceptAnything: the text "yes", want true, or leave the field out`}},
		"accept that says TRUE":     {inRule("insecureAcceptAnything: TRUE"), []string{`4: insecureAcceptAnything: the boolean TRUE, want true, or leave the field out`}},
		"a mode that is none":       {inRule(oneKey, "insecureIgnoreTransparencyLog: true", "mode: off"), []string{`6: mode: the text "off", want enforce or warn`}},
		"a mode that is empty":      {inRule(oneKey, "insecureIgnoreTransparencyLog: true", "mode: ''"), []string{"6: mode: is empty; leave it out, or give it a value"}},

		"keys that are no list":    {inRule("keys: a.pub", "insecureIgnoreTransparencyLog: true"), []string{`4: keys: the text "a.pub", want a list`}},
		"no keys":                  {inRule("keys: []", "insecureIgnoreTransparencyLog: true"), []string{"4: keys: is empty; leave it out, or give it a value"}},
		"keys left out":            {inRule("keys:", "insecureIgnoreTransparencyLog: true"), []string{"4: keys: is empty; leave it out, or give it a value"}},
		"an empty key":             {inRule("keys: [' ']", "insecureIgnoreTransparencyLog: true"), []string{"4: keys: is empty; leave it out, or give it a value"}},
		"a key that is missing":    {inRule("keys:", "- missing.pub", "- also-missing.pub"), []string{"5: keys: missing.pub: no such file or directory", "6: keys: also-missing.pub: no such file or directory"}},
		"a key of the environment": {inRule("keys: ['env://COSIGN_PUBLIC_KEY']"), []string{"4: keys: env://COSIGN_PUBLIC_KEY: want a path: a policy is what its file says, whatever the environment"}},
		"a key of a KMS":           {inRule("keys: ['awskms:///alias/k']"), []string{"4: keys: awskms:///alias/k: want a path"}},
		"a directory as a key":     {inRule("keys: ['.']"), []string{"4: keys: .: is a directory"}},
		"a private key":            {inRule("keys:", "- |", "  -----BEGIN PRIVATE KEY-----", "  MC4=", "  -----END PRIVATE KEY-----"), []string{"5: keys: the key: this is a private key, want a public key"}},
		"no log and no root":       {inRule(oneKey), []string{"3: the rule needs a trusted root, by which identities, log entries and timestamps are verified, want tuf or trustedRoot in it or in the file"}},
		"too high a threshold":     {inRule(oneKey, "insecureIgnoreTransparencyLog: true", "threshold: 2"), []string{"3: threshold 2 with 1 different keys and identities"}},
		"a threshold of none":      {inRule(oneKey, "insecureIgnoreTransparencyLog: true", "threshold: 0"), []string{"6: threshold: the number 0, want a number from 1"}},
		"a threshold of text":      {inRule(oneKey, "insecureIgnoreTransparencyLog: true", "threshold: '1'"), []string{`6: threshold: the text "1", want a number from 1`}},
		"a threshold of parts":     {inRule(oneKey, "insecureIgnoreTransparencyLog: true", "threshold: 1.5"), []string{"6: threshold: the number 1.5, want a number from 1"}},
		"logs that are ignored":    {inRule(oneKey, "insecureIgnoreTransparencyLog: true", "logThreshold: 2"), []string{"6: logThreshold: does nothing beside insecureIgnoreTransparencyLog"}},
		"certificates of a key":    {inRule(oneKey, "insecureIgnoreTransparencyLog: true", "insecureIgnoreSCT: true"), []string{"6: insecureIgnoreSCT: does nothing without identities"}},

		"an identity of nobody":   {inRule("identities: [{subject: a@example.com}]"), []string{"4: identities: names no issuer, and anybody's could vouch for the subject"}},
		"an identity left out":    {inRule("identities: [{subject: , issuer: https://issuer.example}]"), []string{"4: subject: is empty; leave it out, or give it a value"}},
		"an identity of two ways": {inRule("identities:", "- subject: a", "  subjectRegexp: a", "  issuer: b"), []string{"5: identities: give a value or a regular expression, not both"}},
		"a bad expression":        {inRule("identities: [{subjectRegexp: '(', issuer: b}]"), []string{"4: identities: subject: error parsing regexp: missing closing ): `(`"}},
		"a workflow of nothing":   {inRule("identities: [{subject: a, issuer: b, github: {}}]"), []string{"4: github: is empty; leave it out, or give it a value"}},
		"a workflow misspelt":     {inRule("identities: [{subject: a, issuer: b, github: {repo: a/b}}]"), []string{"4: repo: unknown field; those known here are trigger, sha, name, repository, ref"}},

		"annotations of nothing": {inRule(oneKey, "insecureIgnoreTransparencyLog: true", "annotations: {}"), []string{"6: annotations: is empty; leave it out, or give it a value"}},
		"an annotation of a number": {inRule(oneKey, "insecureIgnoreTransparencyLog: true", "annotations: {build: 7, day: 2026-01-02, ok: true}"), []string{
			"6: annotations.build: the number 7, want text; quote it",
			"6: annotations.day: the date 2026-01-02, want text; quote it",
			"6: annotations.ok: the boolean true, want text; quote it",
		}},
		"a claim of a slip":    {inRule(oneKey, "insecureIgnoreTransparencyLog: true", "claimedRepository: exactly"), []string{`6: claimedRepository: the text "exactly", want any or exact or a mapping with remap`}},
		"a mapping of nothing": {inRule(oneKey, "insecureIgnoreTransparencyLog: true", "claimedRepository: {}"), []string{"6: claimedRepository: is empty, want remap"}},
		"a mapping of a tag": {inRule(oneKey, "insecureIgnoreTransparencyLog: true", "claimedRepository: {remap: {'mirror.example/a:v1': 'registry.example/'}}"), []string{
			`6: remap: "mirror.example/a:v1" want REGISTRY or REGISTRY/REPOSITORY`,
		}},
		"signatures in a registry": {inRule(oneKey, "insecureIgnoreTransparencyLog: true", "signatureRepository: registry.example"), []string{
			`6: signatureRepository: "registry.example" is no repository, want REGISTRY/REPOSITORY`,
		}},
		"signatures under a tag": {inRule(oneKey, "insecureIgnoreTransparencyLog: true", "signatureRepository: registry.example/a:v1"), []string{
			`6: signatureRepository: "registry.example/a:v1" is no repository, want REGISTRY/REPOSITORY`,
		}},

		"two roots":                {"version: 1\ntrustedRoot: ROOT\ntuf: public\nrules:\n- {scope: registry.example, reject: true}\n", []string{"3: tuf: trustedRoot is there as well, want one of them"}},
		"a root that is missing":   {"version: 1\ntrustedRoot: none.json\nrules:\n- {scope: registry.example, reject: true}\n", []string{"2: trustedRoot: none.json: no such file or directory"}},
		"a root of no parts":       {"version: 1\ntrustedRoot: {}\nrules:\n- {scope: registry.example, reject: true}\n", []string{"2: trustedRoot: is empty; leave it out, or give it a value"}},
		"a root of the wrong part": {"version: 1\ntrustedRoot: {fulcio: KEYS/p256.pub}\nrules:\n- {scope: registry.example, reject: true}\n", []string{"2: trustedRoot: certificates of Fulcio: x509: malformed serial number"}},
		"TUF of nothing":           {"version: 1\ntuf: {}\nrules:\n- {scope: registry.example, reject: true}\n", []string{"2: tuf: mirror is missing, want a URL, or the word public"}},
		"TUF of a word":            {"version: 1\ntuf: true\nrules:\n- {scope: registry.example, reject: true}\n", []string{"2: tuf: the boolean true, want public or a mapping with mirror and initialRoot"}},
		"a mirror and no root":     {"version: 1\ntuf: {mirror: 'https://tuf.example'}\nrules:\n- {scope: registry.example, reject: true}\n", []string{"2: tuf: initialRoot is missing, want the path of the root metadata from which trust starts"}},
		"a root of public":         {"version: 1\ntuf: {mirror: public, initialRoot: root.json}\nrules:\n- {scope: registry.example, reject: true}\n", []string{"2: initialRoot: does nothing beside mirror: public"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := policyfile.Parse([]byte(testdata(t, c.policy)), t.TempDir(), policyfile.Config{})
			wantProblems(t, err, c.want...)
		})
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "empty"), "")
	large, err := os.Create(filepath.Join(dir, "large"))
	if err != nil {
		t.Fatal(err)
	}
	if err := large.Truncate(1<<20 + 1); err != nil {
		t.Fatal(err)
	}
	if err := large.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"missing": "no such file", "empty": "is empty", "large": "policy file in bytes is larger than 1048576", ".": "is a directory",
	} {
		for format, load := range map[string]func(string, policyfile.Config) (*policyfile.Policy, error){
			"YAML": policyfile.Load, "policy.json": policyfile.LoadContainers,
		} {
			_, err := load(filepath.Join(dir, name), policyfile.Config{})
			wantFamily(t, err, verify.ErrMisconfigured)
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s, %s: error is %v, want %q", name, format, err, want)
			}
		}
	}
	_, err = policyfile.Parse(make([]byte, 1<<20+1), dir, policyfile.Config{})
	wantProblems(t, err, "1: limit exceeded: policy file in bytes is larger than 1048576")
}

// TestHostileFiles: what would make a parser recurse, expand or repeat itself is
// misconfigured, in an error that can be logged.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	const n = 1 << 16
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x]\n"
	for i := range 30 {
		bomb += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 7), i)
	}
	for name, content := range map[string]string{
		"deep lists":          strings.Repeat("[", n),
		"deep lists that end": strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
		"deep mappings":       strings.Repeat("{a: ", n),
		"deep blocks":         strings.Repeat("- ", n),
		"deep keys":           strings.Repeat("? ", n),
		"aliases of aliases":  bomb,
		"an alias of itself":  "version: 1\nrules: &a [*a]\n",
		"many anchors":        strings.Repeat("&a ", n),
		"many fields":         strings.Repeat("a: 1\n", n),
		"many rules":          "version: 1\nrules:\n" + strings.Repeat("- {scope: a}\n", n/16),
		"many directives":     strings.Repeat("%TAG !a! b\n", n),
		"much text":           strings.Repeat("word ", n),
		"other encodings":     "\xff\xfe[\x00",
		"control characters":  "version: \x1b[2J\n",
		"a loaded tag":        "version: 1\nrules: !!python/object:os.system [rm]\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := policyfile.Parse([]byte(content), "", policyfile.Config{})
			wantFamily(t, err, verify.ErrMisconfigured)
			if text := err.Error(); len(text) > 64<<10 || strings.ContainsAny(text, "\n\x1b") {
				t.Errorf("error of %d bytes: %.256q", len(text), text)
			}
		})
	}
}

func TestDirectivesAreBounded(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]bool{limits.YAMLDirectives: false, limits.YAMLDirectives + 1: true} {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%%TAG !t%d! x\n", i)
		}
		_, err := policyfile.Parse([]byte(b.String()+"---\nversion: 1\ndefault: reject\nrules: [{scope: a.example, reject: true}]\n"), "", policyfile.Config{})
		if got := err != nil && strings.Contains(err.Error(), "number of directives"); got != want || err != nil && !want {
			t.Errorf("%d directives: error is %v", n, err)
		}
	}
}

func TestManyProblemsAreCut(t *testing.T) {
	t.Parallel()
	_, err := policyfile.Parse([]byte("version: 1\nrules:\n"+strings.Repeat("- {scope: registry.example}\n", 150)), "", policyfile.Config{})
	var problems policyfile.Problems
	if !errors.As(err, &problems) || len(problems) != 101 || problems[100].Error() != "policy:103: and 50 more problems from here on" {
		t.Errorf("%d problems: %v", len(problems), err)
	}
}
