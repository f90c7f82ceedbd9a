// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cosignkit/cosignkit/internal/e2e/distribution"
	"github.com/cosignkit/cosignkit/internal/e2e/release"
	"github.com/cosignkit/cosignkit/internal/sigstack"
)

// What the tests run against, set before the first of them.
var (
	cosignV2, cosignV3 cosign
	registries         []testRegistry
	stack              *sigstack.Stack
	// scratch is removed after the last test.
	scratch string
)

func TestMain(m *testing.M) {
	distribution.Supervise()
	code, err := run(m)
	if err != nil {
		fmt.Fprintf(os.Stderr, "interop: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	scratch, err = os.MkdirTemp("", "cosignkit-interop-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	dockerRegistry, err := distribution.Find()
	if err != nil {
		return 0, err
	}
	cache, err := release.CacheDir()
	if err != nil {
		return 0, err
	}
	distributionV3, err := buildTools(ctx, cache)
	if err != nil {
		return 0, err
	}
	if err := startServices(ctx, cache); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stack.Stop()) }()
	stop, err := startRegistries(ctx, dockerRegistry, distributionV3)
	defer stop()
	if err != nil {
		return 0, err
	}
	code = m.Run()
	fmt.Print(results.String(), vectorTable())
	return code, nil
}

// buildTools sets cosignV2 and cosignV3, and returns the path of distribution's
// registry.
func buildTools(ctx context.Context, cache string) (distributionV3 string, err error) {
	for _, c := range []*cosign{&cosignV2, &cosignV3} {
		t := cosignV2Tool
		if c == &cosignV3 {
			t = cosignV3Tool
		}
		path, err := t.Build(ctx, cache)
		if err != nil {
			return "", err
		}
		if *c, err = newCosign(t, path, filepath.Join(scratch, t.String())); err != nil {
			return "", err
		}
	}
	return distributionTool.Build(ctx, cache)
}

// startServices sets stack.
func startServices(ctx context.Context, cache string) error {
	program, err := sigstack.Build(ctx, filepath.Join(cache, "tools"))
	if err != nil {
		return err
	}
	if stack, err = sigstack.Start(ctx, program, filepath.Join(scratch, "sigstack")); err != nil {
		return err
	}
	return writeSigningConfigs()
}
