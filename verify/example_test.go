// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// Decide about an image with a public key and the one signature that was found.
// Package registry finds signatures, and its Client.Verify does all of this.
func Example() {
	key, err := verify.LoadPublicKey("../testdata/keys/ecdsa-p256.pub")
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := verify.New(verify.Policy{
		Keys:                          []crypto.PublicKey{key},
		Annotations:                   map[string]string{"env": "golden"},
		InsecureIgnoreTransparencyLog: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	bundle, err := os.ReadFile("../testdata/signatures/cosign3-ecdsa-p256.bundle.json")
	if err != nil {
		log.Fatal(err)
	}
	image := verify.Image{
		Name: "registry.example/team/app:v1",
		Target: ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest,
			Digest:    "sha256:c0658bff4751d9f90117de2816ec4582f00d2aedaa684f137217ba98efb4e766",
		},
	}
	result, err := verifier.Verify(context.Background(), image, []verify.Candidate{
		{Origin: verify.Origin{Source: verify.SourceReferrersAPI}, Bundle: bundle},
	})
	switch {
	case errors.Is(err, verify.ErrRejected):
		log.Fatal("must not run: ", err)
	case errors.Is(err, verify.ErrInconclusive):
		log.Fatal("must not run, try again: ", err)
	case err != nil:
		log.Fatal(err)
	}
	pinned, err := result.Pinned()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(pinned)
	fmt.Println(result.Signatures[0].Claims.Annotations)
	// Output:
	// registry.example/team/app:v1@sha256:c0658bff4751d9f90117de2816ec4582f00d2aedaa684f137217ba98efb4e766
	// map[env:golden run:7]
}

// exampleResult is the verdict on one good and one bad candidate.
func exampleResult() *verify.Result {
	key, err := verify.LoadPublicKey("../testdata/keys/ecdsa-p256.pub")
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := verify.New(verify.Policy{Keys: []crypto.PublicKey{key}, InsecureIgnoreTransparencyLog: true})
	if err != nil {
		log.Fatal(err)
	}
	bundle, err := os.ReadFile("../testdata/signatures/cosign3-ecdsa-p256.bundle.json")
	if err != nil {
		log.Fatal(err)
	}
	image := verify.Image{
		Name:   "registry.example/app",
		Target: ocispec.Descriptor{Digest: "sha256:c0658bff4751d9f90117de2816ec4582f00d2aedaa684f137217ba98efb4e766"},
	}
	result, err := verifier.Verify(context.Background(), image, []verify.Candidate{
		{Origin: verify.Origin{Source: verify.SourceReferrersAPI}, Bundle: bundle},
		{Origin: verify.Origin{Source: verify.SourceSignatureTag}},
	})
	if err != nil {
		log.Fatal(err)
	}
	return result
}

// A policy that accepts nothing, or that could not be honoured in full, is an
// error and no verifier.
func ExampleNew() {
	_, err := verify.New(verify.Policy{})
	fmt.Println(err)
	fmt.Println(errors.Is(err, verify.ErrMisconfigured))
	// Output:
	// new verifier: policy: the policy names no key and no identity
	// true
}

func ExamplePolicy() {
	var keys []crypto.PublicKey
	for _, name := range []string{"ecdsa-p256", "rsa-2048", "ed25519"} {
		key, err := verify.LoadPublicKey("../testdata/keys/" + name + ".pub")
		if err != nil {
			log.Fatal(err)
		}
		keys = append(keys, key)
	}
	_, err := verify.New(verify.Policy{
		Keys:                          keys,
		Threshold:                     2, // of the three
		Annotations:                   map[string]string{"env": "prod"},
		Repository:                    verify.ExactRepository(),
		InsecureIgnoreTransparencyLog: true,
	})
	fmt.Println(err)
	// Output:
	// <nil>
}

func ExampleLoadPublicKey() {
	key, err := verify.LoadPublicKey("../testdata/keys/ed25519.pub")
	fmt.Printf("%T %v\n", key, err)

	_, err = verify.LoadPublicKey("env://NO_SUCH_VARIABLE")
	fmt.Println(err)
	// Output:
	// ed25519.PublicKey <nil>
	// open public key env://NO_SUCH_VARIABLE: environment variable is not set
}

func ExampleParsePublicKey() {
	key, err := verify.ParsePublicKey([]byte(`-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
`))
	fmt.Printf("%T %v\n", key, err)
	// Output:
	// ed25519.PublicKey <nil>
}

func ExampleExactRepository() {
	accepts := verify.ExactRepository()
	fmt.Println(accepts("registry.example/app", "registry.example/app"))
	fmt.Println(accepts("registry.example/app", "registry.example/app-debug"))
	// Output:
	// true
	// false
}

// Images come from a mirror, and were signed under their names on Docker Hub.
func ExampleRemapRepository() {
	accepts := verify.RemapRepository(map[string]string{"mirror.example/hub": "docker.io"})
	fmt.Println(accepts("mirror.example/hub/library/alpine", "docker.io/library/alpine"))
	fmt.Println(accepts("mirror.example/hub/library/alpine", "docker.io/library/busybox"))
	// Output:
	// true
	// false
}

// The result says for every candidate what it was worth.
func ExampleResult() {
	for _, s := range exampleResult().Signatures {
		if s.Err != nil {
			fmt.Printf("%s: %v\n", s.Origin, s.Err)
			continue
		}
		fmt.Printf("%s: signed with %.14s…\n", s.Origin, s.KeyID)
	}
	// Output:
	// referrers API: signed with sha256:f774773…
	// signature tag: the layer carries no signature
}

func ExampleResult_MarshalJSON() {
	b, err := json.Marshal(exampleResult().Signatures[0].Origin)
	fmt.Println(string(b), err)

	b, err = json.Marshal(verify.Result{Image: verify.Image{Name: "registry.example/app"}})
	fmt.Println(string(b), err)
	// Output:
	// {"source":"referrers API","layer":0} <nil>
	// {"name":"registry.example/app","digest":"","accepted":false,"verified":false,"signatures":[]} <nil>
}

// What cosign verify prints.
func ExampleResult_Payloads() {
	b, err := exampleResult().Payloads()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.75s…\n", b)
	// Output:
	// [{"critical":{"identity":{"docker-reference":""},"image":{"docker-manifest-…
}

func ExampleResult_Pinned() {
	fmt.Println(exampleResult().Pinned())

	_, err := (&verify.Result{}).Pinned()
	fmt.Println(err)
	// Output:
	// registry.example/app@sha256:c0658bff4751d9f90117de2816ec4582f00d2aedaa684f137217ba98efb4e766 <nil>
	// pin: the image is not accepted
}

func ExampleImage_String() {
	fmt.Println(exampleResult().Image)
	// Output:
	// registry.example/app@sha256:c0658bff4751d9f90117de2816ec4582f00d2aedaa684f137217ba98efb4e766
}

func ExampleOrigin_String() {
	fmt.Println(verify.Origin{Source: verify.SourceSignatureTag})
	// Output:
	// signature tag
}

func ExampleError() {
	_, err := verify.LoadPublicKey("missing.pub")
	var e *verify.Error
	if errors.As(err, &e) {
		fmt.Println(e.Op, "|", e.Subject, "|", e.Kind)
	}
	// Output:
	// open public key | missing.pub | misconfigured
}

// Verify what others say of an artifact that is no image, with no registry: here
// the provenance of an npm package, by the digest of its archive.
func ExampleBundle() {
	root, err := trust.Load("../testdata/public-good/trusted_root.json")
	if err != nil {
		log.Fatal(err)
	}
	bundle, err := os.ReadFile("../testdata/public-good/bundles/sigstore-js-2.0.0-provenance.sigstore.json")
	if err != nil {
		log.Fatal(err)
	}
	signature, err := verify.Bundle(context.Background(), verify.Policy{
		TrustedRoots: root,
		Identities: []verify.Identity{{
			Subject: "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main",
			Issuer:  "https://token.actions.githubusercontent.com",
		}},
	}, verify.Artifact{
		Digest: "sha512:46d4e2f74c4877316640000a6fdf8a8b59f1e0847667973e9859f774dd31b8f1e0937813b777fb66a2ac67d50540fe34640966eee9fc2ccca387082b4c85cd3c",
	}, bundle)
	if err != nil {
		log.Fatal(err)
	}
	// The bundle is by the right signer and about the artifact. What it says of
	// it is for the caller to look at.
	fmt.Println(signature.Claims.PredicateType)
	fmt.Println(signature.Identity.GitHub.Repository)
	// Output:
	// https://slsa.dev/provenance/v1
	// sigstore/sigstore-js
}

// A verifier decides while signatures are still being looked for, and looks at no
// more than it needs.
func ExampleStreamVerifier() {
	key, err := verify.LoadPublicKey("../testdata/keys/ecdsa-p256.pub")
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := verify.New(verify.Policy{Keys: []crypto.PublicKey{key}, InsecureIgnoreTransparencyLog: true})
	if err != nil {
		log.Fatal(err)
	}
	found := func(yield func(verify.Candidate) bool) {
		for _, name := range []string{"rsa-2048", "ecdsa-p256", "ed25519"} {
			bundle, err := os.ReadFile("../testdata/signatures/cosign3-" + name + ".bundle.json")
			if !yield(verify.Candidate{Bundle: bundle, Err: err}) {
				return
			}
		}
	}
	image := verify.Image{
		Name:   "registry.example/app",
		Target: ocispec.Descriptor{Digest: "sha256:c0658bff4751d9f90117de2816ec4582f00d2aedaa684f137217ba98efb4e766"},
	}
	result, err := verifier.(verify.StreamVerifier).VerifyStream(context.Background(), image, found)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(result.Signatures), "looked at")
	// Output:
	// 2 looked at
}

func ExampleLimits() {
	limits := verify.Limits{}.WithDefaults()
	limits.Candidates *= 2
	limits.Timeout = 10 * time.Second
	fmt.Println(limits.Candidates, limits.Timeout)
	// Output:
	// 4096 10s
}

// A Selection is applied once, to the verdict on an image. Package registry does it
// for whatever is passed as a verifier.
func ExampleSelection_Decide() {
	image := verify.Image{Name: "registry.example/app:v1"}
	image.Target.Digest = digest.FromString("manifest")
	selection := verify.Selection{Rule: "policy.yaml:12", InsecureAcceptAnything: true}
	result, err := selection.Decide(context.Background(), image, nil)
	fmt.Println(result.Accepted, result.Verified(), result.Unverified, err)
	// Output: true false policy.yaml:12: anything is accepted <nil>
}
