// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// checkScope returns an error for a scope that no image could be in. Scopes are
// those of containers-policy.json(5) for the docker transport: a host, a wildcard
// for hosts, a namespace, a repository, or an image by tag or digest; in full.
func checkScope(scope string) error {
	switch {
	case len(scope) > limits.Reference:
		return errors.New("is too long for any image")
	case strings.Contains(scope, "://"):
		return errors.New("has a scheme, want REGISTRY or REGISTRY/REPOSITORY")
	case strings.HasSuffix(scope, "/"):
		return errors.New("ends in a slash; without it, the scope is all that is below as well")
	case strings.ContainsAny(scope, " \t\r\n"):
		return errors.New("has a space in it")
	case strings.Contains(scope, "*"):
		return checkWildcard(scope)
	case !strings.Contains(scope, "/"):
		return checkHost(scope)
	}
	name, suffix := scope, ""
	if at := strings.IndexByte(scope, '@'); at >= 0 {
		name, suffix = scope[:at], scope[at:]
		if strings.LastIndexByte(name, ':') > strings.LastIndexByte(name, '/') {
			return errors.New("has a tag and a digest, want one of them")
		}
	} else if colon := strings.LastIndexByte(scope, ':'); colon > strings.LastIndexByte(scope, '/') {
		name, suffix = scope[:colon], scope[colon:]
	}
	if err := checkName(name); err != nil || suffix == "" {
		return err
	}
	named, err := reference.ParseNormalizedNamed(scope)
	if err != nil {
		return err
	}
	digested, pinned := named.(reference.Digested)
	switch {
	case pinned && (digested.Digest().Validate() != nil || digested.Digest().Algorithm() != digest.SHA256):
		return errors.New("want a digest of sha256")
	case named.String() != scope:
		return fmt.Errorf("is not in full, want %s", named)
	}
	return nil
}

// checkName checks the name of a host, a namespace or a repository, to which
// components can be added, as to docker.io and docker.io/library.
func checkName(name string) error {
	if name != strings.ToLower(name) {
		return errors.New("has capital letters; registries are written in small ones here, and repositories have none")
	}
	below, err := reference.ParseNormalizedNamed(name + "/x/x")
	if err != nil {
		return errors.New("no image has such a name, want REGISTRY/REPOSITORY")
	}
	if below.Name() != name+"/x/x" {
		full, err := reference.ParseNormalizedNamed(name)
		if err != nil {
			return err
		}
		return fmt.Errorf("is not in full, want %s", full.Name())
	}
	return nil
}

func checkHost(host string) error {
	if err := checkName(host); err != nil {
		if host == "index.docker.io" {
			return errors.New("images there are called docker.io/…")
		}
		return fmt.Errorf("%w; a scope begins with the host of a registry, such as docker.io", err)
	}
	return nil
}

// checkWildcard wants *.DOMAIN.
func checkWildcard(scope string) error {
	domain, ok := strings.CutPrefix(scope, "*.")
	if !ok || strings.ContainsAny(domain, "*/:@[") {
		return errors.New("a wildcard is *.DOMAIN, for every host below, without port and path")
	}
	if err := checkName("x." + domain); err != nil {
		return errors.New("is no wildcard for hosts")
	}
	return nil
}

// scopesOf returns every scope that an image is in, the most specific first: its
// digest or tag, its repository, each namespace, its host, and from the longest
// the wildcards for that. Hosts are the same in capital letters.
func scopesOf(named reference.Named) []string {
	host := strings.ToLower(reference.Domain(named))
	name := host + "/" + reference.Path(named)
	if host == "docker.io" || host == "index.docker.io" {
		// Written in capital letters, it was not completed.
		if full, err := reference.ParseNormalizedNamed(name); err == nil {
			host, name = reference.Domain(full), full.Name()
		}
	}
	var scopes []string
	if suffix := suffixOf(named); suffix != "" {
		scopes = append(scopes, name+suffix)
	}
	for end := len(name); end > 0; end = strings.LastIndexByte(name[:end], '/') {
		scopes = append(scopes, name[:end])
	}
	return append(scopes, wildcardsOf(host)...)
}

// suffixOf is the digest of a reference, or else its tag.
func suffixOf(named reference.Named) string {
	if d, ok := named.(reference.Digested); ok {
		return "@" + d.Digest().String()
	}
	if t, ok := named.(reference.Tagged); ok {
		return ":" + t.Tag()
	}
	return ""
}

// wildcardsOf leaves the port out.
func wildcardsOf(host string) (scopes []string) {
	if strings.HasPrefix(host, "[") {
		return nil // an address of IPv6
	}
	host, _, _ = strings.Cut(host, ":")
	for {
		_, parent, ok := strings.Cut(host, ".")
		if !ok {
			return scopes
		}
		scopes = append(scopes, "*."+parent)
		host = parent
	}
}
