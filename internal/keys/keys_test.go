// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cosignkit/cosignkit/internal/keys"
	"github.com/cosignkit/cosignkit/internal/limits"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cosign.key")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	most := bytes.Repeat([]byte("k"), limits.KeyFile)
	for name, want := range map[string][]byte{
		"one byte":           []byte("k"),
		"as it is, no trim":  []byte(" k\r\n"),
		"the largest":        most,
		"every kind of byte": {0, 1, 0x7f, 0x80, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := keys.Read(write(t, want))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
		})
	}
}

func TestReadFollowsALinkToAFile(t *testing.T) {
	t.Parallel()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(write(t, []byte("k")), link); err != nil {
		t.Fatal(err)
	}
	if got, err := keys.Read(link); err != nil || string(got) != "k" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ref   string
		cause error
		text  string
	}{
		"empty reference":      {ref: "", text: "empty key reference"},
		"missing file":         {ref: filepath.Join(t.TempDir(), "cosign.key"), cause: fs.ErrNotExist},
		"directory":            {ref: t.TempDir(), text: "is a directory"},
		"empty file":           {ref: write(t, nil), text: "is empty"},
		"one byte too many":    {ref: write(t, make([]byte, limits.KeyFile+1)), cause: limits.ErrExceeded},
		"no variable":          {ref: "env://", text: "no variable named"},
		"unset variable":       {ref: "env://COSIGNKIT_TEST_UNSET", text: "is not set"},
		"KMS scheme":           {ref: "awskms:///alias/key", text: `"awskms"`},
		"KMS, and where to go": {ref: "hashivault://key", text: "signing/kms"},
		"Kubernetes secret":    {ref: "k8s://namespace/name", text: "keyfile.Parse"},
		"PKCS #11 URI":         {ref: "pkcs11:token=t;object=k?pin-value=1234", text: "signing/pkcs11"},
		"unknown scheme":       {ref: "foo://bar", text: `"foo"`},
		"scheme in upper case": {ref: "ENV://NAME", text: `"ENV"`},
		"URL":                  {ref: "https://registry.example/cosign.key", text: `"https"`},
		"no scheme":            {ref: "://x", text: "not supported"},
		"NUL":                  {ref: "a\x00b", text: "this is a key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := keys.Read(c.ref)
			if err == nil || b != nil {
				t.Fatalf("read %d bytes", len(b))
			}
			if c.cause != nil && !errors.Is(err, c.cause) {
				t.Errorf("cause of %q is not %q", err, c.cause)
			}
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %q does not say %q", err, c.text)
			}
			if len(c.ref) > len("env://") && strings.Contains(err.Error(), c.ref) {
				t.Errorf("error %q repeats the reference, which callers name", err)
			}
		})
	}
}

func TestReadVariable(t *testing.T) {
	const name = "COSIGNKIT_TEST_KEY"
	for what, c := range map[string]struct {
		value string
		text  string
	}{
		"a key":           {value: "-----BEGIN PUBLIC KEY-----\nAAAA\n"},
		"the largest":     {value: strings.Repeat("k", limits.KeyFile)},
		"empty":           {value: "", text: "is empty"},
		"one byte larger": {value: strings.Repeat("k", limits.KeyFile+1), text: "limit exceeded"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Setenv(name, c.value)
			got, err := keys.Read("env://" + name)
			if c.text == "" {
				if err != nil || string(got) != c.value {
					t.Errorf("read %d bytes, %v", len(got), err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error is %v, want %q", err, c.text)
			}
		})
	}
}

// TestAKeyIsNoReference: what is not named cannot leak into logs.
func TestAKeyIsNoReference(t *testing.T) {
	t.Parallel()
	const secret = "c2VjcmV0IGtleSBtYXRlcmlhbA=="
	for name, ref := range map[string]string{
		"PEM":                 "-----BEGIN PRIVATE KEY-----\n" + secret + "\n-----END PRIVATE KEY-----\n",
		"PEM without newline": "-----BEGIN PRIVATE KEY----- " + secret + " -----END PRIVATE KEY-----",
		"PEM after env://":    "env://-----BEGIN PRIVATE KEY-----" + secret,
		"the body alone":      secret + "\n" + secret + "\n",
		"Windows newlines":    secret + "\r" + secret,
		"PEM in base64":       base64.StdEncoding.EncodeToString([]byte("-----BEGIN PRIVATE KEY-----\n" + secret)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := keys.Read(ref)
			if err == nil || !strings.Contains(err.Error(), "this is a key") || strings.Contains(err.Error(), secret) {
				t.Errorf("error is %v", err)
			}
			if got := keys.Name(ref); strings.Contains(got, secret) {
				t.Errorf("named %q", got)
			}
		})
	}
	for ref, want := range map[string]string{
		"pkcs11:token=t;object=k?pin-value=1234&module-path=/m.so": "pkcs11:token=t;object=k",
		"pkcs11:token=t;object=k;pin-value=1234":                   "pkcs11:…",
		"pkcs11:token=t;object=k;PIN-value=1234":                   "pkcs11:…",
		"PKCS11:token=t;object=k?pin-value=1234":                   "PKCS11:token=t;object=k",
		"https://user:1234@host.example/k@1":                       "https://…@host.example/k@1",
		"https://user:1234@host.example":                           "https://…@host.example",
	} {
		got := keys.Name(ref)
		if got != want {
			t.Errorf("a URI with a secret is named %q, want %q", got, want)
		}
		if _, err := keys.Read(ref); err == nil || strings.Contains(err.Error(), "1234") {
			t.Errorf("%s: error is %v", ref, err)
		}
	}
	for _, ref := range []string{"", "cosign.key", "env://NAME", "kms://key", "dir with space/cosign.key"} {
		if got := keys.Name(ref); got != ref {
			t.Errorf("Name(%q) = %q", ref, got)
		}
	}
}

// TestALargeFileIsNotReadWhole is not parallel: it measures what the process
// allocates.
func TestALargeFileIsNotReadWhole(t *testing.T) {
	path := write(t, []byte("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"))
	if err := os.Truncate(path, 100<<20); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	_, err := keys.Read(path)
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, limits.ErrExceeded) {
		t.Errorf("error is %v", err)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<20 {
		t.Errorf("allocated %d bytes for a file that is too large", allocated)
	}
	if took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	modulus := func(bits int) *big.Int { return new(big.Int).SetBit(big.NewInt(1), bits-1, 1) }
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key crypto.PublicKey
		why string // empty where the key is good
	}{
		"ECDSA":                     {p256.Public(), ""},
		"Ed25519":                   {ed, ""},
		"RSA of 2048 bits":          {&rsa.PublicKey{N: modulus(2048), E: 65537}, ""},
		"RSA of 4096 bits":          {&rsa.PublicKey{N: modulus(4096), E: 3}, ""},
		"RSA of 2047 bits":          {&rsa.PublicKey{N: modulus(2047), E: 65537}, "2047 bits"},
		"RSA of 4097 bits":          {&rsa.PublicKey{N: modulus(4097), E: 65537}, "4097 bits"},
		"RSA, exponent 1":           {&rsa.PublicKey{N: modulus(2048), E: 1}, "exponent 1"},
		"RSA, even exponent":        {&rsa.PublicKey{N: modulus(2048), E: 65536}, "exponent 65536"},
		"RSA, negative exponent":    {&rsa.PublicKey{N: modulus(2048), E: -3}, "exponent -3"},
		"RSA, negative modulus":     {&rsa.PublicKey{N: big.NewInt(-1), E: 65537}, "1 bits"},
		"RSA without modulus":       {&rsa.PublicKey{E: 65537}, "incomplete"},
		"RSA, nil":                  {(*rsa.PublicKey)(nil), "incomplete"},
		"ECDSA, nil":                {(*ecdsa.PublicKey)(nil), "incomplete"},
		"ECDSA without curve":       {&ecdsa.PublicKey{X: p256.X, Y: p256.Y}, "incomplete"},
		"ECDSA without point":       {&ecdsa.PublicKey{Curve: elliptic.P256()}, "incomplete"},
		"ECDSA on P-224":            {&ecdsa.PublicKey{Curve: elliptic.P224(), X: p256.X, Y: p256.Y}, "P-224"},
		"ECDSA on a curve of ours":  {&ecdsa.PublicKey{Curve: &elliptic.CurveParams{Name: "ours"}, X: p256.X, Y: p256.Y}, "ours"},
		"ECDSA on another curve":    {&ecdsa.PublicKey{Curve: elliptic.P384(), X: p256.X, Y: p256.Y}, "not on curve"},
		"ECDSA at infinity":         {&ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int), Y: new(big.Int)}, "not on curve"},
		"ECDSA, negative X":         {&ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(-1), Y: p256.Y}, "negative coordinate"},
		"ECDSA, X over the field":   {&ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).Lsh(p256.X, 300), Y: p256.Y}, "overflowing coordinate"},
		"Ed25519, nil":              {ed25519.PublicKey(nil), "0 bytes"},
		"Ed25519 of 31 bytes":       {ed[:31], "31 bytes"},
		"Ed25519, private key":      {private, "ed25519.PrivateKey"},
		"Ed25519 behind a pointer":  {&ed, "*ed25519.PublicKey"},
		"a private key":             {p256, "*ecdsa.PrivateKey"},
		"an ECDSA key by value":     {p256.PublicKey, "ecdsa.PublicKey"},
		"bytes":                     {[]byte(ed), "[]uint8"},
		"nothing":                   {nil, "<nil>"},
		"a nil pointer of our kind": {(*struct{})(nil), "*struct {}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := keys.Check(c.key)
			if c.why == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("error is %v, want one that says %q", err, c.why)
			}
		})
	}
}
