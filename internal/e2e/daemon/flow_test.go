// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon_test

import (
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/cosignkit/cosignkit/internal/e2e/daemon"
)

var forms = []string{"bundle", "legacy"}

// daemons are those that pull and push; containers are run on the current one.
func daemons() map[string]daemon.Programs {
	return map[string]daemon.Programs{"containerd 2.4": current, "containerd 1.6": debian}
}

func TestPushedSignedIsPulledVerified(t *testing.T) {
	t.Parallel()
	for title, programs := range daemons() {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, programs)
			for registry, r := range map[string]*testRegistry{
				"referrers API": newRegistry(t),
				"tags only":     newRegistry(t, ggcr.WithReferrersSupport(false)),
			} {
				for _, form := range forms {
					t.Run(form+", "+registry, func(t *testing.T) {
						n := n.on(t)
						ref := r.address + "/" + form + ":v1"
						n.load(ref, form)
						n.must(append(with("push", signed(form)), ref)...)
						want, _ := n.record(ref)
						n.forget(ref)

						if got := n.must(append(with("pull", verified()), ref)...); !strings.HasPrefix(got, ref+"@"+want.Digest.String()+"\nverified by ") {
							t.Errorf("pull printed %q", got)
						}
						if got, _ := n.record(ref); got.Digest != want.Digest {
							t.Errorf("the record is of %s, want %s", got.Digest, want.Digest)
						}
					})
				}
			}
		})
	}
}

// refusals are images that nobody with the key vouches for.
var refusals = []refusal{
	{name: "unsigned", reason: "no signatures found"},
	{name: "unsigned beside a signed one", reason: "no signatures found", sibling: true},
	{name: "bundle by another key", reason: "does not verify with the key", push: signed("bundle", "--cosign-key=other.key")},
	{name: "legacy signature by another key", reason: "does not verify with the key", push: signed("legacy", "--cosign-key=other.key")},
}

type refusal struct {
	name, reason string
	push         []string
	// sibling is an image in the same repository that is signed.
	sibling bool
}

// place pushes the image, and keeps it under its name.
func (c refusal) place(n *node, r *testRegistry) (ref string) {
	n.t.Helper()
	repository := r.address + "/" + strings.ReplaceAll(c.name, " ", "-")
	if c.sibling {
		n.load(repository+":signed", "signed")
		n.must(append(with("push", signed("both")), repository+":signed")...)
	}
	n.load(repository+":v1", c.name)
	n.must(append(with("push", c.push), repository+":v1")...)
	return repository + ":v1"
}

func TestRefusedImageLeavesNoRecord(t *testing.T) {
	t.Parallel()
	for title, programs := range daemons() {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, programs)
			r := newRegistry(t)
			for _, c := range refusals {
				t.Run(c.name, func(t *testing.T) {
					n := n.on(t)
					ref := c.place(n, r)
					n.forget(ref)
					n.refused(1, c.reason, append(with("pull", verified()), ref)...)
					if target, ok := n.record(ref); ok {
						t.Errorf("recorded as %s", target.Digest)
					}
				})
			}
		})
	}
}

func TestRefusedImageIsNotRun(t *testing.T) {
	t.Parallel()
	n := newNode(t, current)
	r := newRegistry(t)
	for _, c := range refusals {
		ref := c.place(n, r)
		for _, when := range []string{"missing", "always", "never"} {
			t.Run(c.name+", --pull="+when, func(t *testing.T) {
				n.on(t).refused(1, c.reason, append(with("run", verified("--pull="+when)), ref)...)
			})
		}
		t.Run(c.name+", not here yet", func(t *testing.T) {
			n := n.on(t)
			n.forget(ref)
			n.refused(1, c.reason, append(with("run", verified()), ref)...)
			if target, ok := n.record(ref); ok {
				t.Errorf("recorded as %s", target.Digest)
			}
		})
	}
}
