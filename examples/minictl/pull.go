// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/spf13/pflag"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/verify"
)

// pull is the command pull.
type pull struct {
	verify       verifyFlags
	policy       policyFlags
	allPlatforms bool
}

func (p *pull) flags(f *pflag.FlagSet) {
	p.verify.flags(f, providerNone)
	p.policy.flags(f)
	f.BoolVar(&p.allPlatforms, "all-platforms", false, "pull every platform of the image, not only this machine's")
}

func (p *pull) run(ctx context.Context, a *app, ref string) error {
	name, err := parseReference(ref)
	if err != nil {
		return err
	}
	verifier, _, err := p.policy.verifier(a, &p.verify, name)
	if err != nil {
		return err
	}
	ctx, cd, client, done, err := a.reach(ctx, name)
	if err != nil {
		return err
	}
	defer done()

	status := a.progress("pull "+name.String(), downloads(ctx, cd))
	out, err := p.pull(ctx, a, cd, client, name.String(), verifier)
	status.stop()
	if err != nil {
		return err
	}
	return a.print(out)
}

func (p *pull) pull(ctx context.Context, a *app, cd *containerd.Client, client *registry.Client, name string, verifier verify.Verifier) (*pulled, error) {
	var opts []containerd.RemoteOpt
	if a.address != "" {
		opts = append(opts, containerd.WithPullUnpack) // a daemon can, and root is its own affair
	}
	switch {
	case p.allPlatforms:
		return pullAllPlatforms(ctx, a, cd, client, name, verifier)
	case verifier == nil:
		image, err := cd.Pull(ctx, name, append(opts, containerd.WithResolver(client.Resolver()))...)
		if err != nil {
			return nil, err
		}
		return newPulled(image.Name(), image.Target(), nil), nil
	default:
		image, result, err := hooks.Pull(ctx, client, cd, name, verifier, opts)
		if err != nil {
			return nil, err
		}
		return newPulled(image.Name(), image.Target(), result), nil
	}
}

// pullAllPlatforms uses containerd's Fetch, which its Pull leaves several
// platforms to. Whatever call of containerd's it is, the resolver verifies.
func pullAllPlatforms(ctx context.Context, a *app, cd *containerd.Client, client *registry.Client, name string, verifier verify.Verifier) (*pulled, error) {
	resolver := client.Resolver()
	var result *verify.Result
	if verifier != nil {
		resolver = client.VerifyingResolver(verifier, registry.WithResult(func(r *verify.Result, _ error) { result = r }))
	}
	image, err := cd.Fetch(ctx, name, containerd.WithResolver(resolver))
	if err != nil {
		return nil, err
	}
	if result != nil {
		// So that it can start without the registry.
		if err := registry.KeepSignatures(ctx, cd.ContentStore(), result); err != nil {
			a.log.Warn("signatures are not kept", "image", image.Name, "error", err)
		}
	}
	return newPulled(image.Name, image.Target, result), nil
}
