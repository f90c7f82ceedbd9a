// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/verify"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	image := theImage()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	accepted := func() (*verify.Result, error) {
		return &verify.Result{Image: image, Accepted: true, Matched: image.Target}, nil
	}
	failing := func(err error) func() (*verify.Result, error) {
		return func() (*verify.Result, error) { return &verify.Result{Image: image}, err }
	}
	nothing := func() (*verify.Result, error) { return nil, verify.ErrInconclusive }
	never := func() (*verify.Result, error) {
		t.Error("asked")
		return nil, nil
	}
	some := newVerifier(t, policyOf(newECDSA(elliptic.P256())))
	for name, c := range map[string]struct {
		ctx        context.Context
		selection  verify.Selection
		verify     func() (*verify.Result, error)
		want       error
		unverified error // of what is accepted without being verified
	}{
		"verified":                   {t.Context(), verify.Selection{Verifier: some}, accepted, nil, nil},
		"verified, if only to warn":  {t.Context(), verify.Selection{Verifier: some, InsecureWarnOnly: true}, accepted, nil, nil},
		"rejected":                   {t.Context(), verify.Selection{Verifier: some}, failing(verify.ErrRejected), verify.ErrRejected, nil},
		"rejected, warned":           {t.Context(), verify.Selection{Verifier: some, InsecureWarnOnly: true}, failing(verify.ErrRejected), nil, verify.ErrRejected},
		"inconclusive, warned":       {t.Context(), verify.Selection{Verifier: some, InsecureWarnOnly: true}, failing(verify.ErrInconclusive), nil, verify.ErrInconclusive},
		"no result, warned":          {t.Context(), verify.Selection{Verifier: some, InsecureWarnOnly: true}, nothing, nil, verify.ErrInconclusive},
		"misconfigured, warned":      {t.Context(), verify.Selection{Verifier: some, InsecureWarnOnly: true}, failing(verify.ErrMisconfigured), verify.ErrMisconfigured, nil},
		"both, warned":               {t.Context(), verify.Selection{Verifier: some, InsecureWarnOnly: true}, failing(fmt.Errorf("%w", &verify.Error{Kind: verify.ErrMisconfigured, Err: verify.ErrRejected})), verify.ErrMisconfigured, nil},
		"ended, warned":              {ended, verify.Selection{Verifier: some, InsecureWarnOnly: true}, failing(verify.ErrInconclusive), verify.ErrInconclusive, nil},
		"ended and rejected, warned": {ended, verify.Selection{Verifier: some, InsecureWarnOnly: true}, failing(verify.ErrRejected), verify.ErrRejected, nil},
		"anything":                   {t.Context(), verify.Selection{InsecureAcceptAnything: true}, never, nil, errors.New("anything is accepted")},
		"anything, with a verifier":  {t.Context(), verify.Selection{Verifier: some, InsecureAcceptAnything: true}, never, nil, errors.New("anything is accepted")},
		"nothing selected":           {t.Context(), verify.Selection{}, never, verify.ErrMisconfigured, nil},
		"nothing selected, to warn":  {t.Context(), verify.Selection{InsecureWarnOnly: true}, never, verify.ErrMisconfigured, nil},
	} {
		c.selection.Rule = "rule 7"
		result, err := c.selection.Decide(c.ctx, image, c.verify)
		if c.want != nil {
			if !errors.Is(err, c.want) || result.Verified() || result != nil && result.Accepted {
				t.Errorf("%s: %+v, %v", name, result, err)
			}
			continue
		}
		if err != nil || !result.Accepted || result.Matched.Digest != image.Target.Digest || result.Rule != "rule 7" {
			t.Errorf("%s: %+v, %v", name, result, err)
			continue
		}
		if result.Verified() != (c.unverified == nil) {
			t.Errorf("%s: verified is %t", name, result.Verified())
		}
		b, err := json.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		want := `"accepted":true,"verified":true,"signatures"`
		if c.unverified != nil {
			if !errors.Is(result.Unverified, c.unverified) && !strings.HasSuffix(result.Unverified.Error(), c.unverified.Error()) {
				t.Errorf("%s: reason is %v", name, result.Unverified)
			}
			want = `"rule":"rule 7","accepted":true,"verified":false,"unverified":"rule 7: `
		}
		if !strings.Contains(string(b), want) {
			t.Errorf("%s: JSON is %s, want %s", name, b, want)
		}
	}
	for _, d := range []digest.Digest{"", "sha256:1", digest.SHA512.FromString("")} {
		image := image
		image.Target.Digest = d
		_, err := verify.Selection{InsecureAcceptAnything: true}.Decide(t.Context(), image, never)
		wantFamily(t, err, verify.ErrMisconfigured)
	}
}

// TestVerified: nothing is verified unless signatures say so.
func TestVerified(t *testing.T) {
	t.Parallel()
	for _, r := range []*verify.Result{nil, {}, {Unverified: errors.New("why")}, {Accepted: true, Unverified: errors.New("why")}} {
		if r.Verified() {
			t.Errorf("%+v is verified", r)
		}
	}
	if !(&verify.Result{Accepted: true}).Verified() {
		t.Error("what is accepted is not verified")
	}
}

// TestTheCandidateOfASignature is there if it passed, and only then.
func TestTheCandidateOfASignature(t *testing.T) {
	t.Parallel()
	key := newECDSA(elliptic.P256())
	v := newVerifier(t, policyOf(key))
	for _, form := range forms {
		good, bad := signed(t, key, form), signed(t, newECDSA(elliptic.P256()), form)
		good.Origin = verify.Origin{Source: verify.SourceSignatureTag, Layer: 3}
		result, err := v.Verify(t.Context(), theImage(), []verify.Candidate{bad, {Err: verify.ErrRejected}, good})
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range result.Signatures {
			got := s.Candidate
			if i < 2 && (got.Bundle != nil || got.Payload != nil || got.Annotations != nil || got.Err != nil || got.Origin != (verify.Origin{})) {
				t.Errorf("%s: signature %d failed and has a candidate", form, i)
			}
			if i == 2 && (string(got.Bundle) != string(good.Bundle) || string(got.Payload) != string(good.Payload) || len(got.Annotations) != len(good.Annotations) || got.Origin != good.Origin) {
				t.Errorf("%s: candidate is %+v", form, got)
			}
		}
		if b, err := json.Marshal(result); err != nil || strings.Contains(string(b), "andidate") {
			t.Errorf("JSON is %s, %v", b, err)
		}
	}
}

// TestReference compares what was asked for with what was signed, and asks for
// names that are none to be misconfigured.
func TestReference(t *testing.T) {
	t.Parallel()
	key := newECDSA(elliptic.P256())
	policy := policyOf(key)
	var gotImage, gotClaimed string
	answer := true
	policy.Reference = func(image, claimed string) bool { gotImage, gotClaimed = image, claimed; return answer }
	v := newVerifier(t, policy)
	for _, form := range forms {
		wantAccepted(t, v, signed(t, key, form))
		if gotImage != theImage().Name || gotClaimed != repository {
			t.Errorf("compared %q with %q", gotImage, gotClaimed)
		}
	}
	answer = false
	wantRejected(t, v, signed(t, key, forms[0]), "signed for")
	_, err := v.Verify(t.Context(), verify.Image{Name: "Not A Name", Target: theImage().Target}, nil)
	wantFamily(t, err, verify.ErrMisconfigured)
	_, err = verify.Bundle(t.Context(), policy, verify.Artifact{}, nil)
	wantFamily(t, err, verify.ErrMisconfigured)
	if !strings.Contains(err.Error(), "Reference") {
		t.Errorf("error is %v", err)
	}
}

func TestIdentityCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		identity verify.Identity
		good     bool
	}{
		"whole":            {verify.Identity{Subject: "a@example.com", Issuer: "https://issuer.example"}, true},
		"expressions":      {verify.Identity{SubjectRegexp: ".*@example\\.com", IssuerRegexp: ".*"}, true},
		"nobody":           {verify.Identity{}, false},
		"no issuer":        {verify.Identity{Subject: "a@example.com"}, false},
		"a bad expression": {verify.Identity{SubjectRegexp: "(", Issuer: "https://issuer.example"}, false},
		"a value and one":  {verify.Identity{Subject: "a", SubjectRegexp: "a", Issuer: "b"}, false},
	} {
		if err := c.identity.Check(); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
