// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	gcrlayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// newLayout makes an image layout as build tools write them.
func newLayout() (dir string, remove func()) {
	parent, err := os.MkdirTemp("", "cosignkit")
	must(err)
	dir = filepath.Join(parent, "app")
	path, err := gcrlayout.Write(dir, empty.Index)
	must(err)
	image, err := random.Image(16, 1)
	must(err)
	must(path.AppendImage(image))
	return dir, func() { must(os.RemoveAll(parent)) }
}

// An image is signed and verified where it was built, before any registry has
// it.
func ExampleLayoutResolver() {
	dir, remove := newLayout()
	defer remove()
	ctx := context.Background()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := verify.New(verify.Policy{Keys: []crypto.PublicKey{key.Public()}, InsecureIgnoreTransparencyLog: true})
	if err != nil {
		log.Fatal(err)
	}

	client, err := registry.New(registry.Config{Resolver: registry.LayoutResolver(dir)})
	if err != nil {
		log.Fatal(err)
	}
	// The name that signatures claim, and under which it will be pushed.
	const ref = "registry.example/team/app:v1"
	if _, err := client.Sign(ctx, ref, signer); err != nil {
		log.Fatal(err)
	}
	result, err := client.Verify(ctx, ref, verifier)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Accepted)
	// Output: true
}
