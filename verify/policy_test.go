// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"crypto/dsa" //nolint:staticcheck // a key type that must be refused
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	a, b := keys["P-256"](), keys["Ed25519"]()
	with := func(edit func(*verify.Policy)) verify.Policy {
		policy := policyOf(a, b)
		edit(&policy)
		return policy
	}
	manyKeys := func(n int) (out []crypto.PublicKey) {
		for range n {
			out = append(out, a.Public())
		}
		return out
	}
	manyAnnotations := func(n int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprint(i)] = ""
		}
		return m
	}
	for name, c := range map[string]struct {
		policy verify.Policy
		why    string
	}{
		"the zero policy":              {verify.Policy{}, "names no key"},
		"no keys":                      {with(func(p *verify.Policy) { p.Keys = nil }), "names no key"},
		"an empty list of keys":        {with(func(p *verify.Policy) { p.Keys = []crypto.PublicKey{} }), "names no key"},
		"a log entry without a root":   {with(func(p *verify.Policy) { p.InsecureIgnoreTransparencyLog = false }), "no trusted root"},
		"a negative threshold":         {with(func(p *verify.Policy) { p.Threshold = -1 }), "threshold -1"},
		"a threshold over the keys":    {with(func(p *verify.Policy) { p.Threshold = 3 }), "threshold 3 with 2 different keys"},
		"a threshold of one key twice": {verify.Policy{Keys: manyKeys(2), Threshold: 2, InsecureIgnoreTransparencyLog: true}, "threshold 2 with 1 different keys"},
		"129 keys":                     {with(func(p *verify.Policy) { p.Keys = manyKeys(limits.Keys + 1) }), "limit exceeded"},
		"257 annotations":              {with(func(p *verify.Policy) { p.Annotations = manyAnnotations(limits.Annotations + 1) }), "limit exceeded"},
		"a nil key":                    {with(func(p *verify.Policy) { p.Keys[1] = nil }), "key 2"},
		"a private key":                {with(func(p *verify.Policy) { p.Keys[1] = a }), "key 2"},
		"an Ed25519 private key":       {with(func(p *verify.Policy) { p.Keys[1] = b }), "key 2"},
		"a PEM in the place of a key":  {with(func(p *verify.Policy) { p.Keys[1] = "-----BEGIN PUBLIC KEY-----" }), "key 2"},
		"bytes of an Ed25519 key":      {with(func(p *verify.Policy) { p.Keys[1] = []byte(b.Public().(ed25519.PublicKey)) }), "key 2"},
		"an ECDSA key by value":        {with(func(p *verify.Policy) { p.Keys[1] = ecdsa.PublicKey{Curve: elliptic.P256()} }), "key 2"},
		"an RSA key by value":          {with(func(p *verify.Policy) { p.Keys[1] = rsa.PublicKey{} }), "key 2"},
		"a DSA key":                    {with(func(p *verify.Policy) { p.Keys[1] = &dsa.PublicKey{} }), "key 2"},
		"a key agreement key":          {with(func(p *verify.Policy) { p.Keys[1] = agreementKey(t) }), "key 2"},
		"a weak curve":                 {with(func(p *verify.Policy) { p.Keys[1] = newECDSA(elliptic.P224()).Public() }), "key 2"},
		"RSA of 1024 bits":             {with(func(p *verify.Policy) { p.Keys[1] = newRSA(1024).Public() }), "key 2"},
		"a point off the curve": {with(func(p *verify.Policy) {
			p.Keys[1] = &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
		}), "key 2"},
		"the point at infinity": {with(func(p *verify.Policy) {
			p.Keys[1] = &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int), Y: new(big.Int)}
		}), "key 2"},
		"a good key before a bad one":     {with(func(p *verify.Policy) { p.Keys = append(p.Keys, nil) }), "key 3"},
		"RSA with the exponent 1":         {with(func(p *verify.Policy) { p.Keys[1] = &rsa.PublicKey{N: rsaModulus(t), E: 1} }), "key 2"},
		"RSA with an even exponent":       {with(func(p *verify.Policy) { p.Keys[1] = &rsa.PublicKey{N: rsaModulus(t), E: 65536} }), "key 2"},
		"RSA with a negative exponent":    {with(func(p *verify.Policy) { p.Keys[1] = &rsa.PublicKey{N: rsaModulus(t), E: -3} }), "key 2"},
		"RSA of 8192 bits":                {with(func(p *verify.Policy) { p.Keys[1] = &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 8191), E: 65537} }), "key 2"},
		"every wrong field at once":       {verify.Policy{Keys: []crypto.PublicKey{nil}, Threshold: -1}, ""},
		"the option and nothing else":     {verify.Policy{InsecureIgnoreTransparencyLog: true}, "names no key"},
		"a threshold and nothing else":    {verify.Policy{Threshold: 1, InsecureIgnoreTransparencyLog: true}, "names no key"},
		"the largest threshold there is":  {with(func(p *verify.Policy) { p.Threshold = int(^uint(0) >> 1) }), "threshold"},
		"the smallest threshold there is": {with(func(p *verify.Policy) { p.Threshold = -int(^uint(0)>>1) - 1 }), "threshold"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := verify.New(c.policy)
			wantFamily(t, err, verify.ErrMisconfigured)
			if v != nil {
				t.Error("a verifier beside the error")
			}
			if !strings.Contains(err.Error(), c.why) {
				t.Errorf("error is %q, want one that says %q", err, c.why)
			}
		})
	}
}

func agreementKey(t *testing.T) crypto.PublicKey {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key.Public()
}

func rsaModulus(t *testing.T) *big.Int {
	t.Helper()
	return keys["RSA 2048"]().Public().(*rsa.PublicKey).N
}

func TestNewAcceptsTheLimits(t *testing.T) {
	t.Parallel()
	policy := policyOf()
	for range limits.Keys {
		policy.Keys = append(policy.Keys, newECDSA(elliptic.P256()).Public())
	}
	policy.Threshold = limits.Keys
	policy.Annotations = map[string]string{}
	for i := range limits.Annotations {
		policy.Annotations[fmt.Sprint(i)] = "x"
	}
	if _, err := verify.New(policy); err != nil {
		t.Error(err)
	}
}

// TestNewRefusesIncompleteKeys: such keys are what a caller holds after an
// error that was not looked at.
func TestNewRefusesIncompleteKeys(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]crypto.PublicKey{
		"nil RSA key":            (*rsa.PublicKey)(nil),
		"empty RSA key":          &rsa.PublicKey{},
		"RSA key without N":      &rsa.PublicKey{E: 65537},
		"RSA modulus that is 0":  &rsa.PublicKey{N: new(big.Int), E: 65537},
		"nil ECDSA key":          (*ecdsa.PublicKey)(nil),
		"empty ECDSA key":        &ecdsa.PublicKey{},
		"ECDSA key without X, Y": &ecdsa.PublicKey{Curve: elliptic.P256()},
		"ECDSA key without Y":    &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1)},
		"a curve of nobody":      &ecdsa.PublicKey{Curve: &elliptic.CurveParams{}, X: big.NewInt(1), Y: big.NewInt(1)},
		"nil Ed25519 key":        ed25519.PublicKey(nil),
		"empty Ed25519 key":      ed25519.PublicKey{},
		"short Ed25519 key":      make(ed25519.PublicKey, 31),
		"long Ed25519 key":       make(ed25519.PublicKey, 33),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if r := recover(); r != nil {
					t.Errorf("panic: %v", r)
				}
			}()
			_, err := verify.New(verify.Policy{Keys: []crypto.PublicKey{key}, InsecureIgnoreTransparencyLog: true})
			wantFamily(t, err, verify.ErrMisconfigured)
		})
	}
}

// TestWhatWeakensACheckIsLogged: once, when the verifier is made.
func TestWhatWeakensACheckIsLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	policy := policyOf(keys["P-256"]())
	policy.Logger = slog.New(slog.NewTextHandler(&log, nil))
	v := newVerifier(t, policy)
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "InsecureIgnoreTransparencyLog") {
		t.Errorf("logged %q, want a warning that names the option", &log)
	}
	log.Reset()
	wantAccepted(t, v, signed(t, keys["P-256"](), signing.Bundle))
	if log.Len() > 0 {
		t.Errorf("verifying logged %q", &log)
	}
	policy.Threshold = 2
	if _, err := verify.New(policy); err == nil || log.Len() > 0 {
		t.Errorf("a policy that is refused with %v logged %q", err, &log)
	}
}

func TestLimitsAreACauseThatCallersCanMatch(t *testing.T) {
	t.Parallel()
	policy := policyOf(keys["P-256"]())
	for range limits.Keys {
		policy.Keys = append(policy.Keys, policy.Keys[0])
	}
	if _, err := verify.New(policy); !errors.Is(err, verify.ErrLimit) {
		t.Errorf("error %v does not match ErrLimit", err)
	}
}

func TestRepositoryMatchers(t *testing.T) {
	t.Parallel()
	exact := verify.ExactRepository()
	remap := verify.RemapRepository(map[string]string{
		"mirror.example/hub":         "docker.io",
		"mirror.example/hub/private": "registry.example/secret",
		"slash.example/":             "quay.io/",
		"whole.example/app":          "registry.example/app",
		"":                           "nowhere.example",
	})
	for name, c := range map[string]struct {
		matcher        verify.RepositoryMatcher
		image, claimed string
		want           bool
	}{
		"exact: the same":                     {exact, "docker.io/library/alpine", "docker.io/library/alpine", true},
		"exact: another":                      {exact, "docker.io/library/alpine", "docker.io/library/busybox", false},
		"exact: a prefix":                     {exact, "registry.example/app", "registry.example/app/debug", false},
		"exact: none claimed":                 {exact, "docker.io/library/alpine", "", false},
		"exact: none at all":                  {exact, "", "", false},
		"remap: replaced":                     {remap, "mirror.example/hub/library/alpine", "docker.io/library/alpine", true},
		"remap: its own name is not enough":   {remap, "mirror.example/hub/library/alpine", "mirror.example/hub/library/alpine", false},
		"remap: the longest prefix":           {remap, "mirror.example/hub/private/app", "registry.example/secret/app", true},
		"remap: not a shorter prefix":         {remap, "mirror.example/hub/private/app", "docker.io/private/app", false},
		"remap: a prefix ends at a component": {remap, "mirror.example/hubris/app", "docker.ioris/app", false},
		"remap: so this one is not touched":   {remap, "mirror.example/hubris/app", "mirror.example/hubris/app", true},
		"remap: nor below the longer one":     {remap, "mirror.example/hub/privateer/app", "docker.io/privateer/app", true},
		"remap: a prefix that ends in /":      {remap, "slash.example/team/app", "quay.io/team/app", true},
		"remap: the whole name":               {remap, "whole.example/app", "registry.example/app", true},
		"remap: below the whole name":         {remap, "whole.example/app/x", "registry.example/app/x", true},
		"remap: no prefix fits":               {remap, "registry.example/app", "registry.example/app", true},
		"remap: no prefix fits, another":      {remap, "registry.example/app", "docker.io/app", false},
		"remap: the empty prefix is none":     {remap, "registry.example/app", "nowhere.exampleregistry.example/app", false},
		"remap: none claimed":                 {remap, "mirror.example/hub/app", "", false},
		"remap: nothing":                      {verify.RemapRepository(nil), "registry.example/app", "registry.example/app", true},
		"remap: nothing, another":             {verify.RemapRepository(nil), "registry.example/app", "registry.example/other", false},
		"remap: to nothing, none claimed":     {verify.RemapRepository(map[string]string{"a.example/app": ""}), "a.example/app", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := c.matcher(c.image, c.claimed); got != c.want {
				t.Errorf("image %q, claimed %q: %t", c.image, c.claimed, got)
			}
		})
	}
}

// TestRepositoryOfAPolicy is about the names that a matcher is given.
func TestRepositoryOfAPolicy(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	for name, c := range map[string]struct {
		image, signed string
		why           string // empty where the signature passes
	}{
		"the same":                       {"registry.example/app:v1", "registry.example/app", ""},
		"a short name is Docker Hub's":   {"alpine", "docker.io/library/alpine", ""},
		"as cosign names Docker Hub":     {"docker.io/library/alpine:3", "index.docker.io/library/alpine", ""},
		"a tag was signed":               {"registry.example/app:v1", "registry.example/app:v2", ""},
		"a digest was signed":            {"registry.example/app", "registry.example/app@sha256:" + otherHex, ""},
		"an image with a digest":         {"registry.example/app@sha256:" + otherHex, "registry.example/app", ""},
		"a port":                         {"registry.example:5000/app", "registry.example:5000/app", ""},
		"another port":                   {"registry.example:5000/app", "registry.example:5001/app", "which the policy does not accept"},
		"another repository":             {"registry.example/app", "registry.example/other", "which the policy does not accept"},
		"another host":                   {"registry.example/app", "evil.example/app", "which the policy does not accept"},
		"no name, as cosign's bundles":   {"registry.example/app", "", "which the policy does not accept"},
		"a name that is no reference":    {"registry.example/app", "registry.example/app\n", "claimed repository"},
		"a name in upper case":           {"registry.example/app", "registry.example/APP", "claimed repository"},
		"a name with a space before it":  {"registry.example/app", " registry.example/app", "claimed repository"},
		"a name that is a digest":        {"registry.example/app", theHex, "claimed repository"},
		"a name that is much too long":   {"registry.example/app", strings.Repeat("a/", 50000), "too long for any image"},
		"a name with control characters": {"registry.example/app", "registry.example/\x1b[31mapp", "claimed repository"},
	} {
		for _, form := range forms {
			if form == signing.Legacy && c.signed == "" {
				continue // cannot be signed
			}
			t.Run(name+" "+string(form), func(t *testing.T) {
				t.Parallel()
				policy := policyOf(key)
				policy.Repository = verify.ExactRepository()
				s, p := statement(), payloadOf()
				s["subject"].([]any)[0].(object)["name"] = c.signed
				critical(p)["identity"] = object{"docker-reference": c.signed}
				candidate := bundleCandidate(t, bundleOf(t, with(key, crypto.SHA256), marshal(t, s)))
				if form == signing.Legacy {
					candidate = legacyCandidate(t, with(key, crypto.SHA256), marshal(t, p))
				}
				image := theImage()
				image.Name = c.image
				result, err := newVerifier(t, policy).Verify(t.Context(), image, []verify.Candidate{candidate})
				if c.why == "" {
					if err != nil {
						t.Error(err)
					}
					return
				}
				wantFamily(t, err, verify.ErrRejected)
				if reason := result.Signatures[0].Err.Error(); !strings.Contains(reason, c.why) || len(reason) > 600 {
					t.Errorf("reason is %.600q, want one that says %q", reason, c.why)
				}
				// Any repository will do without a matcher.
				if _, err := newVerifier(t, policyOf(key)).Verify(t.Context(), image, []verify.Candidate{candidate}); err != nil {
					t.Errorf("with no matcher: %v", err)
				}
			})
		}
	}
}
