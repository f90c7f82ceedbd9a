// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package registries

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit/internal/traffic"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// TestMirrorWithTheOriginDown: a mirror that pulled image and signatures through
// is enough while the registry behind it is gone. Nothing can be written then, and
// nobody says "unsigned" of what the mirror has not seen.
func TestMirrorWithTheOriginDown(t *testing.T) {
	t.Parallel()
	for _, form := range []signing.Form{signing.Bundle, signing.Legacy} {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			s := newSetting(t)
			origin := s.serve("origin", traffic.Way{}, onLoopback)
			stopOrigin := s.stops[0]
			mirror := s.serve("mirror", traffic.Way{}, fmt.Sprintf("proxy: {remoteurl: \"http://%s\"}\n", origin)+onLoopback)
			s.hostsTOML("registry.test", fmt.Sprintf("server = \"http://%s\"\n[host.\"http://%s\"]\ncapabilities = [\"pull\", \"resolve\"]\n", origin, mirror), nil)
			flows := traffic.Flows{Config: registry.Config{HostsDirs: s.job.HostsDirs}, Ref: s.job.Ref, Form: form, Dir: t.TempDir()}
			image, err := flows.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			unsigned := traffic.Flows{Config: flows.Config, Ref: "registry.test/team/unsigned:v1", Dir: t.TempDir()}
			ctx, cd, other, err := unsigned.Make(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer cd.Close()
			if err := unsigned.PushUnsigned(ctx, cd, other); err != nil {
				t.Fatal(err)
			}
			if err := unsigned.Verify(ctx, other, other.Pusher); !errors.Is(err, verify.ErrRejected) {
				t.Errorf("unsigned, with the origin there: %v", err)
			}

			blobs := len(image.Parts) - 1 + 2 // without the manifest, with two bundles
			if form == signing.Legacy {
				blobs-- // The payload of both signatures.
			}
			s.keeps("mirror", "team/app", blobs)
			stopOrigin()
			flows.Dir = t.TempDir()
			if err := flows.Verify(t.Context(), image, image.Pusher); err != nil {
				t.Errorf("verify: %v", err)
			}
			if err := flows.Pull(t.Context(), image); err != nil {
				t.Errorf("pull: %v", err)
			}
			if err := flows.Sign(t.Context(), image); !errors.Is(err, verify.ErrInconclusive) {
				t.Errorf("sign: %v", err)
			}
			if _, err := flows.Push(t.Context()); !errors.Is(err, verify.ErrInconclusive) {
				t.Errorf("push: %v", err)
			}
			if err := unsigned.Verify(ctx, other, other.Pusher); !errors.Is(err, verify.ErrInconclusive) {
				t.Errorf("unsigned, with the origin down: %v", err)
			}
		})
	}
}

// keeps waits until a registry has so many blobs of a repository. docker-registry
// stores what it pulls through beside its answer, and may still be at it afterwards.
func (s *setting) keeps(server, repository string, blobs int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	links := filepath.Join(s.dir, server, "data/docker/registry/v2/repositories", repository, "_layers/sha256/*/link")
	for kept := 0; kept < blobs; {
		select {
		case <-ctx.Done():
			s.t.Fatalf("%s has %d blobs of %s, want %d", server, kept, repository, blobs)
		case <-time.After(5 * time.Millisecond):
		}
		kept = 0
		for _, link := range ok(filepath.Glob(links)) {
			if info, err := os.Stat(link); err == nil && info.Size() > 0 { // which it writes last
				kept++
			}
		}
	}
}

// TestMirrorWithoutReferrers: this mirror has no referrers API, and so lacks the
// bundles of a registry that has it. They are found there, and the log says so.
func TestMirrorWithoutReferrers(t *testing.T) {
	t.Parallel()
	s := newSetting(t)
	origin := s.http("origin", withReferrers())
	mirror := s.serve("mirror", traffic.Way{}, fmt.Sprintf("proxy: {remoteurl: %q}\n", origin.URL)+onLoopback)
	s.hostsTOML("registry.test", fmt.Sprintf("server = %q\n[host.\"http://%s\"]\ncapabilities = [\"pull\", \"resolve\", \"referrers\"]\n", origin.URL, mirror), nil)
	said := &lines{}
	flows := traffic.Flows{Ref: s.job.Ref, Form: signing.Bundle, Dir: t.TempDir(), Config: registry.Config{
		HostsDirs: s.job.HostsDirs, Logger: slog.New(slog.NewTextHandler(said, nil)),
	}}
	image, err := flows.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.stop()
	if err := s.log.Check(image.Parts, traffic.Referrers, traffic.Tag); err != nil {
		t.Error(err)
	}
	// Of three verifications and a pull.
	want := fmt.Sprintf("host=%s \"found at\"=%s", mirror, strings.TrimPrefix(origin.URL, "http://"))
	if n := strings.Count(said.String(), want); n != 4 {
		t.Errorf("%q is said %d times, want 4: %s", want, n, said)
	}
}

// lines keeps what a logger is told.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
