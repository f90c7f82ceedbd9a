// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"testing"

	"github.com/cosignkit/cosignkit/signing"
)

var singleForms = []signing.Form{signing.Bundle, signing.Legacy}

// TestSignedByCosign: cosign signs an image with a key that was made here.
// cosignkit verifies it always, and each release as far as it can.
func TestSignedByCosign(t *testing.T) {
	for _, r := range registries {
		for _, c := range commands() {
			for _, form := range singleForms {
				for _, kind := range keyKinds() {
					t.Run(fmt.Sprintf("%s/%s/%s/%s", r.name, c.name, form, kind.name), func(t *testing.T) {
						t.Parallel()
						signer := party{c.name, c}
						key := signer.key(t, kind)
						img := r.push(t)
						in := row{"image", string(form), kind.name, signer.name, ""}
						signByCosign(t, r, c, form, kind, key, img)
						verifyByAll(t, r, in, kind, key, img, form, true)
					})
				}
			}
		}
	}
}

// signByCosign signs. cosign v3 checks what it signed when it is given a
// trusted root, and so finds that it cannot verify its own Ed25519ph.
func signByCosign(t *testing.T, r testRegistry, c *cosign, form signing.Form, kind keyKind, key keyFiles, img image) {
	t.Helper()
	if !c.isV3() || form != signing.Bundle || kind.name != edwards.name {
		c.sign(t, form, key, img).succeeds(t)
		return
	}
	in := row{"image", string(form), kind.name, c.name, "(signing)"}
	note := fmt.Sprintf("cosign sign fails when given a trusted root (%q); signed without one", bundleBadSignature.message)
	results.expect(t, in, r.name, note, func(t *testing.T) {
		c.sign(t, form, key, img).fails(t, bundleBadSignature)
	})
	c.sign(t, form, undocumented{key}, img).succeeds(t)
}

// TestSignedHere: cosignkit signs an image with a key that cosign made.
func TestSignedHere(t *testing.T) {
	for _, r := range registries {
		for _, form := range []signing.Form{signing.Bundle, signing.Legacy, signing.Both} {
			for _, kind := range keyKinds() {
				t.Run(fmt.Sprintf("%s/%s/%s", r.name, form, kind.name), func(t *testing.T) {
					t.Parallel()
					signer := party{name: here}
					key := signer.key(t, kind)
					img := r.push(t)
					in := row{"image", string(form), kind.name, signer.name, ""}
					signer.sign(t, r, form, key, img, nil)
					verifyByAll(t, r, in, kind, key, img, form, false)
				})
			}
		}
	}
}

// TestSignedIndex: the digest of a multi-platform index is signed.
func TestSignedIndex(t *testing.T) {
	for _, r := range registries {
		for _, signer := range parties() {
			for _, form := range singleForms {
				t.Run(fmt.Sprintf("%s/%s/%s", r.name, signer.name, form), func(t *testing.T) {
					t.Parallel()
					key := signer.key(t, p256)
					img := r.pushIndex(t)
					in := row{"index", string(form), p256.name, signer.name, ""}
					signer.sign(t, r, form, key, img, nil)
					verifyByAll(t, r, in, p256, key, img, form, signer.command != nil)
				})
			}
		}
	}
}

// verifyByAll verifies by every party, and by cosign as far as it can.
func verifyByAll(t *testing.T, r testRegistry, in row, kind keyKind, with credential, img image, form signing.Form, byCosign bool) {
	t.Helper()
	recorded := with.recorded()
	for _, p := range parties() {
		in.verifier = p.name
		switch {
		case p.command != nil && kind.name == edwards.name && byCosign:
			ed25519ph(t, r, in, p.command, with, img, form)
		case p.command != nil && kind.curveHash != "" && form == signing.Legacy && recorded.rekor == 1:
			curveEntry(t, r, in, p.command, with, img)
		case p.command != nil && kind.curveHash != "":
			curveHash(t, r, in, p.command, kind, with, img, form)
		case p.isV2() && kind.name == noKey && recorded.rekor == 2:
			signedTimestamps(t, r, in, p.command, with, img)
		default:
			results.expect(t, in, recorded.column(r), verified, func(t *testing.T) {
				p.verifies(t, r, form, with, img, nil)
				if form == signing.Both && p.command != nil && p.command.isV3() {
					// Without the flag it looks at the bundle only. v2 always does.
					p.command.verify(t, with, img, "--new-bundle-format=false").succeeds(t)
				}
			})
		}
	}
}

// ed25519ph: cosign signs images with Ed25519ph and verifies pure Ed25519.
func ed25519ph(t *testing.T, r testRegistry, in row, c *cosign, with credential, img image, form signing.Form) {
	t.Helper()
	const note = "refused: cosign sign makes Ed25519ph, cosign verify takes pure Ed25519 only"
	results.expect(t, in, with.recorded().column(r), note, func(t *testing.T) {
		c.verify(t, with, img).fails(t, badSignature(form))
	})
}

// curveHash: cosign verify expects SHA-256 on every curve unless it is told.
func curveHash(t *testing.T, r testRegistry, in row, c *cosign, kind keyKind, with credential, img image, form signing.Form) {
	t.Helper()
	flag := "--signature-digest-algorithm=" + kind.curveHash
	note := "verified with " + flag + ", refused without: cosign verify expects SHA-256"
	results.expect(t, in, with.recorded().column(r), note, func(t *testing.T) {
		c.verify(t, with, img).fails(t, badSignature(form))
		c.verify(t, with, img, flag).succeeds(t)
	})
}

// curveEntry: nothing makes it take a log entry with another hash.
func curveEntry(t *testing.T, r testRegistry, in row, c *cosign, with credential, img image) {
	t.Helper()
	const note = "refused: cosign verify takes no entry of Rekor v1 but with SHA-256 for a legacy signature"
	f := failure{legacyBadSignature.code, `error verifying bundle: unexpected algorithm: "sha384"`}
	results.expect(t, in, with.recorded().column(r), note, func(t *testing.T) {
		c.verify(t, with, img).fails(t, f)
		c.verify(t, with, img, "--signature-digest-algorithm=sha384").fails(t, f)
	})
}

// signedTimestamps: Rekor v2 vouches for no time, and cosign v2 looks at a
// timestamp only if it is told.
func signedTimestamps(t *testing.T, r testRegistry, in row, c *cosign, with credential, img image) {
	t.Helper()
	const flag = "--use-signed-timestamps"
	results.expect(t, in, with.recorded().column(r), "verified with "+flag+", refused without by cosign v2", func(t *testing.T) {
		c.verify(t, with, img).succeeds(t)
		c.verify(t, with, img, flag+"=false").fails(t, failure{1, "verified log entry integrated timestamps: 0 < 1"})
	})
}
