// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"crypto"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// decorated is a verifier around another one, as for a deny list or an audit.
type decorated struct {
	verify.Verifier
	seen int
	deny error
}

func (d *decorated) Verify(ctx context.Context, image verify.Image, candidates []verify.Candidate) (*verify.Result, error) {
	d.seen += len(candidates)
	if d.deny != nil {
		return &verify.Result{Image: image, Accepted: true, Matched: image.Target}, d.deny
	}
	return d.Verifier.Verify(ctx, image, candidates)
}

// TestVerifiersAroundOthers: what embeds a Verifier is asked itself, with every
// candidate that there is.
func TestVerifiersAroundOthers(t *testing.T) {
	t.Parallel()
	reg, c, verifier, desc := signedImage(t, true, signing.Both)
	d := &decorated{Verifier: verifier}
	result, err := c.Verify(t.Context(), reg.ref("app:v1"), d)
	if err != nil || d.seen != 2 || result.Matched.Digest != desc.Digest {
		t.Errorf("%d candidates, %+v, %v", d.seen, result, err)
	}
	d.deny = errors.New("on the list")
	result, err = c.Verify(t.Context(), reg.ref("app:v1"), d)
	wantFamily(t, err, verify.ErrInconclusive)
	if _, pinErr := result.Pinned(); pinErr == nil {
		t.Error("a result beside an error can be pinned")
	}
}

// foregone is a verifier of somebody else's with a ready answer.
type foregone struct{ result *verify.Result }

func (a foregone) Verify(context.Context, verify.Image, []verify.Candidate) (*verify.Result, error) {
	return a.result, nil
}

// TestAVerifierMustAnswerForTheImage: no error is not enough, the result has to
// accept, and to be for the image that was asked about.
func TestAVerifierMustAnswerForTheImage(t *testing.T) {
	t.Parallel()
	reg, c, _, desc := signedImage(t, true, signing.Bundle)
	image := verify.Image{Name: reg.ref("app:v1"), Target: desc}
	other := verify.Image{Name: image.Name, Target: ocispec.Descriptor{MediaType: desc.MediaType, Digest: digest.FromString("other"), Size: desc.Size}}
	for name, result := range map[string]*verify.Result{
		"no result":                     nil,
		"an empty result":               {},
		"a result that accepts nothing": {Image: image, Matched: desc},
		"a result for another image":    {Image: other, Matched: other.Target, Accepted: true},
		"a result for no image":         {Accepted: true},
	} {
		got, err := c.VerifyImage(t.Context(), image, foregone{result})
		wantFamily(t, err, verify.ErrMisconfigured)
		wantText(t, err, "the verifier accepts without a result for this image")
		if got != nil && (got.Accepted || got.Matched.Digest != "") {
			t.Errorf("%s: accepted %v, matched %s", name, got.Accepted, got.Matched.Digest)
		}
	}
	got, err := c.VerifyImage(t.Context(), image, foregone{&verify.Result{Image: image, Accepted: true}})
	if err != nil || got.Matched.Digest != desc.Digest {
		t.Errorf("a result for the image: %+v, %v", got, err)
	}
}

// TestATruncatedListIsNone: a verifier that takes lists is not given one that is
// cut short.
func TestATruncatedListIsNone(t *testing.T) {
	t.Parallel()
	reg, c, verifier, _ := signedImage(t, true, signing.Bundle)
	hanging, done := make(chan struct{}), make(chan struct{})
	reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !lookUps["referrers API"](r) {
			next.ServeHTTP(w, r)
			return
		}
		close(hanging)
		<-r.Context().Done()
		close(done)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-hanging; cancel() }()
	d := &decorated{Verifier: verifier}
	_, err := c.Verify(ctx, reg.ref("app:v1"), d)
	wantFamily(t, err, verify.ErrInconclusive)
	if !errors.Is(err, context.Canceled) || d.seen != 0 {
		t.Errorf("%d candidates, %v", d.seen, err)
	}
	<-done
}

// TestTimeoutOfAVerification covers resolving and looking for signatures, and is
// told from the caller's own deadline.
func TestTimeoutOfAVerification(t *testing.T) {
	t.Parallel()
	for place, match := range lookUps {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			reg, c, _, _ := signedImage(t, place != "referrers tag", signing.Both)
			reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if match(r) {
					<-r.Context().Done()
					return
				}
				next.ServeHTTP(w, r)
			})
			policy := verify.Policy{Keys: []crypto.PublicKey{newKey(t).Public()}, InsecureIgnoreTransparencyLog: true}
			policy.Limits.Timeout = 200 * time.Millisecond
			verifier, err := verify.New(policy)
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Verify(t.Context(), reg.ref("app:v1"), verifier)
			wantFamily(t, err, verify.ErrInconclusive)
			if !errors.Is(err, verify.ErrLimit) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want the limit and the deadline", err)
			}
		})
	}
}

// TestOwnRepositoryForOneCall turns off the repository of the client.
func TestOwnRepositoryForOneCall(t *testing.T) {
	t.Parallel()
	reg := newTestRegistry(t, true)
	c := newClient(t, registry.Config{SignatureRepository: reg.ref("signatures")})
	cd, ctx := newStore(t)
	key := newKey(t)
	pushUnsigned(ctx, t, c, cd, reg.ref("app:v1"), putImage(ctx, t, cd, "image"))
	attached, err := c.Sign(ctx, reg.ref("app:v1"), signerOf(t, key), registry.WithSignatureRepository(""))
	if err != nil || attached[0].Repository != "" {
		t.Fatalf("%+v, %v", attached, err)
	}
	reg.record()
	if _, err := c.Verify(ctx, reg.ref("app:v1"), verifierOf(t, key), registry.WithSignatureRepository(""), registry.WithEverySignature()); err != nil {
		t.Error(err)
	}
	for _, r := range reg.recorded() {
		if shape(r) == "GET /v2/signatures/referrers/DIGEST" {
			t.Errorf("asked %s", r)
		}
	}
}
