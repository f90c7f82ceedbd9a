// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

func TestEveryKindOfKeyIsAcceptedInEveryForm(t *testing.T) {
	t.Parallel()
	for kind, key := range keys {
		for _, form := range forms {
			t.Run(kind+" "+string(form), func(t *testing.T) {
				t.Parallel()
				result := wantAccepted(t, newVerifier(t, policyOf(key())), signed(t, key(), form))
				s := result.Signatures[0]
				if string(s.Form) != string(form) {
					t.Errorf("form is %q", s.Form)
				}
				if s.Claims.Repository != repository || !maps.Equal(s.Claims.Annotations, map[string]string{"env": "prod", "run": "7"}) {
					t.Errorf("claims are %+v", s.Claims)
				}
				if len(s.KeyID) != len("sha256:")+64 || !strings.HasPrefix(s.KeyID, "sha256:") {
					t.Errorf("key id is %q", s.KeyID)
				}
			})
		}
	}
}

// TestAlgorithmsOfAKey: which algorithms a key may have signed with is the
// verifier's choice, not the signature's.
func TestAlgorithmsOfAKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key      string
		sign     func(crypto.Signer) signFunc
		accepted bool
	}{
		"P-256 with SHA-256":      {"P-256", hashed(crypto.SHA256), true},
		"P-256 with SHA-384":      {"P-256", hashed(crypto.SHA384), false},
		"P-256 with SHA-512":      {"P-256", hashed(crypto.SHA512), false},
		"P-384 with SHA-256":      {"P-384", hashed(crypto.SHA256), true},
		"P-384 with SHA-384":      {"P-384", hashed(crypto.SHA384), true},
		"P-384 with SHA-512":      {"P-384", hashed(crypto.SHA512), false},
		"P-521 with SHA-256":      {"P-521", hashed(crypto.SHA256), true},
		"P-521 with SHA-384":      {"P-521", hashed(crypto.SHA384), false},
		"P-521 with SHA-512":      {"P-521", hashed(crypto.SHA512), true},
		"RSA PKCS #1 SHA-256":     {"RSA 2048", hashed(crypto.SHA256), true},
		"RSA PKCS #1 SHA-512":     {"RSA 2048", hashed(crypto.SHA512), false},
		"RSA PSS":                 {"RSA 2048", func(k crypto.Signer) signFunc { return withPSS(k.(*rsa.PrivateKey)) }, false},
		"pure Ed25519":            {"Ed25519", hashed(crypto.SHA512), true},
		"pre-hashed, Ed25519ph":   {"Ed25519", withEd25519ph, true},
		"an empty signature":      {"P-256", func(crypto.Signer) signFunc { return constant(nil) }, false},
		"zeros of the right size": {"Ed25519", func(crypto.Signer) signFunc { return constant(make([]byte, 64)) }, false},
		"r and s of zero":         {"P-256", func(crypto.Signer) signFunc { return constant([]byte{0x30, 6, 2, 1, 0, 2, 1, 0}) }, false},
	} {
		sign := c.sign(keys[c.key]())
		v := newVerifier(t, policyOf(keys[c.key]()))
		for form, candidate := range map[string]verify.Candidate{
			"bundle": bundleCandidate(t, bundleOf(t, sign, marshal(t, statement()))),
			"legacy": legacyCandidate(t, sign, marshal(t, payloadOf())),
		} {
			t.Run(name+" "+form, func(t *testing.T) {
				t.Parallel()
				if c.accepted {
					wantAccepted(t, v, candidate)
				} else {
					wantRejected(t, v, candidate, "")
				}
			})
		}
	}
}

func hashed(hash crypto.Hash) func(crypto.Signer) signFunc {
	return func(key crypto.Signer) signFunc { return with(key, hash) }
}

func constant(sig []byte) signFunc {
	return func(testing.TB, []byte) []byte { return sig }
}

func TestAnotherKeyIsRejected(t *testing.T) {
	t.Parallel()
	for _, form := range forms {
		for kind, key := range keys {
			t.Run(string(form)+" of the policy's key "+kind, func(t *testing.T) {
				t.Parallel()
				result := wantRejected(t, newVerifier(t, policyOf(key())), signed(t, newECDSA(elliptic.P256()), form), "does not verify with the key")
				if s := result.Signatures[0]; s.KeyID != "" || s.Claims.Repository != "" || s.Claims.Annotations != nil {
					t.Errorf("what nobody of the policy signed is reported as claims: %+v", s)
				}
			})
		}
		t.Run(string(form)+" of several keys", func(t *testing.T) {
			t.Parallel()
			v := newVerifier(t, policyOf(keys["P-256"](), keys["P-384"](), keys["Ed25519"]()))
			wantRejected(t, v, signed(t, newECDSA(elliptic.P256()), form), "does not verify with any of the 3 keys")
		})
	}
}

func TestAnyKeyOfThePolicyMayHaveSigned(t *testing.T) {
	t.Parallel()
	signers := []crypto.Signer{keys["P-256"](), keys["RSA 2048"](), keys["Ed25519"]()}
	v := newVerifier(t, policyOf(signers...))
	ids := map[string]bool{}
	for _, key := range signers {
		for _, form := range forms {
			ids[wantAccepted(t, v, signed(t, key, form)).Signatures[0].KeyID] = true
		}
	}
	if len(ids) != len(signers) {
		t.Errorf("%d key ids for %d keys", len(ids), len(signers))
	}
}

func TestAnotherDigestIsRejected(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	for _, form := range forms {
		other := signed(t, key, form, func(r *signing.Request) { r.Digest = "sha256:" + otherHex })
		result := wantRejected(t, newVerifier(t, policyOf(key)), other, "digest")
		if id := result.Signatures[0].KeyID; id != "" {
			t.Errorf("%s: KeyID is %q, and it says that this very digest was signed", form, id)
		}
	}
}

func TestImagesThatCannotBeVerifiedAreMisconfigured(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	v := newVerifier(t, policyOf(key))
	candidates := []verify.Candidate{signed(t, key, signing.Bundle)}
	for name, d := range map[string]digest.Digest{
		"no digest":                "",
		"a digest that is short":   "sha256:00",
		"hex in upper case":        digest.Digest("sha256:" + strings.ToUpper(theHex)),
		"hex alone":                theHex,
		"sha512":                   digest.SHA512.FromString("x"),
		"an unknown algorithm":     "md5:d41d8cd98f00b204e9800998ecf8427e",
		"a very long digest":       digest.Digest("sha256:" + strings.Repeat("0", 1<<20)),
		"control characters":       "sha256:\n\x1b[31m",
		"a tag in its place":       "latest",
		"a digest and white space": theDigest + " ",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image := theImage()
			image.Target.Digest = d
			result, err := v.Verify(t.Context(), image, candidates)
			wantFamily(t, err, verify.ErrMisconfigured)
			if result != nil {
				t.Error("a result for what cannot be verified")
			}
			if len(err.Error()) > 1024 || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("error repeats the digest as it is: %.200q", err)
			}
		})
	}
}

func TestVerifyRefusesAnImageNameThatIsNoReference(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	policy := policyOf(key)
	policy.Repository = verify.ExactRepository()
	for _, name := range []string{"", "NOT A REFERENCE", "registry.example/Upper", theHex, "registry.example/app:"} {
		image := theImage()
		image.Name = name
		_, err := newVerifier(t, policy).Verify(t.Context(), image, []verify.Candidate{signed(t, key, signing.Bundle)})
		wantFamily(t, err, verify.ErrMisconfigured)
		// Without a matcher nothing is compared with the name.
		if _, err := newVerifier(t, policyOf(key)).Verify(t.Context(), image, []verify.Candidate{signed(t, key, signing.Bundle)}); err != nil {
			t.Errorf("%q with no matcher: %v", name, err)
		}
	}
}

func TestThreshold(t *testing.T) {
	t.Parallel()
	a, b, c := keys["P-256"](), keys["Ed25519"](), keys["RSA 2048"]()
	outsider := newECDSA(elliptic.P256())
	bundle := func(key crypto.Signer) verify.Candidate { return signed(t, key, signing.Bundle) }
	legacy := func(key crypto.Signer) verify.Candidate { return signed(t, key, signing.Legacy) }
	for name, test := range map[string]struct {
		threshold  int
		keys       []crypto.Signer
		candidates []verify.Candidate
		accepted   bool
	}{
		"zero means one":                         {0, []crypto.Signer{a, b}, []verify.Candidate{bundle(b)}, true},
		"1 of 2":                                 {1, []crypto.Signer{a, b}, []verify.Candidate{bundle(b)}, true},
		"2 of 3":                                 {2, []crypto.Signer{a, b, c}, []verify.Candidate{bundle(a), bundle(c)}, true},
		"2 of 3 over both forms":                 {2, []crypto.Signer{a, b, c}, []verify.Candidate{bundle(a), legacy(b)}, true},
		"3 of 3":                                 {3, []crypto.Signer{a, b, c}, []verify.Candidate{bundle(a), legacy(b), bundle(c)}, true},
		"2 of 3 with one signer":                 {2, []crypto.Signer{a, b, c}, []verify.Candidate{bundle(a)}, false},
		"one key that signed twice counts once":  {2, []crypto.Signer{a, b, c}, []verify.Candidate{bundle(a), bundle(a)}, false},
		"one key in both forms counts once":      {2, []crypto.Signer{a, b, c}, []verify.Candidate{bundle(a), legacy(a)}, false},
		"another's signature does not count":     {2, []crypto.Signer{a, b, c}, []verify.Candidate{bundle(a), bundle(outsider)}, false},
		"2 of 3 with junk between":               {2, []crypto.Signer{a, b, c}, []verify.Candidate{bundle(a), {Bundle: []byte("{}")}, bundle(b)}, true},
		"a key that is listed twice signs once":  {2, []crypto.Signer{a, a, b}, []verify.Candidate{bundle(a), legacy(a)}, false},
		"a key that is listed twice and another": {2, []crypto.Signer{a, a, b}, []verify.Candidate{bundle(a), bundle(b)}, true},
		"the same candidate twice":               {2, []crypto.Signer{a, b}, []verify.Candidate{legacy(a), legacy(a), legacy(a)}, false},
		"nothing":                                {1, []crypto.Signer{a}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy := policyOf(test.keys...)
			policy.Threshold = test.threshold
			result, err := newVerifier(t, policy).Verify(t.Context(), theImage(), test.candidates)
			wantLists(t, result, test.candidates)
			if result.Accepted != test.accepted || (err == nil) != test.accepted {
				t.Errorf("accepted = %t, error %v, want %t", result.Accepted, err, test.accepted)
			}
			if err != nil {
				wantFamily(t, err, verify.ErrRejected)
			}
		})
	}
}

func TestThresholdThatIsNotReachedSaysHowFarItGot(t *testing.T) {
	t.Parallel()
	a, b := keys["P-256"](), keys["Ed25519"]()
	policy := policyOf(a, b)
	policy.Threshold = 2
	_, err := newVerifier(t, policy).Verify(t.Context(), theImage(), []verify.Candidate{signed(t, a, signing.Bundle)})
	wantFamily(t, err, verify.ErrRejected)
	if want := "signed by 1 of the 2 different signers required"; !strings.Contains(err.Error(), want) {
		t.Errorf("error is %q, want one that says %q", err, want)
	}
}

func TestRequiredAnnotations(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	sign := with(key, crypto.SHA256)
	for name, c := range map[string]struct {
		signed any // the signed annotations in JSON
		want   map[string]string
		why    string // empty where the signature passes
	}{
		"none are required":            {object{"env": "prod"}, nil, ""},
		"required and signed":          {object{"env": "prod"}, map[string]string{"env": "prod"}, ""},
		"others may be there":          {object{"env": "prod", "run": "7"}, map[string]string{"env": "prod"}, ""},
		"all of several":               {object{"env": "prod", "run": "7"}, map[string]string{"env": "prod", "run": "7"}, ""},
		"an empty value":               {object{"env": ""}, map[string]string{"env": ""}, ""},
		"missing":                      {object{"run": "7"}, map[string]string{"env": "prod"}, `annotation "env" is missing`},
		"none signed":                  {nil, map[string]string{"env": "prod"}, `annotation "env" is missing`},
		"none signed, empty value":     {nil, map[string]string{"env": ""}, `annotation "env" is missing`},
		"another value":                {object{"env": "test"}, map[string]string{"env": "prod"}, `annotation "env" is "test", want "prod"`},
		"one of two is missing":        {object{"env": "prod"}, map[string]string{"env": "prod", "run": "7"}, `annotation "run" is missing`},
		"a prefix of the value":        {object{"env": "prod-eu"}, map[string]string{"env": "prod"}, "prod-eu"},
		"case matters":                 {object{"env": "Prod"}, map[string]string{"env": "prod"}, "Prod"},
		"case of the key matters":      {object{"ENV": "prod"}, map[string]string{"env": "prod"}, "missing"},
		"a number is not its string":   {object{"run": 7}, map[string]string{"run": "7"}, `annotation "run" is missing`},
		"true is not its string":       {object{"ok": true}, map[string]string{"ok": "true"}, "missing"},
		"null is not the empty string": {object{"env": nil}, map[string]string{"env": ""}, "missing"},
		"a list with the value":        {object{"env": []any{"prod"}}, map[string]string{"env": "prod"}, "missing"},
		"an object with the value":     {object{"env": object{"env": "prod"}}, map[string]string{"env": "prod"}, "missing"},
		"a value with much text":       {object{"env": strings.Repeat("x", 10000)}, map[string]string{"env": "prod"}, `annotation "env" is "xxx`},
	} {
		policy := policyOf(key)
		policy.Annotations = c.want
		v := newVerifier(t, policy)
		s, p := statement(), payloadOf()
		s["subject"].([]any)[0].(object)["annotations"] = c.signed
		if c.signed == nil {
			delete(s["subject"].([]any)[0].(object), "annotations")
		}
		p["optional"] = c.signed
		for form, candidate := range map[string]verify.Candidate{
			"bundle": bundleCandidate(t, bundleOf(t, sign, marshal(t, s))),
			"legacy": legacyCandidate(t, sign, marshal(t, p)),
		} {
			t.Run(name+" "+form, func(t *testing.T) {
				t.Parallel()
				if c.why == "" {
					wantAccepted(t, v, candidate)
					return
				}
				result := wantRejected(t, v, candidate, c.why)
				got := result.Signatures[0]
				if len(got.Err.Error()) > 400 {
					t.Errorf("the reason has %d bytes", len(got.Err.Error()))
				}
				if got.KeyID == "" || got.Claims.Repository != repository {
					t.Errorf("what the key of the policy did sign is not reported: %+v", got)
				}
			})
		}
	}
}

// TestLayerAnnotationsAreNotSigned: only the payload is.
func TestLayerAnnotationsAreNotSigned(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	policy := policyOf(key)
	policy.Annotations = map[string]string{"env": "prod"}
	candidate := signed(t, key, signing.Legacy, func(r *signing.Request) { r.Annotations = nil })
	candidate.Annotations["env"] = "prod"
	wantRejected(t, newVerifier(t, policy), candidate, `annotation "env" is missing`)
}

func TestTheVerifierKeepsThePolicyItWasMadeOf(t *testing.T) {
	t.Parallel()
	key, other := keys["P-256"](), newECDSA(elliptic.P256())
	policy := policyOf(key)
	policy.Annotations = map[string]string{"env": "prod"}
	prefixes := map[string]string{"registry.example": "elsewhere.example"}
	policy.Repository = verify.RemapRepository(prefixes)
	v := newVerifier(t, policy)

	policy.Annotations["run"] = "another"
	policy.Keys[0] = other.Public()
	clear(prefixes)
	candidate := signed(t, key, signing.Bundle, func(r *signing.Request) { r.Repository = "elsewhere.example/team/app" })
	wantAccepted(t, v, candidate)
}

func TestVerifyChangesNothingOfItsArguments(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	v := newVerifier(t, policyOf(key))
	candidates := []verify.Candidate{signed(t, key, signing.Bundle), signed(t, key, signing.Legacy)}
	bundle, payload := bytes.Clone(candidates[0].Bundle), bytes.Clone(candidates[1].Payload)
	annotations := maps.Clone(candidates[1].Annotations)
	wantAccepted(t, v, candidates...)
	if !bytes.Equal(candidates[0].Bundle, bundle) || !bytes.Equal(candidates[1].Payload, payload) || !maps.Equal(candidates[1].Annotations, annotations) {
		t.Error("a candidate changed")
	}
}

// TestCandidateErr: what could not be read is never the same as what is not
// there.
func TestCandidateErr(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	good, bad := signed(t, key, signing.Bundle), signed(t, newECDSA(elliptic.P256()), signing.Bundle)
	unread := func(err error) verify.Candidate {
		return verify.Candidate{Origin: verify.Origin{Source: verify.SourceReferrersTag}, Err: err}
	}
	throttled := fmt.Errorf("%w: 429 Too Many Requests", verify.ErrInconclusive)
	broken := fmt.Errorf("%w: the blob is not what its digest says", verify.ErrRejected)
	misconfigured := fmt.Errorf("%w: no credentials", verify.ErrMisconfigured)
	plain := errors.New("connection reset")
	for name, c := range map[string]struct {
		candidates []verify.Candidate
		family     error
		cause      error
	}{
		"inconclusive alone":              {[]verify.Candidate{unread(throttled)}, verify.ErrInconclusive, throttled},
		"inconclusive after bad":          {[]verify.Candidate{bad, unread(throttled)}, verify.ErrInconclusive, throttled},
		"inconclusive before bad":         {[]verify.Candidate{unread(throttled), bad}, verify.ErrInconclusive, throttled},
		"inconclusive before good":        {[]verify.Candidate{unread(throttled), good}, nil, nil},
		"inconclusive after good":         {[]verify.Candidate{good, unread(throttled)}, nil, nil},
		"rejected alone":                  {[]verify.Candidate{unread(broken)}, verify.ErrRejected, nil},
		"rejected and bad":                {[]verify.Candidate{unread(broken), bad}, verify.ErrRejected, nil},
		"rejected and good":               {[]verify.Candidate{unread(broken), good}, nil, nil},
		"rejected and inconclusive":       {[]verify.Candidate{unread(broken), unread(throttled)}, verify.ErrInconclusive, throttled},
		"no family":                       {[]verify.Candidate{unread(plain)}, verify.ErrInconclusive, plain},
		"a context's error":               {[]verify.Candidate{unread(context.DeadlineExceeded)}, verify.ErrInconclusive, context.DeadlineExceeded},
		"misconfigured":                   {[]verify.Candidate{unread(misconfigured)}, verify.ErrMisconfigured, nil},
		"of two families, one unknown":    {[]verify.Candidate{unread(errors.Join(throttled, misconfigured))}, verify.ErrMisconfigured, nil},
		"an error beside a good content":  {[]verify.Candidate{{Err: throttled, Bundle: good.Bundle}}, verify.ErrInconclusive, throttled},
		"an error beside a good content,": {[]verify.Candidate{{Err: broken, Bundle: good.Bundle}}, verify.ErrRejected, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := newVerifier(t, policyOf(key)).Verify(t.Context(), theImage(), c.candidates)
			wantLists(t, result, c.candidates)
			if c.family == nil {
				if err != nil || !result.Accepted {
					t.Errorf("not accepted: %v", err)
				}
			} else {
				wantFamily(t, err, c.family)
			}
			if c.cause != nil && !errors.Is(err, c.cause) && !strings.Contains(err.Error(), c.cause.Error()) {
				t.Errorf("cause of %q is not %q", err, c.cause)
			}
			for i, candidate := range c.candidates {
				if s := result.Signatures[i]; candidate.Err != nil && (s.Err == nil || s.Form != "") {
					t.Errorf("what could not be read is listed as %+v", s)
				}
			}
		})
	}
}

// TestEveryCandidateIsListed: one that passes does not end the search, and junk
// hides nothing.
func TestEveryCandidateIsListed(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	origin := func(c verify.Candidate, layer int) verify.Candidate {
		c.Origin.Layer = layer
		return c
	}
	candidates := []verify.Candidate{
		origin(verify.Candidate{}, 0),
		origin(signed(t, key, signing.Bundle), 1),
		origin(verify.Candidate{Bundle: []byte("junk")}, 2),
		origin(signed(t, newECDSA(elliptic.P256()), signing.Legacy), 3),
		origin(verify.Candidate{Err: verify.ErrRejected}, 4),
		origin(signed(t, key, signing.Legacy), 5),
	}
	result := wantAccepted(t, newVerifier(t, policyOf(key)), candidates...)
	for i, want := range []struct {
		form   verify.Form
		passed bool
	}{
		{verify.FormLegacy, false},
		{verify.FormBundle, true},
		{verify.FormBundle, false},
		{verify.FormLegacy, false},
		{"", false},
		{verify.FormLegacy, true},
	} {
		if s := result.Signatures[i]; s.Form != want.form || (s.Err == nil) != want.passed {
			t.Errorf("entry %d is of the form %q, error %v", i, s.Form, s.Err)
		}
	}
}

func TestVerifyHonoursTheContext(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	v := newVerifier(t, policyOf(key))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, candidates := range map[string][]verify.Candidate{
		"a good candidate": {signed(t, key, signing.Bundle)},
		"no candidates":    nil,
		"unread":           {{Err: verify.ErrRejected}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := v.Verify(cancelled, theImage(), candidates)
			wantFamily(t, err, verify.ErrInconclusive)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v, want the context's", err)
			}
			if result != nil && (result.Accepted || len(result.Signatures) != 0) {
				t.Errorf("result is %+v", result)
			}
		})
	}
	for name, good := range map[string]bool{"a bad": false, "a good": true} {
		t.Run("cancelled after "+name+" candidate, before another", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				policy := policyOf(key)
				policy.Repository = func(string, string) bool {
					cancel()
					return good
				}
				candidates := []verify.Candidate{signed(t, key, signing.Bundle), signed(t, key, signing.Bundle)}
				result, err := newVerifier(t, policy).Verify(ctx, theImage(), candidates)
				wantFamily(t, err, verify.ErrInconclusive)
				if !errors.Is(err, context.Canceled) || result == nil || len(result.Signatures) != 1 || result.Accepted {
					t.Errorf("error is %v next to %+v", err, result)
				}
			})
		})
	}
	t.Run("past the deadline", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
		defer cancel()
		_, err := v.Verify(ctx, theImage(), []verify.Candidate{signed(t, key, signing.Bundle)})
		wantFamily(t, err, verify.ErrInconclusive)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
	})
}

// TestAPanicFailsTheCandidateAlone panics in the one place that a test can: the
// caller's matcher runs within the same frame as the parsers.
func TestAPanicFailsTheCandidateAlone(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	for name, value := range map[string]any{
		"a string":          "index out of range",
		"an error":          errors.New("index out of range"),
		"a long value":      strings.Repeat("index out of range ", 10000),
		"a run-time error":  nil,
		"a value that is 0": 0,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			policy := policyOf(key)
			policy.Repository = func(string, string) bool {
				if calls++; calls > 1 {
					return true
				}
				if value == nil {
					var m map[string]int
					m["x"] = 1 //nolint:staticcheck // meant to panic
				}
				panic(value)
			}
			candidates := []verify.Candidate{signed(t, key, signing.Bundle), signed(t, key, signing.Legacy)}
			result := wantAccepted(t, newVerifier(t, policy), candidates...)
			s := result.Signatures[0]
			if s.Err == nil || !strings.HasPrefix(s.Err.Error(), "panic: ") || len(s.Err.Error()) > 400 {
				t.Errorf("reason is %.500v", s.Err)
			}
			if s.KeyID != "" || s.Claims.Annotations != nil || s.Form != verify.FormBundle {
				t.Errorf("a candidate that panicked is listed as %+v", s)
			}
		})
	}
	t.Run("alone, it is a rejection", func(t *testing.T) {
		t.Parallel()
		policy := policyOf(key)
		policy.Repository = func(string, string) bool { panic("index out of range") }
		wantRejected(t, newVerifier(t, policy), signed(t, key, signing.Legacy), "panic: ")
	})
}

// TestOneVerifierServesManyGoroutines is for the race detector: the packages
// below write into what they are given.
func TestOneVerifierServesManyGoroutines(t *testing.T) {
	t.Parallel()
	a, b := keys["P-256"](), keys["Ed25519"]()
	policy := policyOf(a, b)
	policy.Threshold = 2
	policy.Annotations = map[string]string{"env": "prod"}
	policy.Repository = verify.ExactRepository()
	v := newVerifier(t, policy)
	candidates := []verify.Candidate{
		signed(t, a, signing.Bundle), {Bundle: []byte("junk")}, signed(t, b, signing.Legacy), goldenBundle(t, "cosign3", "ecdsa-p256"),
	}
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			result, err := v.Verify(t.Context(), theImage(), candidates)
			if err != nil || !result.Accepted {
				t.Errorf("not accepted: %v", err)
				return
			}
			if _, err := result.MarshalJSON(); err != nil {
				t.Error(err)
			}
			result.Signatures[0].Claims.Annotations["mine"] = "alone"
		})
	}
	wg.Wait()
}
