// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"errors"
	"strings"

	"github.com/distribution/reference"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// Types of signedIdentity in containers-policy.json(5).
const (
	matchExact             = "matchExact"
	matchRepoDigestOrExact = "matchRepoDigestOrExact"
	matchRepository        = "matchRepository"
	exactReference         = "exactReference"
	exactRepository        = "exactRepository"
	remapIdentity          = "remapIdentity"
)

// signedIdentity reads which claims of a signature are acceptable.
func (c *containers) signedIdentity(f fields) (verify.ReferenceMatcher, string) {
	n := f.value["signedIdentity"]
	if n == nil {
		return comparing(matchesRepoDigestOrExact), "for its own reference"
	}
	identity, ok := c.mapping(n, "signedIdentity")
	if !ok {
		return nil, ""
	}
	if !identity.has("type") {
		c.problem(n.Line, "signedIdentity", "type is missing")
		return nil, ""
	}
	kind := c.oneOf(identity.value["type"], "type", matchExact, matchRepoDigestOrExact, matchRepository, exactReference, exactRepository, remapIdentity)
	wants := map[string][]string{
		exactReference: {"dockerReference"}, exactRepository: {"dockerRepository"}, remapIdentity: {"prefix", "signedPrefix"},
	}[kind]
	before := len(c.problems)
	value := map[string]string{}
	if kind != "" {
		c.mapping(n, kind, append([]string{"type"}, wants...)...)
	}
	for _, name := range wants {
		if identity.has(name) {
			value[name], _ = c.text(identity.value[name], name)
		} else {
			c.problem(n.Line, name, "is missing")
		}
	}
	if kind == "" || len(c.problems) > before {
		return nil, ""
	}
	match, words, err := matcherOf(kind, value)
	if err != nil {
		c.problem(n.Line, "signedIdentity", "%v", err)
	}
	return match, words
}

func matcherOf(kind string, value map[string]string) (match verify.ReferenceMatcher, words string, err error) {
	switch kind {
	case matchExact:
		return comparing(matchesExact), "for its own reference", nil
	case matchRepository:
		return comparing(sameRepository), "for its own repository", nil
	case exactReference:
		wanted, err := reference.ParseNormalizedNamed(value["dockerReference"])
		if err == nil && reference.IsNameOnly(wanted) {
			err = errors.New("dockerReference has neither tag nor digest")
		}
		return claiming(func(claimed reference.Named) bool { return matchesExact(wanted, claimed) }), "for " + value["dockerReference"], err
	case exactRepository:
		wanted, err := reference.ParseNormalizedNamed(value["dockerRepository"])
		if err == nil && !reference.IsNameOnly(wanted) {
			err = errors.New("dockerRepository has a tag or a digest")
		}
		return claiming(func(claimed reference.Named) bool { return sameRepository(wanted, claimed) }), "for " + value["dockerRepository"], err
	case remapIdentity:
		from, to := value["prefix"], value["signedPrefix"]
		for _, prefix := range []string{from, to} {
			if err := checkName(prefix); err != nil {
				return nil, "", err
			}
		}
		return comparing(func(image, claimed reference.Named) bool {
			mapped, err := remapped(image, from, to)
			return err == nil && matchesRepoDigestOrExact(mapped, claimed)
		}), "for its own reference, with " + from + " as " + to, nil
	default:
		return comparing(matchesRepoDigestOrExact), "for its own reference", nil
	}
}

// comparing compares the reference of the image with the one that is claimed.
func comparing(match func(image, claimed reference.Named) bool) verify.ReferenceMatcher {
	return func(image, claimed string) bool {
		named, err := reference.ParseNormalizedNamed(image)
		return err == nil && claiming(func(c reference.Named) bool { return match(reference.TagNameOnly(named), c) })(image, claimed)
	}
}

func claiming(match func(claimed reference.Named) bool) verify.ReferenceMatcher {
	return func(_, claimed string) bool {
		if len(claimed) > limits.Reference {
			return false
		}
		named, err := reference.ParseNormalizedNamed(claimed)
		return err == nil && match(named)
	}
}

func matchesExact(image, claimed reference.Named) bool {
	return !reference.IsNameOnly(image) && !reference.IsNameOnly(claimed) && image.String() == claimed.String()
}

// matchesRepoDigestOrExact wants the same tag for a reference with one, and any for
// one by digest.
func matchesRepoDigestOrExact(image, claimed reference.Named) bool {
	if _, tagged := image.(reference.Tagged); tagged {
		return matchesExact(image, claimed)
	}
	return !reference.IsNameOnly(image) && !reference.IsNameOnly(claimed) && sameRepository(image, claimed)
}

func sameRepository(image, claimed reference.Named) bool { return image.Name() == claimed.Name() }

// remapped replaces a prefix of the name that ends at a component.
func remapped(image reference.Named, from, to string) (reference.Named, error) {
	rest, ok := strings.CutPrefix(image.Name(), from)
	if !ok || rest != "" && rest[0] != '/' {
		return image, nil
	}
	return reference.ParseNamed(to + strings.TrimPrefix(image.String(), from))
}
