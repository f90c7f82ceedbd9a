// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/e2e/daemon"
)

// ways are those to pull in which containerd asks its image verifiers.
var ways = []struct {
	name, namespace string
	pull            func(n *node, ref string) error
}{
	{"ctr", namespace, (*node).ctrPull},
	{"Kubernetes", daemon.KubernetesNamespace, func(n *node, ref string) error {
		_, err := n.KubernetesPull(n.t.Context(), ref)
		return err
	}},
}

// guarded is a scene whose daemon asks examples/image-verifier, which wants
// everything in the repository to be signed.
type guarded struct {
	*scene
	evilRef string
	policy  string // file
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{scene: newScene(t, "bundle")}
	g.evilRef = g.registry.address + "/app:evil"
	g.forget(g.ref)
	g.forget(g.evilRef)
	config := filepath.Join(g.dir, "config.yaml")
	g.policy = filepath.Join(g.dir, "policy.yaml")
	g.write(config, "policy: policy.yaml\ntimeout: 50s\n")
	g.write(g.policy, g.want("cosign.pub"))
	g.installVerifier(fmt.Sprintf(`exec %s -config %s "$@"`, imageVerifier, config))
	return g
}

func (g *guarded) write(file, content string) {
	g.t.Helper()
	if err := os.WriteFile(file+".new", []byte(content), 0o600); err != nil {
		g.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		g.t.Fatal(err)
	}
}

// want is a policy that wants signatures by a key.
func (g *guarded) want(key string) string {
	return fmt.Sprintf("version: 1\nrules:\n  - scope: %s/app\n    keys: [%s]\n    insecureIgnoreTransparencyLog: true\n",
		g.registry.address, filepath.Join(keys, key))
}

// blocked wants a pull to fail with a reason, and to leave no record.
func (g *guarded) blocked(t *testing.T, reason, ref string) {
	t.Helper()
	for _, way := range ways {
		err := way.pull(g.on(t), ref)
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v, want the reason %q", way.name, err, reason)
		}
		if image, err := g.client.ImageService().Get(namespaces.WithNamespace(t.Context(), way.namespace), ref); !errdefs.IsNotFound(err) {
			t.Errorf("%s: recorded: %v, %v", way.name, image, err)
		}
	}
}

// allowed wants a pull to succeed, and to record the image.
func (g *guarded) allowed(t *testing.T, ref string, want ocispec.Descriptor) {
	t.Helper()
	for _, way := range ways {
		if err := way.pull(g.on(t), ref); err != nil {
			t.Errorf("%s: %v", way.name, err)
		}
		image, err := g.client.ImageService().Get(namespaces.WithNamespace(t.Context(), way.namespace), ref)
		if err != nil || image.Target.Digest != want.Digest {
			t.Errorf("%s: recorded %s, %v, want %s", way.name, image.Target.Digest, err, want.Digest)
		}
	}
}

func TestImageVerifier(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	t.Run("unsigned", func(t *testing.T) { g.blocked(t, "no signatures found", g.evilRef) })
	t.Run("signed by another", func(t *testing.T) {
		g.write(g.policy, g.want("other.pub"))
		g.blocked(t, "does not verify with the key", g.ref)
	})
	t.Run("policy broken", func(t *testing.T) {
		g.write(g.policy, "version: 1\nrules:\n  - scope: everything\n    allow: yes\n")
		g.blocked(t, "policy.yaml", g.ref)
	})
	t.Run("policy cut short", func(t *testing.T) {
		g.write(g.policy, "")
		g.blocked(t, "policy.yaml", g.ref)
	})
	t.Run("policy missing", func(t *testing.T) {
		if err := os.Remove(g.policy); err != nil {
			t.Fatal(err)
		}
		g.blocked(t, "policy.yaml", g.ref)
	})
	t.Run("policy unreadable", func(t *testing.T) {
		// Not by its mode, which root is not bound by.
		if err := os.Mkdir(g.policy, 0o700); err != nil {
			t.Fatal(err)
		}
		g.blocked(t, "policy.yaml", g.ref)
		if err := os.Remove(g.policy); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("signatures cannot be asked for", func(t *testing.T) {
		g.write(g.policy, g.want("cosign.pub"))
		g.registry.intercept(func(r *http.Request) {
			if asksForSignatures(r) {
				panic(http.ErrAbortHandler)
			}
		})
		g.blocked(t, "could not be checked", g.ref)
		g.registry.intercept(nil)
	})
	t.Run("signed", func(t *testing.T) { g.allowed(t, g.ref, g.good) })
	t.Run("registry is down", func(t *testing.T) {
		g.registry.server.Close()
		// Kubernetes has the image and does not ask; what is new it does not get.
		g.blocked(t, "connection refused", g.evilRef)
	})
}

// TestImageVerifierUnderLoad pulls fifty times at once in each state that the
// policy and the registry can be in, and while the policy goes through these.
func TestImageVerifierUnderLoad(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	good := func() { g.write(g.policy, g.want("cosign.pub")) }
	broken := func() { g.write(g.policy, "version: 1\nrules: nonsense\n") }
	other := func() { g.write(g.policy, g.want("other.pub")) }
	missing := func() { g.check(os.Remove(g.policy)) }
	unreadable := func() { g.check(os.Mkdir(g.policy, 0o700)) } // also for root, whom no mode binds

	refused := func(reason string) func(*testing.T) {
		return func(t *testing.T) { g.rush(t, nil, []string{reason}, []string{reason}) }
	}
	good()
	t.Run("policy good", func(t *testing.T) { g.rush(t, nil, []string{allowed}, []string{"no signatures found"}) })
	broken()
	t.Run("policy broken", refused("policy.yaml:2: rules"))
	missing()
	t.Run("policy missing", refused("policy.yaml: no such file"))
	unreadable()
	t.Run("policy unreadable", refused("policy.yaml: is a directory"))
	missing()
	t.Run("policy replaced", func(t *testing.T) {
		states := []func(){good, broken, other, missing, unreadable, missing}
		var replacing sync.Mutex
		replace := func() {
			replacing.Lock()
			defer replacing.Unlock()
			states[0]()
			states = append(states[1:], states[0])
		}
		reasons := []string{"policy.yaml:2: rules", "policy.yaml: no such file", "policy.yaml: is a directory"}
		g.rush(t, replace, append(reasons, allowed, "does not verify with the key"), append(reasons, "no signatures found"))
	})
	g.check(os.RemoveAll(g.policy)) // whatever came last
	good()
	g.registry.intercept(func(r *http.Request) {
		if asksForSignatures(r) {
			panic(http.ErrAbortHandler)
		}
	})
	t.Run("registry fails for signatures", refused("could not be checked"))
	g.registry.intercept(nil)
	g.allowed(t, g.ref, g.good)
	g.registry.server.Close()
	t.Run("registry down", refused("connection refused"))

	for _, way := range ways {
		images, err := g.client.ImageService().List(namespaces.WithNamespace(t.Context(), way.namespace))
		if err != nil {
			t.Fatal(err)
		}
		for _, image := range images {
			if image.Target.Digest == g.evil.Digest && !strings.HasPrefix(image.Name, "kept.example/") {
				t.Errorf("%s: an unsigned image is recorded as %s", way.name, image.Name)
			}
		}
	}
}

// allowed is the reason that nothing was refused for.
const allowed = ""

// rush pulls fifty images at once, every other of them signed, by tags that
// nothing else has. Each pull ends for one of the reasons, which it says in one
// line; and has recorded what is signed, or nothing. during comes before each.
func (g *guarded) rush(t *testing.T, during func(), signed, unsigned []string) {
	t.Helper()
	var pulling sync.WaitGroup
	for i := range 50 {
		way, target, reasons := ways[i/2%len(ways)], g.good, signed
		if i%2 == 1 {
			target, reasons = g.evil, unsigned
		}
		ref := fmt.Sprintf("%s/app:%s-%d", g.registry.address, strings.ReplaceAll(filepath.Base(t.Name()), "_", "-"), i)
		g.registry.tag(t, ref, target)
		pulling.Go(func() {
			if during != nil {
				during()
			}
			err := way.pull(g.node, ref)
			if !endsFor(err, reasons) {
				t.Errorf("%s: %v, want one line with one of %q", way.name, err, reasons)
			}
			image, missing := g.client.ImageService().Get(namespaces.WithNamespace(t.Context(), way.namespace), ref)
			switch {
			case err == nil && (missing != nil || image.Target.Digest != g.good.Digest):
				t.Errorf("%s: %s is recorded as %s, %v", way.name, ref, image.Target.Digest, missing)
			case err != nil && !errdefs.IsNotFound(missing):
				t.Errorf("%s: refused, and recorded: %v, %v", way.name, image, missing)
			}
		})
	}
	pulling.Wait()
}

func endsFor(err error, reasons []string) bool {
	if err == nil {
		return slices.Contains(reasons, allowed)
	}
	said := strings.TrimSpace(err.Error())
	return !strings.Contains(said, "\n") && slices.ContainsFunc(reasons, func(reason string) bool {
		return reason != allowed && strings.Contains(said, reason)
	})
}
