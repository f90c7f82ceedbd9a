// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// stage is where the demo takes place.
type stage struct {
	out      io.Writer
	dir      string
	registry string
	program  string
	acts     int
	blank    bool
	// digest of the image that is signed.
	digest string
	// exported are variables of the environment, as NAME=value.
	exported []string
}

// onStage sets up a stage with a registry, has a demo play there, and clears it.
func onStage(out io.Writer, play func(s *stage) error) (err error) {
	start := time.Now()
	dir, err := os.MkdirTemp("", "cosignkit-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	registry, stop, err := startRegistry()
	if err != nil {
		return err
	}
	defer stop()
	s := &stage{out: out, dir: dir, registry: registry}
	if err := play(s); err != nil {
		return err
	}
	s.say("")
	s.say("Everything was as it should be, in %.1f seconds.", time.Since(start).Seconds())
	return nil
}

// say prints a line, but never two blank ones in a row.
func (s *stage) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if line == "" && s.blank {
		return
	}
	s.blank = line == ""
	_, _ = io.WriteString(s.out, line+"\n")
}

func (s *stage) title(text string) {
	s.acts++
	s.say("")
	s.say("%d. %s", s.acts, text)
	s.say("")
}

func (s *stage) ref(image string) string { return s.registry + "/" + image }

// startRegistry serves a registry with the referrers API, and returns its host
// name with the port.
func startRegistry() (host string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{
		Handler:           registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))),
		ReadHeaderTimeout: 10 * time.Second,
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends with ErrServerClosed
	}()
	return listener.Addr().String(), func() {
		_ = server.Close()
		<-done
	}, nil
}

// build compiles minictl into the stage's directory.
func (s *stage) build(ctx context.Context, flags []string) error {
	s.program = filepath.Join(s.dir, "bin", "minictl")
	if runtime.GOOS == "windows" {
		s.program += ".exe"
	}
	// Version control has no part in this, and refuses checkouts of other users.
	// Without debugging information it links in half the time.
	args := append([]string{"build", "-buildvcs=false", "-ldflags=-s -w", "-o", s.program}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "github.com/cosignkit/cosignkit/examples/minictl")...) //nolint:gosec // flags of the tests
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build minictl: %w\n%s", err, output)
	}
	return os.Mkdir(filepath.Join(s.dir, "empty"), 0o700)
}

// minictl shows a command line and what it does, and fails unless it exits with
// the code and prints the text that are expected.
func (s *stage) minictl(ctx context.Context, code int, text string, args ...string) (string, error) {
	s.say("")
	s.say("  $ minictl %s", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, s.program, args...) //nolint:gosec // the program that was built above
	cmd.Dir = s.dir
	cmd.Env = s.environment()
	output, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(output)) {
		s.say("  %s", strings.TrimSuffix(line, "\n"))
	}
	exit := (*exec.ExitError)(nil)
	if err != nil && !errors.As(err, &exit) {
		return "", err
	}
	got := cmd.ProcessState.ExitCode()
	if got != 0 {
		s.say("  (exit code %d)", got)
	}
	s.say("")
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case got != code:
		return "", fmt.Errorf("exit code %d, expected %d: minictl %s", got, code, strings.Join(args, " "))
	case !strings.Contains(string(output), text):
		return "", fmt.Errorf("expected %q in the output: minictl %s", text, strings.Join(args, " "))
	}
	return string(output), nil
}

// environment keeps the user's settings out of the demo, and programs out of
// reach.
func (s *stage) environment() []string {
	env := []string{"PATH=" + filepath.Join(s.dir, "empty"), "COSIGN_PASSWORD=" + passphrase}
	for _, name := range []string{"HOME", "USERPROFILE", "LOCALAPPDATA", "DOCKER_CONFIG"} {
		env = append(env, name+"="+filepath.Join(s.dir, "home"))
	}
	// Windows cannot open a socket without it.
	if root, ok := os.LookupEnv("SYSTEMROOT"); ok {
		env = append(env, "SYSTEMROOT="+root)
	}
	return append(env, s.exported...)
}

// export sets a variable for the commands that follow.
func (s *stage) export(name, value string) {
	s.say("")
	s.say("  $ export %s=%s", name, value)
	s.exported = append(s.exported, name+"="+value)
}

// file writes a file, and shows it.
func (s *stage) file(name, content string) error {
	s.say("")
	s.say("  $ cat %s", name)
	for line := range strings.Lines(content) {
		s.say("  %s", strings.TrimSuffix(line, "\n"))
	}
	s.say("")
	return os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600)
}

// showReferrers shows what a user of curl would see, which must have the
// manifest of the signature in it.
func (s *stage) showReferrers(ctx context.Context, repository, signature string) error {
	url := fmt.Sprintf("http://%s/v2/%s/referrers/%s", s.registry, repository, s.digest)
	s.say("")
	s.say("  $ curl %s", url)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, body, "  ", "  "); err != nil {
		return fmt.Errorf("referrers: %w: %s", err, body)
	}
	s.say("  %s", &pretty)
	s.say("")
	if !strings.Contains(pretty.String(), `"digest": "`+signature+`"`) {
		return fmt.Errorf("the registry does not list the signature %s", signature)
	}
	return nil
}

var digests = regexp.MustCompile(`sha256:[0-9a-f]{64}`)
