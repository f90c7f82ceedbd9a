// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon_test

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cosignkit/cosignkit/internal/e2e/daemon"
	"github.com/cosignkit/cosignkit/internal/e2e/release"
	"github.com/cosignkit/cosignkit/signing/keyfile"
)

// What the tests run, set before the first of them.
var (
	current, debian daemon.Programs
	// minictl and imageVerifier are paths of programs in examples.
	minictl, imageVerifier string
	// keys is a directory with the key pairs cosign and other.
	keys string
	// busybox is the program for images.
	busybox []byte
)

const passphrase = "secret"

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintf(os.Stderr, "daemon: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if os.Getuid() != 0 {
		return 0, errors.New("only root can run containerd")
	}
	scratch, err := os.MkdirTemp("", "cosignkit-daemon-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	ctx := context.Background()
	cache, err := release.CacheDir()
	if err != nil {
		return 0, err
	}
	if current, err = daemon.Build(ctx, cache); err != nil {
		return 0, err
	}
	if debian, err = daemon.Debian(); err != nil {
		return 0, err
	}
	if minictl, err = daemon.BuildExample(ctx, "minictl", scratch); err != nil {
		return 0, err
	}
	if imageVerifier, err = daemon.BuildExample(ctx, "image-verifier", scratch); err != nil {
		return 0, err
	}
	if busybox, err = staticBusybox(); err != nil {
		return 0, err
	}
	keys = scratch
	for _, name := range []string{"cosign", "other"} {
		pair, err := keyfile.Generate(keyfile.DefaultAlgorithm, []byte(passphrase))
		if err != nil {
			return 0, err
		}
		if err := pair.WriteFiles(filepath.Join(keys, name), false); err != nil {
			return 0, err
		}
	}
	if err := setNerdctlEnvironment(filepath.Join(scratch, "docker")); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// staticBusybox is the program that Debian's package busybox-static has in the
// place of that of busybox, which needs libraries that no image here has.
func staticBusybox() ([]byte, error) {
	const path, hint = "/bin/busybox", "make e2e-deps, or apt-get install busybox-static"
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w; %s", err, hint)
	}
	program, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			return nil, fmt.Errorf("%s is not static; %s", path, hint)
		}
	}
	return content, nil
}
