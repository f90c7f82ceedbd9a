// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package program is what the programs beside it share: all but their provider.
package program

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/kms"
	"github.com/cosignkit/cosignkit/verify"
)

// Main is the function main of each.
func Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := Run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Run runs the command line args: sign or verify, a key and an image.
func Run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 3 || args[0] != "sign" && args[0] != "verify" {
		return errors.New("usage: sign|verify KEY IMAGE")
	}
	client, err := registry.New(registry.Config{})
	if err != nil {
		return err
	}
	if args[0] == "sign" {
		return sign(ctx, client, args[1], args[2], out)
	}
	return check(ctx, client, args[1], args[2], out)
}

func sign(ctx context.Context, client *registry.Client, keyRef, image string, out io.Writer) error {
	key, err := kms.PrivateKey(ctx, keyRef)
	if err != nil {
		return err
	}
	// A real program would set Log, such as to a keyless.Client.
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
	if err != nil {
		return err
	}
	attached, err := client.Sign(ctx, image, signer)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "signed", attached[0].Subject)
	return err
}

func check(ctx context.Context, client *registry.Client, keyRef, image string, out io.Writer) error {
	public, err := kms.PublicKey(ctx, keyRef)
	if err != nil {
		return err
	}
	verifier, err := verify.New(verify.Policy{Keys: []crypto.PublicKey{public}, InsecureIgnoreTransparencyLog: true})
	if err != nil {
		return err
	}
	result, err := client.Verify(ctx, image, verifier)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "verified", result.Image.Target.Digest)
	return err
}
