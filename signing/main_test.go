// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package signing_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/cosignkit/cosignkit/internal/fault/faulttest"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/keyfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	goldenKeys       = "../testdata/keys"
	goldenSignatures = "../testdata/signatures"
	goldenPassphrase = "correct horse battery staple"
	goldenDigest     = "sha256:c0658bff4751d9f90117de2816ec4582f00d2aedaa684f137217ba98efb4e766"
)

// goldenKinds is one golden key for each kind of key that this package signs
// with.
var goldenKinds = []string{"ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-4096", "ed25519"}

// opened opens each golden key once for all tests: the format makes opening
// slow, and slower still under the race detector.
var opened sync.Map

func openGolden(t testing.TB, name string) crypto.Signer {
	t.Helper()
	passphrase := goldenPassphrase
	if name == "empty-passphrase" {
		passphrase = ""
	}
	open, _ := opened.LoadOrStore(name, sync.OnceValues(func() (crypto.Signer, error) {
		return keyfile.Open(context.Background(), goldenKey(name), signing.Passphrase([]byte(passphrase)))
	}))
	key, err := open.(func() (crypto.Signer, error))()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func goldenKey(name string) string { return filepath.Join(goldenKeys, name+".key") }

func newSigner(t testing.TB, key crypto.Signer) *signing.KeySigner {
	t.Helper()
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wantFamily wants an error of a family, and of no other.
var wantFamily = faulttest.Want

func newECDSA(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRSA(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
