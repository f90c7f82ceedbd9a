// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"crypto"
	"errors"
	"io"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// TestMirrorThatHangs: the registry behind it is asked in time. That the mirror did
// not answer makes what is not found there inconclusive.
func TestMirrorThatHangs(t *testing.T) {
	t.Parallel()
	hangs := maps.Clone(lookUps)
	hangs["everything"] = func(*http.Request) bool { return true }
	for place, match := range hangs {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			origin, _, _, desc := signedImage(t, place != "referrers tag", signing.Both)
			mirror := newTestRegistry(t, place != "referrers tag")
			cd, ctx := newStore(t)
			key := newKey(t)
			for _, reg := range []*testRegistry{mirror, origin} {
				if _, err := hooks.Push(ctx, newClient(t, registry.Config{}), cd.Client, reg.ref("app:v1"), putImage(ctx, t, cd, "image"), signerOf(t, key), nil, registry.WithForm(signing.Both)); err != nil {
					t.Fatal(err)
				}
			}
			mirror.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if match(r) {
					<-r.Context().Done()
					return
				}
				next.ServeHTTP(w, r)
			})
			c := mirrored(t, origin, mirror)
			// With every signature, so that the mirror is waited for in each place.
			result, err := c.Verify(ctx, "registry.test/app:v1", impatient(t, key), registry.WithEverySignature())
			if err != nil {
				t.Fatal(err)
			}
			if result.Image.Target.Digest != desc.Digest {
				t.Errorf("verified %s", result.Image.Target.Digest)
			}
			families := map[string]error{"resolve": verify.ErrRejected, "signature tag": verify.ErrInconclusive}
			if want := families[place]; want != nil {
				// After it hung, the mirror has an eighth of a second for each of its other
				// answers. Where it needs more they are missing, for once.
				for range 5 {
					if _, err = c.Verify(ctx, "registry.test/app:v1", impatient(t, newKey(t))); errors.Is(err, want) {
						break
					}
				}
				wantFamily(t, err, want)
			}
		})
	}
}

// TestMirrorThatHangsWithinAnAnswer: neither does one that begins an answer, and
// never ends it, keep the registry from being asked.
func TestMirrorThatHangsWithinAnAnswer(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"referrers API", "referrers tag", "signature tag"} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			api, form := theSignature(place)
			origin, _, _, desc := signedImage(t, api, form)
			key := newKey(t)
			if _, err := newClient(t, registry.Config{}).Sign(t.Context(), origin.ref("app:v1"), signerOf(t, key), registry.WithForm(form)); err != nil {
				t.Fatal(err)
			}
			mirror := newTestRegistry(t, true)
			mirror.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if !lookUps[place](r) {
					next.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
				_, _ = io.WriteString(w, "{")
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			})
			c := mirrored(t, origin, mirror)
			verifier := impatient(t, key)
			result, err := c.Verify(t.Context(), "registry.test/app:v1", verifier)
			if err != nil {
				t.Fatal(err)
			}
			if result.Image.Target.Digest != desc.Digest {
				t.Errorf("verified %s", result.Image.Target.Digest)
			}
		})
	}
}

// TestMirrorThatHangsInAShortTime: the caller's context ends long before the time
// that a verification may take.
func TestMirrorThatHangsInAShortTime(t *testing.T) {
	t.Parallel()
	origin, _, verifier, desc := signedImage(t, true, signing.Bundle)
	mirror := newTestRegistry(t, true)
	mirror.onRequest(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() })
	c := mirrored(t, origin, mirror)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	result, err := c.Verify(ctx, "registry.test/app:v1", verifier)
	if err != nil {
		t.Fatal(err)
	}
	if result.Image.Target.Digest != desc.Digest {
		t.Errorf("verified %s", result.Image.Target.Digest)
	}
}

// impatient accepts the signatures of key, and waits a second for a mirror.
func impatient(t *testing.T, key crypto.Signer) verify.Verifier {
	t.Helper()
	policy := verify.Policy{Keys: []crypto.PublicKey{key.Public()}, InsecureIgnoreTransparencyLog: true}
	policy.Limits.Timeout = 8 * time.Second
	v, err := verify.New(policy)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
