// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/internal/fault"
)

// FuzzParsePrivateKey holds that no input panics, is opened, or is repeated in
// the error. Input whose scrypt parameters are good stops at the passphrase:
// a quarter of a second for each would leave the fuzzer no time.
func FuzzParsePrivateKey(f *testing.F) {
	files, err := filepath.Glob("../testdata/keys/*")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
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
	stop := errors.New("no passphrase today")
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := ParsePrivateKey(context.Background(), b, func(context.Context, string) ([]byte, error) {
			if block, _ := pem.Decode(b); slow(block.Bytes) {
				return nil, stop
			}
			return []byte("a passphrase that is secret"), nil
		})
		if key != nil || !errors.Is(err, ErrMisconfigured) || fault.Family(err) != ErrMisconfigured {
			t.Fatalf("opened as %T with the error %v", key, err)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("error contains the passphrase: %v", err)
		}
		if key, err := parsePKCS8(b); (key == nil) != (err != nil) {
			t.Errorf("parsePKCS8 returned %T and %v", key, err)
		}
		if key, err := parseUnencrypted(b); (key == nil) != (err != nil) {
			t.Errorf("parseUnencrypted returned %T and %v", key, err)
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
