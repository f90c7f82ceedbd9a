// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package keypair signs with private keys of all origins, by the algorithms of
// sigstore's registry.
package keypair

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/cosignkit/cosignkit/internal/keys"
)

// ErrMismatch is the cause where a key made a signature that is not its own.
var ErrMismatch = errors.New("the signature does not match the public key")

// Keypair signs with a crypto.Signer. It implements sigstore-go's sign.Keypair,
// so that bundles are made by the same code for every kind of key.
type Keypair struct {
	key       crypto.Signer
	algorithm signature.AlgorithmDetails
	check     signature.Verifier
	hint      []byte
	pem       string
}

// New returns a keypair that signs with key. It refuses a key that is incomplete or
// of a kind or size that this library does not sign with.
func New(key crypto.Signer) (_ Keypair, err error) {
	// The key may be a nil pointer in an interface, or lack its parts.
	defer func() {
		if recover() != nil {
			err = errors.New("the key is incomplete")
		}
	}()
	if k, ok := key.(ed25519.PrivateKey); ok && len(k) != ed25519.PrivateKeySize {
		return Keypair{}, fmt.Errorf("Ed25519 key of %d bytes, want %d", len(k), ed25519.PrivateKeySize)
	}
	public := key.Public()
	details, err := Algorithm(public)
	if err != nil {
		return Keypair{}, err
	}
	check, err := signature.LoadVerifierFromAlgorithmDetails(public, details)
	if err != nil {
		return Keypair{}, err
	}
	der, err := cryptoutils.MarshalPublicKeyToDER(public)
	if err != nil {
		return Keypair{}, err
	}
	sum := sha256.Sum256(der)
	return Keypair{
		key:       key,
		algorithm: details,
		check:     check,
		hint:      []byte(base64.StdEncoding.EncodeToString(sum[:])),
		pem:       string(cryptoutils.PEMEncode(cryptoutils.PublicKeyPEMType, der)),
	}, nil
}

// GetHashAlgorithm and the other methods implement sigstore-go's sign.Keypair.
func (k Keypair) GetHashAlgorithm() protocommon.HashAlgorithm { return k.algorithm.GetProtoHashType() }

// GetHint returns the SHA-256 of the public key in base64.
func (k Keypair) GetHint() []byte { return k.hint }

// GetPublicKey returns the public half of the key.
func (k Keypair) GetPublicKey() crypto.PublicKey { return k.key.Public() }

// GetPublicKeyPem returns the public key in PKIX form.
func (k Keypair) GetPublicKeyPem() (string, error) { return k.pem, nil }

// GetSigningAlgorithm returns the algorithm as protobuf-specs names it.
func (k Keypair) GetSigningAlgorithm() protocommon.PublicKeyDetails {
	return k.algorithm.GetSignatureAlgorithm()
}

// GetKeyAlgorithm returns the kind of key as Fulcio names it.
func (k Keypair) GetKeyAlgorithm() string {
	switch k.algorithm.GetKeyType() {
	case signature.RSA:
		return "RSA"
	case signature.ED25519:
		return "ED25519"
	default:
		return "ECDSA"
	}
}

// SignData implements sign.Keypair. What it signs it checks at once with the
// public key: a token or a computation that went wrong must not produce a
// signature that is found bad only when somebody pulls.
func (k Keypair) SignData(ctx context.Context, data []byte) (sig, signed []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	signed = data
	hash := k.algorithm.GetHashType()
	if hash != 0 {
		h := hash.New()
		h.Write(data)
		signed = h.Sum(nil)
	}
	sig, err = k.sign(ctx, signed, hash)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("private key: %w", err)
	}
	if err := k.check.VerifySignature(bytes.NewReader(sig), bytes.NewReader(data)); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	return sig, signed, nil
}

// contextSigner is what a key implements that can be cancelled: one that is
// elsewhere, such as in a service.
type contextSigner interface {
	SignContext(ctx context.Context, rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (k Keypair) sign(ctx context.Context, digest []byte, hash crypto.Hash) ([]byte, error) {
	if key, ok := k.key.(contextSigner); ok {
		return key.SignContext(ctx, rand.Reader, digest, hash)
	}
	return k.key.Sign(rand.Reader, digest, hash)
}

// Algorithm returns the one algorithm that this library signs with for a
// public key, from sigstore's algorithm registry.
func Algorithm(public crypto.PublicKey) (signature.AlgorithmDetails, error) {
	if err := keys.Check(public); err != nil {
		return signature.AlgorithmDetails{}, err
	}
	details, err := signature.GetDefaultAlgorithmDetails(public)
	if err != nil {
		return details, fmt.Errorf("no algorithm for a key of this kind and size: %w", err)
	}
	return details, nil
}
