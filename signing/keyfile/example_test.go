// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package keyfile_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/keyfile"
	"github.com/cosignkit/cosignkit/verify"
)

func ExampleOpen() {
	ask := signing.Passphrase([]byte("wrong"))
	_, err := keyfile.Open(context.Background(), "../../testdata/keys/ed25519.key", ask)
	switch {
	case errors.Is(err, signing.ErrWrongPassphrase):
		fmt.Println("ask again:", err)
	case errors.Is(err, fs.ErrNotExist):
		fmt.Println("no such key:", err)
	case err != nil:
		fmt.Println(err)
	}
	// Output:
	// ask again: open private key ../../testdata/keys/ed25519.key: wrong passphrase, or the key is damaged
}

func ExampleParse() {
	notAKey := []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
	_, err := keyfile.Parse(context.Background(), notAKey, nil)
	fmt.Println(err)
	fmt.Println(errors.Is(err, keyfile.ErrPublicKey), errors.Is(err, signing.ErrMisconfigured))
	// Output:
	// open private key: this is a public key, want a private key
	// true true
}

// What cosign generate-key-pair k8s://namespace/name makes is a secret with the keys
// cosign.key, cosign.pub and cosign.password. Who runs in the cluster mounts it, or
// has it from a client of Kubernetes as map[string][]byte.
func ExampleParse_kubernetesSecret() {
	mounted := os.DirFS("../../testdata/keys") // such as /run/secrets/cosign
	secret := map[string][]byte{"cosign.password": []byte("correct horse battery staple")}
	for name, file := range map[string]string{"cosign.key": "ecdsa-p256.key", "cosign.pub": "ecdsa-p256.pub"} {
		b, err := fs.ReadFile(mounted, file)
		if err != nil {
			log.Fatal(err)
		}
		secret[name] = b
	}

	key, err := keyfile.Parse(context.Background(), secret["cosign.key"], signing.Passphrase(secret["cosign.password"]))
	if err != nil {
		log.Fatal(err)
	}
	public, err := verify.ParsePublicKey(secret["cosign.pub"])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key.Public().(*ecdsa.PublicKey).Equal(public))
	// Output:
	// true
}

func ExampleGenerate() {
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	pair, err := keyfile.Generate(keyfile.DefaultAlgorithm, []byte("correct horse battery staple"))
	if err != nil {
		log.Fatal(err)
	}
	if err := pair.WriteFiles(filepath.Join(dir, "cosign"), false); err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"cosign.key", "cosign.pub"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			log.Fatal(err)
		}
		firstLine, _, _ := bytes.Cut(b, []byte("\n"))
		fmt.Printf("%s: %s\n", name, firstLine)
	}
	// Output:
	// cosign.key: -----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
	// cosign.pub: -----BEGIN PUBLIC KEY-----
}

func ExampleImport() {
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		log.Fatal(err)
	}
	existing := filepath.Join(dir, "existing.key")
	if err := os.WriteFile(existing, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		log.Fatal(err)
	}

	pair, err := keyfile.Import(existing, []byte("correct horse battery staple"))
	if err != nil {
		log.Fatal(err)
	}
	firstLine, _, _ := bytes.Cut(pair.Private, []byte("\n"))
	fmt.Printf("%s\n", firstLine)
	// Output:
	// -----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
}

// An existing file is never replaced unless that is asked for.
func ExamplePair_WriteFiles() {
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	pair := &keyfile.Pair{Private: []byte("…"), Public: []byte("…")}
	prefix := filepath.Join(dir, "cosign")
	fmt.Println(pair.WriteFiles(prefix, false))
	fmt.Println(errors.Is(pair.WriteFiles(prefix, false), fs.ErrExist))
	fmt.Println(pair.WriteFiles(prefix, true))
	// Output:
	// <nil>
	// true
	// <nil>
}
