// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"testing"

	"github.com/cosignkit/cosignkit/signing"
)

// TestPEMFiles: the keys of the services are in PEM files, which the
// environment names, and their addresses are given one by one.
func TestPEMFiles(t *testing.T) {
	fromPEMs.roots(t) // here, for a parallel test may not set the environment
	for _, recorded := range []recording{rekorV1Stamped, rekorV1} {
		for _, signer := range parties() {
			for _, form := range singleForms {
				for _, kind := range []keyKind{{name: noKey}, p256} {
					i := recordedImage{"SIGSTORE_* PEM files", registries[0], signer, form, kind, services{recorded, fromPEMs}}
					t.Run(fmt.Sprintf("%s/%s/%s/%s", signer.name, form, kind.name, recorded.name), func(t *testing.T) {
						t.Parallel()
						i.pemFiles(t)
					})
				}
			}
		}
	}
}

func (i recordedImage) pemFiles(t *testing.T) {
	t.Helper()
	img := i.r.push(t)
	with := i.credential(t, i.services)
	if i.signer.command != nil && i.form == signing.Bundle {
		// cosign checks the bundles that it signs as it verifies them.
		i.signer.sign(t, i.r, i.form, i.credential(t, services{recording: i.recording}), img, nil)
	} else {
		i.signer.sign(t, i.r, i.form, with, img, nil)
	}
	in := row{i.what, string(i.form), i.kind.name, i.signer.name, ""}
	for _, p := range parties() {
		in.verifier = p.name
		if p.command != nil && i.form == signing.Bundle {
			const note = "refused: cosign verifies bundles with a trusted root only"
			results.expect(t, in, i.recording.name, note, func(t *testing.T) {
				p.refuses(t, i.r, with, img, nil, failure{1, "trusted root is required when using new bundle format"})
			})
			continue
		}
		results.expect(t, in, i.recording.name, verified, func(t *testing.T) {
			p.verifies(t, i.r, i.form, with, img, nil)
		})
	}
}

// TestTUF: the addresses of the services and their keys are in a TUF
// repository.
func TestTUF(t *testing.T) {
	for _, signer := range parties() {
		for _, kind := range []keyKind{{name: noKey}, p256} {
			recordedImage{"TUF repository", registries[0], signer, signing.Bundle, kind, services{rekorV2Stamped, fromTUF}}.run(t)
		}
	}
}

// TestNotRecorded: every party refuses a signature without a log entry.
func TestNotRecorded(t *testing.T) {
	for _, signer := range parties() {
		for _, form := range singleForms {
			t.Run(signer.name+"/"+string(form), func(t *testing.T) {
				t.Parallel()
				r := registries[0]
				key := signer.key(t, p256)
				img := r.push(t)
				signer.sign(t, r, form, key, img, nil)
				in := row{"no log entry", string(form), p256.name, signer.name, ""}
				f := byForm("signature not found in transparency log", "not enough verified log entries from transparency log: 0 < 1")
				refusedByAll(t, r, in, recordedKey{key, services{recording: rekorV1}}, img, f[form])
			})
		}
	}
}

// TestNotStamped: every party that asks for a timestamp refuses a bundle
// without one; cosign does not ask with legacy signatures.
func TestNotStamped(t *testing.T) {
	for _, signer := range parties() {
		for _, form := range singleForms {
			t.Run(signer.name+"/"+string(form), func(t *testing.T) {
				t.Parallel()
				r := registries[0]
				img := r.push(t)
				signer.sign(t, r, form, certified{person(), services{recording: rekorV1}}, img, nil)
				asks := certified{person(), services{recording: rekorV1Stamped}}
				in := row{"no timestamp", string(form), noKey, signer.name, ""}
				for _, p := range parties() {
					in.verifier = p.name
					if p.command != nil && form == signing.Legacy {
						const note = "verified: cosign asks for no timestamp with legacy signatures, also not by --use-signed-timestamps"
						results.expect(t, in, rekorV1.name, note, func(t *testing.T) { p.verifies(t, r, form, asks, img, nil) })
						continue
					}
					results.expect(t, in, rekorV1.name, refused, func(t *testing.T) {
						p.refuses(t, r, asks, img, nil, failure{1, "threshold not met for verified signed timestamps: 0 < 1"})
					})
				}
			})
		}
	}
}
