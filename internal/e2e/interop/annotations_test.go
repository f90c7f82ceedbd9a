// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"testing"

	"github.com/cosignkit/cosignkit/signing"
)

// TestAnnotations: every party signs with annotations, and every party requires
// the same ones, and then others.
func TestAnnotations(t *testing.T) {
	for _, r := range registries {
		for _, signer := range parties() {
			for _, form := range singleForms {
				t.Run(fmt.Sprintf("%s/%s/%s", r.name, signer.name, form), func(t *testing.T) {
					t.Parallel()
					annotations(t, r, signer, form, p256.name, signer.key(t, p256))
				})
			}
		}
	}
}

// TestRecordedAnnotations is TestAnnotations without a key.
func TestRecordedAnnotations(t *testing.T) {
	for _, signer := range parties() {
		for _, form := range singleForms {
			t.Run(signer.name+"/"+string(form), func(t *testing.T) {
				t.Parallel()
				annotations(t, registries[0], signer, form, noKey, certified{person(), services{recording: rekorV1Stamped}})
			})
		}
	}
}

func annotations(t *testing.T, r testRegistry, signer party, form signing.Form, key string, with credential) {
	t.Helper()
	img := r.push(t)
	signer.sign(t, r, form, with, img, map[string]string{"env": "prod", "team": "a"})
	in := row{"", string(form), key, signer.name, ""}
	for _, p := range parties() {
		in.verifier = p.name
		matchingAnnotations(t, r, in, signer, p, form, with, img)
		otherAnnotations(t, r, in, signer, p, form, with, img)
	}
}

// dropsAnnotations reports whether annotations are lost in the hands of p:
// cosign v2 neither signs them into bundles nor checks them there.
func dropsAnnotations(p party, form signing.Form) bool {
	return p.isV2() && form == signing.Bundle
}

func annotationFailure(form signing.Form) failure {
	if form == signing.Legacy {
		return legacyAnnotation
	}
	return bundleAnnotation
}

func matchingAnnotations(t *testing.T, r testRegistry, in row, signer, p party, form signing.Form, with credential, img image) {
	t.Helper()
	in.what = "annotations match"
	match := map[string]string{"env": "prod"}
	if dropsAnnotations(signer, form) && !dropsAnnotations(p, form) {
		const note = "refused: cosign v2 does not sign annotations into bundles"
		results.expect(t, in, with.recorded().column(r), note, func(t *testing.T) {
			p.refuses(t, r, with, img, match, annotationFailure(form))
		})
		return
	}
	results.expect(t, in, with.recorded().column(r), verified, func(t *testing.T) {
		p.verifies(t, r, form, with, img, match)
	})
}

func otherAnnotations(t *testing.T, r testRegistry, in row, signer, p party, form signing.Form, with credential, img image) {
	t.Helper()
	for what, other := range map[string]map[string]string{
		"annotations differ":  {"env": "dev"},
		"annotations missing": {"owner": "b"},
	} {
		in.what = what
		if dropsAnnotations(p, form) {
			const note = "verified: cosign v2 does not check annotations of bundles"
			results.expect(t, in, with.recorded().column(r), note, func(t *testing.T) {
				p.verifies(t, r, form, with, img, other)
			})
			continue
		}
		results.expect(t, in, with.recorded().column(r), refused, func(t *testing.T) {
			p.refuses(t, r, with, img, other, annotationFailure(form))
		})
	}
}
