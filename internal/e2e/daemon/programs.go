// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/cosignkit/cosignkit/internal/e2e/release"
)

// version of containerd is that of the client which the library links.
const version = "v2.4.2"

// Programs are what a daemon is made of.
type Programs struct {
	// Containerd and Ctr are paths.
	Containerd, Ctr string
	// Bin is where containerd finds its shim, if not in PATH.
	Bin string
	// ConfigVersion is of the configuration file: 3, or 2 before containerd 2.0.
	ConfigVersion int
}

// Build returns the current containerd, built from the module proxy into cache
// unless it is there. What needs cgo or a file system of its own is left out;
// the plugin for Kubernetes is in.
func Build(ctx context.Context, cache string) (Programs, error) {
	var paths []string
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} {
		path, err := release.Command{
			Module: "github.com/containerd/containerd/v2", Version: version, Package: "cmd/" + name,
			Tags: "no_btrfs,no_zfs,no_devmapper",
		}.Build(ctx, cache)
		if err != nil {
			return Programs{}, err
		}
		paths = append(paths, path)
	}
	return Programs{Containerd: paths[0], Bin: filepath.Dir(paths[1]), Ctr: paths[2], ConfigVersion: 3}, nil
}

// Debian returns the containerd 1.6 that the Debian package containerd installs.
func Debian() (Programs, error) {
	p := Programs{ConfigVersion: 2}
	for name, path := range map[string]*string{"containerd": &p.Containerd, "ctr": &p.Ctr} {
		var err error
		if *path, err = exec.LookPath(name); err != nil {
			return Programs{}, fmt.Errorf("%w; make e2e-deps installs it", err)
		}
	}
	return p, nil
}
