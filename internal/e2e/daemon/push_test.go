// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestValidationComesBeforeAnyRequest is the fifth of the six points.
func TestValidationComesBeforeAnyRequest(t *testing.T) {
	t.Parallel()
	s := newScene(t, "bundle")
	const noKey = "--cosign-key=none.key"
	ignore := "--insecure-ignore-tlog"
	// Who asks for the trusted root of the public instance is seen, too.
	proxy := "HTTPS_PROXY=http://" + s.registry.address
	identity, issuer := "--cosign-certificate-identity=name@example.com", "--cosign-certificate-oidc-issuer=https://issuer.example"
	for name, c := range map[string]struct {
		reason      string
		environment string
		flags       []string
	}{
		"sign: unknown provider":         {"unknown provider", "", []string{"push", "--sign=notation"}},
		"sign: empty provider":           {"unknown provider", "", []string{"push", "--sign="}},
		"sign: key without provider":     {"does nothing without", "", []string{"push", "--cosign-key=cosign.key"}},
		"sign: no such key":              {"none.key", "", []string{"push", "--sign=cosign", noKey, "--tlog-upload=false"}},
		"sign: public key":               {"public key", "", []string{"push", "--sign=cosign", "--cosign-key=cosign.pub", "--tlog-upload=false"}},
		"sign: wrong passphrase":         {"passphrase", "COSIGN_PASSWORD=wrong", with("push", signed("bundle"))},
		"sign: unknown form":             {"unknown signature format", "", with("push", signed("pgp"))},
		"sign: identity without consent": {"--yes", "", []string{"push", "--sign=cosign"}},
		"verify: unknown provider":       {"unknown provider", "", []string{"pull", "--verify=notation"}},
		"verify: key without provider":   {"does nothing without", "", []string{"pull", "--cosign-key=cosign.pub"}},
		"verify: no key, no identity":    {"needs --cosign-key", "", []string{"pull", "--verify=cosign", ignore}},
		"verify: no such key":            {"none.key", "", []string{"pull", "--verify=cosign", noKey, ignore}},
		"verify: private key":            {"private key", "", []string{"pull", "--verify=cosign", "--cosign-key=cosign.key", ignore}},
		"verify: no issuer":              {"issuer", proxy, []string{"pull", "--verify=cosign", identity}},
		"verify: no subject":             {"subject", proxy, []string{"pull", "--verify=cosign", issuer}},
		"verify: empty subject":          {"is empty", "", []string{"pull", "--verify=cosign", "--cosign-certificate-identity=", issuer}},
		"verify: bad pattern":            {"regexp", proxy, []string{"pull", "--verify=cosign", "--cosign-certificate-identity-regexp=(", issuer}},
		"verify: key and identity":       {"exclude each other", "", []string{"pull", "--verify=cosign", "--cosign-key=cosign.pub", identity, issuer}},
		"run: key without provider":      {"does nothing without", "", []string{"run", "--pull=always", "--cosign-key=cosign.pub"}},
		"run: no key, no identity":       {"needs --cosign-key", "", []string{"run", "--pull=always", "--verify=cosign"}},
		"run: no issuer":                 {"issuer", proxy, []string{"run", "--pull=always", "--verify=cosign", identity}},
	} {
		t.Run(name, func(t *testing.T) {
			n := s.on(t)
			n.name(s.ref, s.good)
			s.registry.asked(t)
			command := n.command(t.Context(), append(c.flags, s.ref)...)
			if c.environment != "" {
				command.Env = append(command.Env, c.environment)
			}
			o := finish(t, command)
			if o.code != 2 || !strings.Contains(o.stderr, c.reason) {
				t.Errorf("exit code %d, want 2, and %q in: %s", o.code, c.reason, o.stderr)
			}
			if asked := s.registry.asked(t); len(asked) > 0 {
				t.Errorf("asked the registry: %v", asked)
			}
		})
	}
	t.Run("a request would be seen", func(t *testing.T) {
		command := s.on(t).command(t.Context(), "pull", "--verify=cosign", identity, issuer, s.ref)
		command.Env = append(command.Env, proxy)
		if o, asked := finish(t, command), s.registry.asked(t); o.code != 3 || len(asked) == 0 {
			t.Errorf("exit code %d, %v, %s", o.code, asked, o.stderr)
		}
	})
}

// TestAllTagsAreSignedOnce and TestReducedImageIsSignedAsPushed are the sixth of
// the six points.
func TestAllTagsAreSignedOnce(t *testing.T) {
	t.Parallel()
	n, r := newNode(t, current), newRegistry(t)
	repository := r.address + "/app"
	content := map[string]string{"v1": "one", "v1.0": "one", "latest": "one", "v2": "two"}
	for tag, content := range content {
		n.load(repository+":"+tag, content)
	}
	n.must(append(with("push", signed("bundle")), "--all-tags", repository)...)
	for tag := range content {
		target, _ := n.record(repository + ":" + tag)
		if got := r.signatures(t, "app", target); got != 1 {
			t.Errorf("%s has %d signatures, want 1", tag, got)
		}
		n.forget(repository + ":" + tag)
	}
	for tag, content := range content {
		n.prints(content, "run", verified(), repository+":"+tag)
	}
}

func TestReducedImageIsSignedAsPushed(t *testing.T) {
	t.Parallel()
	n, r := newNode(t, current), newRegistry(t)
	const other = "linux/s390x"
	ref := r.address + "/app:v1"
	n.load(ref, "reduced", platforms.DefaultString(), other)
	whole, _ := n.record(ref)

	printed := n.must(append(with("push", signed("bundle")), ref)...)
	n.forget(ref)
	n.must(append(with("pull", verified()), ref)...)
	pushed, _ := n.record(ref)
	if pushed.Digest == whole.Digest {
		t.Errorf("%s was pushed as it is", whole.Digest)
	}
	if !strings.HasPrefix(printed, ref+"@"+pushed.Digest.String()+"\n") {
		t.Errorf("push printed %q, want %s", printed, pushed.Digest)
	}
	if got := r.signatures(t, "app", pushed); got != 1 {
		t.Errorf("what was pushed has %d signatures, want 1", got)
	}
	if got := r.signatures(t, "app", whole); got != 0 {
		t.Errorf("the whole has %d signatures, want none", got)
	}
	n.prints("reduced", "run", verified("--pull=never"), ref)
}

// signatures counts the bundles that the registry lists for an image.
func (r *testRegistry) signatures(t *testing.T, repository string, image ocispec.Descriptor) int {
	t.Helper()
	answer := httptest.NewRecorder()
	url := fmt.Sprintf("/v2/%s/referrers/%s", repository, image.Digest)
	r.handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, url, nil))
	var index ocispec.Index
	if err := json.Unmarshal(answer.Body.Bytes(), &index); err != nil || answer.Code != http.StatusOK {
		t.Fatalf("%s: status %d, %v", url, answer.Code, err)
	}
	return len(index.Manifests)
}
