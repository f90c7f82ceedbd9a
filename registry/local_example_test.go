// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"errors"
	"fmt"
	"log"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/verify"
)

// What "run --pull missing" does: verify what is here, and pull what is not.
func ExampleClient_VerifyLocal() {
	e, client, done := newExample()
	defer done()
	if _, err := client.Sign(e.ctx, e.ref, e.signer); err != nil {
		log.Fatal(err)
	}

	must(e.cd.ImageService().Delete(e.ctx, e.ref)) // nothing is here yet
	for range 2 {
		result, err := client.VerifyLocal(e.ctx, e.cd, e.ref, e.verifier)
		if errdefs.IsNotFound(err) {
			fmt.Println("pull")
			_, result, err = hooks.Pull(e.ctx, client, e.cd, e.ref, e.verifier, nil)
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("run", result.Image.Target.Digest == e.target.Digest)
	}
	// Output:
	// pull
	// run true
	// run true
}

// A tool that has read the record already.
func ExampleClient_VerifyLocalImage() {
	e, client, done := newExample()
	defer done()
	if _, err := client.Sign(e.ctx, e.ref, e.signer); err != nil {
		log.Fatal(err)
	}
	if _, _, err := hooks.Pull(e.ctx, client, e.cd, e.ref, e.verifier, nil); err != nil {
		log.Fatal(err)
	}

	record, err := e.cd.ImageService().Get(e.ctx, e.ref)
	if err != nil {
		log.Fatal(err)
	}
	result, err := client.VerifyLocalImage(e.ctx, e.cd, verify.Image{Name: record.Name, Target: record.Target}, e.verifier)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("run", result.Image.Target.Digest == e.target.Digest)
	// Output: run true
}

// What "run --pull never" does on a host that must not reach a registry.
func ExampleWithoutRegistry() {
	e, client, done := newExample()
	defer done()
	if _, err := client.Sign(e.ctx, e.ref, e.signer); err != nil {
		log.Fatal(err)
	}

	// Some other tool has pulled, and kept nothing.
	if _, err := e.cd.Pull(e.ctx, e.ref, containerd.WithResolver(client.Resolver())); err != nil {
		log.Fatal(err)
	}
	_, err := client.VerifyLocal(e.ctx, e.cd, e.ref, e.verifier, registry.WithoutRegistry())
	fmt.Println("could not be checked:", errors.Is(err, verify.ErrInconclusive))
	// Asked once, the registry's signatures are here for the next time.
	_, err = client.VerifyLocal(e.ctx, e.cd, e.ref, e.verifier)
	fmt.Println("with the registry:", err)
	_, err = client.VerifyLocal(e.ctx, e.cd, e.ref, e.verifier, registry.WithoutRegistry())
	fmt.Println("without:", err)
	// Output:
	// could not be checked: true
	// with the registry: <nil>
	// without: <nil>
}

// A tool with a pull of its own keeps the signatures after it.
func ExampleKeepSignatures() {
	e, client, done := newExample()
	defer done()
	if _, err := client.Sign(e.ctx, e.ref, e.signer); err != nil {
		log.Fatal(err)
	}

	var result *verify.Result
	resolver := client.VerifyingResolver(e.verifier, registry.WithResult(func(r *verify.Result, _ error) { result = r }))
	if _, err := e.cd.Pull(e.ctx, e.ref, containerd.WithResolver(resolver)); err != nil {
		log.Fatal(err)
	}
	if err := registry.KeepSignatures(e.ctx, e.cd.ContentStore(), result); err != nil {
		log.Print("a later start will ask the registry: ", err)
	}
	_, err := client.VerifyLocal(e.ctx, e.cd, e.ref, e.verifier, registry.WithoutRegistry())
	fmt.Println(err)
	// Output: <nil>
}

// A tool pulls by digest, and gives the image the name that its user asked for.
func ExamplePin() {
	e, client, done := newExample()
	defer done()
	if _, err := client.Sign(e.ctx, e.ref, e.signer); err != nil {
		log.Fatal(err)
	}
	result, err := client.Verify(e.ctx, e.ref, e.verifier)
	if err != nil {
		log.Fatal(err)
	}
	pinned, err := result.Pinned()
	if err != nil {
		log.Fatal(err)
	}
	if _, err := e.cd.Pull(e.ctx, pinned, containerd.WithResolver(client.Resolver())); err != nil {
		log.Fatal(err)
	}
	if err := registry.Pin(e.ctx, e.cd.ImageService(), e.ref, result.Image.Target); err != nil {
		log.Fatal(err)
	}
	image, err := e.cd.ImageService().Get(e.ctx, e.ref)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(image.Target.Digest == e.target.Digest)
	// Output: true
}

// A daemon that embeds containerd's transfer service gives it this verifier.
func ExampleClient_ImageVerifier() {
	e, client, done := newExample()
	defer done()
	v, err := client.ImageVerifier(e.verifier)
	if err != nil {
		log.Fatal(err)
	}

	// What containerd calls between resolving and fetching.
	judgement, err := v.VerifyImage(e.ctx, e.ref, e.target)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(judgement.OK)
	if _, err := client.Sign(e.ctx, e.ref, e.signer); err != nil {
		log.Fatal(err)
	}
	judgement, err = v.VerifyImage(e.ctx, e.ref, e.target)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(judgement.OK)
	// Output:
	// false
	// true
}
