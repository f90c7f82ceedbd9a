// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package keyfile

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"testing"

	"github.com/cosignkit/cosignkit/internal/worktest"
)

// TestKeyFilesCostLinearWork counts what hostile key files make each decoder
// allocate. It counts for the whole process, and so runs alone. To derive a key from a
// passphrase costs what the format says, and is left out here.
func TestKeyFilesCostLinearWork(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := os.ReadFile("../../testdata/keys/ecdsa-p256.key")
	if err != nil {
		t.Fatal(err)
	}
	stop := func(context.Context, string) ([]byte, error) { return nil, errors.New("no passphrase") }
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	for name, d := range map[string]worktest.Decoder{
		"unencrypted": {Decode: func(b []byte) { _ = checkUnencrypted(b) }, Seeds: [][]byte{pkcs1}, PerByte: 256, Fixed: 1 << 18},
		"encrypted":   {Decode: func(b []byte) { _, _ = Parse(context.Background(), b, stop) }, Seeds: [][]byte{sealed}, PerByte: 256, Fixed: 1 << 16},
	} {
		t.Run(name, func(t *testing.T) { worktest.Run(t, d) })
	}
}
