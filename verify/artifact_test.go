// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// file is an artifact that is no image, and larger than a bundle may be.
var file = bytes.Repeat([]byte("cosignkit\n"), 200_000)

func ofFile() verify.Artifact { return verify.Artifact{Content: bytes.NewReader(file)} }

func ofDigest(d digest.Digest) verify.Artifact { return verify.Artifact{Digest: d} }

func TestVerifyBundleWithAMessageSignature(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		key    crypto.Signer
		sign   signFunc
		digest bool // whether the digest alone is enough
	}{
		"P-256":               {keys["P-256"](), with(keys["P-256"](), crypto.SHA256), true},
		"P-384, with SHA-256": {keys["P-384"](), with(keys["P-384"](), crypto.SHA256), true},
		"RSA":                 {keys["RSA 2048"](), with(keys["RSA 2048"](), crypto.SHA256), true},
		"Ed25519":             {keys["Ed25519"](), with(keys["Ed25519"](), crypto.Hash(0)), false},
		"Ed25519ph":           {keys["Ed25519"](), withEd25519ph(keys["Ed25519"]()), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, o := messageBundle(t, test.sign, file)
			b := marshal(t, o)
			policy := policyOf(test.key)
			s, err := verify.Bundle(t.Context(), policy, ofFile(), b)
			if err != nil {
				t.Fatal(err)
			}
			if s.Err != nil || s.KeyID == "" || s.Form != verify.FormBundle || s.Claims.Statement != nil {
				t.Errorf("%+v", s)
			}
			_, err = verify.Bundle(t.Context(), policy, ofDigest(digest.FromBytes(file)), b)
			if test.digest && err != nil {
				t.Errorf("by digest: %v", err)
			} else if !test.digest {
				wantFamily(t, err, verify.ErrRejected)
				if !strings.Contains(err.Error(), "is checked with the content") {
					t.Errorf("error %q, want one that says what is missing", err)
				}
			}
			_, err = verify.Bundle(t.Context(), policy, verify.Artifact{Content: strings.NewReader("another")}, b)
			wantFamily(t, err, verify.ErrRejected)
			_, err = verify.Bundle(t.Context(), policy, ofDigest(digest.FromString("another")), b)
			wantFamily(t, err, verify.ErrRejected)
			_, err = verify.Bundle(t.Context(), policyOf(newEd25519()), ofFile(), b)
			wantFamily(t, err, verify.ErrRejected)
		})
	}
}

// TestEmptyContentIsSignedForItselfAlone: a verifier that is given a digest is given
// an empty message with it, and a signature of the empty file must not pass for one
// of whatever has that digest.
func TestEmptyContentIsSignedForItselfAlone(t *testing.T) {
	t.Parallel()
	other := []byte("content that nobody signed")
	sum := sha256.Sum256(other)
	for name, key := range keys {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			empty := verify.Artifact{Content: strings.NewReader("")}
			signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key(), SkipTransparencyLog: true})
			if err != nil {
				t.Fatal(err)
			}
			made, err := signer.SignArtifact(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			policy := policyOf(key())
			if _, err := verify.Bundle(t.Context(), policy, empty, made); err != nil {
				t.Errorf("the empty file: %v", err)
			}
			var forged object
			if err := json.Unmarshal(made, &forged); err != nil {
				t.Fatal(err)
			}
			forged["messageSignature"].(object)["messageDigest"] = object{"algorithm": "SHA2_256", "digest": sum[:]}
			for _, artifact := range []verify.Artifact{ofDigest(digest.FromBytes(other)), {Content: bytes.NewReader(other)}} {
				_, err := verify.Bundle(t.Context(), policy, artifact, marshal(t, forged))
				wantFamily(t, err, verify.ErrRejected)
				_, err = verify.Bundle(t.Context(), policy, artifact, made)
				wantFamily(t, err, verify.ErrRejected)
			}
			policy.AllowMessageSignaturesUnsafe = true
			image := theImage()
			image.Target.Digest = digest.FromBytes(other)
			_, err = newVerifier(t, policy).Verify(t.Context(), image, []verify.Candidate{{Bundle: marshal(t, forged)}})
			wantFamily(t, err, verify.ErrRejected)
		})
	}
}

func TestVerifyBundleWithAStatement(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	sha512sum := sha512.Sum512(file)
	for name, test := range map[string]struct {
		edit      func(object)
		artifact  verify.Artifact
		why       string
		predicate string
	}{
		"provenance":            {nil, ofFile(), "", "https://slsa.dev/provenance/v1"},
		"provenance, by digest": {nil, ofDigest(digest.FromBytes(file)), "", "https://slsa.dev/provenance/v1"},
		"an old statement": {func(s object) { s["_type"] = "https://in-toto.io/Statement/v0.1" }, ofFile(), "",
			"https://slsa.dev/provenance/v1"},
		"a signature of cosign's": {func(s object) { s["predicateType"] = signType }, ofFile(), "", signType},
		"by another digest of the file": {func(s object) {
			s["subject"] = []any{object{"digest": object{"sha512": hex.EncodeToString(sha512sum[:])}}}
		}, ofDigest(digest.SHA512.FromBytes(file)), "", "https://slsa.dev/provenance/v1"},
		"by another digest of the file, with the content": {func(s object) {
			s["subject"] = []any{object{"digest": object{"sha512": hex.EncodeToString(sha512sum[:])}}}
		}, ofFile(), "", "https://slsa.dev/provenance/v1"},
		"the second of three subjects": {func(s object) {
			s["subject"] = []any{subjectOf(otherHex), s["subject"].([]any)[0], subjectOf(theHex)}
		}, ofFile(), "", "https://slsa.dev/provenance/v1"},
		"another file":             {nil, verify.Artifact{Content: strings.NewReader("another")}, "digest", ""},
		"another digest":           {nil, ofDigest(digest.FromString("another")), "digest", ""},
		"a statement of some type": {func(s object) { s["_type"] = "https://example.com/Statement" }, ofFile(), "statement of type", ""},
		"the annotation of another subject": {func(s object) {
			s["subject"] = []any{
				object{"digest": object{"sha256": digest.FromBytes(file).Encoded()}},
				object{"digest": object{"sha256": otherHex}, "annotations": object{"env": "prod"}},
			}
		}, ofFile(), `annotation "env" is missing`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := statement()
			s["predicateType"] = "https://slsa.dev/provenance/v1"
			s["subject"] = []any{object{"digest": object{"sha256": digest.FromBytes(file).Encoded()}, "annotations": object{"env": "prod"}}}
			if test.edit != nil {
				test.edit(s)
			}
			policy := policyOf(key)
			if strings.Contains(name, "annotation") {
				policy.Annotations = map[string]string{"env": "prod"}
			}
			got, err := verify.Bundle(t.Context(), policy, test.artifact, marshal(t, bundleOf(t, with(key, crypto.SHA256), marshal(t, s))))
			if test.why != "" {
				wantFamily(t, err, verify.ErrRejected)
				if !strings.Contains(err.Error(), test.why) || got == nil || got.Err == nil {
					t.Errorf("error %v, want one that says %q; %+v", err, test.why, got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Claims.PredicateType != test.predicate || !json.Valid(got.Claims.Statement) || got.Subject == "" {
				t.Errorf("%+v, want predicate type %q", got, test.predicate)
			}
		})
	}
}

// TestVerifyBundleByIdentity: with certificates and logs, the bundle of an image
// is one of an artifact like any other.
func TestVerifyBundleByIdentity(t *testing.T) {
	t.Parallel()
	a := newAttempt(signing.Bundle)
	b := a.candidate(t).Bundle
	a.policy.TrustedRoots = a.trust.parsed(t)
	s, err := verify.Bundle(t.Context(), a.policy, ofDigest(a.image.Target.Digest), b)
	if err != nil || s.Identity == nil || s.Identity.Subject != theSubject {
		t.Fatalf("%+v, %v", s, err)
	}
	a.policy.Identities[0].Subject = "https://example.com/somebody-else"
	s, err = verify.Bundle(t.Context(), a.policy, ofDigest(a.image.Target.Digest), b)
	wantFamily(t, err, verify.ErrRejected)
	if s == nil || s.Err == nil {
		t.Errorf("%+v", s)
	}
}

func TestVerifyBundleMisconfigured(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	_, o := messageBundle(t, with(key, crypto.SHA256), file)
	good := marshal(t, o)
	policy := func(edit func(*verify.Policy)) verify.Policy {
		p := policyOf(key, keys["P-384"]())
		edit(&p)
		return p
	}
	same := func(*verify.Policy) {}
	for name, test := range map[string]struct {
		policy   verify.Policy
		artifact verify.Artifact
	}{
		"no policy":               {verify.Policy{}, ofFile()},
		"a threshold":             {policy(func(p *verify.Policy) { p.Threshold = 2 }), ofFile()},
		"a repository":            {policy(func(p *verify.Policy) { p.Repository = verify.ExactRepository() }), ofFile()},
		"no artifact":             {policy(same), verify.Artifact{}},
		"two artifacts":           {policy(same), verify.Artifact{Digest: digest.FromBytes(file), Content: bytes.NewReader(file)}},
		"a digest that is none":   {policy(same), ofDigest("sha256:short")},
		"a digest of no known":    {policy(same), ofDigest("md5:d41d8cd98f00b204e9800998ecf8427e")},
		"content that fails":      {policy(same), verify.Artifact{Content: broken{}}},
		"a limit that is no more": {policy(func(p *verify.Policy) { p.Limits.Bundle = -1 }), ofFile()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := verify.Bundle(t.Context(), test.policy, test.artifact, good)
			wantFamily(t, err, verify.ErrMisconfigured)
			if s != nil {
				t.Errorf("%+v", s)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, err := verify.Bundle(ctx, policy(same), ofFile(), good)
	wantFamily(t, err, verify.ErrInconclusive)
	if s != nil && s.Err == nil {
		t.Errorf("%+v, want none, or one with an error", s)
	}
}

type broken struct{ io.Seeker }

func (broken) Seek(int64, int) (int64, error) { return 0, nil }
func (broken) Read([]byte) (int, error)       { return 0, errors.New("input/output error") }

// TestVerifyBundleVersions: every media type that bundles have had.
func TestVerifyBundleVersions(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	_, o := messageBundle(t, with(key, crypto.SHA256), file)
	for mediaType, ok := range map[string]bool{
		"application/vnd.dev.sigstore.bundle+json;version=0.1": true,
		"application/vnd.dev.sigstore.bundle+json;version=0.2": true,
		"application/vnd.dev.sigstore.bundle+json;version=0.3": true,
		"application/vnd.dev.sigstore.bundle.v0.3+json":        true,
		"application/vnd.dev.sigstore.bundle.v0.4+json":        false,
		"application/vnd.dev.sigstore.bundle.v9.0+json":        false,
		"application/json": false,
		"":                 false,
	} {
		t.Run(mediaType, func(t *testing.T) {
			t.Parallel()
			versioned := object{}
			for k, v := range o {
				versioned[k] = v
			}
			versioned["mediaType"] = mediaType
			_, err := verify.Bundle(t.Context(), policyOf(key), ofFile(), marshal(t, versioned))
			if ok && err != nil {
				t.Error(err)
			} else if !ok {
				wantFamily(t, err, verify.ErrRejected)
			}
		})
	}
}
