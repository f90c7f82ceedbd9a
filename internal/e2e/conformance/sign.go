// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"

	"github.com/cosignkit/cosignkit/keyless"
)

func sign(ctx context.Context, c command) error {
	content, err := os.ReadFile(c.argument)
	if err != nil {
		return err
	}
	signer, err := c.signer(ctx)
	if err != nil {
		return err
	}
	signContent := signer.SignArtifact
	if c.inToto {
		signContent = signer.SignStatement
	}
	bundle, err := signContent(ctx, content)
	if err != nil {
		return err
	}
	return os.WriteFile(c.bundle, bundle, 0o644)
}

func (c command) signer(ctx context.Context) (*keyless.Signer, error) {
	roots, err := c.roots()
	if err != nil {
		return nil, err
	}
	services, err := c.services(ctx)
	if err != nil {
		return nil, err
	}
	// Who runs the suite agreed to the record.
	client, err := keyless.New(keyless.Config{SigningConfig: services, TrustedRoots: roots, Consent: true})
	if err != nil {
		return nil, err
	}
	return keyless.NewSigner(client, keyless.SignerConfig{Tokens: keyless.StaticToken(c.identityToken)})
}

func (c command) services(ctx context.Context) (*keyless.SigningConfig, error) {
	if c.signingConfig != "" {
		return keyless.LoadSigningConfig(c.signingConfig)
	}
	repository, err := c.repository()
	if err != nil {
		return nil, err
	}
	return keyless.FetchSigningConfig(ctx, repository)
}
