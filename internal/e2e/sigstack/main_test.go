// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit/internal/sigstack"
)

var (
	binary string
	stack  *sigstack.Stack
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "sigstack")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if binary, err = sigstack.Build(ctx, filepath.Join(dir, "bin")); err != nil {
		return 0, err
	}
	if stack, err = sigstack.Start(ctx, binary, filepath.Join(dir, "stack")); err != nil {
		return 0, err
	}
	code = m.Run()
	return code, stack.Stop()
}

// TestEnds: it ends well when asked to, and all that it ever wrote is one line
// of JSON with no field empty.
func TestEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*exec.Cmd, io.Closer) error{
		"stdin closed": func(_ *exec.Cmd, stdin io.Closer) error { return stdin.Close() },
		"SIGTERM":      func(c *exec.Cmd, _ io.Closer) error { return c.Process.Signal(syscall.SIGTERM) },
		"interrupt":    func(c *exec.Cmd, _ io.Closer) error { return c.Process.Signal(os.Interrupt) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command := exec.CommandContext(t.Context(), binary, "-dir", t.TempDir())
			var stderr bytes.Buffer
			command.Stderr = &stderr
			stdin, err := command.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := command.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			decoder := json.NewDecoder(stdout)
			decoder.DisallowUnknownFields()
			var endpoints sigstack.Endpoints
			if err := decoder.Decode(&endpoints); err != nil {
				t.Fatalf("%v\n%s", err, &stderr)
			}
			t.Logf("it took %v to start", time.Since(began))
			for i, value := 0, reflect.ValueOf(endpoints); i < value.NumField(); i++ {
				if value.Field(i).String() == "" {
					t.Errorf("no %s", value.Type().Field(i).Name)
				}
			}

			// Fulcio logs this. So it must not be on standard output.
			other := &sigstack.Stack{Endpoints: endpoints}
			if _, err := signKeyless(t, other, []byte("anything"), "not a token", endpoints.SigningConfigV1); err == nil {
				t.Error("Fulcio took a token that is none")
			}
			if err := end(command, stdin); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(io.MultiReader(decoder.Buffered(), stdout))
			if got := strings.TrimSpace(string(rest)); got != "" || err != nil {
				t.Errorf("after the line of JSON: %q, %v", got, err)
			}
			if err := command.Wait(); err != nil {
				t.Errorf("%v\n%s", err, &stderr)
			}
		})
	}
}
