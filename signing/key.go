// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/sigstore/cosign/v2/pkg/cosign"

	"github.com/cosignkit/cosignkit/internal/der"
	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/keypair"
	"github.com/cosignkit/cosignkit/internal/keys"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/strictjson"
)

// Causes of a key that cannot be opened. All are misconfigured; match them with
// errors.Is to tell the user what to mend. A file that cannot be read has the
// operating system's error as its cause, such as fs.ErrNotExist.
var (
	// ErrWrongPassphrase: the key does not decrypt with the passphrase given.
	ErrWrongPassphrase = errors.New("wrong passphrase, or the key is damaged")
	// ErrNoPassphrase: the key is encrypted and no passphrase was given. An
	// empty passphrase is a passphrase.
	ErrNoPassphrase = errors.New("the key is encrypted and no passphrase is given")
	// ErrUnencryptedKey: the private key is not encrypted. Import it with
	// ImportKeyPair.
	ErrUnencryptedKey = errors.New("the private key is not encrypted")
	// ErrPublicKey: a public key or certificate in the place of a private key.
	ErrPublicKey = errors.New("this is a public key, want a private key")
	// ErrMalformedKey: not a PEM-encoded key, or a truncated one.
	ErrMalformedKey = errors.New("not a PEM-encoded private key")
)

const passwordVariable = "COSIGN_PASSWORD"

// PassphraseFunc returns the passphrase of the key that name describes, such as
// a path to show in a prompt. It is called once per key that is opened, and
// should return promptly when ctx ends.
type PassphraseFunc func(ctx context.Context, name string) ([]byte, error)

// Passphrase returns a PassphraseFunc that always answers p.
func Passphrase(p []byte) PassphraseFunc {
	return func(context.Context, string) ([]byte, error) { return p, nil }
}

// PassphraseFromEnvironment returns a PassphraseFunc that answers with the
// value of COSIGN_PASSWORD where that variable is set, even to the empty
// string, and otherwise asks otherwise, which may be nil.
func PassphraseFromEnvironment(otherwise PassphraseFunc) PassphraseFunc {
	return func(ctx context.Context, name string) ([]byte, error) {
		if value, ok := os.LookupEnv(passwordVariable); ok {
			return []byte(value), nil
		}
		if otherwise == nil {
			return nil, fmt.Errorf("%w: %s is not set", ErrNoPassphrase, passwordVariable)
		}
		return otherwise(ctx, name)
	}
}

// LoadPrivateKey opens the encrypted private key that ref names: the path of a
// regular file of at most 64 KiB, or env://NAME for the value of an environment
// variable. Decryption costs about a quarter of a second and 67 MiB once, by
// the design of the format; keep the key.
func LoadPrivateKey(ctx context.Context, ref string, passphrase PassphraseFunc) (crypto.Signer, error) {
	b, err := keys.Read(ref)
	if err != nil {
		return nil, misconfigured(opOpenKey, keys.Name(ref), err)
	}
	return parsePrivateKey(ctx, keys.Name(ref), b, passphrase)
}

// ParsePrivateKey is [LoadPrivateKey] for the PEM itself.
func ParsePrivateKey(ctx context.Context, pem []byte, passphrase PassphraseFunc) (crypto.Signer, error) {
	return parsePrivateKey(ctx, "", pem, passphrase)
}

const opOpenKey = "open private key"

func parsePrivateKey(ctx context.Context, name string, b []byte, passphrase PassphraseFunc) (crypto.Signer, error) {
	return leash.Operation(ctx, ErrInconclusive, opOpenKey, name, func(ctx context.Context) (crypto.Signer, error) {
		return decryptKey(ctx, name, b, passphrase)
	})
}

func decryptKey(ctx context.Context, name string, b []byte, passphrase PassphraseFunc) (crypto.Signer, error) {
	block, err := encryptedBlock(b)
	if err != nil {
		return nil, misconfigured(opOpenKey, name, err)
	}
	// Before anybody is asked. The parameters of scrypt, which could ask for any time
	// and memory, are checked where the key is decrypted: three sets are allowed.
	if err := strictjson.CheckFolded(block); err != nil {
		return nil, misconfigured(opOpenKey, name, fmt.Errorf("%w: %w", ErrMalformedKey, err))
	}
	if passphrase == nil {
		return nil, misconfigured(opOpenKey, name, ErrNoPassphrase)
	}
	pass, err := passphrase(ctx, name)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fault.New(ErrMisconfigured, opOpenKey, name, "passphrase", err)
	}
	// Its parameters for scrypt, of which there are three, are checked there.
	plain, err := encrypted.Decrypt(block, pass)
	if err != nil {
		return nil, misconfigured(opOpenKey, name, decryptError(err))
	}
	key, err := parsePKCS8(plain)
	if err != nil {
		return nil, misconfigured(opOpenKey, name, err)
	}
	return key, nil
}

// encryptedBlock returns the content of the encrypted PEM block in b, or says
// what b is instead.
func encryptedBlock(b []byte) ([]byte, error) {
	if len(b) > limits.KeyFile {
		return nil, limits.Exceeded("key in bytes", limits.KeyFile)
	}
	block, _ := pem.Decode(b)
	switch {
	case block == nil:
		return nil, ErrMalformedKey
	case block.Type == cosign.CosignPrivateKeyPemType, block.Type == cosign.SigstorePrivateKeyPemType:
		return block.Bytes, nil
	case strings.Contains(block.Type, "PUBLIC KEY"), block.Type == "CERTIFICATE":
		return nil, ErrPublicKey
	case block.Type == "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("PKCS #8 encryption is not supported; decrypt the key and import it")
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, ErrUnencryptedKey
	default:
		return nil, fmt.Errorf("%w: PEM block of type %q", ErrMalformedKey, block.Type)
	}
}

// decryptError tells a passphrase that does not fit from a block that is no
// encrypted key at all. The library has one untyped error for the first.
func decryptError(err error) error {
	if strings.Contains(err.Error(), "decryption failed") {
		return ErrWrongPassphrase
	}
	return fmt.Errorf("%w: %w", ErrMalformedKey, err)
}

// checkDER checks a private key before it is parsed.
func checkDER(b []byte) error {
	if len(b) > limits.PrivateKey {
		return limits.Exceeded("private key in bytes", limits.PrivateKey)
	}
	if err := der.Check(b); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformedKey, err)
	}
	return nil
}

func parsePKCS8(b []byte) (crypto.Signer, error) {
	if err := checkDER(b); err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformedKey, err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("keys of type %T do not sign", parsed)
	}
	if _, err := keypair.Algorithm(key.Public()); err != nil {
		return nil, err
	}
	return key, nil
}
