// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package keyfile_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/keyfile"
)

func TestGeneratedKeysOpenAgain(t *testing.T) {
	t.Parallel()
	for name, algorithm := range map[string]string{
		"default, empty passphrase": "",
		"ECDSA 384":                 "ecdsa-sha2-384-nistp384",
		"ECDSA 521":                 "ecdsa-sha2-512-nistp521",
		"RSA 2048":                  "rsa-sign-pkcs1-2048-sha256",
		"RSA 3072":                  "rsa-sign-pkcs1-3072-sha256",
		"RSA 4096":                  "rsa-sign-pkcs1-4096-sha256",
		"Ed25519":                   "ed25519",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var passphrase []byte
			if algorithm != "" {
				passphrase = []byte("new " + name)
			}
			pair, err := keyfile.Generate(algorithm, passphrase)
			if err != nil {
				t.Fatal(err)
			}
			wantPairOpens(t, pair, passphrase)
		})
	}
}

// wantPairOpens opens the pair and checks it against the formats of the golden
// files, which cosign wrote.
func wantPairOpens(t *testing.T, pair *keyfile.Pair, passphrase []byte) {
	t.Helper()
	key, err := keyfile.Parse(t.Context(), pair.Private, signing.Passphrase(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	public, err := cryptoutils.MarshalPublicKeyToPEM(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(public, pair.Public) {
		t.Errorf("the files are of different keys:\n%s%s", public, pair.Public)
	}
	newSigner(t, key)
	got, want := kdfOf(t, pair.Private), kdfOf(t, readFile(t, goldenKey("ecdsa-p256")))
	if got != want {
		t.Errorf("private key is sealed as %s, cosign's as %s", got, want)
	}
	if bytes.Contains(pair.Private, passphrase) && len(passphrase) > 0 {
		t.Error("the file contains the passphrase")
	}
}

// kdfOf describes how an encrypted key is sealed.
func kdfOf(t *testing.T, key []byte) string {
	t.Helper()
	block, rest := pem.Decode(key)
	if block == nil || len(rest) > 0 {
		t.Fatalf("not one PEM block: %s", key)
	}
	var sealed struct {
		KDF struct {
			Name   string
			Params map[string]int
		}
		Cipher struct{ Name string }
	}
	if err := json.Unmarshal(block.Bytes, &sealed); err != nil {
		t.Fatal(err)
	}
	description, err := json.Marshal([]any{block.Type, sealed})
	if err != nil {
		t.Fatal(err)
	}
	return string(description)
}

func TestGenerateRefusesOtherAlgorithms(t *testing.T) {
	t.Parallel()
	for name, algorithm := range map[string]string{
		"unknown":                "rot13",
		"upper case":             "ED25519",
		"the key type alone":     "ecdsa",
		"RSA PSS":                "rsa-sign-pss-2048-sha256",
		"pre-hashed Ed25519":     "ed25519-ph",
		"P-384 with SHA-256":     "ecdsa-sha2-256-nistp384",
		"P-521 with SHA-256":     "ecdsa-sha2-256-nistp521",
		"RSA of 1024 bits":       "rsa-sign-pkcs1-1024-sha256",
		"white space after name": "ed25519 ",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair, err := keyfile.Generate(algorithm, nil)
			wantFamily(t, err, signing.ErrMisconfigured)
			if pair != nil {
				t.Error("a key pair beside the error")
			}
			if !strings.Contains(err.Error(), algorithm) {
				t.Errorf("error %q does not name the algorithm", err)
			}
		})
	}
}

// TestImportedKeyOpens uses one encoding; the others are tested before the
// encryption, in TestImportedEncodings.
func TestImportedKeyOpens(t *testing.T) {
	t.Parallel()
	passphrase := []byte("imported")
	key := newECDSA(t, elliptic.P384())
	pair, err := keyfile.Import(writeFile(t, "existing.key", sec1PEM(t, key)), passphrase)
	if err != nil {
		t.Fatal(err)
	}
	wantPairOpens(t, pair, passphrase)
	if got := parsePublic(t, pair.Public); !key.PublicKey.Equal(got) {
		t.Error("another key was imported")
	}
}

func parsePublic(t *testing.T, b []byte) crypto.PublicKey {
	t.Helper()
	key, err := cryptoutils.UnmarshalPEMToPublicKey(b)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	weak := pkcs8PEM(t, newRSA(t, 1024))
	p224 := sec1PEM(t, newECDSA(t, elliptic.P224()))
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		pem   []byte
		cause error
	}{
		"nothing":                 {pem: nil},
		"an encrypted key":        {pem: readFile(t, goldenKey("ecdsa-p256"))},
		"a public key":            {pem: readFile(t, goldenPublicKey("ecdsa-p256")), cause: keyfile.ErrPublicKey},
		"a certificate":           {pem: certificatePEM(t), cause: keyfile.ErrPublicKey},
		"a damaged key":           {pem: []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), cause: keyfile.ErrMalformed},
		"an OpenSSH key":          {pem: []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"), cause: keyfile.ErrMalformed},
		"RSA of 1024 bits":        {pem: weak},
		"a curve that is weak":    {pem: p224},
		"a key agreement key":     {pem: pkcs8PEM(t, agreement)},
		"more than 64 KiB":        {pem: bytes.Repeat([]byte("\n"), limits.KeyFile+1), cause: limits.ErrExceeded},
		"DER in the place of PEM": {pem: []byte{0x30, 0x82, 1, 2}, cause: keyfile.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair, err := keyfile.Import(writeFile(t, "existing.key", c.pem), []byte("the passphrase"))
			wantFamily(t, err, signing.ErrMisconfigured)
			if pair != nil {
				t.Error("a key pair beside the error")
			}
			if c.cause != nil && !errors.Is(err, c.cause) {
				t.Errorf("cause of %q is not %q", err, c.cause)
			}
			wantNothingSecret(t, err, "the passphrase", weak, p224)
		})
	}
}

// anyPair has contents that WriteFiles does not look at.
var anyPair = &keyfile.Pair{Private: []byte("new private"), Public: []byte("new public")}

func TestWriteFilesWritesBothWithTheirModes(t *testing.T) {
	t.Parallel()
	for name, overwrite := range map[string]bool{"new": false, "overwrite where nothing is": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := anyPair.WriteFiles(filepath.Join(dir, "cosign"), overwrite); err != nil {
				t.Fatal(err)
			}
			wantFiles(t, dir, map[string]string{"cosign.key": "new private", "cosign.pub": "new public"})
			wantModes(t, dir)
		})
	}
}

func wantModes(t *testing.T, dir string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		return // has no such modes
	}
	for name, want := range map[string]fs.FileMode{"cosign.key": 0o600, "cosign.pub": 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode(); got != want {
			t.Errorf("mode of %s is %v, want %v", name, got, want)
		}
	}
}

// wantFiles holds that dir has these files and nothing else, such as a
// temporary file that was left behind.
func wantFiles(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
		if content, ok := want[entry.Name()]; ok && content != "" {
			if got := readFile(t, filepath.Join(dir, entry.Name())); string(got) != content {
				t.Errorf("%s holds %q, want %q", entry.Name(), got, content)
			}
		}
	}
	var wanted []string
	for name := range want {
		wanted = append(wanted, name)
	}
	slices.Sort(wanted)
	if !slices.Equal(names, wanted) {
		t.Errorf("files are %q, want %q", names, wanted)
	}
}

func TestWriteFilesNeverReplacesUnlessAsked(t *testing.T) {
	t.Parallel()
	for name, existing := range map[string][]string{
		"private key exists": {"cosign.key"},
		"public key exists":  {"cosign.pub"},
		"both exist":         {"cosign.key", "cosign.pub"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			want := map[string]string{}
			for _, file := range existing {
				want[file] = "old"
				if err := os.WriteFile(filepath.Join(dir, file), []byte("old"), 0o400); err != nil {
					t.Fatal(err)
				}
			}
			prefix := filepath.Join(dir, "cosign")
			err := anyPair.WriteFiles(prefix, false)
			wantFamily(t, err, signing.ErrMisconfigured)
			if !errors.Is(err, fs.ErrExist) {
				t.Errorf("cause of %q is not fs.ErrExist", err)
			}
			if !slices.ContainsFunc(existing, func(file string) bool { return strings.Contains(err.Error(), filepath.Join(dir, file)) }) {
				t.Errorf("error %q does not name a file that exists", err)
			}
			wantFiles(t, dir, want)

			if err := anyPair.WriteFiles(prefix, true); err != nil {
				t.Fatal(err)
			}
			wantFiles(t, dir, map[string]string{"cosign.key": "new private", "cosign.pub": "new public"})
			wantModes(t, dir)
		})
	}
}

func TestWriteFilesDoesNotFollowLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target := filepath.Join(t.TempDir(), "target")
	if err := os.Symlink(target, filepath.Join(dir, "cosign.key")); err != nil {
		t.Fatal(err)
	}
	err := anyPair.WriteFiles(filepath.Join(dir, "cosign"), false)
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("error is %v, want fs.ErrExist for a dangling link", err)
	}
	if err := anyPair.WriteFiles(filepath.Join(dir, "cosign"), true); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("the private key was written through the link")
	}
	wantModes(t, dir)
}

func TestWriteFilesLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pair      *keyfile.Pair
		overwrite bool
		cause     error
	}{
		"empty pair":                  {pair: &keyfile.Pair{}},
		"empty pair, overwrite":       {pair: &keyfile.Pair{}, overwrite: true},
		"no public key":               {pair: &keyfile.Pair{Private: []byte("private")}},
		"no public key, overwrite":    {pair: &keyfile.Pair{Private: []byte("private")}, overwrite: true},
		"public key of over 64 KiB":   {pair: &keyfile.Pair{Private: []byte("private"), Public: make([]byte, limits.KeyFile+1)}},
		"private key of over 64 KiB":  {pair: &keyfile.Pair{Private: make([]byte, limits.KeyFile+1), Public: []byte("public")}},
		"no private key, public only": {pair: &keyfile.Pair{Public: []byte("public")}, overwrite: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			err := c.pair.WriteFiles(filepath.Join(dir, "cosign"), c.overwrite)
			wantFamily(t, err, signing.ErrMisconfigured)
			wantFiles(t, dir, nil)
		})
	}
	for name, prefix := range map[string]string{
		"no prefix":         "",
		"missing directory": filepath.Join(t.TempDir(), "missing", "cosign"),
		"below a file":      filepath.Join(goldenKey("ecdsa-p256"), "cosign"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, overwrite := range []bool{false, true} {
				wantFamily(t, anyPair.WriteFiles(prefix, overwrite), signing.ErrMisconfigured)
			}
		})
	}
}

// TestWriteFilesKeepsTheOldPairWhenOneFileCannotBeReplaced: a private key that
// is overwritten is lost for ever, so it must not be overwritten by half a pair.
func TestWriteFilesKeepsTheOldPairWhenOneFileCannotBeReplaced(t *testing.T) {
	t.Parallel()
	t.Run("public key is a directory", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "cosign.key"), []byte("old private"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, "cosign.pub", "full"), 0o700); err != nil {
			t.Fatal(err)
		}
		wantFamily(t, anyPair.WriteFiles(filepath.Join(dir, "cosign"), true), signing.ErrMisconfigured)
		wantFiles(t, dir, map[string]string{"cosign.key": "old private", "cosign.pub": ""})
	})
	t.Run("no public key to write", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		old := map[string]string{"cosign.key": "old private", "cosign.pub": "old public"}
		for name, content := range old {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		half := &keyfile.Pair{Private: []byte("new private")}
		wantFamily(t, half.WriteFiles(filepath.Join(dir, "cosign"), true), signing.ErrMisconfigured)
		wantFiles(t, dir, old)
	})
}

func TestConcurrentWritersOfOnePrefixWriteOnePair(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const writers = 32
	errs := make([]error, writers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			<-start
			content := []byte{byte('A' + i)}
			pair := &keyfile.Pair{Private: content, Public: content}
			errs[i] = pair.WriteFiles(filepath.Join(dir, "cosign"), false)
		})
	}
	close(start)
	wg.Wait()
	wrote := 0
	for _, err := range errs {
		switch {
		case err == nil:
			wrote++
		case !errors.Is(err, fs.ErrExist):
			t.Errorf("a writer that came second has the error %v", err)
		}
	}
	if wrote != 1 {
		t.Errorf("%d writers think that theirs is the pair, want 1", wrote)
	}
	private := readFile(t, filepath.Join(dir, "cosign.key"))
	wantFiles(t, dir, map[string]string{"cosign.key": string(private), "cosign.pub": string(private)})
}
