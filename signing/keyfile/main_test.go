// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyfile_test

import (
	"context"
	"crypto"
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

const goldenPassphrase = "correct horse battery staple"

func goldenKey(name string) string       { return filepath.Join("../../testdata/keys", name+".key") }
func goldenPublicKey(name string) string { return filepath.Join("../../testdata/keys", name+".pub") }

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

func writeFile(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantFamily wants an error of a family, and of no other.
var wantFamily = faulttest.Want
