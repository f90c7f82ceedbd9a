// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/cosignkit/cosignkit/internal/der"
	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/keys"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// LoadPublicKey opens the public key that ref names: the path of a regular file
// of at most 64 KiB, or env://NAME for the value of an environment variable.
// See [ParsePublicKey] for the formats.
func LoadPublicKey(ref string) (crypto.PublicKey, error) {
	b, err := keys.Read(ref)
	if err != nil {
		return nil, fault.New(ErrMisconfigured, "open public key", keys.Name(ref), "", err)
	}
	return parsePublicKey(keys.Name(ref), b)
}

// ParsePublicKey parses a public key in PKIX form, PEM or DER.
func ParsePublicKey(b []byte) (crypto.PublicKey, error) {
	return parsePublicKey("", b)
}

func parsePublicKey(name string, b []byte) (crypto.PublicKey, error) {
	key, err := decodePublicKey(b)
	if err == nil {
		_, err = newPolicyKey(key)
	}
	if err != nil {
		return nil, fault.New(ErrMisconfigured, "open public key", name, "", err)
	}
	return key, nil
}

func decodePublicKey(b []byte) (crypto.PublicKey, error) {
	if len(b) > limits.KeyFile {
		return nil, limits.Exceeded("key in bytes", limits.KeyFile)
	}
	content := b
	if n := bytes.Count(b, []byte("-----BEGIN")); n > 1 {
		// Silently taking one would leave the others out of the policy.
		return nil, errors.New("more than one PEM block; give each key on its own")
	}
	if block, _ := pem.Decode(b); block != nil {
		switch {
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return nil, errors.New("this is a private key, want a public key")
		case block.Type == "RSA PUBLIC KEY":
			if err := der.Check(block.Bytes); err != nil {
				return nil, err
			}
			return x509.ParsePKCS1PublicKey(block.Bytes)
		case block.Type != "PUBLIC KEY":
			return nil, fmt.Errorf("this is a PEM block of type %q, want a public key", block.Type)
		}
		content = block.Bytes
	} else if bytes.Contains(b, []byte("-----BEGIN")) {
		return nil, errors.New("damaged PEM block")
	}
	var key crypto.PublicKey
	err := der.Check(content)
	if err == nil {
		key, err = x509.ParsePKIXPublicKey(content)
	}
	if err != nil {
		return nil, fmt.Errorf("not a public key in PEM or DER: %w", err)
	}
	return key, nil
}

// policyKey is a public key with every algorithm that cosign has ever signed
// images with under such a key.
type policyKey struct {
	public    crypto.PublicKey
	id        string
	verifiers []keys.Verifier
}

func newPolicyKey(public crypto.PublicKey) (policyKey, error) {
	if err := keys.Check(public); err != nil {
		return policyKey{}, err
	}
	content, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return policyKey{}, err
	}
	verifiers, err := keys.Verifiers(public)
	if err != nil {
		return policyKey{}, err
	}
	return policyKey{public: public, id: keyID(content), verifiers: verifiers}, nil
}

func keyID(der []byte) string {
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:])
}
