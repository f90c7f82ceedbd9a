// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"

	"github.com/cosignkit/cosignkit/internal/golden"
)

// passphrase of every key. It is in README.md as well.
const passphrase = "correct horse battery staple"

// Kinds of keys. Each release generates the first and imports the others.
const (
	p256    = "p256"
	p384    = "p384"
	p521    = "p521"
	rsa2048 = "rsa-2048"
	rsa4096 = "rsa-4096"
	edwards = "ed25519"
)

// imported are the keys to import, by their kind and the format they come in.
var imported = []struct {
	kind, format string
	generate     func() (crypto.Signer, error)
	marshal      func(crypto.Signer) ([]byte, error)
}{
	{p384, "PRIVATE KEY", ecdsaKey(elliptic.P384()), pkcs8},
	{p521, "EC PRIVATE KEY", ecdsaKey(elliptic.P521()), sec1},
	{rsa2048, "RSA PRIVATE KEY", rsaKey(2048), pkcs1},
	{rsa4096, "PRIVATE KEY", rsaKey(4096), pkcs8},
	{edwards, "PRIVATE KEY", ed25519Key, pkcs8},
}

func ecdsaKey(curve elliptic.Curve) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return ecdsa.GenerateKey(curve, rand.Reader) }
}

func rsaKey(bits int) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, bits) }
}

func ed25519Key() (crypto.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return private, err
}

func pkcs8(key crypto.Signer) ([]byte, error) { return x509.MarshalPKCS8PrivateKey(key) }
func sec1(key crypto.Signer) ([]byte, error) {
	return x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey))
}
func pkcs1(key crypto.Signer) ([]byte, error) {
	return x509.MarshalPKCS1PrivateKey(key.(*rsa.PrivateKey)), nil
}

// keyName is the name of the file among the keys, without extension.
func keyName(r *cosign, kind string) string { return r.String() + "-" + kind }

func (m *maker) keyPath(r *cosign, kind string) string {
	return filepath.Join(m.out, golden.KeysDir, keyName(r, kind)+".key")
}

// makeKeys has the release generate a key and import the others. All releases
// can be told where to write, except the first line, which writes into the
// working directory under names of its own.
func (m *maker) makeKeys(ctx context.Context, r *cosign) error {
	if err := m.makeKey(ctx, r, p256, "", []string{"generate-key-pair"}, "cosign"); err != nil {
		return err
	}
	for _, i := range imported {
		key, err := i.generate()
		if err != nil {
			return err
		}
		der, err := i.marshal(key)
		if err != nil {
			return err
		}
		block := pem.EncodeToMemory(&pem.Block{Type: i.format, Bytes: der})
		if err := m.makeKey(ctx, r, i.kind, string(block), []string{"import-key-pair", "--key", i.kind + ".pem"}, "import-cosign"); err != nil {
			return err
		}
	}
	return nil
}

// makeKey runs the release in a directory with the key to import, and takes the
// pair that it writes there.
func (m *maker) makeKey(ctx context.Context, r *cosign, kind, plain string, args []string, wrote string) error {
	dir, err := os.MkdirTemp(m.scratch, "key-")
	if err != nil {
		return err
	}
	if plain != "" {
		if err := os.WriteFile(filepath.Join(dir, kind+".pem"), []byte(plain), 0o600); err != nil {
			return err
		}
	}
	if err := r.run(ctx, dir, passphrase, nil, args); err != nil {
		return err
	}
	name := keyName(r, kind)
	for _, extension := range []string{".key", ".pub"} {
		content, err := os.ReadFile(filepath.Join(dir, wrote+extension))
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(m.out, golden.KeysDir, name+extension), content); err != nil {
			return err
		}
	}
	m.manifest.Keys = append(m.manifest.Keys, golden.Key{
		File:       golden.Published(name + ".key"),
		PublicKey:  golden.Published(name + ".pub"),
		Tool:       r.tool(),
		Kind:       kind,
		Passphrase: passphrase,
		Command:    shellLine(nil, args),
	})
	return nil
}
