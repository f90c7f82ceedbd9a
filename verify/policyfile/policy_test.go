// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/policyfile"
)

const signedPolicy = `
version: 1
trustedRoot: ROOT
rules:
- scope: registry.example/team
  keys: [KEYS/p256.pub, KEYS/ed25519.pub]
  insecureIgnoreTransparencyLog: true
- scope: registry.example/team/both
  keys: [KEYS/p256.pub, KEYS/rsa-2048.pub]
  threshold: 2
  insecureIgnoreTransparencyLog: true
- scope: registry.example/people
  identities:
  - subject: person@example.com
    issuerRegexp: http://127\.0\.0\.1:[0-9]+
- scope: registry.example/warned
  keys: [KEYS/ed25519.pub]
  insecureIgnoreTransparencyLog: true
  mode: warn
- scope: registry.example/any
  insecureAcceptAnything: true
- scope: registry.example/any/but
  reject: true
- scope: registry.example/original
  keys: [KEYS/p256.pub]
  insecureIgnoreTransparencyLog: true
  claimedRepository: exact
`

func TestVerify(t *testing.T) {
	t.Parallel()
	p := mustParse(t, signedPolicy, policyfile.Config{})
	for name, c := range map[string]struct {
		vector, image string
		want          error  // nil if accepted
		unverified    string // of what is accepted
		text          string // of the error
	}{
		"the key of the scope":              {vector: byKey, image: "registry.example/team/app:v1"},
		"a scope is the repository as well": {vector: byKey, image: "registry.example/team:v1"},
		"a name that only begins alike":     {vector: byKey, image: "registry.example/teams/app:v1", want: verify.ErrRejected, text: "rejected by the default of policy"},
		"another registry":                  {vector: byKey, image: "registry.example.evil.example/team/app:v1", want: verify.ErrRejected},
		"another port":                      {vector: byKey, image: "registry.example:5000/team/app:v1", want: verify.ErrRejected},
		"a registry in capital letters":     {vector: byKey, image: "Registry.EXAMPLE/team/app:v1"},
		"both of two signers":               {vector: byTwoKeys, image: "registry.example/team/both:v1"},
		"one of two signers":                {vector: byKey, image: "registry.example/team/both:v1", want: verify.ErrRejected, text: "signed by 1 of the 2 different signers required"},
		"the identity of the scope":         {vector: byIdentity, image: "registry.example/people/app"},
		"a key where an identity is wanted": {vector: byKey, image: "registry.example/people/app", want: verify.ErrRejected},
		"a warning for another signer":      {vector: byKey, image: "registry.example/warned", unverified: "does not verify with the key"},
		"no warning for the signer":         {vector: "v2.6.5-bundle-ed25519", image: "registry.example/warned"},
		"anything":                          {vector: byKey, image: "registry.example/any", unverified: "the rule at policy:20 for registry.example/any: anything is accepted"},
		"anything but what is rejected":     {vector: byKey, image: "registry.example/any/but/this", want: verify.ErrRejected, text: "rejected by the rule at policy:22 for registry.example/any/but"},
		"a signature that claims nothing":   {vector: byKey, image: "registry.example/original", want: verify.ErrRejected, text: `signed for repository ""`},
		"no name":                           {vector: byKey, image: " ", want: verify.ErrMisconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image, candidates := signed(t, c.vector, c.image)
			result, err := decide(t.Context(), p, image, candidates)
			if c.want != nil {
				wantFamily(t, err, c.want)
				if !strings.Contains(err.Error(), c.text) {
					t.Errorf("error is %v, want %q", err, c.text)
				}
				if _, err := result.Pinned(); err == nil || result.Verified() {
					t.Error("the result can be pinned")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !result.Accepted || result.Image.Name != image.Name || result.Matched.Digest != image.Target.Digest {
				t.Errorf("result is %+v", result)
			}
			if c.unverified == "" {
				if !result.Verified() || result.Unverified != nil {
					t.Errorf("not verified: %v", result.Unverified)
				}
				return
			}
			if result.Verified() || !strings.Contains(result.Unverified.Error(), c.unverified) {
				t.Errorf("verified, or %v, want %q", result.Unverified, c.unverified)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	const rules = "rules:\n- {scope: other.example, reject: true}\n"
	image, candidates := signed(t, byKey, "registry.example/app")
	for _, standard := range []string{"", "default: reject\n"} {
		_, err := mustParse(t, "version: 1\n"+standard+rules, policyfile.Config{}).Verify(t.Context(), image, candidates)
		wantFamily(t, err, verify.ErrRejected)
	}
	result, err := decide(t.Context(), mustParse(t, "version: 1\ndefault: insecureAcceptAnything\n"+rules, policyfile.Config{}), image, nil)
	if err != nil || !result.Accepted || result.Verified() {
		t.Errorf("%+v, %v", result, err)
	}
	byDefault := mustParse(t, "version: 1\ndefault:\n  keys: [KEYS/p256.pub]\n  insecureIgnoreTransparencyLog: true\n", policyfile.Config{})
	if result, err := byDefault.Verify(t.Context(), image, candidates); err != nil || !result.Verified() {
		t.Errorf("%+v, %v", result, err)
	}
	_, err = byDefault.Verify(t.Context(), image, nil)
	wantFamily(t, err, verify.ErrRejected)
	if rule, err := byDefault.Rule("alpine"); err != nil || rule.Action != policyfile.Enforce || rule.Line != 2 || rule.Scope != "" {
		t.Errorf("%+v, %v", rule, err)
	}
	for _, p := range []*policyfile.Policy{nil, {}} {
		_, err := decide(t.Context(), p, image, candidates)
		wantFamily(t, err, verify.ErrMisconfigured)
		_, err = p.Rule("alpine")
		wantFamily(t, err, verify.ErrMisconfigured)
	}
}

// TestWarnOnly: what a rule that only warns lets through, and what it does not.
func TestWarnOnly(t *testing.T) {
	t.Parallel()
	p := mustParse(t, signedPolicy, policyfile.Config{})
	image, candidates := signed(t, byKey, "registry.example/warned")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx        context.Context
		candidates []verify.Candidate
		want       error
	}{
		"no signature":             {t.Context(), nil, nil},
		"a signature of another":   {t.Context(), candidates, nil},
		"a registry that fails":    {t.Context(), []verify.Candidate{{Err: errors.New("429")}}, nil},
		"a registry that lies":     {t.Context(), []verify.Candidate{{Err: verify.ErrRejected}}, nil},
		"a registry unknown":       {t.Context(), []verify.Candidate{{Err: verify.ErrMisconfigured}}, verify.ErrMisconfigured},
		"a context that has ended": {ended, candidates, verify.ErrInconclusive},
		"the same, with none":      {ended, nil, verify.ErrInconclusive},
	} {
		result, err := decide(c.ctx, p, image, c.candidates)
		if c.want != nil {
			wantFamily(t, err, c.want)
			continue
		}
		if err != nil || !result.Accepted || result.Unverified == nil || len(result.Signatures) != len(c.candidates) {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
	for _, d := range []digest.Digest{"", "sha256:1", digest.SHA512.FromString("")} {
		for _, name := range []string{"registry.example/warned", "registry.example/any"} {
			_, err := decide(t.Context(), p, verify.Image{Name: name, Target: ocispec.Descriptor{Digest: d}}, nil)
			wantFamily(t, err, verify.ErrMisconfigured)
		}
	}
}

func TestTheLoggerIsTold(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&b, nil))
	mustParse(t, signedPolicy+"- scope: registry.example/logged\n  identities: [{subject: a, issuer: b}]\n  insecureIgnoreSCT: true\n", policyfile.Config{Logger: logger})
	for _, want := range []string{
		"signatures are accepted without a transparency log entry", "certificates are accepted without a signed certificate timestamp",
		"any image is accepted", "accepted with a warning", "policy:20 for registry.example/any",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the logger was not told %q but\n%s", want, &b)
		}
	}
	b.Reset()
	if _, err := policyfile.Parse([]byte(testdata(t, signedPolicy+"- scope: nothing.example\n")), "", policyfile.Config{Logger: logger}); err == nil || b.Len() > 0 {
		t.Errorf("of a file that is refused, the logger was told %s", &b)
	}
}

// TestRuleSaysWhatIsInsecure: of itself, and not of the other rules.
func TestRuleSaysWhatIsInsecure(t *testing.T) {
	t.Parallel()
	const noEntry = "signatures are accepted without a transparency log entry"
	p := mustParse(t, signedPolicy, policyfile.Config{})
	for name, want := range map[string][]string{
		"registry.example/team":   {noEntry},
		"registry.example/warned": {"images that are not acceptable are accepted with a warning", noEntry},
		"registry.example/any":    {"any image is accepted"},
		"elsewhere.example/app":   nil,
	} {
		rule, err := p.Rule(name)
		if err != nil || !slices.Equal(rule.Insecure, want) {
			t.Errorf("%s: %q, %v, want %q", name, rule.Insecure, err, want)
		}
	}
	twice := fmt.Sprintf(`{"default": [{"type": "sigstoreSigned", "keyPath": %q}, {"type": "sigstoreSigned", "keyPath": %[1]q}]}`, testdata(t, "KEYS/p256.pub"))
	p, err := policyfile.ParseContainers([]byte(twice), "", policyfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if rule, err := p.Rule("app"); err != nil || !slices.Equal(rule.Insecure, []string{noEntry}) {
		t.Errorf("%q, %v", rule.Insecure, err)
	}
}

// TestStrictByItself: who does not ask Select gets nothing unverified.
func TestStrictByItself(t *testing.T) {
	t.Parallel()
	p := mustParse(t, signedPolicy, policyfile.Config{})
	for _, name := range []string{"registry.example/warned", "registry.example/any"} {
		image, candidates := signed(t, byKey, name)
		result, err := p.Verify(t.Context(), image, candidates)
		wantFamily(t, err, verify.ErrRejected)
		if result != nil && (result.Accepted || result.Verified()) {
			t.Errorf("%s: %+v", name, result)
		}
	}
	image, candidates := signed(t, byKey, "registry.example/team")
	if result, err := p.Verify(t.Context(), image, candidates); err != nil || !result.Verified() || result.Rule != "the rule at policy:5 for registry.example/team" {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestSelectionSaysWhereSignaturesAre(t *testing.T) {
	t.Parallel()
	p := mustParse(t, signedPolicy+"- scope: registry.example/elsewhere\n  keys: [KEYS/p256.pub]\n  insecureIgnoreTransparencyLog: true\n  signatureRepository: signatures.example/all\n", policyfile.Config{})
	for name, want := range map[string]string{"registry.example/elsewhere/app": "signatures.example/all", "registry.example/team/app": ""} {
		s, err := p.Select(t.Context(), verify.Image{Name: name})
		if err != nil || (s.SignatureRepository == nil) != (want == "") || want != "" && *s.SignatureRepository != want {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}

// TestLimits: those of the Config hold for every rule.
func TestLimits(t *testing.T) {
	t.Parallel()
	config := policyfile.Config{Limits: verify.Limits{Candidates: 7}}
	p := mustParse(t, signedPolicy, config)
	s, err := p.Select(t.Context(), verify.Image{Name: "registry.example/team"})
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]verify.Verifier{"policy": p, "rule": s.Verifier, "watcher": policyfile.Watch("", nil, config)} {
		if got := v.(verify.LimitedVerifier).Limits(); got != config.Limits.WithDefaults() {
			t.Errorf("%s: %+v", name, got)
		}
	}
	_, err = policyfile.Parse([]byte(testdata(t, signedPolicy)), "", policyfile.Config{Limits: verify.Limits{Chain: -1}})
	wantFamily(t, err, verify.ErrMisconfigured)
}

// TestJSON: whatever program wrote it, it says the same.
func TestJSON(t *testing.T) {
	t.Parallel()
	const written = "{\n\t\"version\": 1,\n\t\"rules\": [\n\t\t{\"scope\": \"registry.example/team\", \"keys\": [\"KEYS/p256.pub\"],\n" +
		"\t\t\"annotations\": {\"note\": \"\\\\/ 😀 ä\\u2028\"}, \"insecureIgnoreTransparencyLog\": true}\n\t]\n}\n"
	want, err := mustParse(t, written, policyfile.Config{}).Rule("registry.example/team/app")
	if err != nil || want.Line != 4 || !strings.Contains(want.Requirement, `annotation note is "\\/ 😀 ä\u2028"`) {
		t.Fatalf("%+v, %v", want, err)
	}
	for name, change := range map[string]*strings.Replacer{
		"slashes escaped":        strings.NewReplacer("/", `\/`),
		"letters escaped":        strings.NewReplacer("😀", `\ud83d\uDE00`, "ä", `\u00e4`, "team", `\u0074eam`, "scope", `sc\u006fpe`),
		"lines ended as Windows": strings.NewReplacer("\n", "\r\n"),
		"indented by spaces":     strings.NewReplacer("\t", "    "),
		"no spaces":              strings.NewReplacer("\t", "", ": ", ":", ", ", ","),
	} {
		got, err := mustParse(t, change.Replace(testdata(t, written)), policyfile.Config{}).Rule("registry.example/team/app")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
	for name, text := range map[string]string{
		"half of a letter":   `\ud83d`,
		"the halves swapped": `\ude00\ud83d`,
	} {
		_, err := policyfile.Parse([]byte(testdata(t, strings.Replace(written, "😀", text, 1))), "", policyfile.Config{})
		wantFamily(t, err, verify.ErrMisconfigured)
		if err != nil && !strings.Contains(err.Error(), "policy:5: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
