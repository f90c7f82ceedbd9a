// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
)

// shape replaces what differs from run to run in a request.
func shape(request string) string {
	request, _, _ = strings.Cut(request, "?")
	parts := strings.Split(request, "/")
	for i, p := range parts {
		switch {
		case strings.HasPrefix(p, "sha256:"):
			parts[i] = "DIGEST"
		case strings.HasPrefix(p, "sha256-"):
			parts[i] = "TAG" + strings.TrimLeft(strings.TrimPrefix(p, "sha256-"), "0123456789abcdef")
		case i > 1 && parts[i-1] == "uploads" && p != "":
			parts[i] = "UPLOAD"
		}
	}
	return strings.Join(parts, "/")
}

// TestRequests counts what signing and verifying cost a registry, and prints
// it. cosign v2.6.5 makes 13 requests to sign and 5 to verify.
func TestRequests(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		api          bool
		form         signing.Form
		sign, verify int
	}{
		{"bundle, referrers API", true, signing.Bundle, 13, 6},
		{"bundle, referrers tag", false, signing.Bundle, 17, 5},
		{"legacy", true, signing.Legacy, 13, 5},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			reg := newTestRegistry(t, test.api)
			c := newClient(t, registry.Config{})
			cd, ctx := newStore(t)
			key := newKey(t)
			signer, verifier := signerOf(t, key), verifierOf(t, key)
			pushUnsigned(ctx, t, c, cd, reg.ref("app:v1"), putImage(ctx, t, cd, "image"))

			reg.record()
			if _, err := c.Sign(ctx, reg.ref("app:v1"), signer, registry.WithForm(test.form)); err != nil {
				t.Fatal(err)
			}
			signed := reg.recorded()
			reg.record()
			// All there are: without the option, those that are not done yet when
			// the image is acceptable are not counted twice the same.
			if _, err := c.Verify(ctx, reg.ref("app:v1"), verifier, registry.WithEverySignature()); err != nil {
				t.Fatal(err)
			}
			verified := reg.recorded()

			for op, requests := range map[string][]string{"sign": signed, "verify": verified} {
				t.Logf("%s: %d requests", op, len(requests))
				for _, r := range requests {
					t.Logf("  %s", shape(r))
					if strings.HasSuffix(r, "/v2/") {
						t.Errorf("%s: a ping", op)
					}
				}
			}
			if n := len(signed) - rereads(signed); n != test.sign || len(verified) != test.verify {
				t.Errorf("sign %d, verify %d requests; want %d and %d", n, len(verified), test.sign, test.verify)
			}
			seen := map[string]bool{}
			for _, r := range verified {
				if seen[r] {
					t.Errorf("verify asks twice: %s", r)
				}
				seen[r] = true
			}
		})
	}
}

// rereads counts the further reads of a tag before it is written. One is before the
// signature is made, and one after. A signer that took long since its last read, on a
// slow machine, reads it once more.
func rereads(requests []string) int {
	n := 0
	for i, r := range requests {
		address, isWrite := strings.CutPrefix(r, "PUT ")
		if !isWrite || !strings.Contains(address, "/manifests/sha256-") {
			continue
		}
		reads := 0
		for _, before := range requests[:i] {
			if before == "GET "+address {
				reads++
			}
		}
		n += max(0, reads-2)
	}
	return n
}
