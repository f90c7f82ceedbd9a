// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package registry_test

import (
	"testing"

	"github.com/cosignkit/cosignkit/internal/worktest"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/verify"
)

// TestAThousandHostileSignatures: a registry that lists many signatures made to be
// costly hides no good one after them, and ten times as many cost ten times as much.
func TestAThousandHostileSignatures(t *testing.T) {
	for _, place := range []junkPlace{junkPlaces[0], junkPlaces[3], junkPlaces[6]} {
		for kind := range hostileKinds {
			t.Run(place.name+", "+kind, func(t *testing.T) {
				work := func(n int) uint64 {
					j := newJunkTest(t)
					var pieces []piece
					for i := range n {
						pieces = append(pieces, hostilePiece(t, place.form, kind, i))
					}
					place.fill(j.shelf, "app", j.image.Target, append(pieces, goodPiece(place.form)))
					c, v := newClient(t, registry.Config{}), junkVerifier(t, verify.Limits{})
					return worktest.Allocated(func() {
						result, err := c.VerifyImage(t.Context(), j.image, v, registry.WithEverySignature())
						if err != nil || len(result.Signatures) != n+1 {
							t.Errorf("a good one after %d hostile ones: %d signatures, %v", n, len(result.Signatures), err)
						}
					})
				}
				work(1)
				if few, many := work(100), work(1000); many > 12*few {
					t.Errorf("%d bytes allocated for 1000, and %d for 100", many, few)
				}
			})
		}
	}
}
