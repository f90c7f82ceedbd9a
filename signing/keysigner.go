// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package signing

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
	"slices"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// KeySignerConfig configures [NewKeySigner].
type KeySignerConfig struct {
	// Key is the private key, from [LoadPrivateKey] or of any other origin.
	// Required. It must be safe for concurrent use, as the standard library's
	// keys are. A crypto.Signer takes no context: one that is elsewhere must
	// bound its own time.
	Key crypto.Signer

	// SkipTransparencyLog makes signatures that are recorded in no
	// transparency log. Verifiers refuse those unless they are told not to
	// look for an entry. It must be true until this package can upload: that a
	// signature is published is never the silent default.
	SkipTransparencyLog bool
}

// KeySigner is a [Signer] with a long-lived private key.
type KeySigner struct {
	keypair keypair
}

var (
	_ Signer      = (*KeySigner)(nil)
	_ Preflighter = (*KeySigner)(nil)
)

// NewKeySigner returns a signer that keeps the key of config. A key of a kind or
// size that this package does not sign with is misconfigured.
func NewKeySigner(config KeySignerConfig) (*KeySigner, error) {
	const op = "new key signer"
	if config.Key == nil {
		return nil, misconfigured(op, "", errors.New("no private key"))
	}
	if !config.SkipTransparencyLog {
		return nil, misconfigured(op, "", errors.New("uploading to a transparency log is not supported yet; "+
			"set SkipTransparencyLog to sign without one"))
	}
	k, err := newKeypair(config.Key)
	if err != nil {
		return nil, misconfigured(op, "", err)
	}
	return &KeySigner{keypair: k}, nil
}

// PublicKey returns the public half of the key.
func (k *KeySigner) PublicKey() crypto.PublicKey { return k.keypair.key.Public() }

// Sign implements [Signer].
func (k *KeySigner) Sign(ctx context.Context, request Request) ([]Signature, error) {
	const op = "sign"
	forms, err := request.validate()
	if err == nil {
		err = validateDigest(request.Digest)
	}
	if err != nil {
		return nil, misconfigured(op, request.Digest.String(), err)
	}
	signatures := make([]Signature, 0, len(forms))
	for _, form := range forms {
		sign := k.keypair.signBundle
		if form == Legacy {
			sign = k.keypair.signLegacy
		}
		s, err := sign(ctx, request)
		if err != nil {
			return nil, fault.New(ErrInconclusive, op, request.Digest.String(), string(form), err)
		}
		signatures = append(signatures, s)
	}
	return signatures, nil
}

// Preflight implements [Preflighter].
func (k *KeySigner) Preflight(_ context.Context, request Request) error {
	if _, err := request.validate(); err != nil {
		return misconfigured("sign", request.Repository, err)
	}
	return nil
}

// validate checks everything but the digest.
func (r Request) validate() ([]Form, error) {
	forms, err := r.Form.forms()
	if err != nil {
		return nil, err
	}
	if len(r.Annotations) > limits.Annotations {
		return nil, limits.Exceeded("number of annotations", limits.Annotations)
	}
	if err := validateText(r); err != nil {
		return nil, err
	}
	if r.Repository == "" && slices.Contains(forms, Legacy) {
		return nil, errors.New("a legacy signature needs a repository to claim")
	}
	return forms, nil
}

// validateText refuses what JSON cannot carry as it is.
func validateText(r Request) error {
	if !utf8.ValidString(r.Repository) {
		return errors.New("the repository is not valid UTF-8")
	}
	for k, v := range r.Annotations {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return fmt.Errorf("annotation %.128q is not valid UTF-8", k)
		}
	}
	return nil
}

func validateDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return err
	}
	if d.Algorithm() != digest.SHA256 {
		return fmt.Errorf("digest algorithm %s is not supported, want sha256", d.Algorithm())
	}
	return nil
}

// keypair signs with a crypto.Signer. It implements sigstore-go's sign.Keypair,
// so that bundles are made by the same code for every kind of key.
type keypair struct {
	key       crypto.Signer
	algorithm signature.AlgorithmDetails
	check     signature.Verifier
	hint      []byte
	pem       string
}

func newKeypair(key crypto.Signer) (_ keypair, err error) {
	// The key may be a nil pointer in an interface, or lack its parts.
	defer func() {
		if recover() != nil {
			err = errors.New("the key is incomplete")
		}
	}()
	if k, ok := key.(ed25519.PrivateKey); ok && len(k) != ed25519.PrivateKeySize {
		return keypair{}, fmt.Errorf("Ed25519 key of %d bytes, want %d", len(k), ed25519.PrivateKeySize)
	}
	public := key.Public()
	details, err := algorithmOf(public)
	if err != nil {
		return keypair{}, err
	}
	check, err := signature.LoadVerifierFromAlgorithmDetails(public, details)
	if err != nil {
		return keypair{}, err
	}
	der, err := cryptoutils.MarshalPublicKeyToDER(public)
	if err != nil {
		return keypair{}, err
	}
	sum := sha256.Sum256(der)
	return keypair{
		key:       key,
		algorithm: details,
		check:     check,
		hint:      []byte(base64.StdEncoding.EncodeToString(sum[:])),
		pem:       string(cryptoutils.PEMEncode(cryptoutils.PublicKeyPEMType, der)),
	}, nil
}

func (k keypair) GetHashAlgorithm() protocommon.HashAlgorithm { return k.algorithm.GetProtoHashType() }
func (k keypair) GetHint() []byte                             { return k.hint }
func (k keypair) GetPublicKey() crypto.PublicKey              { return k.key.Public() }
func (k keypair) GetPublicKeyPem() (string, error)            { return k.pem, nil }

func (k keypair) GetSigningAlgorithm() protocommon.PublicKeyDetails {
	return k.algorithm.GetSignatureAlgorithm()
}

func (k keypair) GetKeyAlgorithm() string {
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
func (k keypair) SignData(ctx context.Context, data []byte) (sig, signed []byte, err error) {
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
	sig, err = k.key.Sign(rand.Reader, signed, hash)
	if err != nil {
		return nil, nil, fmt.Errorf("private key: %w", err)
	}
	if err := k.check.VerifySignature(bytes.NewReader(sig), bytes.NewReader(data)); err != nil {
		return nil, nil, fmt.Errorf("the signature does not match the public key: %w", err)
	}
	return sig, signed, nil
}
