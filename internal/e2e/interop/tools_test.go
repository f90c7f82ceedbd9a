// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
)

// tool is a program of another module, built from the module proxy.
type tool struct {
	module, version string
	command         string // package below module
}

var (
	cosignV2Tool     = tool{"github.com/sigstore/cosign/v2", "v2.6.5", "cmd/cosign"}
	cosignV3Tool     = tool{"github.com/sigstore/cosign/v3", "v3.1.3", "cmd/cosign"}
	distributionTool = tool{"github.com/distribution/distribution/v3", "v3.1.2", "cmd/registry"}
)

// String returns the name of the command with its version.
func (x tool) String() string { return path.Base(x.command) + "-" + x.version }

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

// build returns the path of the program in cache, and builds it if it is not
// there yet.
func (x tool) build(ctx context.Context, cache string) (string, error) {
	dir := filepath.Join(cache, "tools", x.String())
	binary := filepath.Join(dir, path.Base(x.command))
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if _, err := os.Stat(binary); err == nil {
		return binary, x.check(binary)
	}
	fmt.Printf("interop: building %s/%s@%s into %s; this takes some minutes, once\n", x.module, x.command, x.version, cache)
	if err := x.install(ctx, dir); err != nil {
		return "", fmt.Errorf("build %s: %w", x, err)
	}
	return binary, x.check(binary)
}

// install builds beside dir and renames, so that dir never holds half a
// program, also when two runs build at the same time.
func (x tool) install(ctx context.Context, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), ".build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	cmd := exec.CommandContext(ctx, "go", "install", "-trimpath", "-ldflags=-s -w", x.module+"/"+x.command+"@"+x.version)
	// Flags such as -mod, and a workspace, are for the caller's module.
	cmd.Env = append(os.Environ(), "GOBIN="+temp, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	if err := os.Rename(temp, dir); err != nil {
		if _, other := os.Stat(dir); other != nil {
			return err
		}
	}
	return nil
}

// check reads from the binary what it was built of: results are worth nothing
// if a cached file is something else.
func (x tool) check(binary string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("%s: %w", binary, err)
	}
	if info.Main.Path != x.module || info.Main.Version != x.version {
		return fmt.Errorf("%s is %s %s, want %s %s; remove it", binary, info.Main.Path, info.Main.Version, x.module, x.version)
	}
	return nil
}

// findDockerRegistry looks for the program that the Debian package
// docker-registry installs, a registry of 2023 that is still deployed widely.
func findDockerRegistry() (string, error) {
	binary, err := exec.LookPath("docker-registry")
	if err != nil {
		return "", errors.New("docker-registry is not in PATH; install Debian's package: apt-get install docker-registry")
	}
	return filepath.Abs(binary)
}
