// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// release is one of cosign's.
type release struct {
	line
	module, version string
	path            string // of the program
}

// line is a line of releases that share their flags.
type line int

const (
	v1  line = iota
	v22      // no longer experimental: logs and certificates; new: timestamps
	v26      // new: trusted roots, signing configs and bundles
	v3       // bundles unless told otherwise
)

func newReleases() []*release {
	return []*release{
		{line: v1, module: "github.com/sigstore/cosign", version: "v1.13.6"},
		{line: v22, module: "github.com/sigstore/cosign/v2", version: "v2.2.4"},
		{line: v26, module: "github.com/sigstore/cosign/v2", version: "v2.6.5"},
		{line: v3, module: "github.com/sigstore/cosign/v3", version: "v3.1.3"},
	}
}

func (r *release) String() string { return "cosign-" + r.version }

// locateReleases builds the releases that are not in the cache, which is that
// of the interop tests.
func (m *maker) locateReleases(ctx context.Context) error {
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	m.releases = newReleases()
	for _, r := range m.releases {
		if r.path, err = r.build(ctx, filepath.Join(cache, "tools")); err != nil {
			return fmt.Errorf("build %s: %w", r, err)
		}
	}
	return nil
}

func cacheDir() (string, error) {
	if dir := os.Getenv("COSIGNKIT_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache directory, set COSIGNKIT_CACHE: %w", err)
	}
	return filepath.Join(dir, "cosignkit"), nil
}

// build returns the path of the program in tools, and builds it if it is not
// there yet.
func (r *release) build(ctx context.Context, tools string) (string, error) {
	dir := filepath.Join(tools, r.String())
	binary := "cosign"
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	path := filepath.Join(dir, binary)
	if _, err := os.Stat(path); err == nil {
		return path, r.check(path)
	}
	fmt.Printf("building %s/cmd/cosign@%s into %s; this takes some minutes, once\n", r.module, r.version, tools)
	if err := os.MkdirAll(tools, 0o755); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(tools, ".build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	if err := r.compile(ctx, temp, filepath.Join(temp, "bin", binary)); err != nil {
		return "", err
	}
	// Renamed, so that dir never holds half a program.
	if err := os.Rename(filepath.Join(temp, "bin"), dir); err != nil {
		if _, other := os.Stat(dir); other != nil {
			return "", err
		}
	}
	return path, r.check(path)
}

// compile builds in a module that requires the release and nothing else, which
// selects the versions that the release itself requires. go install would want
// the list of the module's versions, which not every proxy has for cosign v1.
func (r *release) compile(ctx context.Context, dir, binary string) error {
	mod := fmt.Sprintf("module golden\n\ngo 1.26\n\nrequire %s %s\n", r.module, r.version)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o600); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-mod=mod", "-trimpath", "-ldflags=-s -w", "-o", binary, r.module+"/cmd/cosign")
	build.Dir = dir
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	return nil
}

// check reads from the program what it was built of.
func (r *release) check(path string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if info.Main.Path != r.module || info.Main.Version != r.version {
		return fmt.Errorf("%s is %s %s, want %s %s; remove it", path, info.Main.Path, info.Main.Version, r.module, r.version)
	}
	return nil
}

// run runs the program in dir without any of the caller's environment. The
// proxy that is named does not exist, so that a run that reaches for the network
// fails; nothing on loopback goes through a proxy.
func (r *release) run(ctx context.Context, dir, password string, environment, args []string) error {
	command := exec.CommandContext(ctx, r.path, args...)
	command.Dir = dir
	command.Env = slices.Concat([]string{
		"HOME=" + dir,
		"TUF_ROOT=" + filepath.Join(dir, "tuf"),
		"COSIGN_PASSWORD=" + password,
		"HTTPS_PROXY=http://127.0.0.1:1",
	}, environment)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", r, strings.Join(args, " "), err, &stderr)
	}
	if strings.Contains(stderr.String(), "127.0.0.1:1:") {
		return errors.New(r.String() + " reached for the network\n" + stderr.String())
	}
	return nil
}
