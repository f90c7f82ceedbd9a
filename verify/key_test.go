// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

func pkix(t testing.TB, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func pemOf(blockType string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der})
}

type publicKey interface{ Equal(crypto.PublicKey) bool }

func TestParsePublicKey(t *testing.T) {
	t.Parallel()
	for kind, key := range keys {
		public := key().Public()
		der := pkix(t, public)
		encodings := map[string][]byte{
			"PEM":                  pemOf("PUBLIC KEY", der),
			"DER":                  der,
			"PEM with text around": bytes.Join([][]byte{[]byte("# the team's key\r\n"), pemOf("PUBLIC KEY", der), []byte("\nthe end\n")}, nil),
			"PEM, Windows newline": bytes.ReplaceAll(pemOf("PUBLIC KEY", der), []byte("\n"), []byte("\r\n")),
		}
		if public, ok := public.(*rsa.PublicKey); ok {
			encodings["PKCS #1"] = pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(public))
		}
		for encoding, b := range encodings {
			t.Run(kind+" "+encoding, func(t *testing.T) {
				t.Parallel()
				got, err := verify.ParsePublicKey(b)
				if err != nil {
					t.Fatal(err)
				}
				if !public.(publicKey).Equal(got) {
					t.Errorf("parsed another key, a %T", got)
				}
			})
		}
	}
}

func TestGoldenPublicKeysOpen(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(goldenKeys, "*.pub"))
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if _, err := verify.LoadPublicKey(file); err != nil {
			t.Error(err)
		}
	}
}

func TestParsePublicKeyRefuses(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]().Public()
	good := pemOf("PUBLIC KEY", pkix(t, key))
	pkcs1 := pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(keys["RSA 2048"]().Public().(*rsa.PublicKey)))
	private, err := x509.MarshalPKCS8PrivateKey(keys["P-256"]())
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Replace(good, []byte("\nM"), []byte("\n*"), 1)
	weak := &rsa.PublicKey{N: rsaModulus(t), E: 1}
	huge := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 16383, 1), E: 65537}
	for name, c := range map[string]struct {
		b   []byte
		why string
	}{
		"nothing":                          {nil, "not a public key"},
		"white space":                      {[]byte(" \n"), "not a public key"},
		"text":                             {[]byte("cosign.pub"), "not a public key"},
		"binary":                           {bytes.Repeat([]byte{0, 0xff}, 100), "not a public key"},
		"a private key":                    {pemOf("PRIVATE KEY", private), "private key"},
		"an encrypted private key":         {readFile(t, goldenKeys, "ecdsa-p256.key"), "private key"},
		"an old encrypted private key":     {readFile(t, goldenKeys, "old-header.key"), "private key"},
		"a private key in DER":             {private, "not a public key"},
		"a certificate":                    {pemOf("CERTIFICATE", selfSigned(t, keys["P-256"]())), "CERTIFICATE"},
		"a certificate in DER":             {selfSigned(t, keys["P-256"]()), "not a public key"},
		"two keys":                         {append(bytes.Clone(good), good...), "more than one PEM block"},
		"two keys, PKCS #1 first":          {append(bytes.Clone(pkcs1), good...), "more than one PEM block"},
		"a key and a private key":          {append(bytes.Clone(good), pemOf("PRIVATE KEY", private)...), "more than one PEM block"},
		"a damaged key before a good one":  {append(bytes.Clone(damaged), good...), "PEM block"},
		"a damaged PEM block":              {damaged, "damaged PEM block"},
		"truncated in the header":          {good[:10], "damaged PEM block"},
		"truncated in the body":            {good[:60], "damaged PEM block"},
		"truncated in the footer":          {good[:len(good)-5], "damaged PEM block"},
		"a PEM block that is empty":        {[]byte("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"), "not a public key"},
		"DER cut short":                    {pkix(t, key)[:50], "not a public key"},
		"DER with a byte more":             {append(pkix(t, key), 0), "not a public key"},
		"PKCS #1 that is none":             {pemOf("RSA PUBLIC KEY", pkix(t, key)), ""},
		"PKCS #1 in DER":                   {x509.MarshalPKCS1PublicKey(keys["RSA 2048"]().Public().(*rsa.PublicKey)), "not a public key"},
		"a weak curve":                     {pemOf("PUBLIC KEY", pkix(t, newECDSA(elliptic.P224()).Public())), "curve"},
		"RSA of 1024 bits":                 {pemOf("PUBLIC KEY", pkix(t, newRSA(1024).Public())), "1024"},
		"RSA of 16384 bits":                {pemOf("PUBLIC KEY", pkix(t, huge)), "16384"},
		"RSA with the exponent 1":          {pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(weak)), ""},
		"a key agreement key":              {pemOf("PUBLIC KEY", pkix(t, agreementKey(t))), ""},
		"an SSH key":                       {[]byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ"), "not a public key"},
		"a PGP key":                        {[]byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n"), ""},
		"one byte over 64 KiB":             {append(bytes.Clone(good), bytes.Repeat([]byte("\n"), limits.KeyFile+1-len(good))...), "limit exceeded"},
		"a PEM type with escape sequences": {[]byte("-----BEGIN \x1b[31m-----\nAAAA\n-----END \x1b[31m-----\n"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := verify.ParsePublicKey(c.b)
			wantFamily(t, err, verify.ErrMisconfigured)
			if got != nil {
				t.Errorf("a %T beside the error", got)
			}
			if !strings.Contains(err.Error(), c.why) {
				t.Errorf("error is %q, want one that says %q", err, c.why)
			}
			if strings.ContainsAny(err.Error(), "\x1b\n") || len(err.Error()) > 1000 {
				t.Errorf("error is %.1000q", err)
			}
			wantNoLineOf(t, err, c.b)
		})
	}
}

// wantNoLineOf fails the test if err repeats what may be a private key.
func wantNoLineOf(t testing.TB, err error, b []byte) {
	t.Helper()
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if len(line) > 16 && !strings.HasPrefix(line, "-----") && strings.Contains(err.Error(), line) {
			t.Errorf("error repeats the input: %.200q", err)
		}
	}
}

func TestLoadPublicKeyRefuses(t *testing.T) {
	t.Parallel()
	large := filepath.Join(t.TempDir(), "large.pub")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 100<<20); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		ref   string
		cause error
		text  string
	}{
		"a missing file":     {filepath.Join(t.TempDir(), "cosign.pub"), fs.ErrNotExist, ""},
		"a directory":        {t.TempDir(), nil, "is a directory"},
		"below a file":       {filepath.Join(goldenKeys, "ecdsa-p256.pub", "x"), nil, ""},
		"100 MB":             {large, verify.ErrLimit, ""},
		"a private key":      {filepath.Join(goldenKeys, "ecdsa-p256.key"), nil, "private key"},
		"an empty reference": {"", nil, "empty key reference"},
		"no variable":        {"env://", nil, "no variable named"},
		"an unset variable":  {"env://COSIGNKIT_TEST_UNSET", nil, "not set"},
		"a KMS":              {"awskms:///alias/key", nil, "not supported"},
		"an unknown scheme":  {"foo://bar", nil, "not supported"},
		"a URL":              {"https://registry.example/cosign.pub", nil, "not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := verify.LoadPublicKey(c.ref)
			wantFamily(t, err, verify.ErrMisconfigured)
			if key != nil {
				t.Error("a key beside the error")
			}
			if c.cause != nil && !errors.Is(err, c.cause) {
				t.Errorf("cause of %q is not %q", err, c.cause)
			}
			if !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), c.ref) {
				t.Errorf("error is %q, want one that names %q and says %q", err, c.ref, c.text)
			}
		})
	}
}

func TestLoadPublicKeyNeverRepeatsAKeyGivenAsReference(t *testing.T) {
	t.Parallel()
	private, err := x509.MarshalPKCS8PrivateKey(keys["P-256"]())
	if err != nil {
		t.Fatal(err)
	}
	for name, ref := range map[string]string{
		"a private key": string(pemOf("PRIVATE KEY", private)),
		"a public key":  string(readFile(t, goldenKeys, "ecdsa-p256.pub")),
	} {
		_, err := verify.LoadPublicKey(ref)
		wantFamily(t, err, verify.ErrMisconfigured)
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error has several lines: %.80q", name, err)
		}
		wantNoLineOf(t, err, []byte(ref))
	}
}

func TestLoadPublicKeyFromEnvironmentVariable(t *testing.T) {
	t.Setenv("COSIGNKIT_TEST_KEY", string(readFile(t, goldenKeys, "ed25519.pub")))
	key, err := verify.LoadPublicKey("env://COSIGNKIT_TEST_KEY")
	if err != nil {
		t.Fatal(err)
	}
	v := newVerifier(t, verify.Policy{Keys: []crypto.PublicKey{key}, InsecureIgnoreTransparencyLog: true})
	wantAccepted(t, v, goldenLegacy(t, "cosign3", "ed25519"))
}
