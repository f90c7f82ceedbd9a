// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package kms

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"

	sigkms "github.com/sigstore/sigstore/pkg/signature/kms"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/keypair"
	"github.com/cosignkit/cosignkit/internal/keys"
)

// key is a crypto.Signer whose private half is in a service.
type key struct {
	ref     string
	service sigkms.SignerVerifier
	public  crypto.PublicKey
}

// Public is asked without a way to fail, and so answers what opening found.
func (k *key) Public() crypto.PublicKey { return k.public }

func (k *key) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.SignContext(context.Background(), random, digest, opts)
}

// SignContext is Sign with a context. It does not go through the provider's own
// crypto.Signer, which would keep the context that the key was opened with.
func (k *key) SignContext(ctx context.Context, _ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := await(ctx, func(ctx context.Context) ([]byte, error) {
		// The message is for Ed25519, which signs it unhashed: the digest is it.
		return k.service.SignMessage(bytes.NewReader(digest), options.WithContext(ctx),
			options.WithDigest(digest), options.WithCryptoSignerOpts(opts.HashFunc()))
	})
	if err != nil {
		return nil, fault.New(kindOf(err), "sign with", keys.Name(k.ref), "", err)
	}
	return signature, nil
}

// trial is no envelope, which would begin with "DSSEv1", and no payload, which
// would be JSON.
const trial = "cosignkit: may this key be used? This text means nothing else."

// try signs trial.
func (k *key) try(ctx context.Context) error {
	pair, err := keypair.New(k)
	if err != nil {
		return err
	}
	_, _, err = pair.SignData(ctx, []byte(trial))
	if errors.Is(err, keypair.ErrMismatch) {
		return fmt.Errorf("the service signs by another algorithm or with another key: %w", err)
	}
	var signing *fault.Error
	if errors.As(err, &signing) {
		return signing.Err // The caller says which key it is.
	}
	return err
}
