// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyfile

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/signing"
)

// FuzzParse holds that no input panics, is opened, or is repeated in
// the error. Input whose scrypt parameters are good stops at the passphrase:
// a quarter of a second for each would leave the fuzzer no time. Other
// parameters, which can ask for any time and memory, are refused; if they were
// not, the fuzzer would hang.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("../../testdata/keys/*")
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
		key, err := Parse(context.Background(), b, func(context.Context, string) ([]byte, error) {
			if block, _ := pem.Decode(b); slow(block.Bytes) {
				return nil, stop
			}
			return []byte(passphrase), nil
		})
		if key != nil || !errors.Is(err, signing.ErrMisconfigured) || fault.Family(err) != signing.ErrMisconfigured {
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
