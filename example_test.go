// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing/keyfile"
	"github.com/cosignkit/cosignkit/signing/kms"
	"github.com/cosignkit/cosignkit/verify"
)

// A push that signs: the resolver takes the place of the tool's own.
func Example_push() {
	push := func(ctx context.Context, client *containerd.Client, ref, provider, key string) error {
		a, err := cosignkit.New(cosignkit.Config{
			Registry: registry.Config{HostsDirs: []string{"/etc/containerd/certs.d"}, Credentials: registry.DockerCredentials()},
			Environ:  os.Environ(),
			KeyFile:  keyfile.Open,
		})
		if err != nil {
			return err
		}
		// What is wrong with the flags is known here.
		signing, err := a.Signing(ctx, cosignkit.SignOptions{Provider: provider, CosignKey: key})
		if err != nil {
			return err
		}
		image, err := client.GetImage(ctx, ref)
		if err != nil {
			return err
		}
		return signing.Push(ref, docker.NewInMemoryTracker(), func(r remotes.Resolver) error {
			return client.Push(ctx, ref, image.Target(), containerd.WithResolver(r))
		})
	}
	fmt.Println(push(context.Background(), nil, "registry.example/app:v1", "notary", ""))
	// Output:
	// set up signing: unknown provider "notary", want cosign, none
}

// A pull that verifies: the tool pulls, or has the daemon pull, the reference that
// Ensure returns.
func Example_pull() {
	pull := func(ctx context.Context, client *containerd.Client, ref string, flags cosignkit.VerifyOptions) error {
		a, err := cosignkit.New(cosignkit.Config{Environ: os.Environ()})
		if err != nil {
			return err
		}
		verification, err := a.Verification(ctx, flags)
		if err != nil {
			return err
		}
		verified, err := verification.Ensure(ctx, client, ref, cosignkit.PullMissing)
		if err != nil {
			return err
		}
		image, err := client.Pull(ctx, verified.Ref)
		if err != nil {
			return err
		}
		return verified.Record(ctx, client, image.Target())
	}
	err := pull(context.Background(), nil, "registry.example/app:v1", cosignkit.VerifyOptions{
		Provider: "cosign", CosignCertificateIdentity: "name@example.com",
	})
	fmt.Println(errors.Is(err, verify.ErrMisconfigured), err)
	// Output:
	// true set up verification: without a cosign-key want cosign-certificate-oidc-issuer or cosign-certificate-oidc-issuer-regexp
}

func ExampleParseFields() {
	_, err := cosignkit.ParseFields("web", map[string]any{
		"x-nerdctl-verfy":             "cosign",
		"x-nerdctl-sign":              true,
		"x-nerdctl-cosign-public-key": "cosign.pub",
	}, "/project")
	var problems cosignkit.FieldErrors
	if errors.As(err, &problems) {
		fmt.Println(problems)
	}
	// Output:
	// service web: x-nerdctl-cosign-public-key: found it without its provider, want also x-nerdctl-verify: cosign
	// service web: x-nerdctl-sign: found the boolean true, want cosign, notation or none, as a string
	// service web: x-nerdctl-verfy: found an unknown field, want x-nerdctl-verify
}

func ExampleFields_VerifyFlags() {
	fields, err := cosignkit.ParseFields("web", map[string]any{
		"x-nerdctl-verify":                                "cosign",
		"x-nerdctl-cosign-certificate-identity":           "name@example.com",
		"x-nerdctl-cosign-certificate-oidc-issuer-regexp": `https://.*\.example\.com`,
	}, "")
	if err != nil {
		log.Fatal(err)
	}
	flags, err := fields.VerifyFlags()
	if err != nil {
		log.Fatal(err)
	}
	for _, flag := range flags {
		fmt.Println(flag)
	}
	// Output:
	// --verify=cosign
	// --cosign-certificate-identity=name@example.com
	// --cosign-certificate-oidc-issuer-regexp=https://.*\.example\.com
}

// A tool that links a provider of keys, such as sigstore's for AWS, has them by its
// flags and fields.
func ExampleConfig_keys() {
	var config cosignkit.Config
	config.PrivateKey, config.PublicKey = kms.PrivateKey, kms.PublicKey
	a, err := cosignkit.New(config)
	if err != nil {
		log.Fatal(err)
	}
	// This one links none of AWS.
	_, err = a.Verification(context.Background(), cosignkit.VerifyOptions{Provider: "cosign", CosignKey: "awskms:///alias/release"})
	fmt.Println(err)
	// Output:
	// set up verification: open public key awskms:///alias/release: no provider of awskms:// is linked: the program must import _ "github.com/sigstore/sigstore/pkg/signature/kms/aws"
}

// What weakens a check is told each time.
func ExampleConfig_log() {
	a, err := cosignkit.New(cosignkit.Config{
		Environ: []string{"COSIGN_INSECURE_IGNORE_TLOG=true", "COSIGN_VERBOSE=true"},
		Log:     func(level slog.Level, message string) { fmt.Println(level, message) },
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := a.Verification(context.Background(), cosignkit.VerifyOptions{Provider: "cosign", CosignKey: "testdata/keys/ecdsa-p256.pub"}); err != nil {
		log.Fatal(err)
	}
	// Output:
	// DEBUG cosign: COSIGN_VERBOSE has no effect
	// WARN cosign: COSIGN_INSECURE_IGNORE_TLOG=true: signatures count that are in no transparency log
}
