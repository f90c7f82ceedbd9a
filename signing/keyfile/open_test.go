// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package keyfile_test

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
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/keyfile"
)

func TestGoldenKeysOpen(t *testing.T) {
	t.Parallel()
	for name, public := range map[string]string{
		"ecdsa-p256": "", "ecdsa-p256-cosign3": "", "ecdsa-p384": "", "ecdsa-p521": "", "rsa-2048": "",
		"rsa-4096": "", "ed25519": "", "empty-passphrase": "", "old-header": "ecdsa-p256",
	} {
		if public == "" {
			public = name
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := cryptoutils.MarshalPublicKeyToPEM(openGolden(t, name).Public())
			if err != nil {
				t.Fatal(err)
			}
			if want := readFile(t, goldenPublicKey(public)); !bytes.Equal(got, want) {
				t.Errorf("public half is\n%swant that of %s\n%s", got, public, want)
			}
		})
	}
}

// TestOpenFromEnvironmentVariable also holds that text around the PEM
// is skipped, such as what a CI system adds.
func TestOpenFromEnvironmentVariable(t *testing.T) {
	t.Setenv("COSIGNKIT_TEST_KEY", "# the team's key\r\n\n"+string(readFile(t, goldenKey("ed25519")))+"\ntrailing text\n")
	key, err := keyfile.Open(t.Context(), "env://COSIGNKIT_TEST_KEY", signing.Passphrase([]byte(goldenPassphrase)))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		t.Errorf("public key is a %T", key.Public())
	}
}

func slicesConcat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// TestKeyThatCannotBeOpened holds, for each way in which a key file is wrong,
// that the error is misconfigured, has the cause that tells the user what to
// mend, names the file, and repeats nothing of its content or the passphrase.
func TestKeyThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	const secret = "hunter2 the passphrase"
	pass := signing.Passphrase([]byte(secret))
	golden := readFile(t, goldenKey("ecdsa-p256"))
	unencrypted := newECDSA(t, elliptic.P256())
	failed := errors.New("the terminal is gone")
	file := func(b []byte) func(*testing.T) string {
		return func(t *testing.T) string { return writeFile(t, "cosign.key", b) }
	}
	for name, c := range map[string]struct {
		ref   func(*testing.T) string
		pass  signing.PassphraseFunc
		cause error  // what errors.Is finds, or
		text  string // what the error says
	}{
		"wrong passphrase":         {ref: file(golden), pass: pass, cause: signing.ErrWrongPassphrase},
		"truncated ciphertext":     {ref: file(tamper(t, golden, truncateCiphertext)), pass: pass, cause: signing.ErrWrongPassphrase},
		"no passphrase function":   {ref: file(golden), cause: signing.ErrNoPassphrase},
		"passphrase fails":         {ref: file(golden), pass: func(context.Context, string) ([]byte, error) { return nil, failed }, cause: failed},
		"unencrypted PKCS #8":      {ref: file(pkcs8PEM(t, unencrypted)), pass: pass, cause: keyfile.ErrUnencrypted},
		"unencrypted SEC 1":        {ref: file(sec1PEM(t, unencrypted)), pass: pass, cause: keyfile.ErrUnencrypted},
		"unencrypted PKCS #1":      {ref: file([]byte("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n")), pass: pass, cause: keyfile.ErrUnencrypted},
		"encrypted PKCS #8":        {ref: file([]byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")), pass: pass, text: "PKCS #8 encryption is not supported"},
		"public key":               {ref: file(readFile(t, goldenPublicKey("ecdsa-p256"))), pass: pass, cause: keyfile.ErrPublicKey},
		"certificate":              {ref: file(certificatePEM(t)), pass: pass, cause: keyfile.ErrPublicKey},
		"zero bytes":               {ref: file(nil), pass: pass, text: "is empty"},
		"white space":              {ref: file([]byte(" \n\n")), pass: pass, cause: keyfile.ErrMalformed},
		"truncated in the header":  {ref: file(golden[:20]), pass: pass, cause: keyfile.ErrMalformed},
		"truncated in the body":    {ref: file(golden[:300]), pass: pass, cause: keyfile.ErrMalformed},
		"truncated in the footer":  {ref: file(golden[:len(golden)-10]), pass: pass, cause: keyfile.ErrMalformed},
		"truncated before the PEM": {ref: file(slicesConcat(golden[:len(golden)/2], []byte("\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"))), pass: pass, cause: keyfile.ErrMalformed},
		"empty PEM block":          {ref: file([]byte("-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----\n-----END ENCRYPTED COSIGN PRIVATE KEY-----\n")), pass: pass, cause: keyfile.ErrMalformed},
		"binary garbage":           {ref: file(bytes.Repeat([]byte{0, 0xff, '\n'}, 1000)), pass: pass, cause: keyfile.ErrMalformed},
		"other PEM block":          {ref: file([]byte("-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n")), pass: pass, cause: keyfile.ErrMalformed},
		"PEM body that is no JSON": {ref: file([]byte("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nZ2FyYmFnZQ==\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n")), pass: pass, cause: keyfile.ErrMalformed},
		"scrypt N of 2^30":         {ref: file(tamper(t, golden, setKDF("N", 1<<30))), pass: pass, cause: keyfile.ErrMalformed},
		"scrypt N of 1":            {ref: file(tamper(t, golden, setKDF("N", 1))), pass: pass, cause: keyfile.ErrMalformed},
		"scrypt r of 2^20":         {ref: file(tamper(t, golden, setKDF("r", 1<<20))), pass: pass, cause: keyfile.ErrMalformed},
		"scrypt p of 2^20":         {ref: file(tamper(t, golden, setKDF("p", 1<<20))), pass: pass, cause: keyfile.ErrMalformed},
		"unknown KDF":              {ref: file(tamper(t, golden, func(m map[string]any) { m["kdf"].(map[string]any)["name"] = "none" })), pass: pass, cause: keyfile.ErrMalformed},
		"unknown cipher":           {ref: file(tamper(t, golden, func(m map[string]any) { m["cipher"].(map[string]any)["name"] = "none" })), pass: pass, cause: keyfile.ErrMalformed},
		"KDF of the wrong type":    {ref: file(tamper(t, golden, func(m map[string]any) { m["kdf"] = "scrypt" })), pass: pass, cause: keyfile.ErrMalformed},
		"one byte over the limit":  {ref: file(slicesConcat(golden, bytes.Repeat([]byte("\n"), limits.KeyFile+1-len(golden)))), pass: pass, cause: limits.ErrExceeded},
		"100 MB":                   {ref: sparse(100 << 20), pass: pass, cause: limits.ErrExceeded},
		"directory":                {ref: func(t *testing.T) string { return t.TempDir() }, pass: pass, text: "is a directory"},
		"missing":                  {ref: func(t *testing.T) string { return filepath.Join(t.TempDir(), "cosign.key") }, pass: pass, cause: fs.ErrNotExist},
		"below a file":             {ref: func(t *testing.T) string { return filepath.Join(writeFile(t, "file", golden), "cosign.key") }, pass: pass, text: "cosign.key: "},
		"unset variable":           {ref: func(*testing.T) string { return "env://COSIGNKIT_TEST_UNSET" }, pass: pass, text: "is not set"},
		"no variable":              {ref: func(*testing.T) string { return "env://" }, pass: pass, text: "no variable named"},
		"empty reference":          {ref: func(*testing.T) string { return "" }, pass: pass, text: "empty key reference"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ref := c.ref(t)
			key, err := keyfile.Open(t.Context(), ref, c.pass)
			if key != nil {
				t.Errorf("a key beside the error: %T", key)
			}
			wantFamily(t, err, signing.ErrMisconfigured)
			if c.cause != nil && !errors.Is(err, c.cause) {
				t.Errorf("cause of %q is not %q", err, c.cause)
			}
			if c.cause != nil {
				wantNoOtherCause(t, err, c.cause)
			}
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %q does not say %q", err, c.text)
			}
			if !strings.Contains(err.Error(), ref) {
				t.Errorf("error %q does not name %s", err, ref)
			}
			wantNothingSecret(t, err, secret, golden, pkcs8PEM(t, unencrypted), sec1PEM(t, unencrypted))
		})
	}
}

// TestEmptyVariableIsNoKey is apart from the table because it sets a variable.
func TestEmptyVariableIsNoKey(t *testing.T) {
	t.Setenv("COSIGNKIT_TEST_KEY", "")
	_, err := keyfile.Open(t.Context(), "env://COSIGNKIT_TEST_KEY", signing.Passphrase(nil))
	wantFamily(t, err, signing.ErrMisconfigured)
	if want := "open private key env://COSIGNKIT_TEST_KEY: environment variable is empty"; err.Error() != want {
		t.Errorf("error is %q, want %q", err, want)
	}
}

// TestOpenNeverRepeatsAKeyGivenAsReference is about a common mistake,
// --cosign-key "$COSIGN_KEY" where the variable holds the key itself.
func TestOpenNeverRepeatsAKeyGivenAsReference(t *testing.T) {
	t.Parallel()
	for name, key := range map[string][]byte{
		"unencrypted": pkcs8PEM(t, newECDSA(t, elliptic.P256())),
		"encrypted":   readFile(t, goldenKey("ecdsa-p256")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := keyfile.Open(t.Context(), string(key), signing.Passphrase(nil))
			wantFamily(t, err, signing.ErrMisconfigured)
			wantNothingSecret(t, err, "\n", key)
		})
	}
}

// TestOtherSchemesAreRefused covers the schemes of cosign and some of its
// plug-ins; that none starts a process is tested where the tests can tell.
func TestOtherSchemesAreRefused(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{
		"kms://key", "awskms:///alias/key", "gcpkms://projects/p", "azurekms://vault/key", "hashivault://key", "k8s://ns/secret",
		"pkcs11:token=x", "gitlab://1", "github://o/r", "foo://key", "http://127.0.0.1/cosign.key", "https://127.0.0.1/cosign.key",
		"file:///cosign.key", "ENV://NAME",
	} {
		t.Run(ref, func(t *testing.T) {
			t.Parallel()
			_, err := keyfile.Open(t.Context(), ref, signing.Passphrase(nil))
			wantFamily(t, err, signing.ErrMisconfigured)
			if !strings.Contains(err.Error(), ref) {
				t.Errorf("error %q does not name %s", err, ref)
			}
			if strings.Contains(ref, "://") && !strings.Contains(err.Error(), "not supported") {
				t.Errorf("error %q does not say that the scheme is not supported", err)
			}
		})
	}
}

func TestOpeningHonoursTheContext(t *testing.T) {
	t.Parallel()
	golden := readFile(t, goldenKey("ecdsa-p256"))
	t.Run("cancelled before", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := keyfile.Parse(ctx, golden, signing.Passphrase([]byte(goldenPassphrase)))
		wantFamily(t, err, signing.ErrInconclusive)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %q is not the context's", err)
		}
	})
	t.Run("cancelled while the passphrase is asked for", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		_, err := keyfile.Parse(ctx, golden, func(ctx context.Context, _ string) ([]byte, error) {
			cancel()
			return nil, ctx.Err()
		})
		wantFamily(t, err, signing.ErrInconclusive)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %q is not the context's", err)
		}
	})
	t.Run("timed out while the passphrase is asked for", func(t *testing.T) {
		t.Parallel()
		_, err := keyfile.Parse(t.Context(), golden, func(context.Context, string) ([]byte, error) {
			return nil, context.DeadlineExceeded
		})
		wantFamily(t, err, signing.ErrInconclusive)
	})
}

func TestPassphraseFuncIsAskedOnceWithTheName(t *testing.T) {
	t.Parallel()
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "the caller's")
	ref := goldenKey("ecdsa-p256")
	stop := errors.New("asked enough")
	var asked []string
	_, err := keyfile.Open(ctx, ref, func(ctx context.Context, name string) ([]byte, error) {
		asked = append(asked, name)
		if ctx.Value(key{}) != "the caller's" {
			t.Error("asked with another context")
		}
		return nil, stop
	})
	if !errors.Is(err, stop) {
		t.Errorf("error is %v", err)
	}
	if len(asked) != 1 || asked[0] != ref {
		t.Errorf("asked for %q, want once for %q", asked, ref)
	}
}

func TestPassphraseFuncIsNotAskedForWhatIsNoEncryptedKey(t *testing.T) {
	t.Parallel()
	_, err := keyfile.Open(t.Context(), goldenPublicKey("ecdsa-p256"), func(context.Context, string) ([]byte, error) {
		t.Error("asked for the passphrase of a public key")
		return nil, nil
	})
	wantFamily(t, err, signing.ErrMisconfigured)
}

// wantNoOtherCause holds that the causes are distinct: a user must not be told
// of two things to mend.
func wantNoOtherCause(t *testing.T, err, want error) {
	t.Helper()
	for _, cause := range []error{
		signing.ErrWrongPassphrase, signing.ErrNoPassphrase, keyfile.ErrUnencrypted, keyfile.ErrPublicKey, keyfile.ErrMalformed,
	} {
		if !errors.Is(want, cause) && errors.Is(err, cause) {
			t.Errorf("error %q matches %q as well as %q", err, cause, want)
		}
	}
}

// wantNothingSecret fails the test if the text of err contains the passphrase
// or a line of one of the keys.
func wantNothingSecret(t *testing.T, err error, passphrase string, keys ...[]byte) {
	t.Helper()
	text := err.Error()
	if strings.Contains(text, passphrase) {
		t.Errorf("error contains %q: %.80q…", passphrase, text)
	}
	for _, key := range keys {
		for line := range strings.Lines(string(key)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "---") || len(line) < 8 {
				continue
			}
			if strings.Contains(text, line) {
				t.Errorf("error repeats the key: %.80q…", text)
				return
			}
		}
	}
}

// tamper returns the encrypted key with the JSON in its PEM block edited.
func tamper(t testing.TB, key []byte, edit func(map[string]any)) []byte {
	t.Helper()
	block, _ := pem.Decode(key)
	var m map[string]any
	if err := json.Unmarshal(block.Bytes, &m); err != nil {
		t.Fatal(err)
	}
	edit(m)
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: b})
}

func setKDF(name string, value int) func(map[string]any) {
	return func(m map[string]any) { m["kdf"].(map[string]any)["params"].(map[string]any)[name] = value }
}

func truncateCiphertext(m map[string]any) {
	b, err := base64.StdEncoding.DecodeString(m["ciphertext"].(string))
	if err != nil {
		panic(err)
	}
	m["ciphertext"] = b[:len(b)/2]
}

func sparse(size int64) func(*testing.T) string {
	return func(t *testing.T) string {
		path := writeFile(t, "large.key", []byte("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"))
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		return path
	}
}

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

func pkcs8PEM(t testing.TB, key crypto.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func sec1PEM(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

func certificatePEM(t testing.TB) []byte {
	t.Helper()
	key := newECDSA(t, elliptic.P256())
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
