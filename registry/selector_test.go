// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/containerd/platforms"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// selecting has one selection for every image.
type selecting struct {
	t *testing.T
	verify.Selection
	err  error
	seen []verify.Image
}

func (s *selecting) Select(_ context.Context, image verify.Image) (verify.Selection, error) {
	s.seen = append(s.seen, image)
	return s.Selection, s.err
}

func (s *selecting) Verify(context.Context, verify.Image, []verify.Candidate) (*verify.Result, error) {
	s.t.Error("the selector itself is asked")
	return nil, errors.New("asked")
}

func (r *testRegistry) lookedUp() (all []string) {
	for _, request := range r.recorded() {
		if strings.Contains(request, "/referrers/") || strings.Contains(request, "/manifests/sha256-") {
			all = append(all, request)
		}
	}
	return all
}

func TestASelectorIsAskedOnce(t *testing.T) {
	t.Parallel()
	m := newMultiArch(t)
	m.sign(t, m.index, registry.WithRecursive())
	s := &selecting{t: t, Selection: verify.Selection{Rule: "rule 7", Verifier: verifierOf(t, m.key)}}
	result, err := m.client.Verify(m.ctx, m.ref("app:v1"), s, registry.WithEveryPlatform())
	if err != nil || !result.Verified() || result.Rule != "rule 7" {
		t.Errorf("%+v, %v", result, err)
	}
	if len(s.seen) != 1 || s.seen[0].Name != m.ref("app:v1") || s.seen[0].Target.Digest != "" {
		t.Errorf("asked about %+v", s.seen)
	}
	s.seen = nil
	if _, err := m.client.VerifyImage(m.ctx, verify.Image{Name: m.ref("app:v1"), Target: m.index}, s); err != nil {
		t.Error(err)
	}
	if len(s.seen) != 1 || s.seen[0].Target.Digest != m.index.Digest {
		t.Errorf("asked about %+v", s.seen)
	}
}

// TestASelectorThatRefuses ends a verification before there is a request.
func TestASelectorThatRefuses(t *testing.T) {
	t.Parallel()
	reg, c, verifier, _ := signedImage(t, true, signing.Bundle)
	for want, s := range map[error]*selecting{
		verify.ErrRejected:      {err: verify.ErrRejected},
		verify.ErrMisconfigured: {err: errors.New("no such rule")},
	} {
		s.t, s.Verifier = t, verifier
		reg.record()
		_, err := c.Verify(t.Context(), reg.ref("app:v1"), s)
		wantFamily(t, err, want)
		if got := reg.recorded(); len(got) > 0 {
			t.Errorf("asked %q", got)
		}
	}
	nested := &selecting{t: t}
	nested.Verifier = nested
	_, err := c.Verify(t.Context(), reg.ref("app:v1"), nested)
	wantFamily(t, err, verify.ErrMisconfigured)
	_, err = c.Verify(t.Context(), reg.ref("app:v1"), &selecting{t: t, Selection: verify.Selection{Rule: "empty"}})
	wantFamily(t, err, verify.ErrMisconfigured)
}

func TestAnythingIsAccepted(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	reg, _, _, desc := signedImage(t, true, signing.Bundle)
	c := newClient(t, registry.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s := &selecting{t: t, Selection: verify.Selection{Rule: "rule 7", InsecureAcceptAnything: true}}
	for name, opts := range map[string][]registry.VerifyOption{
		"first": nil, "every signature": {registry.WithEverySignature()}, "every platform": {registry.WithEveryPlatform()},
	} {
		reg.record()
		log.Reset()
		result, err := c.Verify(t.Context(), reg.ref("app:v1"), s, opts...)
		if err != nil || !result.Accepted || result.Verified() || result.Image.Target.Digest != desc.Digest || result.Rule != "rule 7" {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
		if got := reg.lookedUp(); len(got) > 0 {
			t.Errorf("%s: looked for signatures: %q", name, got)
		}
		if got := log.String(); !strings.Contains(got, "accepted without being verified") || !strings.Contains(got, "rule 7: anything is accepted") {
			t.Errorf("%s: logged %q", name, got)
		}
	}
	_, err := c.Verify(t.Context(), reg.ref("app:none"), s)
	wantFamily(t, err, verify.ErrInconclusive)
}

// TestWarnOnly: what is let through, is not verified and is pulled; what else goes
// wrong still does.
func TestWarnOnly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ended   bool
		failing func(*http.Request) bool
		tag     string
		let     bool
		reason  error
	}{
		"another signer":           {false, nil, "v1", true, verify.ErrRejected},
		"look-ups that fail":       {false, lookUps["referrers API"], "v1", true, verify.ErrInconclusive},
		"an image that is missing": {false, nil, "v2", false, verify.ErrInconclusive},
		"a registry that fails":    {false, lookUps["resolve"], "v1", false, verify.ErrInconclusive},
		"a context that has ended": {true, nil, "v1", false, verify.ErrInconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg, client, _, desc := signedImage(t, true, signing.Bundle)
			if c.failing != nil {
				reg.failing(http.StatusTooManyRequests, c.failing)
			}
			s := &selecting{t: t, Selection: verify.Selection{Rule: "rule 7", Verifier: verifierOf(t, newKey(t)), InsecureWarnOnly: true}}
			cd, ctx := newStore(t)
			if c.ended {
				var stop context.CancelFunc
				ctx, stop = context.WithCancel(ctx)
				stop()
			}
			image, result, err := hooks.Pull(ctx, client, cd.Client, reg.ref("app:"+c.tag), s, nil)
			if !c.let {
				wantFamily(t, err, c.reason)
				if result.Verified() || result != nil && result.Accepted {
					t.Errorf("%+v", result)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if image.Target().Digest != desc.Digest || !result.Accepted || result.Verified() || !errors.Is(result.Unverified, c.reason) {
				t.Errorf("%+v", result)
			}
		})
	}
}

// TestWarnOnlyLooksFurther: that an image is let through must not keep it from
// being verified.
func TestWarnOnlyLooksFurther(t *testing.T) {
	t.Parallel()
	m := newMultiArch(t)
	m.sign(t, m.arm64)
	s := &selecting{t: t, Selection: verify.Selection{Verifier: verifierOf(t, m.key), InsecureWarnOnly: true}}
	result, err := m.client.Verify(m.ctx, m.ref("app:v1"), s, registry.WithSignedPlatform(platforms.OnlyStrict(platforms.MustParse("linux/arm64"))))
	if err != nil || !result.Verified() || result.Image.Target.Digest != m.arm64.Digest {
		t.Errorf("%+v, %v", result, err)
	}
	result, err = m.client.Verify(m.ctx, m.ref("app:v1"), s, registry.WithSignedPlatform(platforms.OnlyStrict(platforms.MustParse("linux/amd64"))))
	if err != nil || !result.Accepted || result.Verified() || result.Image.Target.Digest != m.index.Digest || result.Matched.Digest != m.index.Digest {
		t.Errorf("%+v, %v", result, err)
	}
	m.sign(t, m.index)
	result, err = m.client.Verify(m.ctx, m.ref("app:v1"), s, registry.WithEveryPlatform())
	if err != nil || !result.Accepted || result.Verified() {
		t.Errorf("amd64 has no signature: %+v, %v", result, err)
	}
}

// lenient says of each image that it is accepted and not verified, and is no
// Selector.
type lenient struct{}

func (lenient) Verify(_ context.Context, image verify.Image, _ []verify.Candidate) (*verify.Result, error) {
	return &verify.Result{Image: image, Accepted: true, Matched: image.Target, Unverified: errors.New("lenient")}, nil
}

func TestUnverifiedIsNeverLost(t *testing.T) {
	t.Parallel()
	m := newMultiArch(t)
	for name, opts := range map[string][]registry.VerifyOption{"the index": nil, "every platform": {registry.WithEveryPlatform()}} {
		result, err := m.client.Verify(m.ctx, m.ref("app:v1"), lenient{}, opts...)
		if err != nil || !result.Accepted || result.Verified() {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
}

// TestWhereSignaturesAreLookedFor: the call says it, else the selection, else the
// client.
func TestWhereSignaturesAreLookedFor(t *testing.T) {
	t.Parallel()
	reg, _, verifier, _ := signedImage(t, true, signing.Bundle)
	c := newClient(t, registry.Config{SignatureRepository: reg.ref("of-client")})
	name := func(s string) *string {
		if s != "" {
			s = reg.ref(s)
		}
		return &s
	}
	for want, test := range map[string]struct {
		ofSelection *string
		opts        []registry.VerifyOption
	}{
		"of-client":    {nil, nil},
		"of-selection": {name("of-selection"), nil},
		"":             {name(""), nil},
		"of-call":      {name("of-selection"), []registry.VerifyOption{registry.WithSignatureRepository(reg.ref("of-call"))}},
	} {
		s := &selecting{t: t, Selection: verify.Selection{Verifier: verifier, SignatureRepository: test.ofSelection}}
		reg.record()
		if _, err := c.Verify(t.Context(), reg.ref("app:v1"), s, append(test.opts, registry.WithEverySignature())...); err != nil {
			t.Error(err)
		}
		asked := strings.Join(reg.lookedUp(), "\n")
		for _, repository := range []string{"of-client", "of-selection", "of-call"} {
			if got := strings.Contains(asked, "/v2/"+repository+"/"); got != (repository == want) {
				t.Errorf("want signatures of %q, asked %s", want, asked)
			}
		}
	}
	bad := &selecting{t: t, Selection: verify.Selection{Verifier: verifier, SignatureRepository: name("a:tag")}}
	_, err := c.Verify(t.Context(), reg.ref("app:v1"), bad)
	wantFamily(t, err, verify.ErrMisconfigured)
}
