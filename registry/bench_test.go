// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"fmt"
	"testing"

	gcrname "github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
)

// benchImage puts an image into a repository of a registry on loopback.
func benchImage(b *testing.B, reg *testRegistry, repository string) string {
	b.Helper()
	image, err := random.Image(1<<20, 1)
	if err != nil {
		b.Fatal(err)
	}
	tag, err := gcrname.NewTag(reg.ref(repository + ":v1"))
	if err != nil {
		b.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		b.Fatal(err)
	}
	return tag.String()
}

func BenchmarkVerify(b *testing.B) {
	for _, form := range []signing.Form{signing.Bundle, signing.Legacy} {
		b.Run(string(form), func(b *testing.B) {
			reg := newTestRegistry(b, true)
			c := newClient(b, registry.Config{})
			key := newKey(b)
			ref, verifier := benchImage(b, reg, "app"), verifierOf(b, key)
			if _, err := c.Sign(b.Context(), ref, signerOf(b, key), registry.WithForm(form)); err != nil {
				b.Fatal(err)
			}
			reg.record()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Verify(b.Context(), ref, verifier); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(reg.recorded()))/float64(b.N), "requests/op")
		})
	}
}

// BenchmarkSign signs in the form that needs no shared tag. Each signature is one
// more referrer, which the registry lists each time: an image, in a repository of its
// own, gets ten, so that the figures do not depend on how often is signed.
func BenchmarkSign(b *testing.B) {
	reg := newTestRegistry(b, true)
	c := newClient(b, registry.Config{})
	signer := signerOf(b, newKey(b))
	ref := ""
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%10 == 0 {
			b.StopTimer()
			ref = benchImage(b, reg, fmt.Sprintf("app%d", n))
			b.StartTimer()
		}
		if _, err := c.Sign(b.Context(), ref, signer); err != nil {
			b.Fatal(err)
		}
	}
}
