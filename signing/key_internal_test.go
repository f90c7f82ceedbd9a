// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package signing

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
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

// The content of an encrypted key is tested here, past the encryption, because
// each decryption takes seconds under the race detector.
func TestParsePKCS8(t *testing.T) {
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
		der       []byte
		malformed bool
	}{
		"key agreement key":    {der: agreement},
		"weak curve":           {der: p224},
		"weak RSA":             {der: rsa1024},
		"empty":                {der: nil, malformed: true},
		"truncated":            {der: p256[:len(p256)/2], malformed: true},
		"garbage":              {der: []byte("not DER"), malformed: true},
		"PEM within the block": {der: []byte("-----BEGIN PRIVATE KEY-----\n"), malformed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := parsePKCS8(c.der)
			if err == nil || key != nil {
				t.Fatalf("opened as %T", key)
			}
			if got := errors.Is(err, ErrMalformedKey); got != c.malformed {
				t.Errorf("errors.Is(err, ErrMalformedKey) = %t: %v", got, err)
			}
		})
	}
}

// TestEncryptedKeyThatDoesNotSign also shows that the weaker scrypt parameters
// of early releases open.
func TestEncryptedKeyThatDoesNotSign(t *testing.T) {
	t.Parallel()
	passphrase := []byte("correct horse battery staple")
	sealed, err := encrypted.EncryptWithCustomKDFParameters([]byte("not PKCS #8"), passphrase, encrypted.Legacy)
	if err != nil {
		t.Fatal(err)
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED COSIGN PRIVATE KEY", Bytes: sealed})
	key, err := ParsePrivateKey(t.Context(), b, Passphrase(passphrase))
	if key != nil || !errors.Is(err, ErrMalformedKey) || errors.Is(err, ErrWrongPassphrase) || !errors.Is(err, ErrMisconfigured) {
		t.Errorf("opened as %T, %v", key, err)
	}
}

// TestParseUnencrypted covers the encodings that ImportKeyPair reads.
func TestParseUnencrypted(t *testing.T) {
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
			got, err := parseUnencrypted(pem.EncodeToMemory(&c.block))
			if err != nil {
				t.Fatal(err)
			}
			if !c.want.(interface{ Equal(crypto.PrivateKey) bool }).Equal(got) {
				t.Errorf("parsed another key, a %T", got)
			}
		})
	}
}
