// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"bytes"
	"context"
	"crypto"
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
	"strings"
	"testing"
	"unicode"

	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/internal/fault"
)

// FuzzParsePrivateKey holds that no input panics, is opened, or is repeated in
// the error. Input whose scrypt parameters are good stops at the passphrase:
// a quarter of a second for each would leave the fuzzer no time. Other
// parameters, which can ask for any time and memory, are refused; if they were
// not, the fuzzer would hang.
func FuzzParsePrivateKey(f *testing.F) {
	files, err := filepath.Glob("../testdata/keys/*")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, params := range []string{`"N":1073741824,"r":8,"p":1`, `"N":16384,"r":1073741824,"p":1`, `"N":16384,"r":8,"p":1073741823`, `"N":-1,"r":0,"p":0`, `"N":3`} {
		f.Add(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: []byte(
			`{"kdf":{"name":"scrypt","params":{` + params + `},"salt":"AAAA"},"cipher":{"name":"nacl/secretbox","nonce":"AAAA"},"ciphertext":"AAAA"}`)}))
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
		if block, _ := pem.Decode(b); block != nil {
			f.Add(block.Bytes)
			f.Add(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: bytes.ReplaceAll(block.Bytes, []byte("65536"), []byte("65537"))}))
			f.Add(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: block.Bytes}))
		}
	}
	const passphrase = "a passphrase that is secret"
	stop := errors.New("no passphrase today")
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := ParsePrivateKey(context.Background(), b, func(context.Context, string) ([]byte, error) {
			if block, _ := pem.Decode(b); slow(block.Bytes) {
				return nil, stop
			}
			return []byte(passphrase), nil
		})
		if key != nil || !errors.Is(err, ErrMisconfigured) || fault.Family(err) != ErrMisconfigured {
			t.Fatalf("opened as %T with the error %v", key, err)
		}
		if strings.Contains(err.Error(), passphrase) {
			t.Errorf("error contains the passphrase: %v", err)
		}
		if strings.ContainsFunc(err.Error(), unicode.IsControl) {
			t.Errorf("error is not one line: %q", err)
		}
	})
}

// FuzzUnencryptedKey reads what is inside of an encrypted key, and what is
// imported. What is opened signs, and survives being written again.
func FuzzUnencryptedKey(f *testing.F) {
	_, ed, err := ed25519.GenerateKey(bytes.NewReader(make([]byte, ed25519.SeedSize)))
	if err != nil {
		f.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	all := []crypto.Signer{ed, rsaKey}
	for _, curve := range []elliptic.Curve{elliptic.P224(), elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			f.Fatal(err)
		}
		sec1, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}))
		all = append(all, key)
	}
	for _, key := range all {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
		f.Add(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte{0x30, 3, 2, 1, 0}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, parse := range map[string]func([]byte) (crypto.Signer, error){"PKCS #8": parsePKCS8, "unencrypted": parseUnencrypted} {
			key, err := parse(b)
			if err != nil {
				if err := misconfigured("open private key", "", err); key != nil || fault.Family(err) != ErrMisconfigured || strings.ContainsFunc(err.Error(), unicode.IsControl) {
					t.Errorf("%s: opened as %T with the error %v", name, key, err)
				}
				continue
			}
			der, err := x509.MarshalPKCS8PrivateKey(key)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			again, err := parsePKCS8(der)
			if err != nil || !key.(interface{ Equal(crypto.PrivateKey) bool }).Equal(again) {
				t.Errorf("%s: written and opened again it is %T, %v", name, again, err)
			}
			signer, err := NewKeySigner(KeySignerConfig{Key: key, SkipTransparencyLog: true})
			if err != nil {
				t.Fatalf("%s: opened, and no signer takes it: %v", name, err)
			}
			made, err := signer.Sign(context.Background(), Request{Digest: digest.FromString("image"), Repository: "registry.example/app", Form: Both})
			if err != nil || len(made) != 2 {
				t.Errorf("%s: opened, and does not sign: %v", name, err)
			}
		}
	})
}

// slow reports whether opening the block could derive a key, which takes one of
// these three parameters.
func slow(block []byte) bool {
	for _, n := range []string{"32768", "65536", "131072"} {
		if bytes.Contains(block, []byte(n)) {
			return true
		}
	}
	return false
}
