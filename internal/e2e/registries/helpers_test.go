// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package registries

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cosignkit/cosignkit/internal/traffic"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// demanding is a setting whose registry wants a user, in a process that has a
// credential helper to ask.
func demanding(t *testing.T, script string) *setting {
	t.Helper()
	s := newSetting(t)
	address := s.serve("origin", traffic.Way{}, s.users()+onLoopback)
	s.job.Ref, s.job.Form, s.job.Dir = address+"/team/app:v1", signing.Bundle, filepath.Join(s.dir, "job")
	s.helper(address, script)
	return s
}

// wantNothingWritten: without credentials nothing is.
func (s *setting) wantNothingWritten() {
	s.t.Helper()
	s.stop()
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch} {
		if s.asked("origin", method, "") {
			s.t.Errorf("a %s was let in", method)
		}
	}
}

// TestCredentialHelpersThatFail: who cannot show credentials could not find out,
// which says nothing about the image.
func TestCredentialHelpersThatFail(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, script, text string }{
		{"it fails", "echo the key ring is locked\nexit 1\n", "the key ring is locked"},
		{"it prints junk", "echo '<html>'\n", ""},
		{"it prints nothing", "", ""},
		{"it has other credentials", "echo '{\"Username\":\"me\",\"Secret\":\"wrong\"}'\n", "401"},
		{"it has none", "echo 'credentials not found in native keychain'\nexit 1\n", "no basic auth credentials"},
		{"it is missing", "", "docker-credential-test"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := demanding(t, test.script)
			if test.name == "it is missing" {
				if err := os.Remove(filepath.Join(s.dir, "bin", "docker-credential-test")); err != nil {
					t.Fatal(err)
				}
			}
			o := s.job.do(t, s.env...)
			if o.Family != verify.ErrInconclusive.Error() || !strings.Contains(o.Error, test.text) {
				t.Errorf("%s: %s; want it inconclusive, with %q", o.Family, o.Error, test.text)
			}
			if strings.Contains(o.Error, "wrong") || strings.ContainsAny(o.Error, "\n\r") {
				t.Errorf("the error shows a secret, or has several lines: %q", o.Error)
			}
			s.wantNothingWritten()
		})
	}
}

// TestCredentialHelperThatHangs: one that waits for a person is not waited for
// longer than the caller's context.
func TestCredentialHelperThatHangs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	started, release := filepath.Join(dir, "started"), filepath.Join(dir, "release")
	for _, name := range []string{started, release} {
		if err := syscall.Mkfifo(name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The helper has release open before it says that it started, until it ends.
	s := demanding(t, "exec 3<>'"+release+"'\necho > '"+started+"'\nread line <&3\n")
	t.Cleanup(func() {
		if err := releaseHelper(release); err != nil {
			t.Errorf("the helper has ended before: %v", err)
		}
	})
	cmd := s.job.command(t, s.env...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(started); err != nil { // until the helper has written
		t.Fatal(err)
	}
	_ = stdin.Close() // which ends the context of the job
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	o := parseOutcome(t, []byte(out.String()))
	if o.Family != verify.ErrInconclusive.Error() || !strings.Contains(o.Error, "context canceled") {
		t.Errorf("%s: %s", o.Family, o.Error)
	}
	s.wantNothingWritten()
}

// releaseHelper ends the helper that reads release. It fails, with ENXIO, if
// nobody has that open.
func releaseHelper(release string) error {
	f, err := os.OpenFile(release, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("\n")
	return errors.Join(err, f.Close())
}
