// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/verify/policyfile"
)

// TestTheDocumentedFile: the file in the document is one, and does what the comments
// in it say.
func TestTheDocumentedFile(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile("(?s)\n```yaml\n(.*?)\n```\n").FindSubmatch(document)
	if match == nil {
		t.Fatal("no YAML in the document")
	}
	dir := t.TempDir()
	for _, name := range []string{"keys", "internal"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, kind := range map[string]string{"keys/team-a.pub": "p256", "keys/team-b.pub": "p384", "keys/hub.pub": "ed25519", "internal/rekor.pub": "p521"} {
		writeFile(t, filepath.Join(dir, name), publicKey(t, kind))
	}
	writeFile(t, filepath.Join(dir, "internal/fulcio.pem"), rootCertificate(t))
	p, err := policyfile.Parse(match[1], dir, policyfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]struct {
		action policyfile.Action
		text   string
	}{
		"registry.example/app":                    {policyfile.Enforce, "signed by 1 of: key sha256:"},
		"registry.example/platform/app":           {policyfile.Enforce, "signed by identity subject matching https://github"},
		"registry.example/platform/installer:v2":  {policyfile.Enforce, "signed by 2 of: identity ann@example.com"},
		"mirror.example/hub/library/alpine":       {policyfile.Enforce, "with mirror.example/hub as docker.io"},
		"mirror.example/hub-cache/library/alpine": {policyfile.Enforce, "signatures also in registry.example/signatures"},
		"a.b.internal.example:5000/app":           {policyfile.Enforce, "signed certificate timestamps ignored"},
		"registry.example/legacy/app":             {policyfile.Warn, "no more than a warning otherwise"},
		"hello-world":                             {policyfile.InsecureAcceptAnything, "anything is accepted"},
		"centos:7":                                {policyfile.Reject, "every image is rejected"},
		"alpine":                                  {policyfile.Reject, "every image is rejected"},
	} {
		rule, err := p.Rule(ref)
		if err != nil || rule.Action != want.action || !strings.Contains(rule.Requirement, want.text) {
			t.Errorf("%s: %+v, %v, want %s, %q", ref, rule, err, want.action, want.text)
		}
	}
}
