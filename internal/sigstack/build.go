// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package sigstack

import (
	"context"
	"fmt"
	"os"
	"os/exec" //nolint:depguard // starts the services; no program of a user links this
	"path/filepath"
	"runtime"
	"strings"
)

// Build builds the program into dir, which it makes if it must, and returns the
// program's path. The first time takes minutes; with a dir that is kept, and
// nothing changed, a second or two. Processes may build into one dir at the
// same time.
func Build(ctx context.Context, dir string) (binary string, err error) {
	source, err := sourceDir(ctx)
	if err != nil {
		return "", err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	binary = filepath.Join(dir, "sigstack")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}

	// The program may be running, or another process may be building it. So
	// this works on a file of its own, beside it; that starts out as the
	// present program, which go does not link again if it is up to date.
	scratch, err := os.MkdirTemp(dir, "build")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	built := filepath.Join(scratch, filepath.Base(binary))
	_ = os.Link(binary, built)
	build := exec.CommandContext(ctx, "go", "build", "-o", built, ".") //nolint:gosec // the caller's directory, and no shell
	build.Dir = source
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s in %s: %w\n%s", build, source, err, output)
	}
	return binary, os.Rename(built, binary)
}

// sourceDir asks go, as neither the working directory nor a path that was
// compiled in says reliably where the source is.
func sourceDir(ctx context.Context) (string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cosignkit/cosignkit")
	output, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", list, err)
	}
	return filepath.Join(strings.TrimSpace(string(output)), "internal", "e2e", "sigstack"), nil
}
