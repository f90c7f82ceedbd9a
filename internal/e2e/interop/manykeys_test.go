// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// TestManyKeys: each party adds a signature with a key of its own to the same
// image, after and before the others. None replaces another's: each key alone
// verifies everywhere, and all of them together here.
func TestManyKeys(t *testing.T) {
	for _, r := range registries {
		for _, form := range singleForms {
			reversed := parties()
			slices.Reverse(reversed)
			for _, signers := range [][]party{parties(), reversed} {
				t.Run(fmt.Sprintf("%s/%s/%s first", r.name, form, signers[0].name), func(t *testing.T) {
					t.Parallel()
					manyKeys(t, r, form, signers)
				})
			}
		}
	}
}

func manyKeys(t *testing.T, r testRegistry, form signing.Form, signers []party) {
	img := r.push(t)
	names := make([]string, 0, len(signers))
	keys := make([]keyFiles, 0, len(signers))
	for _, signer := range signers {
		key := ownKey(t, signer)
		signer.sign(t, r, form, key, img, nil)
		names, keys = append(names, signer.name), append(keys, key)
	}
	in := row{"a key each: any one", string(form), p256.name, strings.Join(names, " + "), ""}
	for _, p := range parties() {
		in.verifier = p.name
		results.expect(t, in, r.name, verified, func(t *testing.T) {
			for i, key := range keys {
				eachKey(t, r, p, names[i], key, img)
			}
		})
	}
	in.what, in.verifier = "a key each: all", here
	results.expect(t, in, r.name, verified, func(t *testing.T) {
		policy := verify.Policy{Threshold: len(keys), InsecureIgnoreTransparencyLog: true}
		for _, key := range keys {
			policy.Keys = append(policy.Keys, key.policy(t).Keys...)
		}
		if _, err := verifyHere(t, r, policy, img); err != nil {
			t.Error(err)
		}
	})
	stranger := keyMadeHere(t, p256, "stranger")
	in.what = "a key each: another"
	for _, p := range parties() {
		in.verifier = p.name
		results.expect(t, in, r.name, refused, func(t *testing.T) {
			p.refuses(t, r, stranger, img, nil, badSignature(form))
		})
	}
}

// ownKey is one of three different keys on P-256.
func ownKey(t *testing.T, p party) keyFiles {
	t.Helper()
	if p.command == nil {
		return keyMadeHere(t, p256, "shared")
	}
	return keyMadeBy(t, p.command, p256)
}

// eachKey fails the test unless p verifies what signer signed with key.
func eachKey(t *testing.T, r testRegistry, p party, signer string, key keyFiles, img image) {
	t.Helper()
	if p.command != nil {
		p.command.verify(t, key, img).succeeds(t)
		return
	}
	result, err := verifyHere(t, r, key.policy(t), img)
	if err != nil {
		t.Errorf("signature by %s: %v", signer, err)
		return
	}
	passed := slices.DeleteFunc(slices.Clone(result.Signatures), func(s verify.Signature) bool { return s.Err != nil })
	if len(passed) != 1 || len(result.Signatures) != 3 {
		t.Errorf("%d of %d signatures are by the key of %s, want 1 of 3", len(passed), len(result.Signatures), signer)
	}
}
