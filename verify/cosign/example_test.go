// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosign_test

import (
	"context"
	"crypto"
	"fmt"
	"log"
	"os"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/cosign"
)

// Ask package verify and cosign's own library about each image. Clients of
// package registry take what Both returns like any other verifier.
func Example() {
	key, err := verify.LoadPublicKey("../../testdata/keys/ed25519.pub")
	if err != nil {
		log.Fatal(err)
	}
	policy := verify.Policy{Keys: []crypto.PublicKey{key}, InsecureIgnoreTransparencyLog: true}
	now, err := verify.New(policy)
	if err != nil {
		log.Fatal(err)
	}
	old, err := cosign.New(policy)
	if err != nil {
		log.Fatal(err) // also if cosign cannot express the policy
	}
	// cosign signed it with Ed25519ph, and verifies pure Ed25519 alone.
	bundle, err := os.ReadFile("../../testdata/signatures/cosign3-ed25519.bundle.json")
	if err != nil {
		log.Fatal(err)
	}
	image := verify.Image{
		Name:   "registry.example/team/app:v1",
		Target: ocispec.Descriptor{Digest: "sha256:c0658bff4751d9f90117de2816ec4582f00d2aedaa684f137217ba98efb4e766"},
	}
	candidates := []verify.Candidate{{Origin: verify.Origin{Source: verify.SourceReferrersAPI}, Bundle: bundle}}
	result, err := verify.Both(now, old).Verify(context.Background(), image, candidates)
	fmt.Println(result.Accepted, err != nil)
	for _, difference := range result.Differences[1:] {
		fmt.Println(difference)
	}
	// Output:
	// false true
	// referrers API: only the first verifier accepts it: cosign: failed to verify signature: could not verify envelope: accepted signatures do not match threshold, Found: 0, Expected 1
}
