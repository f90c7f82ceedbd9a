// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyfile

import (
	"context"
	"crypto"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore/pkg/signature"
	"golang.org/x/crypto/nacl/secretbox"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/keypair"
	"github.com/cosignkit/cosignkit/internal/keys"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/strictjson"
	"github.com/cosignkit/cosignkit/signing"
)

// Causes of a key that cannot be opened, next to signing.ErrWrongPassphrase and
// signing.ErrNoPassphrase. All are misconfigured; match them with errors.Is to tell
// the user what to do. A file that cannot be read has the operating system's error
// as its cause, such as fs.ErrNotExist.
var (
	// ErrUnencrypted: the private key is not encrypted. Import it with Import.
	ErrUnencrypted = errors.New("the private key is not encrypted")
	// ErrPublicKey: a public key or certificate instead of a private key.
	ErrPublicKey = errors.New("this is a public key, want a private key")
	// ErrMalformed: not a PEM-encoded key, or a truncated one.
	ErrMalformed = errors.New("not a PEM-encoded private key")
)

// Open opens the encrypted private key that ref names: the path of a regular file
// of at most 64 KiB, or env://NAME for the value of an environment variable.
// Decryption costs about a quarter of a second and 67 MiB once, by the design of the
// format; keep the key. Ed25519 keys sign as Ed25519, not as Ed25519ph.
func Open(ctx context.Context, ref string, passphrase signing.PassphraseFunc) (crypto.Signer, error) {
	b, err := keys.Read(ref)
	if err != nil {
		return nil, misconfigured(opOpen, keys.Name(ref), err)
	}
	return open(ctx, keys.Name(ref), b, passphrase)
}

// Parse is [Open] for the PEM itself.
func Parse(ctx context.Context, pem []byte, passphrase signing.PassphraseFunc) (crypto.Signer, error) {
	return open(ctx, "", pem, passphrase)
}

const opOpen = "open private key"

func open(ctx context.Context, name string, b []byte, passphrase signing.PassphraseFunc) (crypto.Signer, error) {
	return leash.Operation(ctx, signing.ErrInconclusive, opOpen, name, func(ctx context.Context) (crypto.Signer, error) {
		key, err := decrypt(ctx, name, b, passphrase)
		if err != nil {
			return nil, misconfigured(opOpen, name, err)
		}
		return key, nil
	})
}

func decrypt(ctx context.Context, name string, b []byte, passphrase signing.PassphraseFunc) (crypto.Signer, error) {
	block, err := encryptedBlock(b)
	if err != nil {
		return nil, err
	}
	// Before anybody is asked.
	if err := checkSealed(block.Bytes); err != nil {
		return nil, err
	}
	if passphrase == nil {
		return nil, signing.ErrNoPassphrase
	}
	pass, err := passphrase(ctx, name)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fault.New(signing.ErrMisconfigured, opOpen, name, "passphrase", err)
	}
	// The options are set, if only to none, because cosign's default is Ed25519ph.
	opened, err := cosign.LoadPrivateKey(pem.EncodeToMemory(block), pass, &[]signature.LoadOption{})
	if err != nil {
		return nil, openError(err)
	}
	key, ok := opened.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("keys of type %T do not sign", opened)
	}
	if _, err := keypair.Algorithm(key.Public()); err != nil {
		return nil, err
	}
	return key, nil
}

// encryptedBlock returns the encrypted PEM block in b, or says what b is instead.
func encryptedBlock(b []byte) (*pem.Block, error) {
	if len(b) > limits.KeyFile {
		return nil, limits.Exceeded("key in bytes", limits.KeyFile)
	}
	block, _ := pem.Decode(b)
	switch {
	case block == nil:
		return nil, ErrMalformed
	case block.Type == cosign.CosignPrivateKeyPemType, block.Type == cosign.SigstorePrivateKeyPemType:
		return &pem.Block{Type: block.Type, Bytes: block.Bytes}, nil
	case strings.Contains(block.Type, "PUBLIC KEY"), block.Type == "CERTIFICATE":
		return nil, ErrPublicKey
	case block.Type == "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("PKCS #8 encryption is not supported; decrypt the key and import it")
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, ErrUnencrypted
	default:
		return nil, fmt.Errorf("%w: PEM block of type %q", ErrMalformed, block.Type)
	}
}

// checkSealed checks what is in an encrypted block before it is decrypted. The
// parameters of scrypt, which could ask for any time and memory, are checked by what
// decrypts: three sets are allowed.
func checkSealed(b []byte) error {
	if err := strictjson.CheckFolded(b); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	var sealed struct{ Ciphertext []byte }
	if err := json.Unmarshal(b, &sealed); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(sealed.Ciphertext) > limits.PrivateKey+secretbox.Overhead {
		return limits.Exceeded("private key in bytes", limits.PrivateKey)
	}
	return nil
}

// openError tells a wrong passphrase from a block that is not an encrypted key, and
// both from a key that is not used for signing. Cosign has no types for these.
func openError(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "decryption failed"):
		return signing.ErrWrongPassphrase
	case strings.HasPrefix(text, "decrypt: "), strings.HasPrefix(text, "parsing private key: "):
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	default:
		return err
	}
}

func misconfigured(op, subject string, err error) error {
	return fault.New(signing.ErrMisconfigured, op, subject, "", err)
}
