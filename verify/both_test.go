// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// scripted is a Verifier that passes candidates by their position, and ends with err.
type scripted struct {
	passes []bool
	err    error
	asked  int
}

func (s *scripted) Verify(_ context.Context, image verify.Image, candidates []verify.Candidate) (*verify.Result, error) {
	s.asked++
	if s.passes == nil {
		return nil, s.err
	}
	result := &verify.Result{Image: image, Accepted: s.err == nil}
	if result.Accepted {
		result.Matched = image.Target
	}
	for i, c := range candidates {
		sig := verify.Signature{Origin: c.Origin, Subject: image.Target.Digest}
		if !s.passes[i] {
			sig.Err = errors.New("bad")
		}
		result.Signatures = append(result.Signatures, sig)
	}
	return result, s.err
}

func failure(family error) error {
	return fault.New(family, "verify", theImage().String(), "", errors.New("a reason"))
}

func TestBoth(t *testing.T) {
	t.Parallel()
	const place = "referrers API sha256:1111111111111111111111111111111111111111111111111111111111111111 layer "
	yes, no := []bool{true, true}, []bool{false, false}
	for name, c := range map[string]struct {
		first, second scripted
		want          error
		differences   []string
	}{
		"both accept":                       {scripted{passes: yes}, scripted{passes: yes}, nil, nil},
		"both reject":                       {scripted{passes: no, err: failure(verify.ErrRejected)}, scripted{passes: no, err: failure(verify.ErrRejected)}, verify.ErrRejected, nil},
		"accept for different signatures":   {scripted{passes: []bool{true, false}}, scripted{passes: []bool{false, true}}, nil, []string{place + "0: only the first verifier accepts it: bad", place + "1: only the second verifier accepts it: bad"}},
		"the second rejects":                {scripted{passes: yes}, scripted{passes: []bool{true, false}, err: failure(verify.ErrRejected)}, verify.ErrRejected, []string{"the image: only the first verifier accepts it: rejected: a reason", place + "1: only the first verifier accepts it: bad"}},
		"the first rejects":                 {scripted{passes: no, err: failure(verify.ErrRejected)}, scripted{passes: yes}, verify.ErrRejected, []string{"the image: only the second verifier accepts it: rejected: a reason", place + "0: only the second", place + "1: only the second"}},
		"the second is inconclusive":        {scripted{passes: yes}, scripted{passes: yes, err: failure(verify.ErrInconclusive)}, verify.ErrInconclusive, []string{"the image: only the first"}},
		"the second is misconfigured":       {scripted{passes: no, err: failure(verify.ErrRejected)}, scripted{passes: no, err: failure(verify.ErrMisconfigured)}, verify.ErrMisconfigured, nil},
		"inconclusive goes before rejected": {scripted{passes: no, err: failure(verify.ErrRejected)}, scripted{passes: no, err: failure(verify.ErrInconclusive)}, verify.ErrInconclusive, nil},
		"the second has no result":          {scripted{passes: yes}, scripted{err: failure(verify.ErrInconclusive)}, verify.ErrInconclusive, []string{"the image: only the first"}},
		"the first has no result":           {scripted{err: failure(verify.ErrInconclusive)}, scripted{passes: yes}, verify.ErrInconclusive, nil},
		"the second says it of no family":   {scripted{passes: yes}, scripted{passes: yes, err: errors.New("foreign")}, verify.ErrRejected, []string{"the image: only the first"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var candidates []verify.Candidate
			for i := range 2 {
				candidates = append(candidates, verify.Candidate{Origin: verify.Origin{Source: verify.SourceReferrersAPI, Manifest: manifest, Layer: i}})
			}
			result, err := verify.Both(&c.first, &c.second).Verify(t.Context(), theImage(), candidates)
			wantFamily(t, err, c.want)
			if c.first.asked != 1 || c.second.asked != 1 {
				t.Errorf("asked the first %d times, the second %d", c.first.asked, c.second.asked)
			}
			if (result == nil) != (c.first.passes == nil) {
				t.Fatalf("result is %v", result)
			}
			if result == nil {
				return
			}
			if result.Accepted != (c.want == nil) || (result.Matched.Digest != "") != result.Accepted {
				t.Errorf("accepted: %t, by %q", result.Accepted, result.Matched.Digest)
			}
			if !slices.EqualFunc(result.Differences, c.differences, strings.HasPrefix) {
				t.Errorf("differences are %q, want %q", result.Differences, c.differences)
			}
			shown, err := json.Marshal(result)
			if err != nil || strings.Contains(string(shown), `"differences"`) != (c.differences != nil) {
				t.Errorf("%s, %v", shown, err)
			}
		})
	}
}

func TestBothSaysWhoRefuses(t *testing.T) {
	t.Parallel()
	image := theImage()
	accepts, rejects := &scripted{passes: []bool{}}, &scripted{passes: []bool{}, err: failure(verify.ErrRejected)}
	unknown := &scripted{passes: []bool{}, err: fault.New(verify.ErrInconclusive, "verify", image.String(), "trusted root", errors.New("another one"))}
	for want, v := range map[string]verify.Verifier{
		"the first verifier accepts it, and the second does not: rejected: a reason": verify.Both(accepts, rejects),
		"a reason": verify.Both(rejects, accepts),
		"rejected: a reason; the second verifier: inconclusive: trusted root: another one": verify.Both(rejects, unknown),
	} {
		want = "verify " + image.String() + ": " + want
		if _, err := v.Verify(t.Context(), image, nil); err == nil || err.Error() != want {
			t.Errorf("error is\n%v, want\n%s", err, want)
		}
	}
}

// TestBothWithAnotherPolicy has two real verifiers.
func TestBothWithAnotherPolicy(t *testing.T) {
	t.Parallel()
	key, other := keys["P-256"](), keys["Ed25519"]()
	limited := policyOf(key)
	limited.Limits.Candidates = 7
	v := verify.Both(newVerifier(t, limited), newVerifier(t, policyOf(other)))
	if got := v.(verify.LimitedVerifier).Limits().Candidates; got != 7 {
		t.Errorf("limits are of %d candidates, want those of the first", got)
	}
	wantAccepted(t, v, signed(t, other, signing.Legacy), signed(t, key, signing.Bundle))
	result := wantRejected(t, verify.Both(newVerifier(t, policyOf(other)), newVerifier(t, limited)), signed(t, key, signing.Bundle), "does not verify")
	if len(result.Differences) != 2 {
		t.Errorf("differences are %q", result.Differences)
	}
}
