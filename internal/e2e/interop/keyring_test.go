// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/keyfile"
	"github.com/cosignkit/cosignkit/verify"
)

// keyKind is a kind of key.
type keyKind struct {
	name      string
	algorithm string // for keyfile.Generate
	generate  func() (crypto.Signer, error)
	// curveHash is the value of --signature-digest-algorithm that cosign verify
	// needs: for these keys it expects SHA-256, although cosign sign hashes by
	// the curve, as signing does. Empty where no flag is needed.
	curveHash string
}

var (
	p256 = keyKind{name: "ECDSA P-256", algorithm: "ecdsa-sha2-256-nistp256", generate: onCurve(elliptic.P256())}
	p384 = keyKind{name: "ECDSA P-384", algorithm: "ecdsa-sha2-384-nistp384", generate: onCurve(elliptic.P384()), curveHash: "sha384"}
	p521 = keyKind{name: "ECDSA P-521", algorithm: "ecdsa-sha2-512-nistp521", generate: onCurve(elliptic.P521()), curveHash: "sha512"}

	rsa2048 = keyKind{name: "RSA 2048", algorithm: "rsa-sign-pkcs1-2048-sha256",
		generate: func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }}
	edwards = keyKind{name: "Ed25519", algorithm: "ed25519",
		generate: func() (crypto.Signer, error) { _, key, err := ed25519.GenerateKey(rand.Reader); return key, err }}
)

func keyKinds() []keyKind { return []keyKind{p256, p384, p521, rsa2048, edwards} }

func onCurve(curve elliptic.Curve) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return ecdsa.GenerateKey(curve, rand.Reader) }
}

// keyFiles are the paths of a key pair.
type keyFiles struct{ private, public string }

func filesOf(prefix string) keyFiles { return keyFiles{prefix + ".key", prefix + ".pub"} }

// The keys of the tests of images cross over: cosign signs with keys that were
// made here, and keys that sign here were made by cosign. Opening a key costs a
// quarter of a second, so that all tests share them.
var keyring sync.Map // name -> *slot

type slot struct {
	mu    sync.Mutex
	value any
}

// once returns what make returned for the first caller with this name. If that
// failed its test, the next caller makes it again and fails for itself.
func once[T any](name string, make func() T) T {
	entry, _ := keyring.LoadOrStore(name, &slot{})
	s := entry.(*slot)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.value == nil {
		s.value = make()
	}
	return s.value.(T)
}

// keyMadeHere returns the files of a key that keyfile.Generate made.
func keyMadeHere(t *testing.T, kind keyKind, name string) keyFiles {
	t.Helper()
	prefix := keyPrefix(t, kind, "here-"+name)
	return once(prefix, func() keyFiles {
		generateHere(t, kind, passphrase, prefix)
		return filesOf(prefix)
	})
}

func generateHere(t *testing.T, kind keyKind, password, prefix string) {
	t.Helper()
	pair, err := keyfile.Generate(kind.algorithm, []byte(password))
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.WriteFiles(prefix, false); err != nil {
		t.Fatal(err)
	}
}

// keyMadeBy returns the files of a key that cosign made. It generates keys on
// P-256 and imports every other kind.
func keyMadeBy(t *testing.T, c *cosign, kind keyKind) keyFiles {
	t.Helper()
	prefix := keyPrefix(t, kind, "cosign-"+c.name)
	return once(prefix, func() keyFiles {
		if kind.name == p256.name {
			c.run(t, passphrase, "generate-key-pair", "--output-key-prefix", prefix).succeeds(t)
		} else {
			c.importKey(t, passphrase, pkcs8(t, newKey(t, kind)), prefix).succeeds(t)
		}
		return filesOf(prefix)
	})
}

func (c *cosign) importKey(t *testing.T, password string, privatePEM []byte, prefix string) outcome {
	t.Helper()
	plain := prefix + ".pem"
	if err := os.WriteFile(plain, privatePEM, 0o600); err != nil {
		t.Fatal(err)
	}
	return c.run(t, password, "import-key-pair", "--yes", "--key", plain, "--output-key-prefix", prefix)
}

func keyPrefix(t *testing.T, kind keyKind, name string) string {
	t.Helper()
	dir := filepath.Join(scratch, "keys", kind.algorithm)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// open opens the private key, once.
func (k keyFiles) open(t *testing.T) crypto.Signer {
	t.Helper()
	return once(k.private, func() crypto.Signer { return openPrivate(t, k, passphrase) })
}

func openPrivate(t *testing.T, k keyFiles, password string) crypto.Signer {
	t.Helper()
	key, err := keyfile.Open(t.Context(), k.private, signing.Passphrase([]byte(password)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newKeySigner(t *testing.T, config signing.KeySignerConfig) *signing.KeySigner {
	t.Helper()
	pair, err := signing.NewKeySigner(config)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// publicKey is for policies.
func (k keyFiles) publicKey(t *testing.T) crypto.PublicKey {
	t.Helper()
	key, err := verify.LoadPublicKey(k.public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newKey(t *testing.T, kind keyKind) crypto.Signer {
	t.Helper()
	key, err := kind.generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// pkcs8, pkcs1 and sec1 render a private key as openssl writes it.
func pkcs8(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func pkcs1(_ *testing.T, key crypto.Signer) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key.(*rsa.PrivateKey))})
}

func sec1(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}
