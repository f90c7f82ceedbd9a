// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/cosignkit/cosignkit/internal/fault"
)

// Verifier decides about images. Implementations are safe for concurrent use.
type Verifier interface {
	// Verify checks candidates, the signatures that were found for image. The
	// error is nil only if image is acceptable, and is otherwise of one of the
	// three families. The Result is not nil when candidates were checked, also
	// beside an error.
	Verify(ctx context.Context, image Image, candidates []Candidate) (*Result, error)
}

// Image is what is verified.
type Image struct {
	// Name is the reference that the user asked for, in full, such as
	// docker.io/library/alpine:latest. Only its repository is ever compared
	// with anything; what is trusted is Target.
	Name string

	// Target is the manifest or index that Name stood for. Its Digest, sha256,
	// is what a signature must name.
	Target ocispec.Descriptor
}

// Candidate is something that was found in a place where signatures live. It is
// not trusted in any way.
type Candidate struct {
	// Origin says where the candidate was found.
	Origin Origin

	// Bundle is a Sigstore bundle in JSON. Nil for a legacy signature.
	Bundle []byte

	// Payload is the simple signing payload of a legacy signature, and
	// Annotations are those of its layer.
	Payload     []byte
	Annotations map[string]string

	// Err says why the candidate, or a whole place, could not be read. If it
	// matches ErrRejected, the candidate counts as bad; otherwise as unknown,
	// so that an image that is not acceptable without it is inconclusive, or
	// misconfigured if Err is.
	Err error
}

// Origin is where a candidate was found.
type Origin struct {
	// Source is the kind of place.
	Source Source `json:"source"`
	// Manifest is the digest of the manifest that holds the candidate.
	Manifest digest.Digest `json:"manifest,omitempty"`
	// Layer is the position of the candidate in that manifest.
	Layer int `json:"layer"`
}

// Source is a kind of place where signatures live.
type Source string

// The places that package registry looks at.
const (
	// SourceReferrersAPI is the list of referrers of the OCI distribution
	// specification 1.1.
	SourceReferrersAPI Source = "referrers API"
	// SourceReferrersTag is the index under the tag sha256-<hex>, for
	// registries that have no such API.
	SourceReferrersTag Source = "referrers tag"
	// SourceSignatureTag is the manifest under the tag sha256-<hex>.sig.
	SourceSignatureTag Source = "signature tag"
)

func (o Origin) String() string {
	if o.Source == "" {
		o.Source = "candidate"
	}
	if o.Manifest.Validate() != nil {
		return string(o.Source)
	}
	return fmt.Sprintf("%s %s layer %d", o.Source, o.Manifest, o.Layer)
}

// New returns a Verifier for policy. A policy that cannot be honoured in full
// is misconfigured.
func New(policy Policy) (Verifier, error) {
	v, err := policy.validate()
	if err != nil {
		return nil, fault.New(ErrMisconfigured, "new verifier", "", "policy", err)
	}
	return v, nil
}

const opVerify = "verify"

// Verify implements [Verifier].
func (v *validated) Verify(ctx context.Context, image Image, candidates []Candidate) (*Result, error) {
	if err := validDigest(image.Target.Digest); err != nil {
		return nil, fault.New(ErrMisconfigured, opVerify, image.Name, "image", err)
	}
	if v.repository != nil {
		if _, err := repositoryName(image.Name); err != nil {
			return nil, fault.New(ErrMisconfigured, opVerify, "", "image", err)
		}
	}
	material, err := v.material(ctx)
	if err != nil {
		return nil, fault.New(ErrInconclusive, opVerify, image.String(), "trusted root", err)
	}
	result := &Result{Image: image, Signatures: make([]Signature, 0, len(candidates))}
	signers := map[string]bool{}
	for _, candidate := range candidates {
		if ctx.Err() != nil {
			break
		}
		s, by := v.verifyOne(ctx, image, candidate, material)
		if s.Err == nil {
			signers[by] = true
		}
		result.Signatures = append(result.Signatures, s)
	}
	if err := ctx.Err(); err != nil {
		return result, fault.New(ErrInconclusive, opVerify, image.String(), "signatures", err)
	}
	result.Accepted = len(signers) >= v.threshold
	if result.Accepted {
		return result, nil
	}
	return result, v.unsatisfied(image, result, candidates, len(signers))
}

func (v *validated) unsatisfied(image Image, result *Result, candidates []Candidate, signers int) error {
	for i, c := range candidates {
		err := c.Err
		if err == nil {
			// What could not be found out about a signature, as opposed to
			// what is wrong with it, has a family.
			if err = result.Signatures[i].Err; fault.Family(err) == nil {
				continue
			}
		}
		if !errors.Is(err, ErrRejected) {
			return fault.New(ErrInconclusive, opVerify, image.String(), c.Origin.String(), err)
		}
	}
	return fault.New(ErrRejected, opVerify, image.String(), "", result.reason(signers, v.threshold))
}

// verifyOne checks one candidate. The packages that it calls parse what a
// registry controls; should one of them panic, the candidate has failed and
// nothing else has.
func (v *validated) verifyOne(ctx context.Context, image Image, c Candidate, material root.TrustedMaterial) (s Signature, by string) {
	s = Signature{Origin: c.Origin, Form: FormLegacy}
	if c.Bundle != nil {
		s.Form = FormBundle
	}
	defer func() {
		if r := recover(); r != nil {
			s = Signature{Origin: c.Origin, Form: s.Form, Err: fmt.Errorf("panic while verifying: %.256v", r)}
		}
	}()
	var found finding
	var claims Claims
	err := c.Err
	switch {
	case err != nil:
		s.Form = ""
	case s.Form == FormBundle:
		found, claims, err = v.verifyBundle(ctx, image, c.Bundle, material)
	default:
		found, claims, err = v.verifyLegacy(ctx, image, c, material)
	}
	if err == nil {
		err = v.checkClaims(image, claims)
	}
	s.KeyID, s.Identity, s.Timestamps, s.Claims, s.Err = found.key.id, found.signer, found.timestamps, claims, err
	return s, found.by()
}

// anyKey tries check with each key, and returns the key that satisfies it. The
// error has every reason once: one key may fit and another thing be wrong, which
// the reasons of the other keys must not hide.
func (v *validated) anyKey(ctx context.Context, check func(policyKey) error) (policyKey, error) {
	var reasons []string
	for _, key := range v.keys {
		if err := ctx.Err(); err != nil {
			return policyKey{}, err
		}
		err := check(key)
		if err == nil {
			return key, nil
		}
		if reason := err.Error(); !isMismatch(reason) && !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	which := "the key"
	if n := len(v.keys); n > 1 {
		which = fmt.Sprintf("any of the %d keys", n)
	}
	if len(reasons) == 0 {
		return policyKey{}, fmt.Errorf("does not verify with %s", which)
	}
	return policyKey{}, fmt.Errorf("does not verify with %s: %s", which, strings.Join(reasons, "; "))
}

// isMismatch recognises the words that the packages below have for a signature
// that another key made, which say less than ours. A reason that goes on after
// them, such as an envelope that is not well formed, is another one.
func isMismatch(reason string) bool {
	return slices.ContainsFunc([]string{
		"accepted signatures do not match threshold, Found: 0, Expected 1", // DSSE
		"invalid signature when validating ASN.1 encoded signature",        // ECDSA
		"crypto/rsa: verification error",
		"failed to verify signature", // Ed25519
	}, func(words string) bool { return strings.HasSuffix(reason, words) })
}

func validDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("digest %.128q: %w", d, err)
	}
	if d.Algorithm() != digest.SHA256 {
		return fmt.Errorf("digest algorithm %s is not supported, want sha256", d.Algorithm())
	}
	return nil
}

// String returns the name with the digest, for messages. See [Result.Pinned]
// for what to run.
func (i Image) String() string {
	if validDigest(i.Target.Digest) != nil {
		return i.Name
	}
	return withDigest(i.Name, i.Target.Digest.String())
}
