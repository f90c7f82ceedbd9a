// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// Policy says which signatures make an image acceptable. The zero Policy
// accepts nothing and is an error.
type Policy struct {
	// Keys are the public keys, any of which may have signed, from
	// [LoadPublicKey] or of any other origin: ECDSA on P-256, P-384 or P-521,
	// RSA of 2048 to 4096 bits, or Ed25519. At least one, at most 128; the same
	// key twice counts once.
	Keys []crypto.PublicKey

	// Threshold is how many different Keys must have signed, each with a
	// signature of its own. Zero means 1.
	Threshold int

	// Annotations must all be signed, with exactly these values. A signature
	// may carry others. Nil means none; at most 256.
	Annotations map[string]string

	// Repository decides whether the repository that a signature claims is
	// acceptable for the image. Nil means any, as for cosign: a signature binds
	// a digest, bundles by cosign claim no repository at all, and images are
	// copied between registries. See [ExactRepository] and [RemapRepository].
	Repository RepositoryMatcher

	// InsecureIgnoreTransparencyLog accepts signatures for which no
	// transparency log entry is shown, so that a stolen key can be used with
	// no trace. It must be true until this package can verify entries: false
	// means that one is required.
	InsecureIgnoreTransparencyLog bool

	// Logger is told, by New, of what in the policy is insecure. Nil discards
	// it.
	Logger *slog.Logger
}

// RepositoryMatcher reports whether a signature that claims the repository
// claimed is acceptable for an image of the repository image. Both are
// normalized names without tag or digest, such as docker.io/library/alpine.
// claimed is empty when the signature claims none.
type RepositoryMatcher func(image, claimed string) bool

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
	keys        []policyKey
	threshold   int
	annotations map[string]string
	repository  RepositoryMatcher
}

func (p Policy) validate() (*validated, error) {
	if len(p.Keys) == 0 {
		return nil, errors.New("the policy names no key")
	}
	if len(p.Keys) > limits.Keys {
		return nil, limits.Exceeded("number of keys", limits.Keys)
	}
	if len(p.Annotations) > limits.Annotations {
		return nil, limits.Exceeded("number of required annotations", limits.Annotations)
	}
	if !p.InsecureIgnoreTransparencyLog {
		return nil, errors.New("verifying transparency log entries is not supported yet; " +
			"set InsecureIgnoreTransparencyLog to accept signatures without one")
	}
	v := &validated{
		threshold:   max(p.Threshold, 1),
		annotations: maps.Clone(p.Annotations),
		repository:  p.Repository,
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
	if p.Threshold < 0 || v.threshold > len(v.keys) {
		return nil, fmt.Errorf("threshold %d with %d different keys", p.Threshold, len(v.keys))
	}
	if p.Logger != nil {
		p.Logger.Warn("signatures are accepted without a transparency log entry", "option", "InsecureIgnoreTransparencyLog")
	}
	return v, nil
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
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", fmt.Errorf("%.128q: %w", ref, err)
	}
	return named.Name(), nil
}
