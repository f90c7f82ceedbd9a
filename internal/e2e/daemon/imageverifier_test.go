// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
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
	g.write(config, "policy: policy.yaml\n")
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
		g.registry.close()
		// Kubernetes has the image and does not ask; what is new it does not get.
		g.blocked(t, "connection refused", g.evilRef)
	})
}

// TestImageVerifierUnderLoad pulls fifty times at once while the policy is
// replaced, by one that is broken, and by one that wants another key.
func TestImageVerifierUnderLoad(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	policies := []string{g.want("cosign.pub"), "version: 1\nrules: nonsense\n", g.want("other.pub")}
	var replacing sync.Mutex
	replace := func(i int) {
		replacing.Lock()
		defer replacing.Unlock()
		g.write(g.policy, policies[i%len(policies)])
	}
	const pulls = 50
	var pulling sync.WaitGroup
	for i := range pulls {
		pulling.Go(func() {
			replace(i)
			way := ways[i/2%len(ways)]
			ref := g.ref
			if i%2 == 1 {
				ref = g.evilRef
			}
			err := way.pull(g.node, ref)
			if err == nil && ref == g.evilRef {
				t.Errorf("%s: an unsigned image was pulled", way.name)
			}
			if err != nil && !strings.Contains(err.Error(), "verifier rejected image") {
				t.Errorf("%s: %v, want a reason of the verifier", way.name, err)
			}
		})
	}
	pulling.Wait()
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
	g.write(g.policy, policies[0])
	g.allowed(t, g.ref, g.good)
}
