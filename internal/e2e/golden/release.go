// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cosignkit/cosignkit/internal/e2e/release"
)

// cosign is a release of it.
type cosign struct {
	line
	release.Command
	path string // of the program
}

// line is a line of releases that share their flags.
type line int

const (
	v1  line = iota
	v22      // no longer experimental: logs and certificates; new: timestamps
	v26      // new: trusted roots, signing configs and bundles
	v3       // bundles unless told otherwise
)

func newReleases() []*cosign {
	const module, command = "github.com/sigstore/cosign", "cmd/cosign"
	return []*cosign{
		{line: v1, Command: release.Command{Module: module, Version: "v1.13.6", Package: command}},
		{line: v22, Command: release.Command{Module: module + "/v2", Version: "v2.2.4", Package: command}},
		{line: v26, Command: release.Command{Module: module + "/v2", Version: "v2.6.5", Package: command}},
		{line: v3, Command: release.Command{Module: module + "/v3", Version: "v3.1.3", Package: command}},
	}
}

// locateReleases builds the releases that are not in the cache, which is that
// of the interop tests.
func (m *maker) locateReleases(ctx context.Context) error {
	cache, err := release.CacheDir()
	if err != nil {
		return err
	}
	m.releases = newReleases()
	for _, r := range m.releases {
		if r.path, err = r.Build(ctx, cache); err != nil {
			return err
		}
	}
	return nil
}

// tool is how the release is called in vectors.json.
func (r *cosign) tool() string { return fmt.Sprintf("cosign %s", r.Version) }

// run runs the program in dir without any of the caller's environment. The
// proxy that is named does not exist, so that a run that reaches for the network
// fails; nothing on loopback goes through a proxy.
func (r *cosign) run(ctx context.Context, dir, password string, environment, args []string) error {
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
