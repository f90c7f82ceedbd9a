// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package kms_test

import (
	"context"
	"crypto"
	"fmt"
	"log"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/fake" // a program imports aws, azure, gcp or hashivault

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/kms"
	"github.com/cosignkit/cosignkit/verify"
)

// Sign an image with a key that a service keeps, and verify it.
func Example() {
	ctx := context.Background()
	key, err := kms.PrivateKey(ctx, "fakekms://release")
	if err != nil {
		log.Fatal(err)
	}
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

// A scheme whose provider is not linked is refused, and no program is run for it.
func ExamplePrivateKey() {
	_, err := kms.PrivateKey(context.Background(), "awskms:///alias/release")
	fmt.Println(err)
	// Output:
	// open private key awskms:///alias/release: no provider of awskms:// is linked: the program must import _ "github.com/sigstore/sigstore/pkg/signature/kms/aws"
}

// The policy of who verifies has the key as the service gave it once.
func ExamplePublicKey() {
	public, err := kms.PublicKey(context.Background(), "fakekms://release")
	if err != nil {
		log.Fatal(err)
	}
	_, err = verify.New(verify.Policy{Keys: []crypto.PublicKey{public}, InsecureIgnoreTransparencyLog: true})
	fmt.Println(err)
	// Output:
	// <nil>
}
