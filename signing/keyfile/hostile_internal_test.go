// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package keyfile

import (
	"context"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"runtime"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/signing"
)

// largeRSA is a private key in PKCS #1 whose numbers have many bits. It is no key
// that works: a parser that finds that out has spent the time.
func largeRSA(t *testing.T, bits uint) []byte {
	t.Helper()
	number := func(bits uint) *big.Int {
		return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), bits-1), big.NewInt(1))
	}
	b, err := asn1.Marshal(struct {
		Version                   int
		N, E, D, P, Q, DP, DQ, QI *big.Int
	}{
		0, number(bits), big.NewInt(65537), number(bits), number(bits / 2), number(bits / 2),
		number(bits / 2), number(bits / 2), number(bits / 2),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLargePrivateKeysAreNotParsed(t *testing.T) {
	t.Parallel()
	large := largeRSA(t, 4096*2)
	if len(large) <= limits.PrivateKey {
		t.Fatalf("%d bytes are not above the limit", len(large))
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: large})
	if err := checkUnencrypted(block); !errors.Is(err, limits.ErrExceeded) {
		t.Errorf("import: error is %v", err)
	}
	_, err := Parse(t.Context(), seal(t, large), func(context.Context, string) ([]byte, error) {
		t.Error("somebody was asked for the passphrase")
		return nil, nil
	})
	if !errors.Is(err, limits.ErrExceeded) {
		t.Errorf("encrypted: error is %v", err)
	}
}

func TestPrivateKeysThatAreNotDER(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{
		"nothing":             {},
		"a byte after it":     append(largeRSA(t, 1024), 0),
		"an indefinite one":   {0x30, 0x80, 2, 1, 0, 0, 0},
		"a child too long":    {0x30, 3, 2, 7, 0},
		"deeper than allowed": deep(limits.DERDepth + 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := checkUnencrypted(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}))
			if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "DER") && !strings.Contains(err.Error(), "ASN.1") {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func deep(levels int) []byte {
	b := []byte{5, 0}
	for range levels {
		b = append([]byte{0x30, byte(len(b))}, b...)
	}
	return b
}

// TestKeyFilesThatCanBeReadInTwoWays: nobody is asked for the passphrase of one.
func TestKeyFilesThatCanBeReadInTwoWays(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"a field twice":   `{"kdf":{},"kdf":{"name":"scrypt","params":{"N":65536,"r":8,"p":1}}}`,
		"twice, by case":  `{"kdf":{},"KDF":{"name":"scrypt","params":{"N":65536,"r":8,"p":1}}}`,
		"something after": `{"kdf":{"name":"scrypt","params":{"N":65536,"r":8,"p":1}}} {}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			block := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: []byte(content)})
			_, err := Parse(t.Context(), block, func(context.Context, string) ([]byte, error) {
				t.Error("somebody was asked for the passphrase")
				return nil, nil
			})
			if !errors.Is(err, ErrMalformed) || !errors.Is(err, signing.ErrMisconfigured) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

// TestKeyDerivationIsBounded counts what is allocated for a key file that asks for
// gigabytes. It counts for the whole process, and so runs alone.
func TestKeyDerivationIsBounded(t *testing.T) {
	for name, kdf := range map[string]string{
		"N":                    `"N":1073741824,"r":8,"p":1`,
		"r":                    `"N":65536,"r":8192,"p":1`,
		"p":                    `"N":65536,"r":8,"p":8192`,
		"good, then bad":       `"N":65536,"r":8,"p":1,"N":1073741824`,
		"good, then bad again": `"N":65536,"r":8,"p":1,"R":8192`,
	} {
		t.Run(name, func(t *testing.T) {
			block := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: []byte(
				`{"kdf":{"name":"scrypt","params":{` + kdf + `},"salt":"AAAA"},"cipher":{"name":"nacl/secretbox","nonce":"AAAA"},"ciphertext":"AAAA"}`)})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Parse(context.Background(), block, signing.Passphrase(nil))
			runtime.ReadMemStats(&after)
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("error is %v", err)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
				t.Errorf("%d bytes allocated", got)
			}
		})
	}
}
