// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/policyfile"
)

// A policy file is a verifier for package registry, and tells which of its rules
// is for an image.
func ExampleLoad() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "policy.yaml")
	const policy = `
version: 1
tuf: public
rules:
- scope: registry.example/team
  identities:
  - subject: https://github.com/team/app/.github/workflows/release.yml@refs/heads/main
    issuer: https://token.actions.githubusercontent.com
- scope: registry.example/team/scratch
  insecureAcceptAnything: true
`
	if err := os.WriteFile(path, []byte(policy), 0o600); err != nil {
		log.Fatal(err)
	}
	p, err := policyfile.Load(path, policyfile.Config{})
	if err != nil {
		log.Fatal(err)
	}
	// hooks.Pull(ctx, client, cd, "registry.example/team/app:v1", p, nil), and all else
	// that takes a verifier, goes by it.
	var verifier verify.Verifier = p
	_, err = verifier.Verify(context.Background(), verify.Image{Name: "docker.io/library/alpine:latest"}, nil)
	fmt.Println(errors.Is(err, verify.ErrRejected))
	// Output: true
}

// All that is wrong with a file is said at once.
func ExampleParse() {
	_, err := policyfile.Parse([]byte(`
version: 1
rules:
- scope: registry.example/
  keys: [missing.pub]
  treshold: 2
`), "/etc/tool", policyfile.Config{})
	var problems policyfile.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			fmt.Println(p.Line, p.Field, p.Text)
		}
	}
	// Output:
	// 4 scope "registry.example/" ends in a slash; without it, the scope is all that is below as well
	// 5 keys missing.pub: no such file or directory
	// 6 treshold unknown field; did you mean threshold?
}

func ExamplePolicy_Rule() {
	p, err := policyfile.Parse([]byte(`
version: 1
rules:
- scope: "*.example"
  reject: true
- scope: registry.example/team/scratch
  insecureAcceptAnything: true
`), "", policyfile.Config{})
	if err != nil {
		log.Fatal(err)
	}
	for _, ref := range []string{"registry.example/team/scratch/a:v1", "registry.example/app", "alpine"} {
		rule, err := p.Rule(ref)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: line %d, scope %q: %s\n", ref, rule.Line, rule.Scope, rule.Action)
	}
	// Output:
	// registry.example/team/scratch/a:v1: line 6, scope "registry.example/team/scratch": insecureAcceptAnything
	// registry.example/app: line 4, scope "*.example": reject
	// alpine: line 0, scope "": reject
}

// The policy.json of Podman and Skopeo. What it asks for and this library cannot
// check is refused, for the images that it is asked of.
func ExampleLoadContainers() {
	p, err := policyfile.LoadContainers("testdata/containers/rhel.json", policyfile.Config{})
	if err != nil {
		log.Fatal(err)
	}
	rule, err := p.Rule("registry.redhat.io/ubi9/ubi")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(rule.Action, rule.Requirement)
	// Output: unsupported nothing is accepted: signedBy asks for a signature by GPG
}

func ExampleParseContainers() {
	p, err := policyfile.ParseContainers([]byte(`{"default": [{"type": "reject"}]}`), "", policyfile.Config{})
	if err != nil {
		log.Fatal(err)
	}
	rule, err := p.Rule("alpine")
	fmt.Println(rule.Action, err)
	// Output: reject <nil>
}

// A daemon looks once at its start, and goes by the file as it is at each time.
func ExampleWatch() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "policy.yaml")
	write := func(policy string) {
		if err := os.WriteFile(path+".new", []byte(policy), 0o600); err != nil {
			log.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			log.Fatal(err)
		}
	}
	write("version: 1\nrules:\n- {scope: registry.example, insecureAcceptAnything: true}\n")
	watcher := policyfile.Watch(path, policyfile.Load, policyfile.Config{})
	if _, err := watcher.Policy(); err != nil {
		log.Fatal(err)
	}
	image := verify.Image{Name: "registry.example/app:v1"}
	selection, err := watcher.Select(context.Background(), image)
	fmt.Println(selection.InsecureAcceptAnything, err)

	write("version: 1\nrules:\n- {scope: registry.example, reject: true}\n")
	_, err = watcher.Select(context.Background(), image)
	fmt.Println(errors.Is(err, verify.ErrRejected))

	write("version: 1\nrul")
	_, err = watcher.Select(context.Background(), image)
	fmt.Println(errors.Is(err, verify.ErrMisconfigured))
	// Output:
	// true <nil>
	// true
	// true
}
