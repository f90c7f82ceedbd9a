// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package hooks_test

import (
	"context"
	"fmt"
	"log"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

const ref = "registry.example/team/app:v1"

// An image in containerd's store is pushed and signed.
func ExamplePush() {
	push := func(ctx context.Context, client *registry.Client, daemon *containerd.Client, signer signing.Signer) error {
		ctx = namespaces.WithNamespace(ctx, "default")
		image, err := daemon.GetImage(ctx, ref)
		if err != nil {
			return err
		}
		attached, err := hooks.Push(ctx, client, daemon, ref, image.Target(), signer, nil)
		for _, a := range attached {
			fmt.Println("signed as", a.Form, "in", a.Manifest.Digest)
		}
		return err
	}
	_ = push
}

// An image is verified, and then pulled and unpacked.
func ExamplePull() {
	pull := func(ctx context.Context, client *registry.Client, daemon *containerd.Client, verifier verify.Verifier) {
		ctx = namespaces.WithNamespace(ctx, "default")
		image, result, err := hooks.Pull(ctx, client, daemon, ref, verifier, []containerd.RemoteOpt{containerd.WithPullUnpack})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(image.Name(), "is", result.Image.Target.Digest)
	}
	_ = pull
}
