// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/internal/e2e/release"
	"github.com/cosignkit/cosignkit/internal/sigstack"
)

// clientVariable makes the test binary the client.
const clientVariable = "COSIGNKIT_TEST_CONFORMANCE_CLIENT"

// What the tests run against, set before the first of them.
var (
	stack *sigstack.Stack
	cache string
)

func TestMain(m *testing.M) {
	if os.Getenv(clientVariable) != "" {
		os.Exit(run(os.Args[1:]))
	}
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintf(os.Stderr, "conformance: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "cosignkit-conformance-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if cache, err = release.CacheDir(); err != nil {
		return 0, err
	}
	program, err := sigstack.Build(context.Background(), filepath.Join(cache, "tools"))
	if err != nil {
		return 0, err
	}
	if stack, err = sigstack.Start(context.Background(), program, dir); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stack.Stop()) }()
	return m.Run(), nil
}

// outcome is what a run of the client came to.
type outcome struct {
	code           int
	stdout, stderr string
}

// start runs a program in dir to its end.
func start(t *testing.T, dir, program string, environment []string, arguments ...string) outcome {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, arguments...)
	command.Dir = dir
	command.Env = append(os.Environ(), environment...)
	var stdout, stderr strings.Builder
	command.Stdout, command.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// client runs the client, in a directory and with a home of its own.
func client(t *testing.T, arguments ...string) outcome {
	t.Helper()
	return clientIn(t, t.TempDir(), nil, arguments...)
}

func clientIn(t *testing.T, dir string, environment []string, arguments ...string) outcome {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return start(t, dir, self, append(environment, clientVariable+"=1", "HOME="+t.TempDir()), arguments...)
}

func (o outcome) succeeds(t *testing.T) {
	t.Helper()
	if o != (outcome{}) {
		t.Errorf("ended with %d, said %q and %q, want nothing and 0", o.code, o.stdout, o.stderr)
	}
}

// fails holds that the client ended with code and one line that has each text.
func (o outcome) fails(t *testing.T, code int, texts ...string) {
	t.Helper()
	line, rest, _ := strings.Cut(o.stderr, "\n")
	if o.code != code || o.stdout != "" || rest != "" || !strings.HasPrefix(line, "conformance: ") {
		t.Errorf("ended with %d, said %q and %q, want %d and one line of error", o.code, o.stdout, o.stderr, code)
	}
	for _, text := range texts {
		if !strings.Contains(line, text) {
			t.Errorf("said %q, want %q", line, text)
		}
	}
}

const email = "conformance@example.com"

func mint(t *testing.T, claims url.Values) string {
	t.Helper()
	if claims == nil {
		claims = url.Values{}
	}
	claims.Set("email", email)
	token, err := stack.Mint(t.Context(), claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
