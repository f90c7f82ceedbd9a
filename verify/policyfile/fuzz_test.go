// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/policyfile"
)

// FuzzParse: a file is misconfigured, with lines of it, or it is a policy that
// always has a rule; and nothing is accepted for which it does not say so.
func FuzzParse(f *testing.F) {
	f.Add([]byte(testdata(f, signedPolicy)), "registry.example/team/app:v1")
	f.Add([]byte(watchedPolicy), "alpine")
	f.Add([]byte(`{"version": 1, "default": {"identities": [{"subject": "a@example.com", "issuer": "https://issuer.example"}], "mode": "warn"}}`), "app")
	f.Add([]byte(`{"version": 1, "default": "insecureAcceptAnything", "rules": [{"scope": ["*.example", "docker.io"], "reject": true}]}`), "a.example/b")
	f.Add([]byte("version: 1\nrules: &a\n- *a\n"), "alpine")
	f.Add([]byte(strings.Repeat("[", 2000)), "alpine")
	f.Add([]byte(strings.Repeat("- ", 2000)), "alpine")
	f.Add([]byte("version: 1\nrules:\n- <<: {reject: true}\n  ? {}\n  : - !!binary aGk=\n"), "alpine")
	f.Add([]byte("%YAML 1.1\n---\n'version': 0x1\n...\n"), "\xff")
	fuzz(f, policyfile.Parse)
}

// FuzzParseContainers is the same for policy.json.
func FuzzParseContainers(f *testing.F) {
	files, err := filepath.Glob("testdata/containers/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no files", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, "docker.io/library/busybox:latest")
	}
	f.Add([]byte(testdata(f, docker("registry.example", signedByKey))), "registry.example/app")
	f.Add([]byte(testdata(f, docker("", signedByKey, `{"type": "reject"}`))), "app@"+someDigest)
	f.Add([]byte(`{"default": [{"type": "sigstoreSigned", "keyData": "\ud83d\ude00", "signedIdentity": {"type": "remapIdentity", "prefix": "a", "signedPrefix": "\/"}}]}`), "app")
	fuzz(f, policyfile.ParseContainers)
}

func fuzz(f *testing.F, parse func([]byte, string, policyfile.Config) (*policyfile.Policy, error)) {
	image, candidates := signed(f, byKey, "")
	f.Fuzz(func(t *testing.T, b []byte, name string) {
		p, err := parse(b, "", policyfile.Config{})
		if err != nil {
			wantFuzzedProblems(t, b, err)
			return
		}
		again, err := parse(b, "", policyfile.Config{})
		if err != nil {
			t.Fatalf("it parses once: %v", err)
		}
		image.Name = name
		rule, ruleErr := p.Rule(name)
		second, _ := again.Rule(name)
		if rule.Scope != second.Scope || rule.Line != second.Line || rule.Requirement != second.Requirement {
			t.Errorf("rule is %+v, and then %+v", rule, second)
		}
		result, err := decide(t.Context(), p, image, candidates)
		if err != nil {
			wantFamilyOf(t, err)
		} else if ruleErr != nil {
			t.Errorf("accepted without a rule: %v", ruleErr)
		}
		if ruleErr != nil {
			wantFamily(t, ruleErr, verify.ErrMisconfigured)
			return
		}
		switch rule.Action {
		case policyfile.InsecureAcceptAnything, policyfile.Warn:
			if err == nil && rule.Action == policyfile.InsecureAcceptAnything && result.Verified() {
				t.Error("verified, and nothing was looked at")
			}
		case policyfile.Reject:
			wantFamily(t, err, verify.ErrRejected)
		case policyfile.Unsupported:
			wantFamily(t, err, verify.ErrMisconfigured)
		default:
			if err == nil && !result.Verified() {
				t.Errorf("accepted by %+v", rule)
			}
		}
		if strings.TrimSpace(rule.Requirement) == "" {
			t.Errorf("rule says nothing: %+v", rule)
		}
	})
}

func wantFamilyOf(t *testing.T, err error) {
	t.Helper()
	n := 0
	for _, family := range []error{verify.ErrRejected, verify.ErrInconclusive, verify.ErrMisconfigured} {
		if errors.Is(err, family) {
			n++
		}
	}
	if n != 1 {
		t.Errorf("error is of %d families: %v", n, err)
	}
}

func wantFuzzedProblems(t *testing.T, b []byte, err error) {
	t.Helper()
	wantFamily(t, err, verify.ErrMisconfigured)
	var problems policyfile.Problems
	if !errors.As(err, &problems) || len(problems) == 0 {
		t.Fatalf("no problems: %v", err)
	}
	lines := 1 + strings.Count(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(string(b)), "\n")
	last := 0
	for _, p := range problems {
		if p.Line < 1 || p.Line > lines+1 || p.Line < last {
			t.Errorf("line %d after %d, of %d: %v", p.Line, last, lines, p)
		}
		last = p.Line
		for _, c := range p.Error() {
			if unicode.IsControl(c) || c == '\u202e' {
				t.Errorf("a control character: %q", p.Error())
			}
		}
		if !utf8.ValidString(p.Error()) {
			t.Errorf("not UTF-8: %q", p.Error())
		}
	}
}
