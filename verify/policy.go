// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/distribution/reference"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	sgverify "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// Policy says which signatures make an image acceptable: made by one of Keys or
// one of Identities, and recorded in a transparency log. The zero Policy accepts
// nothing and is an error.
type Policy struct {
	// Keys are the public keys, any of which may have signed, from
	// [LoadPublicKey] or of any other origin: ECDSA on P-256, P-384 or P-521,
	// RSA of 2048 to 4096 bits, or Ed25519. At most 128; the same key twice
	// counts once.
	Keys []crypto.PublicKey

	// Identities are those any of which may have signed with a Fulcio
	// certificate. At most 128. Without Keys at least one is required.
	Identities []Identity

	// Threshold is how many different Keys and Identities must have signed,
	// each with a signature of its own: one that is shown with a certificate for its
	// key and without counts once. A signature counts for the first of
	// Identities that it matches, so that two subjects that one regular
	// expression matches count as one. Zero means 1.
	Threshold int

	// TrustedRoots gives the certificate authorities, logs and timestamp
	// authorities that are trusted: a [*TrustedRoot], or a [*TUF] that keeps
	// one up to date. Required, unless the policy has only Keys, asks for no
	// timestamp, and ignores the transparency log. A root that lacks what the
	// policy needs is misconfigured, already in New if it is given as such.
	TrustedRoots TrustedRoots

	// LogThreshold is how many different transparency logs must have recorded
	// a signature. Zero means 1.
	LogThreshold int

	// TimestampThreshold is how many different timestamp authorities must have
	// stamped a signature. Zero means that none must: a certificate is then
	// checked at the times that there are, and must have one, of the log or
	// of an authority. Logs of Rekor v2 vouch for no time.
	TimestampThreshold int

	// LogLookup asks transparency logs for the entry of a signature that shows
	// none, as old signatures do. It is asked last, and only about signatures that
	// are good but for that: by a key of the policy, or with a certificate of a
	// trusted authority for one of its identities. A [StreamVerifier] does not ask
	// if another signature is enough. It is asked about at most 16 of them in one verification, all at
	// once; if there are more, the image is inconclusive. Nil means that verifying
	// asks no service: what a signature does not show, it does not have. See
	// keyless.LogLookup.
	LogLookup LogLookup

	// Annotations must all be signed, with exactly these values. A signature
	// may carry others. Nil means none; at most 256.
	Annotations map[string]string

	// Repository decides whether the repository that a signature claims is
	// acceptable for the image. Nil means any, as for cosign: a signature binds
	// a digest, bundles by cosign claim no repository at all, and images are
	// copied between registries. See [ExactRepository] and [RemapRepository].
	Repository RepositoryMatcher

	// Reference decides as Repository does, by whole references: the name of the
	// image as it was asked for, with its tag or digest, and what a signature
	// claims, as it was signed. Nil means any. It is for signatures that claim a
	// tag, such as those of Podman and Skopeo; those of cosign claim none.
	Reference ReferenceMatcher

	// Limits bounds what is read and taken for one verification. The zero value
	// is the defaults.
	Limits Limits

	// InsecureIgnoreTransparencyLog accepts signatures for which no
	// transparency log entry is shown, so that a stolen key or identity can be
	// used with no trace. A certificate then still needs a timestamp.
	InsecureIgnoreTransparencyLog bool

	// AllowMessageSignaturesUnsafe accepts bundles with a message signature over
	// the image's manifest, such as cosign sign-blob makes of a file, as
	// signatures of the image. They say nothing but the digest: whoever can have
	// any file signed could have any image accepted. [Bundle] takes them
	// without it.
	AllowMessageSignaturesUnsafe bool

	// InsecureIgnoreSCT accepts certificates that no certificate transparency
	// log has signed for, so that a certificate authority can issue them in
	// secret. For private deployments without such a log.
	InsecureIgnoreSCT bool

	// Logger is told, by New, of what in the policy is insecure. Nil discards
	// it.
	Logger *slog.Logger
}

// LogLookup finds log entries. Implementations are safe for concurrent use.
type LogLookup interface {
	// Lookup adds to bundle's verification material the entries that logs have
	// for the signature in it, at most 32, which was made with the certificate in
	// bundle, or else with key. It need not verify them, and nothing else that it
	// changes in bundle counts. If there is none, that is not an error.
	Lookup(ctx context.Context, bundle *protobundle.Bundle, key crypto.PublicKey) error
}

// RepositoryMatcher reports whether a signature that claims the repository
// claimed is acceptable for an image of the repository image. Both are
// normalized names without tag or digest, such as docker.io/library/alpine.
// claimed is empty when the signature claims none.
type RepositoryMatcher func(image, claimed string) bool

// ReferenceMatcher reports whether a signature that claims the reference claimed
// is acceptable for the image that the reference image asks for. The signer chose
// claimed, and it may be empty or anything else.
type ReferenceMatcher func(image, claimed string) bool

// ExactRepository accepts signatures that claim the image's own repository.
func ExactRepository() RepositoryMatcher {
	return func(image, claimed string) bool { return claimed != "" && claimed == image }
}

// RemapRepository accepts signatures that claim the image's own repository,
// after the longest key of prefixes that the image's repository begins with was
// replaced by its value. A prefix ends at a path component: mirror.example/hub
// matches mirror.example/hub/app and not mirror.example/hubris.
func RemapRepository(prefixes map[string]string) RepositoryMatcher {
	prefixes = maps.Clone(prefixes)
	return func(image, claimed string) bool {
		best, mapped := "", image
		for from, to := range prefixes {
			rest, ok := strings.CutPrefix(image, from)
			if ok && len(from) > len(best) && (rest == "" || rest[0] == '/' || strings.HasSuffix(from, "/")) {
				best, mapped = from, to+rest
			}
		}
		return claimed != "" && claimed == mapped
	}
}

// validated is a Policy whose every field can be honoured.
type validated struct {
	engine      Engine // nil for our own
	keys        []policyKey
	identities  []sgverify.CertificateIdentity
	threshold   int
	roots       TrustedRoots
	lookup      LogLookup
	annotations map[string]string
	repository  RepositoryMatcher
	reference   ReferenceMatcher
	limits      Limits

	logThreshold       int
	timestampThreshold int
	ignoreLog          bool
	ignoreSCT          bool
	messageSignatures  bool
}

func (p Policy) validate() (*validated, error) {
	if len(p.Keys)+len(p.Identities) == 0 {
		return nil, errors.New("the policy names no key and no identity")
	}
	for _, list := range []struct {
		what  string
		n     int
		limit int64
	}{
		{"number of keys", len(p.Keys), limits.Keys},
		{"number of identities", len(p.Identities), limits.Identities},
		{"number of required annotations", len(p.Annotations), limits.Annotations},
	} {
		if int64(list.n) > list.limit {
			return nil, limits.Exceeded(list.what, list.limit)
		}
	}
	v := &validated{
		threshold:          max(p.Threshold, 1),
		roots:              p.TrustedRoots,
		lookup:             p.LogLookup,
		annotations:        maps.Clone(p.Annotations),
		repository:         p.Repository,
		reference:          p.Reference,
		limits:             p.Limits.WithDefaults(),
		logThreshold:       max(p.LogThreshold, 1),
		timestampThreshold: p.TimestampThreshold,
		ignoreLog:          p.InsecureIgnoreTransparencyLog,
		ignoreSCT:          p.InsecureIgnoreSCT,
		messageSignatures:  p.AllowMessageSignaturesUnsafe,
	}
	for i, public := range p.Keys {
		key, err := newPolicyKey(public)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if !v.has(key) {
			v.keys = append(v.keys, key)
		}
	}
	for i, identity := range p.Identities {
		compiled, err := identity.compile()
		if err != nil {
			return nil, fmt.Errorf("identity %d: %w", i+1, err)
		}
		v.identities = append(v.identities, compiled)
	}
	if signers := len(v.keys) + len(v.identities); p.Threshold < 0 || v.threshold > signers {
		return nil, fmt.Errorf("threshold %d with %d different keys and identities", p.Threshold, signers)
	}
	if p.LogThreshold < 0 || p.TimestampThreshold < 0 {
		return nil, errors.New("negative threshold")
	}
	if err := p.Limits.validate(); err != nil {
		return nil, err
	}
	if err := v.validateRoots(); err != nil {
		return nil, err
	}
	p.warn()
	return v, nil
}

// needsRoot reports whether anything but keys is checked.
func (v *validated) needsRoot() bool {
	return len(v.identities) > 0 || !v.ignoreLog || v.timestampThreshold > 0
}

func (v *validated) validateRoots() error {
	// A nil pointer in the interface is what a constructor returns beside an
	// error that nobody looked at.
	if isNone(v.roots) {
		if v.needsRoot() {
			return errors.New("the policy has no trusted root, without which no identity, log entry or timestamp can be verified")
		}
		v.roots = nil
		return nil
	}
	fixed, isFixed := v.roots.(*TrustedRoot)
	if !isFixed {
		return nil
	}
	return v.lacks(fixed)
}

// lacks says what a trusted root must have and has not. No signature could
// satisfy the policy then, which is better said before any is looked for.
func (v *validated) lacks(r *TrustedRoot) error {
	m := r.material
	switch {
	case m == nil:
		return errors.New("the trusted root is empty")
	case len(v.identities) > 0 && len(m.FulcioCertificateAuthorities()) == 0:
		return errors.New("the trusted root has no certificate authority")
	case len(v.identities) > 0 && !v.ignoreSCT && len(m.CTLogs()) == 0:
		return errors.New("the trusted root has no certificate transparency log")
	case !v.ignoreLog && len(m.RekorLogs()) < v.logThreshold:
		return fmt.Errorf("the trusted root has %d transparency logs, want %d", len(m.RekorLogs()), v.logThreshold)
	case authoritiesOf(m) < v.timestampThreshold:
		return fmt.Errorf("the trusted root has %d timestamp authorities, want %d", authoritiesOf(m), v.timestampThreshold)
	case len(v.identities) > 0 && v.ignoreLog && len(m.RekorLogs())+len(m.TimestampingAuthorities()) == 0:
		return errors.New("the trusted root has no timestamp authority, and certificates are only good at a time that one vouches for")
	default:
		return nil
	}
}

// authoritiesOf counts timestamp authorities as a threshold does: those of one URI
// are one, with several certificates.
func authoritiesOf(m root.TrustedMaterial) int {
	seen := map[string]bool{}
	for i, authority := range m.TimestampingAuthorities() {
		uri := fmt.Sprint(i)
		if a, ok := authority.(*root.SigstoreTimestampingAuthority); ok {
			uri = a.URI
		}
		seen[uri] = true
	}
	return len(seen)
}

// warn logs what is insecure.
func (p Policy) warn() {
	if p.Logger == nil {
		return
	}
	if p.InsecureIgnoreTransparencyLog {
		p.Logger.Warn("signatures are accepted without a transparency log entry", "option", "InsecureIgnoreTransparencyLog")
	}
	if p.AllowMessageSignaturesUnsafe {
		p.Logger.Warn("a signature of any file counts for the image that the file is the manifest of", "option", "AllowMessageSignaturesUnsafe")
	}
	if p.InsecureIgnoreSCT && len(p.Identities) > 0 {
		p.Logger.Warn("certificates are accepted without a signed certificate timestamp", "option", "InsecureIgnoreSCT")
	}
}

// material is the root that one verification uses from its beginning to its end.
func (v *validated) material(ctx context.Context) (root.TrustedMaterial, error) {
	if v.roots == nil || !v.needsRoot() {
		return &root.BaseTrustedMaterial{}, nil
	}
	r, err := v.roots.TrustedRoot(ctx)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, errors.New("no trusted root")
	}
	if err := v.lacks(r); err != nil {
		return nil, fault.New(ErrMisconfigured, "open trusted root", "", "", err)
	}
	return r.material, nil
}

func (v *validated) has(key policyKey) bool {
	return slices.ContainsFunc(v.keys, func(other policyKey) bool { return other.id == key.id })
}

// checkClaims compares what a signature says, once the signature itself is
// known to be good, with what the policy asks for.
func (v *validated) checkClaims(image Image, c Claims) error {
	for key, want := range v.annotations {
		got, ok := c.Annotations[key]
		if !ok {
			return fmt.Errorf("annotation %q is missing", key)
		}
		if got != want {
			return fmt.Errorf("annotation %q is %.128q, want %q", key, got, want)
		}
	}
	if v.reference != nil && !v.reference(image.Name, c.Repository) {
		return fmt.Errorf("signed for %.256q, which the policy does not accept for %q", c.Repository, image.Name)
	}
	if v.repository == nil {
		return nil
	}
	repository, err := repositoryName(image.Name)
	if err != nil {
		return err
	}
	claimed := ""
	if c.Repository != "" {
		if claimed, err = repositoryName(c.Repository); err != nil {
			return fmt.Errorf("claimed repository: %w", err)
		}
	}
	if !v.repository(repository, claimed) {
		return fmt.Errorf("signed for repository %q, which the policy does not accept for %q", claimed, repository)
	}
	return nil
}

func repositoryName(ref string) (string, error) {
	if len(ref) > limits.Reference {
		return "", fmt.Errorf("%.128q…: too long for any image", ref)
	}
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", fmt.Errorf("%.128q: %w", ref, fault.Printable(err))
	}
	return named.Name(), nil
}
