// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// TestSignatureRepository: signatures are attached to the other repository, in
// every form, and found there and nowhere else.
func TestSignatureRepository(t *testing.T) {
	t.Parallel()
	for _, api := range []bool{true, false} {
		for _, form := range []signing.Form{signing.Bundle, signing.Legacy, signing.Both} {
			t.Run(string(form)+map[bool]string{true: ", API", false: ", tag"}[api], func(t *testing.T) {
				t.Parallel()
				images, signatures := newTestRegistry(t, true), newTestRegistry(t, api)
				elsewhere := signatures.ref("team/signatures")
				plain := newClient(t, registry.Config{})
				c := newClient(t, registry.Config{SignatureRepository: elsewhere})
				cd, ctx := newStore(t)
				key := newKey(t)
				ref := images.ref("app:v1")
				attached, err := hooks.Push(ctx, c, cd.Client, ref, putImage(ctx, t, cd, "image"), signerOf(t, key), nil, registry.WithForm(form))
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range attached {
					if a.Repository != elsewhere {
						t.Errorf("attached to %q, want %q", a.Repository, elsewhere)
					}
				}
				for _, r := range images.recorded() {
					if strings.Contains(r, "sha256-") || strings.Contains(r, "/referrers/") {
						t.Errorf("the image's own registry was asked %s", r)
					}
				}
				_, err = plain.Verify(ctx, ref, verifierOf(t, key))
				wantFamily(t, err, verify.ErrRejected)
				wantText(t, err, "no signatures found")
				for name, result := range map[string]func() (*verify.Result, error){
					"of the client": func() (*verify.Result, error) {
						return c.Verify(ctx, ref, verifierOf(t, key), registry.WithEverySignature())
					},
					"of the call": func() (*verify.Result, error) {
						return plain.Verify(ctx, ref, verifierOf(t, key), registry.WithEverySignature(), registry.WithSignatureRepository(elsewhere))
					},
				} {
					result, err := result()
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					for _, s := range result.Signatures {
						if s.Origin.Repository != elsewhere {
							t.Errorf("%s: found at %s", name, s.Origin)
						}
						if s.Claims.Repository != images.ref("app") {
							t.Errorf("%s: claims %q", name, s.Claims.Repository)
						}
					}
				}
				_, result, err := hooks.Pull(ctx, c, cd.Client, ref, verifierOf(t, key), nil)
				if err != nil {
					t.Fatal(err)
				}
				if pinned, _ := result.Pinned(); !strings.HasPrefix(pinned, ref+"@") {
					t.Errorf("pinned to %s", pinned)
				}
			})
		}
	}
}

// TestSignatureRepositoryBesideTheImage: what is beside the image counts as well,
// and either that fails to answer makes what the other lacks inconclusive.
func TestSignatureRepositoryBesideTheImage(t *testing.T) {
	t.Parallel()
	reg, _, verifier, _ := signedImage(t, true, signing.Bundle)
	other := newTestRegistry(t, true)
	c := newClient(t, registry.Config{SignatureRepository: other.ref("signatures")})
	if _, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier); err != nil {
		t.Error(err)
	}
	_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifierOf(t, newKey(t)))
	wantFamily(t, err, verify.ErrRejected)
	other.failing(429, lookUps["signature tag"])
	if _, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier); err != nil {
		t.Error(err)
	}
	_, err = c.Verify(t.Context(), reg.ref("app:v1"), verifierOf(t, newKey(t)))
	wantFamily(t, err, verify.ErrInconclusive)
	wantText(t, err, "signature tag of "+other.ref("signatures"))

	own := newClient(t, registry.Config{SignatureRepository: reg.ref("app")})
	reg.record()
	result, err := own.Verify(t.Context(), reg.ref("app:v1"), verifier, registry.WithEverySignature())
	if err != nil || len(result.Signatures) != 1 || result.Signatures[0].Origin.Repository != "" {
		t.Errorf("the image's own repository: %+v, %v", result, err)
	}
}

func TestSignatureRepositoryFromEnvironment(t *testing.T) {
	for value, want := range map[string]string{"": "", "registry.test/signatures": "registry.test/signatures", "user/signatures": "user/signatures"} {
		t.Setenv("COSIGN_REPOSITORY", value)
		if got, err := registry.SignatureRepositoryFromEnvironment(); err != nil || got != want {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	}
	t.Setenv("COSIGN_REPOSITORY", "registry.test/signatures:tag")
	_, err := registry.SignatureRepositoryFromEnvironment()
	wantFamily(t, err, verify.ErrMisconfigured)
}
