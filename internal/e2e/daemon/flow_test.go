// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon_test

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

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

// TestKeptSignaturesLiveAsLongAsTheImage: the daemon's own collection keeps them with
// the image, and takes them with its last name.
func TestKeptSignaturesLiveAsLongAsTheImage(t *testing.T) {
	t.Parallel()
	for title, programs := range daemons() {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			n, r := newNode(t, programs), newRegistry(t)
			ref, other := r.address+"/app:v1", r.address+"/app:v2"
			n.load(ref, "app")
			n.must(append(with("push", signed("both")), ref)...)
			n.forget(ref)
			n.must(append(with("pull", verified()), ref)...)
			target, _ := n.record(ref)
			n.name(other, target)

			kept := n.kept(target)
			if len(kept) == 0 {
				t.Fatal("nothing was kept")
			}
			n.forget(ref)
			for _, d := range kept {
				if _, err := n.client.ContentStore().Info(n.context(), d); err != nil {
					t.Errorf("with a name left: %v", err)
				}
			}
			n.forget(other)
			for _, d := range append(kept, target.Digest) {
				if _, err := n.client.ContentStore().Info(n.context(), d); !errdefs.IsNotFound(err) {
					t.Errorf("with no name left, %s is there: %v", d, err)
				}
			}
		})
	}
}

// kept is all that is kept beside an image: manifests, and what they consist of.
func (n *node) kept(target ocispec.Descriptor) (all []digest.Digest) {
	n.t.Helper()
	store := n.client.ContentStore()
	info, err := store.Info(n.context(), target.Digest)
	if err != nil {
		n.t.Fatal(err)
	}
	for label, value := range info.Labels {
		if !strings.HasPrefix(label, "containerd.io/gc.ref.content.referrer.cosign.") {
			continue
		}
		manifest := digest.Digest(value)
		info, err := store.Info(n.context(), manifest)
		if err != nil {
			n.t.Fatal(err)
		}
		all = append(all, manifest)
		for label, value := range info.Labels {
			if strings.HasPrefix(label, "containerd.io/gc.ref.content.") {
				all = append(all, digest.Digest(value))
			}
		}
	}
	return all
}
