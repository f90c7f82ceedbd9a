// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"net/http"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
)

// TestNothingIsSignedThatCannotBeAttached: a log keeps what is signed for ever, so
// what keeps a signature from being attached is found before.
func TestNothingIsSignedThatCannotBeAttached(t *testing.T) {
	t.Parallel()
	full := make([]ocispec.Descriptor, limits.Candidates)
	for i := range full {
		full[i] = newPiece(junkBundleType, []byte{byte(i), byte(i >> 8)}, nil).layer
	}
	tag := func(suffix, mediaType string, b []byte) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			name := path.Base(r.URL.Path)
			isTag := strings.HasPrefix(name, "sha256-") && strings.HasSuffix(name, ".sig") == (suffix != "")
			if !isTag && name != digest.FromBytes(b).String() {
				return false
			}
			newShelf().answer(w, r, document{mediaType, b}, true)
			return true
		}
	}
	fails := func(part string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, part) {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}
	}
	for name, c := range map[string]struct {
		form   signing.Form
		api    bool
		answer func(http.ResponseWriter, *http.Request) bool
		want   string
	}{
		"an index under the signature tag":         {signing.Legacy, true, tag(".sig", ocispec.MediaTypeImageIndex, indexOf()), "want a manifest"},
		"something else under the signature tag":   {signing.Legacy, true, tag(".sig", ocispec.MediaTypeImageManifest, []byte("[1]")), "does not match"},
		"a full signature tag":                     {signing.Legacy, true, tag(".sig", ocispec.MediaTypeImageManifest, manifestOf(nil, "", 0, full...)), "number of signatures is larger"},
		"a full signature tag, both forms":         {signing.Both, true, tag(".sig", ocispec.MediaTypeImageManifest, manifestOf(nil, "", 0, full...)), "number of signatures is larger"},
		"a signature tag that cannot be read":      {signing.Legacy, true, fails(".sig"), "unexpected status"},
		"a manifest under the referrers tag":       {signing.Bundle, false, tag("", ocispec.MediaTypeImageManifest, manifestOf(nil, "", 0)), "want an index"},
		"a full referrers tag":                     {signing.Bundle, false, tag("", ocispec.MediaTypeImageIndex, indexOf(full...)), "number of referrers is larger"},
		"a full referrers tag, form not given":     {"", false, tag("", ocispec.MediaTypeImageIndex, indexOf(full...)), "number of referrers is larger"},
		"a referrers API that fails":               {signing.Bundle, true, fails("/referrers/"), "unexpected status"},
		"a full referrers tag, another resolver's": {signing.Bundle, false, tag("", ocispec.MediaTypeImageIndex, indexOf(full...)), "number of referrers is larger"},
	} {
		for _, repository := range []string{"", "signatures"} {
			t.Run(name+map[bool]string{true: ", signature repository"}[repository != ""], func(t *testing.T) {
				t.Parallel()
				reg := newTestRegistry(t, c.api)
				config := registry.Config{}
				if strings.HasSuffix(name, "another resolver's") {
					config.Resolver = newClient(t, registry.Config{}).Resolver()
				}
				if repository != "" {
					config.SignatureRepository = reg.ref(repository)
				}
				cd, ctx := newStore(t)
				client, target := newClient(t, config), putImage(ctx, t, cd, "image")
				pushUnsigned(ctx, t, client, cd, reg.ref("app:v1"), target)
				reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if !c.answer(w, r) {
						next.ServeHTTP(w, r)
					}
				})
				signer := hangingSigner{
					preflight: func() { t.Error("Sign published in a preflight") },
					sign:      func() { t.Error("signed") },
				}
				_, err := client.Sign(ctx, reg.ref("app:v1"), signer, registry.WithForm(c.form))
				wantText(t, err, "look where the signature goes")
				wantText(t, err, c.want)
				signer.preflight = nil // comes before the image is there
				_, err = hooks.Push(ctx, client, cd.Client, reg.ref("app:v2"), target, signer, nil, registry.WithForm(c.form))
				wantText(t, err, "tag v2 is not written")
				wantText(t, err, c.want)
			})
		}
	}
}

// TestSignatureRepositoryThatDoesNotExistYet: some registries show nobody what does
// not exist, and make it when something is written.
func TestSignatureRepositoryThatDoesNotExistYet(t *testing.T) {
	t.Parallel()
	for _, api := range []bool{true, false} {
		for _, form := range []signing.Form{signing.Bundle, signing.Legacy} {
			reg := newTestRegistry(t, api)
			var exists atomic.Bool
			reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if strings.HasPrefix(r.URL.Path, "/v2/signatures/") {
					if r.Method == http.MethodPost {
						exists.Store(true)
					}
					if !exists.Load() && r.Method == http.MethodGet {
						refuse(w, http.StatusForbidden, "DENIED")
						return
					}
				}
				next.ServeHTTP(w, r)
			})
			cd, ctx := newStore(t)
			key := newKey(t)
			c := newClient(t, registry.Config{SignatureRepository: reg.ref("signatures")})
			if _, err := hooks.Push(ctx, c, cd.Client, reg.ref("app:v1"), putImage(ctx, t, cd, "image"), signerOf(t, key), nil, registry.WithForm(form)); err != nil {
				t.Errorf("API %t, %s: %v", api, form, err)
				continue
			}
			if _, err := c.Verify(ctx, reg.ref("app:v1"), verifierOf(t, key)); err != nil {
				t.Errorf("API %t, %s: %v", api, form, err)
			}
		}
	}
}
