// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
)

// TestImageVerifierIsAsked shows with a script what containerd's plugin does for
// each way to pull, and that a test here would see it if it did not.
func TestImageVerifierIsAsked(t *testing.T) {
	t.Parallel()
	n := newNode(t, current)
	r := newRegistry(t)
	for _, way := range ways {
		ref := r.address + "/" + strings.ToLower(strings.ReplaceAll(way.name, " ", "-")) + ":v1"
		n.load(ref, way.name)
		n.must("push", ref)
		n.forget(ref)
		r.asked(t)
		ctx := namespaces.WithNamespace(t.Context(), way.namespace)

		n.installVerifier("echo no such luck; exit 1")
		if err := way.pull(n, ref); err == nil || !strings.Contains(err.Error(), "no such luck") {
			t.Errorf("%s: blocked pull ends with %v, want the verifier's reason", way.name, err)
		}
		if image, err := n.client.ImageService().Get(ctx, ref); !errdefs.IsNotFound(err) {
			t.Errorf("%s: blocked, and recorded: %v, %v", way.name, image, err)
		}
		for _, request := range r.asked(t) {
			if strings.Contains(request, "/blobs/") && strings.HasPrefix(request, "GET ") {
				t.Errorf("%s: blocked, and fetched: %s", way.name, request)
			}
		}

		n.installVerifier("exit 0")
		if err := way.pull(n, ref); err != nil {
			t.Errorf("%s: allowed pull: %v", way.name, err)
		}
		if _, err := n.client.ImageService().Get(ctx, ref); err != nil {
			t.Errorf("%s: allowed, and not recorded: %v", way.name, err)
		}
	}
}

// installVerifier replaces the verifiers by a shell script.
func (n *node) installVerifier(script string) {
	n.t.Helper()
	// Written elsewhere and moved: a file that is open for writing cannot be run.
	file := filepath.Join(n.dir, "verifier")
	err := os.WriteFile(file, []byte("#!/bin/sh\n"+script+"\n"), 0o755)
	if err == nil {
		err = os.Rename(file, filepath.Join(n.VerifierDir, "verifier"))
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

// ctrPull pulls through the daemon's transfer service.
func (n *node) ctrPull(ref string) error {
	n.t.Helper()
	o := finish(n.t, n.CtrCommand(n.t.Context(), namespace, "images", "pull", "--hosts-dir", n.HostsDir, "--plain-http", ref))
	if o.code == 0 {
		return nil
	}
	said := slices.DeleteFunc(strings.Split(o.stderr, "\n"), func(line string) bool { return strings.HasPrefix(line, "time=") })
	return &pullError{strings.Join(said, "\n")}
}

// pullError is what ctr said, without what it logs about the machine.
type pullError struct{ said string }

func (e *pullError) Error() string { return e.said }
