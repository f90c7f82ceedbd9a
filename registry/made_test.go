// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// foreignSigner is a signer of somebody else's.
type foreignSigner func(ctx context.Context, request signing.Request) ([]signing.Signature, error)

func (f foreignSigner) Sign(ctx context.Context, request signing.Request) ([]signing.Signature, error) {
	return f(ctx, request)
}

// altered returns what signer makes, changed.
func altered(signer signing.Signer, change func(*signing.Signature)) signing.Signer {
	return foreignSigner(func(ctx context.Context, request signing.Request) ([]signing.Signature, error) {
		made, err := signer.Sign(ctx, request)
		for i := range made {
			change(&made[i])
		}
		return made, err
	})
}

// asked has signer asked for something else.
func asked(signer signing.Signer, change func(*signing.Request)) signing.Signer {
	return foreignSigner(func(ctx context.Context, request signing.Request) ([]signing.Signature, error) {
		change(&request)
		return signer.Sign(ctx, request)
	})
}

// certificateOf is one that nobody vouches for.
func certificateOf(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), EmailAddresses: []string{"me@example.test"}}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// withCertificate shows a signature with a certificate instead of the key.
func withCertificate(t *testing.T, raw []byte) func(*signing.Signature) {
	t.Helper()
	return func(s *signing.Signature) {
		s.PublicKey = nil
		if s.Form == signing.Legacy {
			s.Annotations["dev.sigstore.cosign/certificate"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
			return
		}
		edit(s, func(b map[string]any) {
			b["verificationMaterial"] = map[string]any{"certificate": map[string]any{"rawBytes": raw}}
		})
	}
}

// edit changes a bundle.
func edit(s *signing.Signature, change func(map[string]any)) {
	var b map[string]any
	if err := json.Unmarshal(s.Bundle, &b); err != nil {
		panic(err)
	}
	change(b)
	var err error
	if s.Bundle, err = json.Marshal(b); err != nil {
		panic(err)
	}
}

type returnedCase struct {
	form   signing.Form
	signer signing.Signer
	want   string
}

// notSignatures are what a signer may return and nothing may attach.
func notSignatures(t *testing.T, target ocispec.Descriptor, manifest []byte) map[string]returnedCase {
	t.Helper()
	key, other := newKey(t), newKey(t)
	good := signerOf(t, key)
	artifacts := good.(signing.ArtifactSigner)
	bundleOf := func(b []byte, err error) signing.Signer {
		if err != nil {
			t.Fatal(err)
		}
		return foreignSigner(func(context.Context, signing.Request) ([]signing.Signature, error) {
			return []signing.Signature{{Form: signing.Bundle, PublicKey: key.Public(), Bundle: b}}, nil
		})
	}
	cases := map[string]returnedCase{
		"an empty object as a bundle": {signing.Bundle, bundleOf([]byte("{}"), nil), "media type"},
		"a statement of another kind": {signing.Bundle, bundleOf(artifacts.SignStatement(t.Context(), fmt.Appendf(nil,
			`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{}}`,
			target.Digest.Encoded()))), "predicate type"},
		"the signature of a file":      {signing.Bundle, bundleOf(artifacts.SignArtifact(t.Context(), manifest)), "signature"},
		"an empty object as a payload": {signing.Legacy, altered(good, func(s *signing.Signature) { s.Payload = []byte("{}") }), "does not verify"},
		"an older bundle": {signing.Bundle, altered(good, func(s *signing.Signature) {
			edit(s, func(b map[string]any) { b["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1" })
		}), "media type"},
		"a bundle and more":              {signing.Bundle, altered(good, func(s *signing.Signature) { s.Bundle = append(s.Bundle, "{}"...) }), "bundle"},
		"a bundle under the other label": {"", altered(good, func(s *signing.Signature) { s.Form = signing.Legacy }), "fields of that form"},
		"no label":                       {"", altered(good, func(s *signing.Signature) { s.Form = "" }), "no form"},
		"the label of two":               {"", altered(good, func(s *signing.Signature) { s.Form = signing.Both }), "no form"},
		"nothing":                        {"", foreignSigner(func(context.Context, signing.Request) ([]signing.Signature, error) { return nil, nil }), "no signature"},
		"one form of two":                {signing.Both, asked(good, func(r *signing.Request) { r.Form = signing.Bundle }), "both was asked for"},
		"a legacy one for a bundle":      {signing.Bundle, asked(good, func(r *signing.Request) { r.Form = signing.Legacy }), "bundle was asked for"},
		"a huge annotation":              {signing.Legacy, altered(good, func(s *signing.Signature) { s.Annotations["x"] = strings.Repeat("x", limits.Bundle) }), "annotation in bytes"},
		"a chain without a certificate":  {signing.Legacy, altered(good, func(s *signing.Signature) { s.Annotations["dev.sigstore.cosign/chain"] = "x" }), "chain"},
		"an entry that is none":          {signing.Legacy, altered(good, func(s *signing.Signature) { s.Annotations["dev.sigstore.cosign/bundle"] = "{}" }), "log entry"},
	}
	for _, form := range []signing.Form{signing.Bundle, signing.Legacy} {
		add := func(name string, signer signing.Signer, want string) {
			cases[fmt.Sprintf("%s, %s", name, form)] = returnedCase{form, signer, want}
		}
		add("of another image", asked(good, func(r *signing.Request) { r.Digest = digest.FromString("another") }), "signature of the form")
		add("of another repository", asked(good, func(r *signing.Request) { r.Repository = "registry.test/else" }), "claims the repository")
		add("without the annotations", asked(good, func(r *signing.Request) { r.Annotations = nil }), "annotation")
		add("with another key", altered(good, func(s *signing.Signature) { s.PublicKey = other.Public() }), "does not verify with the key")
		add("with no key", altered(good, func(s *signing.Signature) { s.PublicKey = nil }), "neither a certificate nor a PublicKey")
		add("with what is no key", altered(good, func(s *signing.Signature) { s.PublicKey = "key" }), "the key that it shows")
		add("with the certificate of another key", altered(good, withCertificate(t, certificateOf(t, other))), "does not verify with the key")
		add("with what is no certificate", altered(good, withCertificate(t, []byte("certificate"))), "certificate")
	}
	return cases
}

var theAnnotations = map[string]string{"build": "42"}

// TestNothingIsAttachedThatDoesNotVerify: a signer that returns something else than
// the signature that it was asked for attaches nothing, and leaves no tag.
func TestNothingIsAttachedThatDoesNotVerify(t *testing.T) {
	t.Parallel()
	reg := newTestRegistry(t, true)
	c := newClient(t, registry.Config{})
	cd, ctx := newStore(t)
	image := putImage(ctx, t, cd, "image")
	pushUnsigned(ctx, t, c, cd, reg.ref("app:v1"), image)
	for name, test := range notSignatures(t, image, getRaw(t, reg, "app", "v1")) {
		t.Run(name, func(t *testing.T) {
			opts := []registry.SignOption{registry.WithForm(test.form), registry.WithAnnotations(theAnnotations)}
			check := func(attached []registry.Attached, err error) {
				t.Helper()
				wantFamily(t, err, verify.ErrMisconfigured)
				wantText(t, err, "what the signer returned")
				wantText(t, err, test.want)
				if len(attached) > 0 {
					t.Errorf("attached %v", attached)
				}
			}
			reg.record()
			check(c.Sign(ctx, reg.ref("app:v1"), test.signer, opts...))
			for _, r := range reg.recorded() {
				if !strings.HasPrefix(r, "GET ") && !strings.HasPrefix(r, "HEAD ") {
					t.Errorf("written: %s", r)
				}
			}
			reg.record()
			check(hooks.Push(ctx, c, cd.Client, reg.ref("fresh:v1"), image, test.signer, nil, opts...))
			if got := reg.digestOf(t, "fresh", "v1"); got != "" {
				t.Errorf("the tag is written: %s", got)
			}
			for _, r := range reg.recorded() {
				if strings.HasPrefix(r, "PUT ") && strings.Contains(r, "/manifests/") && !strings.HasSuffix(r, image.Digest.String()) {
					t.Errorf("attached: %s", r)
				}
			}
		})
	}
}

// TestNothingIsAttachedToALayoutThatDoesNotVerify: nor in a directory.
func TestNothingIsAttachedToALayoutThatDoesNotVerify(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newClient(t, registry.Config{Resolver: registry.LayoutResolver(dir)})
	cd, ctx := newStore(t)
	pushUnsigned(ctx, t, c, cd, "registry.test/app:v1", putImage(ctx, t, cd, "image"))
	index := func() string {
		b, err := os.ReadFile(filepath.Join(dir, "index.json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	before := index()
	_, err := c.Sign(ctx, "registry.test/app:v1", altered(signerOf(t, newKey(t)), func(s *signing.Signature) { s.Bundle = []byte("{}") }))
	wantFamily(t, err, verify.ErrMisconfigured)
	if after := index(); after != before {
		t.Errorf("written: %s", after)
	}
}

// TestNothingIsAttachedToAPartOfAnIndex: where the last of several signatures is
// none, the others are not attached either.
func TestNothingIsAttachedToAPartOfAnIndex(t *testing.T) {
	t.Parallel()
	reg := newTestRegistry(t, true)
	c := newClient(t, registry.Config{})
	cd, ctx := newStore(t)
	index := putIndex(ctx, t, cd, putImage(ctx, t, cd, "one"), putImage(ctx, t, cd, "two"))
	pushUnsigned(ctx, t, c, cd, reg.ref("app:v1"), index)
	good := signerOf(t, newKey(t))
	signer := foreignSigner(func(ctx context.Context, request signing.Request) ([]signing.Signature, error) {
		made, err := good.Sign(ctx, request)
		if request.Digest == index.Digest {
			made[0].Bundle = []byte("{}")
		}
		return made, err
	})
	reg.record()
	attached, err := c.Sign(ctx, reg.ref("app:v1"), signer, registry.WithRecursive())
	wantFamily(t, err, verify.ErrMisconfigured)
	for _, r := range reg.recorded() {
		if strings.HasPrefix(r, "PUT ") || strings.HasPrefix(r, "POST ") {
			t.Errorf("written: %s", r)
		}
	}
	if len(attached) > 0 {
		t.Errorf("attached %v", attached)
	}
}

// TestSignersOfOthersAreServed: what they make of their own is attached, if it
// verifies.
func TestSignersOfOthersAreServed(t *testing.T) {
	t.Parallel()
	reg := newTestRegistry(t, true)
	c := newClient(t, registry.Config{})
	cd, ctx := newStore(t)
	key := newKey(t)
	good := signerOf(t, key)
	own := certificateOf(t, key)
	for name, test := range map[string]returnedCase{
		"with a certificate":          {signing.Bundle, altered(good, withCertificate(t, own)), ""},
		"with a certificate, legacy":  {signing.Legacy, altered(good, withCertificate(t, own)), ""},
		"in a form of its own":        {"", asked(good, func(r *signing.Request) { r.Form = signing.Legacy }), ""},
		"that claims no repository":   {signing.Bundle, asked(good, func(r *signing.Request) { r.Repository = "" }), ""},
		"with annotations of its own": {signing.Bundle, asked(good, func(r *signing.Request) { r.Annotations = map[string]string{"build": "42", "more": "1"} }), ""},
	} {
		t.Run(name, func(t *testing.T) {
			image := putImage(ctx, t, cd, name)
			attached, err := hooks.Push(ctx, c, cd.Client, reg.ref("app:v1"), image, test.signer, nil,
				registry.WithForm(test.form), registry.WithAnnotations(theAnnotations))
			if err != nil || len(attached) != 1 {
				t.Fatalf("attached %v, %v", attached, err)
			}
			if got := reg.digestOf(t, "app", "v1"); got != image.Digest {
				t.Errorf("the tag is %q", got)
			}
		})
	}
	// Docker Hub has two names.
	hub := asked(good, func(r *signing.Request) { r.Repository = "index.docker.io/library/app" })
	if _, err := c.Sign(ctx, reg.ref("app:v1"), hub, registry.WithClaimedRepository("docker.io/library/app")); err != nil {
		t.Error(err)
	}
}

// TestASignatureThatWouldNotBeReadAgainIsNotAdded: the manifest under the tag has
// the signatures of everybody in it, and nobody reads one that is too large.
func TestASignatureThatWouldNotBeReadAgainIsNotAdded(t *testing.T) {
	t.Parallel()
	reg := newTestRegistry(t, true)
	c := newClient(t, registry.Config{})
	cd, ctx := newStore(t)
	pushUnsigned(ctx, t, c, cd, reg.ref("app:v1"), putImage(ctx, t, cd, "image"))
	key := newKey(t)
	sign := func(signer signing.Signer) error {
		_, err := c.Sign(ctx, reg.ref("app:v1"), signer, registry.WithForm(signing.Legacy))
		return err
	}
	if err := sign(signerOf(t, key)); err != nil {
		t.Fatal(err)
	}
	err := sign(altered(signerOf(t, newKey(t)), func(s *signing.Signature) {
		for i := range limits.Manifest/limits.Bundle + 1 {
			s.Annotations[fmt.Sprint(i)] = strings.Repeat("x", limits.Bundle-10)
		}
	}))
	wantText(t, err, limits.ErrExceeded.Error())
	if _, err := c.Verify(ctx, reg.ref("app:v1"), verifierOf(t, key)); err != nil {
		t.Errorf("the signature that was there is lost: %v", err)
	}
}
