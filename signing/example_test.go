// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package signing_test

import (
	"bytes"
	"context"
	"crypto"
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
	"github.com/cosignkit/cosignkit/verify"
)

// Open a key that cosign generate-key-pair wrote, and sign an image with it.
func Example() {
	ctx := context.Background()
	passphrase := signing.Passphrase([]byte("correct horse battery staple"))
	key, err := signing.LoadPrivateKey(ctx, "../testdata/keys/ecdsa-p256.key", passphrase)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
	if err != nil {
		log.Fatal(err)
	}
	signatures, err := signer.Sign(ctx, signing.Request{
		Digest:      "sha256:c0658bff4751d9f90117de2816ec4582f00d2aedaa684f137217ba98efb4e766",
		Repository:  "registry.example/team/app",
		Annotations: map[string]string{"env": "prod"},
		Form:        signing.Both,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range signatures {
		fmt.Println(s.Form)
	}
	// Output:
	// bundle
	// legacy
}

func ExampleLoadPrivateKey() {
	ask := signing.Passphrase([]byte("wrong"))
	_, err := signing.LoadPrivateKey(context.Background(), "../testdata/keys/ed25519.key", ask)
	switch {
	case errors.Is(err, signing.ErrWrongPassphrase):
		fmt.Println("ask again:", err)
	case errors.Is(err, fs.ErrNotExist):
		fmt.Println("no such key:", err)
	case err != nil:
		fmt.Println(err)
	}
	// Output:
	// ask again: open private key ../testdata/keys/ed25519.key: wrong passphrase, or the key is damaged
}

func ExampleParsePrivateKey() {
	notAKey := []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
	_, err := signing.ParsePrivateKey(context.Background(), notAKey, nil)
	fmt.Println(err)
	fmt.Println(errors.Is(err, signing.ErrPublicKey), errors.Is(err, signing.ErrMisconfigured))
	// Output:
	// open private key: this is a public key, want a private key
	// true true
}

// What cosign generate-key-pair k8s://namespace/name makes is a secret with the keys
// cosign.key, cosign.pub and cosign.password. Who runs in the cluster mounts it, or
// has it from a client of Kubernetes as map[string][]byte.
func ExampleParsePrivateKey_kubernetesSecret() {
	mounted := os.DirFS("../testdata/keys") // such as /run/secrets/cosign
	secret := map[string][]byte{"cosign.password": []byte("correct horse battery staple")}
	for name, file := range map[string]string{"cosign.key": "ecdsa-p256.key", "cosign.pub": "ecdsa-p256.pub"} {
		b, err := fs.ReadFile(mounted, file)
		if err != nil {
			log.Fatal(err)
		}
		secret[name] = b
	}

	key, err := signing.ParsePrivateKey(context.Background(), secret["cosign.key"], signing.Passphrase(secret["cosign.password"]))
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

func ExamplePassphrase() {
	ask := signing.Passphrase([]byte("correct horse battery staple"))
	p, err := ask(context.Background(), "cosign.key")
	fmt.Printf("%s %v\n", p, err)
	// Output:
	// correct horse battery staple <nil>
}

// COSIGN_PASSWORD answers where it is set, as it does for the cosign CLI, and
// otherwise the user is asked.
func ExamplePassphraseFromEnvironment() {
	prompt := func(_ context.Context, name string) ([]byte, error) {
		fmt.Println("passphrase of", name+"?")
		return []byte("typed by the user"), nil
	}
	if err := os.Unsetenv("COSIGN_PASSWORD"); err != nil {
		log.Fatal(err)
	}
	p, err := signing.PassphraseFromEnvironment(prompt)(context.Background(), "cosign.key")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", p)
	// Output:
	// passphrase of cosign.key?
	// typed by the user
}

func ExampleGenerateKeyPair() {
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	pair, err := signing.GenerateKeyPair(signing.DefaultAlgorithm, []byte("correct horse battery staple"))
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

func ExampleImportKeyPair() {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		log.Fatal(err)
	}
	existing := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})

	pair, err := signing.ImportKeyPair(existing, []byte("correct horse battery staple"))
	if err != nil {
		log.Fatal(err)
	}
	firstLine, _, _ := bytes.Cut(pair.Private, []byte("\n"))
	fmt.Printf("%s\n", firstLine)
	// Output:
	// -----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
}

// An existing file is never replaced unless that is asked for.
func ExampleKeyPair_WriteFiles() {
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	pair := &signing.KeyPair{Private: []byte("…"), Public: []byte("…")}
	prefix := filepath.Join(dir, "cosign")
	fmt.Println(pair.WriteFiles(prefix, false))
	fmt.Println(errors.Is(pair.WriteFiles(prefix, false), fs.ErrExist))
	fmt.Println(pair.WriteFiles(prefix, true))
	// Output:
	// <nil>
	// true
	// <nil>
}

// Any crypto.Signer will do, such as one for a hardware token.
func ExampleNewKeySigner() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key.PublicKey.Equal(signer.PublicKey()))
	// Output:
	// true
}

func ExampleKeySigner_Sign() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
	if err != nil {
		log.Fatal(err)
	}
	signatures, err := signer.Sign(context.Background(), signing.Request{
		Digest:     "sha256:c0658bff4751d9f90117de2816ec4582f00d2aedaa684f137217ba98efb4e766",
		Repository: "registry.example/team/app",
		Form:       signing.Legacy,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.76s…\n", signatures[0].Payload)
	// Output:
	// {"critical":{"identity":{"docker-reference":"registry.example/team/app"},"im…
}

// What is wrong with a request is known before anything is uploaded.
func ExampleKeySigner_Preflight() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(signer.Preflight(context.Background(), signing.Request{Form: signing.Legacy}))
	// Output:
	// sign: a legacy signature needs a repository to claim
}

func ExampleParseForm() {
	for _, flag := range []string{"", "both", "sig"} {
		form, err := signing.ParseForm(flag)
		fmt.Printf("%q %v\n", form, err)
	}
	// Output:
	// "bundle" <nil>
	// "both" <nil>
	// "" parse form: unknown signature format "sig", want bundle, legacy or both
}

// Sign a file, and verify it without a registry.
func ExampleKeySigner_SignArtifact() {
	ctx := context.Background()
	key, err := signing.LoadPrivateKey(ctx, "../testdata/keys/ecdsa-p256.key", signing.Passphrase([]byte("correct horse battery staple")))
	if err != nil {
		log.Fatal(err)
	}
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
	if err != nil {
		log.Fatal(err)
	}
	file := []byte("any file")
	bundle, err := signer.SignArtifact(ctx, file)
	if err != nil {
		log.Fatal(err)
	}
	_, err = verify.Bundle(ctx, verify.Policy{
		Keys: []crypto.PublicKey{signer.PublicKey()}, InsecureIgnoreTransparencyLog: true,
	}, verify.Artifact{Content: bytes.NewReader(file)}, bundle)
	fmt.Println(err)
	// Output:
	// <nil>
}

// Attest to a file. What would be the signature of an image is refused.
func ExampleKeySigner_SignStatement() {
	ctx := context.Background()
	key, err := signing.LoadPrivateKey(ctx, "../testdata/keys/ecdsa-p256.key", signing.Passphrase([]byte("correct horse battery staple")))
	if err != nil {
		log.Fatal(err)
	}
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
	if err != nil {
		log.Fatal(err)
	}
	const statement = `{"_type": "https://in-toto.io/Statement/v1",
		"subject": [{"name": "app", "digest": {"sha256": "c0658bff4751d9f90117de2816ec4582f00d2aedaa684f137217ba98efb4e766"}}],
		"predicateType": %q, "predicate": {}}`
	for _, predicate := range []string{"https://slsa.dev/provenance/v1", "https://sigstore.dev/cosign/sign/v1"} {
		bundle, err := signer.SignStatement(ctx, fmt.Appendf(nil, statement, predicate))
		fmt.Println(bundle != nil, err)
	}
	// Output:
	// true <nil>
	// false sign statement: predicate type "https://sigstore.dev/cosign/sign/v1" is an image signature, which only Sign makes
}
