// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// party is somebody who signs and verifies: a release of cosign, or cosignkit.
type party struct {
	name    string
	command *cosign // nil for cosignkit
}

func parties() []party {
	return []party{{cosignV2.name, &cosignV2}, {cosignV3.name, &cosignV3}, {name: here}}
}

func (p party) isV2() bool { return p.command != nil && !p.command.isV3() }

// key returns a key of the kind that the party signs with: one that the other
// side made.
func (p party) key(t *testing.T, kind keyKind) keyFiles {
	t.Helper()
	switch {
	case p.command != nil:
		return keyMadeHere(t, kind, "shared")
	case kind.name == rsa2048.name:
		return keyMadeBy(t, &cosignV2, kind)
	default:
		return keyMadeBy(t, &cosignV3, kind)
	}
}

// sign signs with annotations, which may be nil.
func (p party) sign(t *testing.T, r testRegistry, form signing.Form, with credential, img image, annotations map[string]string) {
	t.Helper()
	if p.command != nil {
		p.command.sign(t, form, with, img, annotationFlags(annotations)...).succeeds(t)
		return
	}
	attached, err := r.client.Sign(t.Context(), img.pinned, with.signer(t),
		registry.WithForm(form), registry.WithAnnotations(annotations))
	if err != nil {
		t.Fatal(err)
	}
	if want := len(formsOf(form)); len(attached) != want {
		t.Fatalf("%d signatures attached, want %d", len(attached), want)
	}
}

// verifies fails the test unless the party accepts the image.
func (p party) verifies(t *testing.T, r testRegistry, form signing.Form, with credential, img image, annotations map[string]string) {
	t.Helper()
	if p.command != nil {
		p.command.verify(t, with, img, annotationFlags(annotations)...).succeeds(t)
		return
	}
	policy := with.policy(t)
	policy.Annotations = annotations
	result, err := verifyHere(t, r, policy, img)
	if err != nil {
		t.Fatal(err)
	}
	expectForms(t, result, img, form)
	for _, s := range result.Signatures {
		with.vouches(t, s)
	}
}

// refuses fails the test unless the party rejects the image: f is how the
// command does, and cosignkit says ErrRejected.
func (p party) refuses(t *testing.T, r testRegistry, with credential, img image, annotations map[string]string, f failure) {
	t.Helper()
	if p.command != nil {
		p.command.verify(t, with, img, annotationFlags(annotations)...).fails(t, f)
		return
	}
	policy := with.policy(t)
	policy.Annotations = annotations
	_, err := verifyHere(t, r, policy, img)
	if !errors.Is(err, verify.ErrRejected) || errors.Is(err, verify.ErrInconclusive) || errors.Is(err, verify.ErrMisconfigured) {
		t.Errorf("error %v, want one that is ErrRejected and of no other family", err)
	}
	if annotations != nil && err != nil && !strings.Contains(err.Error(), "annotation") {
		t.Errorf("error %v, want one about the annotation", err)
	}
}

// verifyHere looks at every signature, so that the result shows all that there are.
func verifyHere(t *testing.T, r testRegistry, policy verify.Policy, img image, opts ...registry.VerifyOption) (*verify.Result, error) {
	t.Helper()
	verifier, err := verify.New(policy)
	if err != nil {
		t.Fatal(err)
	}
	result, err := r.client.Verify(t.Context(), img.tagged, verifier, append(opts, registry.WithEverySignature())...)
	if err == nil && result.Image.Target.Digest.String() != img.digest {
		t.Errorf("pinned to %s, want %s", result.Image.Target.Digest, img.digest)
	}
	return result, err
}

// expectForms fails the test unless one signature of each form of form was
// found, and passed.
func expectForms(t *testing.T, result *verify.Result, img image, form signing.Form) {
	t.Helper()
	got := map[verify.Form]int{}
	for _, s := range result.Signatures {
		if s.Err != nil {
			t.Errorf("%s signature at %s: %v", s.Form, s.Origin, s.Err)
		}
		if s.Form == verify.FormLegacy && s.Claims.Repository != img.repository {
			t.Errorf("the signature claims repository %q, want %q", s.Claims.Repository, img.repository)
		}
		got[s.Form]++
	}
	want := map[verify.Form]int{}
	for _, f := range formsOf(form) {
		want[verify.Form(f)] = 1
	}
	if !maps.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

// formsOf lists the single forms that form stands for.
func formsOf(form signing.Form) []signing.Form {
	if form == signing.Both {
		return []signing.Form{signing.Bundle, signing.Legacy}
	}
	return []signing.Form{form}
}

func annotationFlags(annotations map[string]string) (flags []string) {
	for key, value := range annotations {
		flags = append(flags, fmt.Sprintf("--annotations=%s=%s", key, value))
	}
	return flags
}
