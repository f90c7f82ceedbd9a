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
	"fmt"
	"log"
	"os"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/keyfile"
	"github.com/cosignkit/cosignkit/verify"
)

// Open a key that cosign generate-key-pair wrote, and sign an image with it.
func Example() {
	ctx := context.Background()
	passphrase := signing.Passphrase([]byte("correct horse battery staple"))
	key, err := keyfile.Open(ctx, "../testdata/keys/ecdsa-p256.key", passphrase)
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
	key, err := keyfile.Open(ctx, "../testdata/keys/ecdsa-p256.key", signing.Passphrase([]byte("correct horse battery staple")))
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
	key, err := keyfile.Open(ctx, "../testdata/keys/ecdsa-p256.key", signing.Passphrase([]byte("correct horse battery staple")))
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
