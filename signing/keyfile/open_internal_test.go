// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package keyfile

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/cosignkit/cosignkit/signing"
)

// seal encrypts what an encrypted key holds, by the weaker parameters of early
// releases, which take less time.
func seal(t *testing.T, content []byte) []byte {
	t.Helper()
	sealed, err := encrypted.EncryptWithCustomKDFParameters(content, []byte("passphrase"), encrypted.Legacy)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED COSIGN PRIVATE KEY", Bytes: sealed})
}

func TestEncryptedKeysThatAreRefused(t *testing.T) {
	t.Parallel()
	marshal := func(key any, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	agreement := marshal(ecdh.X25519().GenerateKey(rand.Reader))
	p224 := marshal(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	p256 := marshal(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	rsa1024 := marshal(rsa.GenerateKey(rand.Reader, 1024))
	for name, c := range map[string]struct {
		content   []byte
		malformed bool
	}{
		"key agreement key":    {content: agreement},
		"weak curve":           {content: p224},
		"weak RSA":             {content: rsa1024},
		"empty":                {content: nil, malformed: true},
		"truncated":            {content: p256[:len(p256)/2], malformed: true},
		"garbage":              {content: []byte("not DER"), malformed: true},
		"PEM within the block": {content: []byte("-----BEGIN PRIVATE KEY-----\n"), malformed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := Parse(t.Context(), seal(t, c.content), signing.Passphrase([]byte("passphrase")))
			if key != nil || !errors.Is(err, signing.ErrMisconfigured) {
				t.Fatalf("opened as %T, %v", key, err)
			}
			if got := errors.Is(err, ErrMalformed); got != c.malformed {
				t.Errorf("errors.Is(err, ErrMalformed) = %t: %v", got, err)
			}
			if errors.Is(err, signing.ErrWrongPassphrase) {
				t.Errorf("the passphrase is said to be wrong: %v", err)
			}
		})
	}
}

// TestImportedEncodings covers the encodings that Import reads.
func TestImportedEncodings(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := func(key any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for name, c := range map[string]struct {
		block pem.Block
		want  crypto.Signer
	}{
		"PKCS #1":         {pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}, rsaKey},
		"SEC 1":           {pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}, ec},
		"PKCS #8 RSA":     {pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8(rsaKey)}, rsaKey},
		"PKCS #8 ECDSA":   {pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8(ec)}, ec},
		"PKCS #8 Ed25519": {pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8(ed)}, ed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "existing.key")
			if err := os.WriteFile(path, pem.EncodeToMemory(&c.block), 0o600); err != nil {
				t.Fatal(err)
			}
			pair, err := Import(path, nil)
			if err != nil {
				t.Fatal(err)
			}
			public, err := cryptoutils.UnmarshalPEMToPublicKey(pair.Public)
			if err != nil || !c.want.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(public) {
				t.Errorf("imported another key, a %T, %v", public, err)
			}
		})
	}
}
