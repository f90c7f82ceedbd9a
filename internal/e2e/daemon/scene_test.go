// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/e2e/daemon"
)

// scene is a node, and a registry in which the image that a tag stands for is
// signed, and another image is not.
type scene struct {
	*node
	registry *testRegistry
	ref      string
	// The daemon has the content of both under names that no test uses.
	good, evil ocispec.Descriptor
}

func newScene(t *testing.T, form string) *scene {
	t.Helper()
	return newSceneOn(t, current, form)
}

func newSceneOn(t *testing.T, p daemon.Programs, form string) *scene {
	t.Helper()
	s := &scene{node: newNode(t, p), registry: newRegistry(t)}
	repository := s.registry.address + "/app"
	s.ref = repository + ":v1"
	s.good = s.place(s.ref, "good", signed(form))
	s.evil = s.place(repository+":evil", "evil", nil)
	return s
}

// place pushes an image that prints content.
func (s *scene) place(ref, content string, flags []string) ocispec.Descriptor {
	s.t.Helper()
	s.load(ref, content)
	s.must(append(with("push", flags), ref)...)
	target, _ := s.record(ref)
	s.name("kept.example/"+content+":v1", target)
	return target
}

// prints runs an image and wants it to be the one with that content.
func (n *node) prints(content, command string, flags []string, ref string) {
	n.t.Helper()
	if got := n.must(append(with(command, flags), ref)...); got != content {
		n.t.Errorf("minictl %s %v %s printed %q, want %q", command, flags, ref, got, content)
	}
}

// onSignatureRequest has f run when the registry is first asked for signatures,
// before it answers. The function that it returns ends that, and fails the test
// if f did not run.
func (s *scene) onSignatureRequest(t *testing.T, f func()) (done func()) {
	var ran atomic.Bool
	s.registry.intercept(func(r *http.Request) {
		if asksForSignatures(r) && !ran.Swap(true) {
			f()
		}
	})
	return func() {
		t.Helper()
		s.registry.intercept(nil)
		if !ran.Load() {
			t.Error("nobody asked for signatures")
		}
	}
}

func asksForSignatures(r *http.Request) bool {
	return strings.Contains(r.URL.Path, "/referrers/") || strings.HasSuffix(r.URL.Path, ".sig")
}
