// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/sigstore/sigstore/pkg/signature/payload"

	"github.com/cosignkit/cosignkit/signing"
)

// TestPayloads: Result.Payloads is what cosign verify prints, so that a program
// that reads the one can read the other. For a bundle, cosign prints the
// reference that its user asked for as docker-reference, and cosignkit only
// what was signed; and cosign v2 prints no annotations.
func TestPayloads(t *testing.T) {
	r := registries[0]
	for _, signer := range parties() {
		for _, form := range singleForms {
			t.Run(signer.name+"/"+string(form), func(t *testing.T) {
				t.Parallel()
				key := signer.key(t, p256)
				img := r.push(t)
				signer.sign(t, r, form, key, img, map[string]string{"env": "prod"})
				result, err := verifyHere(t, r, key.policy(t), img)
				if err != nil {
					t.Fatal(err)
				}
				payloads, err := result.Payloads()
				if err != nil {
					t.Fatal(err)
				}
				samePayloads(t, form, payloads, cosignV3.verify(t, key, img))
				if form == signing.Legacy {
					samePayloads(t, form, payloads, cosignV2.verify(t, key, img))
				}
			})
		}
	}
}

func samePayloads(t *testing.T, form signing.Form, payloads []byte, o outcome) {
	t.Helper()
	o.succeeds(t)
	got, want := parsePayloads(t, payloads), parsePayloads(t, []byte(o.stdout))
	if form == signing.Bundle {
		for _, p := range slices.Concat(got, want) {
			p.Critical.Identity.DockerReference = ""
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("payloads\n%s\n%s prints\n%s", payloads, o.command, o.stdout)
	}
}

func parsePayloads(t *testing.T, b []byte) (payloads []*payload.SimpleContainerImage) {
	t.Helper()
	if err := json.Unmarshal(b, &payloads); err != nil {
		t.Fatalf("%v:\n%s", err, b)
	}
	return payloads
}
