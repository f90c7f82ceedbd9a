// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"testing"
)

// TestUnsigned: every party refuses an image without a signature.
func TestUnsigned(t *testing.T) {
	for _, r := range registries {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			img := r.push(t)
			for _, p := range parties() {
				key := p.key(t, p256)
				in := row{"unsigned", "", p256.name, "nobody", p.name}
				results.expect(t, in, r.name, refused, func(t *testing.T) {
					p.refuses(t, r, key, img, nil, noSignatures)
				})
			}
		})
	}
}

// TestWrongKey: every party refuses an image that another key has signed.
func TestWrongKey(t *testing.T) {
	for _, r := range registries {
		for _, signer := range parties() {
			for _, form := range singleForms {
				t.Run(fmt.Sprintf("%s/%s/%s", r.name, signer.name, form), func(t *testing.T) {
					t.Parallel()
					stranger := keyMadeHere(t, p256, "stranger")
					img := r.push(t)
					signer.sign(t, r, form, signer.key(t, p256), img, nil)
					for _, p := range parties() {
						in := row{"wrong key", string(form), p256.name, signer.name, p.name}
						results.expect(t, in, r.name, refused, func(t *testing.T) {
							p.refuses(t, r, stranger, img, nil, badSignature(form))
						})
					}
				})
			}
		}
	}
}
