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

func TestRefusedImageLeavesNoRecord(t *testing.T) {
	t.Parallel()
	for title, programs := range daemons() {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, programs)
			r := newRegistry(t)
			for name, c := range map[string]struct{ push []string }{
				"unsigned":                  {[]string{"push"}},
				"signed by another, bundle": {with("push", signed("bundle", "--cosign-key=other.key"))},
				"signed by another, legacy": {with("push", signed("legacy", "--cosign-key=other.key"))},
				"other content, same repo":  {[]string{"push"}},
			} {
				t.Run(name, func(t *testing.T) {
					n := n.on(t)
					repository := r.address + "/" + strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), ",", "")
					if name == "other content, same repo" {
						n.load(repository+":good", "good")
						n.must(append(with("push", signed("both")), repository+":good")...)
					}
					ref := repository + ":v1"
					n.load(ref, name)
					n.must(append(c.push, ref)...)
					n.forget(ref)
					n.refused(1, "", append(with("pull", verified()), ref)...)
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
	for name, push := range map[string][]string{
		"unsigned":          {"push"},
		"signed by another": with("push", signed("bundle", "--cosign-key=other.key")),
	} {
		ref := r.address + "/" + strings.ReplaceAll(name, " ", "-") + ":v1"
		n.load(ref, name)
		n.must(append(push, ref)...)
		for _, when := range []string{"missing", "always", "never"} {
			t.Run(name+", pull "+when, func(t *testing.T) {
				n.on(t).refused(1, "", append(with("run", verified("--pull="+when)), ref)...)
			})
		}
		t.Run(name+", not here yet", func(t *testing.T) {
			n := n.on(t)
			n.forget(ref)
			n.refused(1, "", append(with("run", verified()), ref)...)
			if target, ok := n.record(ref); ok {
				t.Errorf("recorded as %s", target.Digest)
			}
		})
	}
}
