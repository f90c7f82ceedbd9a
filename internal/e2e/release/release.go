// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"sync"
)

// CacheDir is where programs are kept: what COSIGNKIT_CACHE names, or a
// directory in the user's cache.
func CacheDir() (string, error) {
	if dir := os.Getenv("COSIGNKIT_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache directory, set COSIGNKIT_CACHE: %w", err)
	}
	return filepath.Join(dir, "cosignkit"), nil
}

// Command is a program of another module.
type Command struct {
	Module, Version string
	Package         string // below the module
	Tags            string // of the build, separated by commas
}

// String returns the name of the program with its version.
func (c Command) String() string { return path.Base(c.Package) + "-" + c.Version }

// building is held by who builds. A build uses all processors; who waits for one
// may then find the same program built.
var building sync.Mutex

// Build returns the path of the program in cache, and builds it if it is not
// there yet.
func (c Command) Build(ctx context.Context, cache string) (string, error) {
	building.Lock()
	defer building.Unlock()
	dir := filepath.Join(cache, "tools", c.String())
	name := path.Base(c.Package)
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	binary := filepath.Join(dir, name)
	if _, err := os.Stat(binary); err == nil {
		return binary, c.check(binary)
	}
	fmt.Printf("building %s/%s@%s into %s; this takes some minutes, once\n", c.Module, c.Package, c.Version, cache)
	if err := c.install(ctx, dir, name); err != nil {
		return "", fmt.Errorf("build %s: %w", c, err)
	}
	return binary, c.check(binary)
}

// install builds beside dir and renames, so that dir never holds half a
// program, also when two runs build at the same time.
func (c Command) install(ctx context.Context, dir, name string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), ".build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	built := filepath.Join(temp, "bin")
	if err := c.compile(ctx, temp, filepath.Join(built, name)); err != nil {
		return err
	}
	if err := os.Rename(built, dir); err != nil {
		if _, other := os.Stat(dir); other != nil {
			return err
		}
	}
	return nil
}

// compile builds in a module that requires the release and nothing else, which
// selects the versions that the release itself requires. go install would want
// the list of the module's versions, which not every proxy has for cosign v1.
func (c Command) compile(ctx context.Context, dir, binary string) error {
	mod := fmt.Sprintf("module build\n\ngo 1.26\n\nrequire %s %s\n", c.Module, c.Version)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o600); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-mod=mod", "-trimpath", "-ldflags=-s -w", "-tags="+c.Tags, "-o", binary, c.Module+"/"+c.Package)
	build.Dir = dir
	// Flags such as -mod, and a workspace, are for the caller's module.
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	return nil
}

// check reads from the binary what it was built of: results are worth nothing
// if a cached file is something else.
func (c Command) check(binary string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("%s: %w", binary, err)
	}
	if info.Main.Path != c.Module || info.Main.Version != c.Version {
		return fmt.Errorf("%s is %s %s, want %s %s; remove it", binary, info.Main.Path, info.Main.Version, c.Module, c.Version)
	}
	tags := ""
	for _, s := range info.Settings {
		if s.Key == "-tags" {
			tags = s.Value
		}
	}
	if tags != c.Tags {
		return fmt.Errorf("%s is built with the tags %q, want %q; remove it", binary, tags, c.Tags)
	}
	return nil
}
