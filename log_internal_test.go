// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
)

// What is logged goes to a terminal, and may have in it what a registry said.
func TestMessagesAreOneLineThatATerminalObeysNot(t *testing.T) {
	t.Parallel()
	var got string
	logger := newLogger(func(_ slog.Level, message string) { got = message })
	logger.Warn("signatures\n\x1b[2J\u0085", "err", "\u202egnp.exe\u2028"+strings.Repeat("x", 1<<20))
	if len(got) > 2*longestLine || strings.ContainsAny(got, "\n\x1b\u0085\u202e\u2028") || !strings.HasPrefix(got, "cosign: signatures") {
		t.Errorf("%d bytes: %.100q", len(got), got)
	}
}

// It is the logger of the whole process, so that no other test may run meanwhile.
func TestContainerdLogKeepsTheLevel(t *testing.T) {
	var out bytes.Buffer
	logger := logrus.New()
	logger.SetOutput(&out)
	logger.SetLevel(logrus.DebugLevel)
	defer func(before *logrus.Entry) { log.L = before }(log.L)
	log.L = logrus.NewEntry(logger)
	for level, want := range map[slog.Level]string{
		slog.LevelDebug - 4: "level=debug", slog.LevelDebug: "level=debug", slog.LevelInfo: "level=info",
		slog.LevelInfo + 1: "level=info", slog.LevelWarn: "level=warning", slog.LevelError: "level=error", slog.LevelError + 4: "level=error",
	} {
		out.Reset()
		newLogger(ContainerdLog).Log(t.Context(), level, "signed")
		if got := out.String(); !strings.Contains(got, want+` msg="cosign: signed"`) {
			t.Errorf("level %v: %s, want %s", level, got, want)
		}
	}
}

// A daemon that pushes for a year has no more of these than one that pushed eight
// times.
func TestClientsOfPushesAreNotKept(t *testing.T) {
	t.Parallel()
	a, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.Signing(t.Context(), SignOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 * latest {
		err := s.Push("registry.example/app:v1", docker.NewInMemoryTracker(), func(r remotes.Resolver) error {
			for range 2 { // one for each push, however often it is used
				if _, err := r.Pusher(t.Context(), "registry.example/app:v1@sha256:"+strings.Repeat("a", 64)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(a.tracked) != latest || len(a.clients) != 1 {
		t.Errorf("%d and %d clients are kept", len(a.tracked), len(a.clients))
	}
}
