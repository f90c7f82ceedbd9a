// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit

import (
	"context"
	"os"

	"github.com/cosignkit/cosignkit/registry"
)

// ConfigFromEnvironment is the Config of a command that has the environment of
// this process, Docker's credentials, see registry.DockerCredentials, and two
// flags of nerdctl: the directories of containerd's host configuration, and
// whether the registry is insecure.
func ConfigFromEnvironment(hostsDirs []string, insecureRegistry bool) Config {
	return Config{
		Registry:         registry.Config{HostsDirs: hostsDirs, Credentials: registry.DockerCredentials()},
		InsecureRegistry: insecureRegistry,
		Environ:          os.Environ(), //nolint:forbidigo // the constructor for it
	}
}

// Signing is [Adapter.Signing] of an adapter for one command, with the flags that
// nerdctl has.
func (c Config) Signing(ctx context.Context, provider, cosignKey string) (*Signing, error) {
	a, err := New(c)
	if err != nil {
		return nil, err
	}
	return a.Signing(ctx, SignOptions{Provider: provider, CosignKey: cosignKey})
}

// Ensure is [Verification.Ensure] of an adapter for one command, which it makes anew:
// keys and trusted roots are read, and the registry asks for credentials, each
// time. A tool that handles many images in one run keeps one [Adapter] and one
// [Verification] for all of them.
func (c Config) Ensure(ctx context.Context, store registry.Store, ref, pull string, o VerifyOptions) (*Verified, error) {
	a, err := New(c)
	if err != nil {
		return nil, err
	}
	defer a.CloseIdleConnections() // a daemon has commands, too
	v, err := a.Verification(ctx, o)
	if err != nil {
		return nil, err
	}
	return v.Ensure(ctx, store, ref, pull)
}
