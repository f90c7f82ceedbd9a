// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package registries

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/cosignkit/cosignkit/internal/e2e/distribution"
)

// What the tests run, set before the first of them.
var dockerRegistry, htpasswd, self string

func TestMain(m *testing.M) {
	distribution.Supervise()
	if os.Getenv(jobVariable) != "" {
		os.Exit(runJob())
	}
	if err := find(); err != nil {
		fmt.Fprintf(os.Stderr, "registries: %v\n", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func find() (err error) {
	if dockerRegistry, err = distribution.Find(); err != nil {
		return err
	}
	if htpasswd, err = exec.LookPath("htpasswd"); err != nil {
		return errors.New("htpasswd is not in PATH; install Debian's package: apt-get install apache2-utils")
	}
	self, err = os.Executable()
	return err
}
