// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"cmp"
	"errors"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// recordedKinds are the keys whose signatures are recorded, and none: a
// certificate.
func recordedKinds() []keyKind {
	return []keyKind{{name: noKey}, p256, p384, rsa2048, edwards}
}

// TestRecorded: each selection of services records a signature of each kind by
// each party, and every party verifies it; each as far as it can.
func TestRecorded(t *testing.T) {
	for _, recorded := range recordings() {
		for _, signer := range parties() {
			for _, form := range singleForms {
				for _, kind := range recordedKinds() {
					recordedImage{"image", registries[0], signer, form, kind, services{recording: recorded}}.run(t)
				}
			}
		}
	}
	us := party{name: here}
	recordedImage{"image", registries[0], us, signing.Both, keyKind{name: noKey}, services{recording: rekorV1Stamped}}.run(t)
}

// TestRecordedElsewhere: the other registries hold such signatures as well.
func TestRecordedElsewhere(t *testing.T) {
	for _, r := range registries[1:] {
		for _, signer := range parties() {
			for _, form := range singleForms {
				recordedImage{"image in " + r.name, r, signer, form, keyKind{name: noKey}, services{recording: rekorV1Stamped}}.run(t)
			}
		}
	}
}

// recordedImage is an image that one party signs.
type recordedImage struct {
	what   string // in the tables
	r      testRegistry
	signer party
	form   signing.Form
	kind   keyKind
	services
}

// run signs the image and has every party verify it.
func (i recordedImage) run(t *testing.T) {
	t.Helper()
	name := []string{i.r.name, i.signer.name, string(i.form), i.kind.name, i.recording.name}
	t.Run(strings.Join(name, "/"), func(t *testing.T) {
		t.Parallel()
		img := i.r.push(t)
		if with := i.credential(t, i.services); i.signs(t, with, img) {
			in := row{i.what, string(i.form), i.kind.name, i.signer.name, ""}
			verifyByAll(t, i.r, in, i.kind, with, img, i.form, i.signer.command != nil)
		}
	})
}

func (i recordedImage) credential(t *testing.T, s services) credential {
	t.Helper()
	if i.kind.name == noKey {
		return certified{person(), s}
	}
	return recordedKey{i.signer.key(t, i.kind), s}
}

// signs reports whether the image is signed: where the signer cannot, it says
// why.
func (i recordedImage) signs(t *testing.T, with credential, img image) bool {
	t.Helper()
	if limit := i.limit(); limit != nil {
		in := row{i.what, string(i.form), i.kind.name, i.signer.name, "(signing)"}
		results.expect(t, in, i.recording.name, limit.note, func(t *testing.T) {
			i.signer.cannotSign(t, i.r, i.form, with, img, limit.failure)
		})
		return false
	}
	i.signer.sign(t, i.r, i.form, with, img, nil)
	return true
}

// limit is how a party fails to sign, and why.
type limit struct {
	note string
	failure
}

// limit returns nil if the party signs.
func (i recordedImage) limit() *limit {
	if i.signer.command == nil {
		return i.limitHere()
	}
	legacy, v3 := i.form == signing.Legacy, i.signer.command.isV3()
	switch {
	case i.rekor == 2 && legacy:
		return &limit{"cosign sign fails: for a legacy signature it calls the API of Rekor v1, which Rekor v2 does not have",
			failure{1, "[POST /api/v1/log/entries][404]"}}
	case i.rekor == 2 && !v3:
		return &limit{"cosign sign fails: v2 sends a dsse entry, and Rekor v2 takes hashedrekord only",
			failure{1, "invalid type, must be hashedrekord"}}
	case i.recording == rekorV2 && i.kind.name == noKey:
		return &limit{"cosign sign fails: without a timestamp nothing would say that the certificate was valid",
			failure{1, "a timestamp authority must be provided"}}
	case i.rekor == 1 && !legacy && i.kind.name == p384.name:
		return &limit{"cosign sign fails: a dsse entry of Rekor v1 is verified with SHA-256, and the key signs with SHA-384",
			bundleBadSignature}
	case !legacy && i.kind.name == edwards.name:
		return &limit{"cosign sign fails: it makes Ed25519ph, and verifies pure Ed25519 only",
			bundleBadSignature}
	case i.rekor == 1 && !v3 && i.kind.name == p384.name:
		return &limit{"cosign sign fails: v2 declares SHA-256 to Rekor, and signs with SHA-384",
			failure{1, "createLogEntryBadRequest"}}
	case i.rekor == 1 && !v3 && i.kind.name == edwards.name:
		return &limit{"cosign sign fails: v2 declares SHA-256 to Rekor, and signs with Ed25519ph",
			failure{1, "createLogEntryBadRequest"}}
	default:
		return nil
	}
}

func (i recordedImage) limitHere() *limit {
	legacy := i.form == signing.Legacy
	otherLog := failure{message: "the only one that records bundles by keys of this kind"}
	edwardsLegacy := failure{message: "Ed25519 signatures of the legacy form cannot be recorded"}
	switch {
	case i.rekor != 0 && legacy && i.kind.name == edwards.name:
		return &limit{"refused: Rekor takes Ed25519ph only for a legacy signature, and cosign verify takes none", edwardsLegacy}
	case legacy && i.kind.name == edwards.name:
		return &limit{"refused: cosignkit records no legacy signature with Ed25519, also not by a timestamp alone", edwardsLegacy}
	case i.rekor == 2 && legacy:
		return &limit{"refused: a legacy signature has no place for an entry of Rekor v2",
			failure{message: "has only Rekor v2"}}
	case i.rekor == 2 && i.kind.name == edwards.name:
		return &limit{"refused: Rekor v2 takes Ed25519ph only, and cosign verify takes none", otherLog}
	case i.rekor == 1 && !legacy && i.kind.name == p384.name:
		return &limit{"refused: a dsse entry of Rekor v1 is verified with SHA-256, and the key signs with SHA-384", otherLog}
	case i.recording == rekorV2 && i.kind.name == noKey:
		return &limit{"refused: without a timestamp nothing would say that the certificate was valid",
			failure{message: "vouches for no time"}}
	default:
		return nil
	}
}

// cannotSign fails the test unless signing fails as f says; cosignkit says
// ErrMisconfigured, and what is in the message.
func (p party) cannotSign(t *testing.T, r testRegistry, form signing.Form, with credential, img image, f failure) {
	t.Helper()
	if p.command != nil {
		p.command.sign(t, form, with, img).fails(t, f)
		return
	}
	attached, err := r.client.Sign(t.Context(), img.pinned, with.signer(t), registry.WithForm(form))
	if !errors.Is(err, verify.ErrMisconfigured) || errors.Is(err, verify.ErrInconclusive) || len(attached) > 0 {
		t.Errorf("%d signatures, error %v; want one that is ErrMisconfigured and of no other family", len(attached), err)
	}
	if text := cmp.Or(err, errors.New("")).Error(); !strings.Contains(text, f.message) {
		t.Errorf("error %s, want %q", text, f.message)
	}
}
