// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// Verifier decides about images. Implementations are safe for concurrent use.
type Verifier interface {
	// Verify checks candidates, the signatures that were found for image. The
	// error is nil only if image is acceptable, and is otherwise of one of the
	// three families. The Result is not nil when candidates were checked, even if
	// there is an error, unless the check of one did not return before ctx or the
	// time limit ended. What candidates hold must not be modified later.
	Verify(ctx context.Context, image Image, candidates []Candidate) (*Result, error)
}

// StreamVerifier is what a [Verifier] may be as well, to decide while candidates
// are still being looked for. Those that [New] returns are, and package registry
// then calls it in the place of Verify: a type that embeds one and has a Verify of
// its own needs a VerifyStream of its own.
type StreamVerifier interface {
	// VerifyStream is Verify for candidates that come one by one. It ends the
	// iteration as soon as image is acceptable, so that the Result lists the
	// candidates up to that one; the sequence must end when ctx does.
	VerifyStream(ctx context.Context, image Image, candidates iter.Seq[Candidate]) (*Result, error)
}

// LimitedVerifier is what a [Verifier] may be as well, to say what may be read for
// it. Those that [New] returns are; for one that is not, the defaults hold.
type LimitedVerifier interface {
	Limits() Limits
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
	// Repository is the normalized name of the repository that holds the
	// candidate, if it is not the image's own.
	Repository string `json:"repository,omitempty"`
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
	// SourceContentStore is what is kept beside the image in containerd's
	// content store.
	SourceContentStore Source = "content store"
)

// String returns the place for messages.
func (o Origin) String() string {
	if o.Source == "" {
		o.Source = "candidate"
	}
	place := string(o.Source)
	if o.Repository != "" {
		place += " of " + o.Repository
	}
	if o.Manifest.Validate() != nil {
		return place
	}
	return fmt.Sprintf("%s %s layer %d", place, o.Manifest, o.Layer)
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

var (
	_ Verifier        = (*validated)(nil)
	_ StreamVerifier  = (*validated)(nil)
	_ LimitedVerifier = (*validated)(nil)
)

// Limits implements [LimitedVerifier]. Every field is set.
func (v *validated) Limits() Limits { return v.limits }

// Verify implements [Verifier]. It checks every candidate.
func (v *validated) Verify(ctx context.Context, image Image, candidates []Candidate) (*Result, error) {
	return v.verify(ctx, image, slices.Values(candidates), false)
}

// VerifyStream implements [StreamVerifier].
func (v *validated) VerifyStream(ctx context.Context, image Image, candidates iter.Seq[Candidate]) (*Result, error) {
	return v.verify(ctx, image, candidates, true)
}

func (v *validated) verify(ctx context.Context, image Image, candidates iter.Seq[Candidate], untilAccepted bool) (*Result, error) {
	if err := validDigest(image.Target.Digest); err != nil {
		return nil, fault.New(ErrMisconfigured, opVerify, image.Name, "image", err)
	}
	if v.repository != nil || v.reference != nil {
		if _, err := repositoryName(image.Name); err != nil {
			return nil, fault.New(ErrMisconfigured, opVerify, "", "image", err)
		}
	}
	ctx, cancel := v.withTime(ctx)
	defer cancel()
	return leash.Operation(ctx, ErrRejected, opVerify, image.String(), func(ctx context.Context) (*Result, error) {
		return v.decide(ctx, image, candidates, untilAccepted)
	})
}

// decide is verify, but for how long it may take.
func (v *validated) decide(ctx context.Context, image Image, candidates iter.Seq[Candidate], untilAccepted bool) (*Result, error) {
	material, err := v.material(ctx)
	if err != nil {
		return nil, fault.New(ErrInconclusive, opVerify, image.String(), "trusted root", err)
	}
	t := newTally(v, image)
	enough := func() bool { return t.result.Accepted && untilAccepted }
	lookUps := lookUps{v: v, material: material}
	for candidate := range candidates {
		if ctx.Err() != nil {
			break
		}
		s, found := v.verifyOne(ctx, image, candidate, material)
		at := t.list(s)
		if s.Err == nil && found.wants != nil {
			t.result.Signatures[at].Err = errNoEntry
			err := lookUps.add(found, func(found finding, err error) {
				t.result.Signatures[at].set(found, s.Claims, err)
				t.count(at, candidate, found)
			})
			if err == nil {
				continue
			}
			t.result.Signatures[at].Err = err
		}
		if t.count(at, candidate, found); enough() {
			break
		}
	}
	if !enough() && ctx.Err() == nil {
		lookUps.run(ctx, enough)
	}
	return t.outcome(ctx, untilAccepted)
}

func (v *validated) withTime(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, v.limits.Timeout, limits.Exceeded("time of the verification", v.limits.Timeout))
}

// verifyOne checks one candidate.
func (v *validated) verifyOne(ctx context.Context, image Image, c Candidate, material root.TrustedMaterial) (Signature, finding) {
	s := Signature{Origin: c.Origin, Subject: image.Target.Digest}
	switch {
	case c.Err != nil:
		s.Err = c.Err
		return s, finding{}
	case c.Bundle != nil:
		s.Form = FormBundle
	default:
		s.Form = FormLegacy
	}
	return recovered(s, func() (found finding, claims Claims, err error) {
		if v.engine != nil {
			return v.ask(ctx, image, c, material)
		}
		if s.Form == FormBundle {
			found, claims, err = v.verifyImageBundle(ctx, image, c.Bundle, material)
		} else {
			found, claims, err = v.verifyLegacy(ctx, image, c, material)
		}
		if err == nil {
			err = v.checkClaims(image, claims)
		}
		return found, claims, err
	})
}

// recovered completes s with what check finds. The packages that check calls
// parse what a registry controls; should one of them panic, the candidate has
// failed and nothing else has.
func recovered(s Signature, check func() (finding, Claims, error)) (Signature, finding) {
	var found finding
	var claims Claims
	err := leash.Recovered(func() (err error) {
		found, claims, err = check()
		return err
	})
	s.set(found, claims, err)
	return s, found
}

// set completes s with what was found.
func (s *Signature) set(found finding, claims Claims, err error) {
	if err != nil {
		err = fault.Printable(err) // it may quote what a registry sent
	}
	s.KeyID, s.Identity, s.Timestamps, s.Claims, s.Err = found.key.id, found.signer, found.timestamps, claims, err
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
