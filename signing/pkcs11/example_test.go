// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11_test

import (
	"context"
	"crypto"
	"fmt"
	"log"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/pkcs11"
	"github.com/cosignkit/cosignkit/verify"
)

// Sign an image with a key on a token, and verify it.
func Example() {
	ctx := context.Background()
	key, err := pkcs11.Open(ctx, pkcs11.Config{
		URI:    "pkcs11:token=release;object=p256",
		Module: "/usr/lib/softhsm/libsofthsm2.so",
		PIN:    signing.Passphrase([]byte("648219")),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = key.Close() }()

	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
	if err != nil {
		log.Fatal(err)
	}
	image := verify.Image{Target: ocispec.Descriptor{Digest: "sha256:c0658bff4751d9f90117de2816ec4582f00d2aedaa684f137217ba98efb4e766"}}
	signatures, err := signer.Sign(ctx, signing.Request{Digest: image.Target.Digest})
	if err != nil {
		log.Fatal(err)
	}

	verifier, err := verify.New(verify.Policy{Keys: []crypto.PublicKey{key.Public()}, InsecureIgnoreTransparencyLog: true})
	if err != nil {
		log.Fatal(err)
	}
	_, err = verifier.Verify(ctx, image, []verify.Candidate{{Bundle: signatures[0].Bundle}})
	fmt.Println(err)
	// Output:
	// <nil>
}

// The PIN is in no error, and neither is the query of a URI that has it.
func ExampleOpen() {
	_, err := pkcs11.Open(context.Background(), pkcs11.Config{
		URI: "pkcs11:token=release;object=other?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-value=648219",
	})
	fmt.Println(err)
	// Output:
	// open private key pkcs11:token=release;object=other: no private key fits the URI
}
