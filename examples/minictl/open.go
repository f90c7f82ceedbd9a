// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/distribution/reference"

	"github.com/cosignkit/cosignkit/internal/embedded"
	"github.com/cosignkit/cosignkit/registry"
)

// open connects to the daemon, or opens the store in this process: behind the
// client that it returns they are the same. The namespace is in the context.
func (a *app) open(ctx context.Context) (context.Context, *containerd.Client, func() error, error) {
	ctx = namespaces.WithNamespace(ctx, a.namespace)
	if a.address != "" {
		cd, err := containerd.New(a.address)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("connect to containerd: %w", err)
		}
		return ctx, cd, cd.Close, nil
	}
	root := a.root
	if root == "" {
		var err error
		if root, err = defaultRoot(); err != nil {
			return nil, nil, nil, misconfigured("open image store", "", err)
		}
	}
	cd, err := embedded.Open(root)
	if err != nil {
		return nil, nil, nil, err
	}
	return ctx, cd.Client, cd.Close, nil
}

// defaultRoot is where programs keep data of a user's: the directory of the XDG
// specification, or what the operating system has in its place.
func defaultRoot() (string, error) {
	var base string
	var err error
	switch runtime.GOOS {
	case "windows": // %LocalAppData%, which does not roam
		base, err = os.UserCacheDir()
	case "darwin": // ~/Library/Application Support
		base, err = os.UserConfigDir()
	default:
		base = os.Getenv("XDG_DATA_HOME")
		if !filepath.IsAbs(base) { // to be ignored, says the specification
			base, err = os.UserHomeDir()
			base = filepath.Join(base, ".local", "share")
		}
	}
	return filepath.Join(base, "minictl"), err
}

// registry returns a client that reaches the registry of name as the flags say.
func (a *app) registry(name reference.Named, tracker docker.StatusTracker) (*registry.Client, error) {
	config := registry.Config{
		HostsDirs:   a.hostsDirs,
		Credentials: registry.DockerCredentials(),
		UserAgent:   "minictl",
		Tracker:     tracker,
		Logger:      a.log,
	}
	if a.insecureRegistry {
		config.InsecureRegistries = []string{reference.Domain(name)}
	}
	var err error
	if config.SignatureRepository, err = a.signaturesIn(); err != nil {
		return nil, err
	}
	return registry.New(config)
}

// reach opens the image store, and a client for the registry of name. done closes
// both.
func (a *app) reach(ctx context.Context, name reference.Named) (_ context.Context, _ *containerd.Client, _ *registry.Client, done func(), _ error) {
	ctx, cd, closeStore, err := a.open(ctx)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	client, err := a.registry(name, nil)
	if err != nil {
		return nil, nil, nil, nil, errors.Join(err, closeStore())
	}
	return ctx, cd, client, func() {
		client.CloseIdleConnections()
		_ = closeStore()
	}, nil
}

// layout returns a client that reads an OCI image layout in the place of a
// registry.
func (a *app) layout(dir string) (*registry.Client, error) {
	repository, err := a.signaturesIn()
	if err != nil {
		return nil, err
	}
	return registry.New(registry.Config{Resolver: registry.LayoutResolver(dir), SignatureRepository: repository, Logger: a.log})
}

// signaturesIn is the repository of the flag, or else of the environment.
func (a *app) signaturesIn() (string, error) {
	if a.signatureRepository != "" {
		return a.signatureRepository, nil
	}
	return registry.SignatureRepositoryFromEnvironment()
}

// parseReference completes a reference as Docker's users write them: alpine is
// docker.io/library/alpine:latest.
func parseReference(ref string) (reference.Named, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		// Such as an archive's path or ipfs://: what cannot be verified is not
		// taken for something that need not be.
		return nil, usageError{fmt.Errorf("%q names no image of a registry, and minictl takes nothing else: %w", ref, err)}
	}
	return reference.TagNameOnly(named), nil
}
