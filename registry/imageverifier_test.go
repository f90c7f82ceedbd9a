// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode"

	"github.com/containerd/containerd/v2/pkg/imageverifier"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/policyfile"
)

func (n *node) imageVerifier(verifier verify.Verifier, opts ...registry.VerifyOption) imageverifier.ImageVerifier {
	n.Helper()
	v, err := n.client.ImageVerifier(verifier, opts...)
	if err != nil {
		n.Fatal(err)
	}
	return v
}

func TestImageVerifierJudgesWhatContainerdResolved(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	image := n.publish("app:v1", "app", signing.Bundle)
	n.publish("app:v2", "moved", signing.Bundle)
	unsigned := putImage(n.ctx, t, n.cd, "unsigned")
	pushUnsigned(n.ctx, t, n.client, n.cd, n.reg.ref("unsigned:v1"), unsigned)
	other := digest.FromString("other").String()
	judge := n.imageVerifier(verifierOf(t, n.key))
	tests := []struct {
		name   string
		ref    string
		desc   ocispec.Descriptor
		ok     bool
		reason string
	}{
		{"a tag, as ctr has it", "app:v1", image, true, "signed by key sha256:"},
		{"a tag that has moved since", "app:v2", image, true, "signed by key sha256:"},
		{"a digest, as the kubelet has it", "app@" + image.Digest.String(), image, true, "signed by key sha256:"},
		{"tag and digest", "app:v1@" + image.Digest.String(), image, true, "signed by key sha256:"},
		{"no signature", "unsigned:v1", unsigned, false, "no signatures found"},
		{"a digest of another image", "app@" + other, image, false, other},
		{"tag and digest of another image", "app:v1@" + other, image, false, other},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n.reg.record()
			got, err := judge.VerifyImage(n.ctx, n.reg.ref(test.ref), test.desc)
			if err != nil {
				t.Fatal(err)
			}
			if got.OK != test.ok || !strings.Contains(got.Reason, test.reason) {
				t.Errorf("judgement %+v", got)
			}
			for _, r := range n.reg.recorded() {
				if strings.HasSuffix(r, "/manifests/v1") || strings.HasSuffix(r, "/manifests/v2") {
					t.Errorf("the name was resolved again: %s", r)
				}
			}
		})
	}
}

func TestImageVerifierHasNoJudgementOfWhatItCannotCheck(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	image := n.publish("app:v1", "app", signing.Bundle)
	judge := n.imageVerifier(verifierOf(t, n.key))
	ended, cancel := context.WithCancel(n.ctx)
	cancel()
	n.reg.failing(http.StatusTooManyRequests, func(r *http.Request) bool { return r.URL.Path != "/v2/" })
	for name, test := range map[string]struct {
		ctx    context.Context
		ref    string
		desc   ocispec.Descriptor
		family error
	}{
		"a registry that throttles":    {n.ctx, n.reg.ref("app:v1"), image, verify.ErrInconclusive},
		"a context that has ended":     {ended, n.reg.ref("app:v1"), image, verify.ErrInconclusive},
		"no name":                      {n.ctx, "", image, verify.ErrMisconfigured},
		"no reference":                 {n.ctx, "ipfs://x", image, verify.ErrMisconfigured},
		"no descriptor":                {n.ctx, n.reg.ref("app:v1"), ocispec.Descriptor{}, verify.ErrMisconfigured},
		"a descriptor of what is none": {n.ctx, n.reg.ref("app:v1"), ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: image.Digest, Size: 1}, verify.ErrMisconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := judge.VerifyImage(test.ctx, test.ref, test.desc)
			wantFamily(t, err, test.family)
			if got != nil {
				t.Errorf("judgement %+v", got)
			}
		})
	}
}

// fixedVerifier has the same answer for every image.
type fixedVerifier struct {
	result verify.Result
	err    error
}

func (v fixedVerifier) Verify(_ context.Context, image verify.Image, _ []verify.Candidate) (*verify.Result, error) {
	result := v.result
	result.Image = image
	return &result, v.err
}

// TestImageVerifierGoesByTheHostOfContainerd: containerd resolves foo/bar at the host
// foo, and what is said of docker.io must not let that through.
func TestImageVerifierGoesByTheHostOfContainerd(t *testing.T) {
	t.Parallel()
	policy, err := policyfile.Parse([]byte("version: 1\nrules: [{scope: docker.io, insecureAcceptAnything: true}]\n"), "", policyfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	judge, err := newClient(t, registry.Config{}).ImageVerifier(policy)
	if err != nil {
		t.Fatal(err)
	}
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("x"), Size: 1}
	for _, name := range []string{"foo/bar:latest", "alpine:latest", "index.docker.io/library/alpine:latest", "docker.io/alpine:latest", "alpine@" + desc.Digest.String()} {
		got, err := judge.VerifyImage(t.Context(), name, desc)
		wantFamily(t, err, verify.ErrMisconfigured)
		if got != nil {
			t.Errorf("%s: judgement %+v", name, got)
		}
	}
	for _, name := range []string{"docker.io/foo/bar:latest", "docker.io/library/alpine@" + desc.Digest.String()} {
		if got, err := judge.VerifyImage(t.Context(), name, desc); err != nil || !got.OK {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestReasonsAreOneLineThatFits(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	image := n.publish("app:v1", "app", signing.Bundle)
	junk := errors.New(strings.Repeat("\x1b[2J\u202eno\n", 1000))
	for name, verifier := range map[string]verify.Verifier{
		"rejected": fixedVerifier{err: &verify.Error{Kind: verify.ErrRejected, Err: junk}},
		"unknown":  fixedVerifier{err: &verify.Error{Kind: verify.ErrInconclusive, Err: junk}},
		"warned":   fixedVerifier{result: verify.Result{Accepted: true, Unverified: junk}},
		"accepted": fixedVerifier{result: verify.Result{Accepted: true, Signatures: []verify.Signature{{
			Identity: &verify.CertificateIdentity{Subject: junk.Error(), Issuer: junk.Error()}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := n.imageVerifier(verifier).VerifyImage(n.ctx, n.reg.ref("app:v1"), image)
			text := ""
			if err != nil {
				text = err.Error()
			} else {
				text = got.Reason
			}
			if text == "" || len(text) > 1024 || strings.IndexFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) >= 0 {
				t.Errorf("%d bytes: %q", len(text), text)
			}
		})
	}
}

func TestImageVerifierIsMisconfigured(t *testing.T) {
	t.Parallel()
	c := newClient(t, registry.Config{})
	arm64 := registry.WithSignedPlatform(platforms.Only(platforms.MustParse("linux/arm64")))
	for name, make := range map[string]func() (imageverifier.ImageVerifier, error){
		"without a verifier": func() (imageverifier.ImageVerifier, error) { return c.ImageVerifier(nil) },
		"with a platform":    func() (imageverifier.ImageVerifier, error) { return c.ImageVerifier(fixedVerifier{}, arm64) },
		"without a registry": func() (imageverifier.ImageVerifier, error) {
			return c.ImageVerifier(fixedVerifier{}, registry.WithoutRegistry())
		},
		"with what excludes each": func() (imageverifier.ImageVerifier, error) {
			return c.ImageVerifier(fixedVerifier{}, registry.WithEveryPlatform(), registry.WithContainingIndex("x"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := make()
			wantFamily(t, err, verify.ErrMisconfigured)
			if v != nil {
				t.Error("there is one")
			}
		})
	}
}
