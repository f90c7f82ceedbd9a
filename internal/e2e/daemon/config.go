// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"os"
	"path/filepath"
)

// cniPlugins is where Debian's containernetworking-plugins are.
const cniPlugins = "/usr/lib/cni"

// configV3 is for containerd 2. Everything that has a path by default, outside
// of root and state, is given another one, or is off. Settings of the plugin for
// Kubernetes stay as they are where they can: some of them make it pull by
// itself, past the transfer service and with it past the image verifiers. Image
// verifiers get longer than by default: fifty at once may have one core.
const configV3 = `version = 3
root = "%[1]s/root"
state = "%[1]s/state"
[grpc]
address = "%[1]s/sock"
[debug]
level = "info"
[plugins."io.containerd.internal.v1.opt"]
path = "%[1]s/opt"
[plugins."io.containerd.nri.v1.nri"]
disable = true
[plugins."io.containerd.shim.v1.manager"]
socket_dir = "%[1]s/s"
[plugins."io.containerd.image-verifier.v1.bindir"]
bin_dir = "%[1]s/verifiers"
per_verifier_timeout = "60s"
[plugins."io.containerd.cri.v1.images".registry]
config_path = "%[1]s/certs.d"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "%[3]s"
[plugins."io.containerd.cri.v1.runtime"]
netns_mounts_under_state_dir = true
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["%[2]s"]
conf_dir = "%[1]s/cni"
`

// configV2 is for containerd 1.6, which pulls and pushes only: its shims would
// use the machine's own directory for their sockets.
const configV2 = `version = 2
root = "%[1]s/root"
state = "%[1]s/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "%[1]s/sock"
[debug]
level = "info"
[plugins."io.containerd.internal.v1.opt"]
path = "%[1]s/opt"
`

// Bridge is the network interface that pods are connected to. It stays when the
// last of them has gone, and is the one thing that a daemon does not take along.
const Bridge = "cosignkit0"

// cniConfig is a network of its own for the pods of Kubernetes. It leads nowhere,
// so that the plugins have no reason to change the machine's routing or firewall.
const cniConfig = `{
  "cniVersion": "1.0.0",
  "name": "cosignkit",
  "plugins": [
    {"type": "bridge", "bridge": %q,
     "ipam": {"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": "10.213.77.0/24"}]]}},
    {"type": "loopback"}
  ]
}
`

// configure writes the configuration of a daemon in dir.
func configure(dir string, version int) (file string, err error) {
	for _, name := range []string{"certs.d", "verifiers", "cni"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return "", err
		}
	}
	config := fmt.Sprintf(configV3, dir, cniPlugins, PauseImage)
	if version == 2 {
		config = fmt.Sprintf(configV2, dir)
	}
	file = filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return "", err
	}
	network := fmt.Appendf(nil, cniConfig, Bridge, filepath.Join(dir, "ipam"))
	return file, os.WriteFile(filepath.Join(dir, "cni", "10-cosignkit.conflist"), network, 0o600)
}
