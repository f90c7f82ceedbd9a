// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
)

// TestSignedRecursively: an index is signed with each of its manifests, which
// each release of cosign and cosignkit then verify one by one.
func TestSignedRecursively(t *testing.T) {
	for _, r := range registries {
		for _, signer := range parties() {
			for _, form := range singleForms {
				t.Run(fmt.Sprintf("%s/%s/%s", r.name, signer.name, form), func(t *testing.T) {
					t.Parallel()
					key := signer.key(t, p256)
					img := r.pushIndex(t)
					if signer.command != nil {
						signer.command.sign(t, form, key, img, "--recursive").succeeds(t)
					} else if _, err := r.client.Sign(t.Context(), img.pinned, key.signer(t), registry.WithForm(form), registry.WithRecursive()); err != nil {
						t.Fatal(err)
					}
					in := row{"index and manifests", string(form), p256.name, signer.name, ""}
					for _, p := range parties() {
						in.verifier = p.name
						results.expect(t, in, r.name, verified, func(t *testing.T) {
							p.verifies(t, r, form, key, img, nil)
							for _, manifest := range manifestsOf(t, img) {
								p.verifies(t, r, form, key, manifest, nil)
							}
							if p.command == nil {
								if _, err := verifyHere(t, r, key.policy(t), img, registry.WithEveryPlatform()); err != nil {
									t.Error(err)
								}
							}
						})
					}
				})
			}
		}
	}
}

// manifestsOf are those that an index contains.
func manifestsOf(t *testing.T, img image) (all []image) {
	t.Helper()
	tag, err := name.NewTag(img.tagged)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(tag, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifest.Manifests {
		pinned := img.repository + "@" + m.Digest.String()
		all = append(all, image{tagged: pinned, pinned: pinned, digest: m.Digest.String(), repository: img.repository})
	}
	if len(all) < 2 {
		t.Fatalf("the index has %d manifests", len(all))
	}
	return all
}

// TestSignatureRepository: signatures are in the repository that COSIGN_REPOSITORY
// names. cosign v2 ignores it for bundles, both ways: those of its own are beside
// the image, where cosignkit looks as well, and it does not find those of others.
func TestSignatureRepository(t *testing.T) {
	for _, r := range registries {
		for _, signer := range parties() {
			for _, form := range singleForms {
				t.Run(fmt.Sprintf("%s/%s/%s", r.name, signer.name, form), func(t *testing.T) {
					t.Parallel()
					key := signer.key(t, p256)
					img := r.push(t)
					elsewhere := img.repository + "-signatures"
					variable := "COSIGN_REPOSITORY=" + elsewhere
					if signer.command != nil {
						signer.command.in(variable).sign(t, form, key, img).succeeds(t)
					} else if _, err := r.client.Sign(t.Context(), img.pinned, key.signer(t), registry.WithForm(form), registry.WithSignatureRepository(elsewhere)); err != nil {
						t.Fatal(err)
					}
					in := row{"image, elsewhere", string(form), p256.name, signer.name, ""}
					for _, p := range parties() {
						in.verifier = p.name
						if p.isV2() && form == signing.Bundle && !signer.isV2() {
							results.expect(t, in, r.name, "refused: cosign v2 looks for bundles beside the image only", func(t *testing.T) {
								p.command.in(variable).verify(t, key, img).fails(t, noSignatures)
							})
							continue
						}
						if p.command != nil && !p.isV2() && form == signing.Bundle && signer.isV2() {
							results.expect(t, in, r.name, "refused: cosign v2 attaches bundles to the image's repository", func(t *testing.T) {
								p.command.in(variable).verify(t, key, img).fails(t, noSignatures)
							})
							continue
						}
						results.expect(t, in, r.name, verified, func(t *testing.T) {
							if p.command != nil {
								p.command.in(variable).verify(t, key, img).succeeds(t)
							} else if _, err := verifyHere(t, r, key.policy(t), img, registry.WithSignatureRepository(elsewhere)); err != nil {
								t.Error(err)
							}
						})
					}
				})
			}
		}
	}
}
