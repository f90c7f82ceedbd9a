// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"context"
	"errors"

	"go.yaml.in/yaml/v3"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// publicInstance is how a file says that it trusts Sigstore's public instance.
const publicInstance = "public"

// roots reads whose certificates, logs and timestamps are trusted: trustedRoot or
// tuf, of the file or of a rule. Nil means that neither is there.
func (s *schema) roots(f fields) verify.TrustedRoots {
	fixed, tuf := f.value[fieldTrustedRoot], f.value[fieldTUF]
	switch {
	case s.damaged[fixed], s.damaged[tuf]:
	case fixed != nil && tuf != nil:
		s.problem(f.lines[fieldTUF], fieldTUF, "%s is there as well, want one of them", fieldTrustedRoot)
		return nil
	case fixed != nil:
		if root := s.trustedRoot(fixed); root != nil {
			return root
		}
	case tuf != nil:
		if t := s.tuf(tuf); t != nil {
			return t
		}
	}
	return nil
}

// trustedRoot reads the path of a trusted root in JSON, or paths of its parts in
// PEM.
func (s *schema) trustedRoot(n *yaml.Node) *verify.TrustedRoot {
	if n.Kind == yaml.MappingNode {
		return s.trustedPEMs(n)
	}
	name, ok := s.text(n, fieldTrustedRoot)
	if !ok {
		return nil
	}
	b, err := s.files.file(name, limits.TrustedRoot, "trusted root")
	var root *verify.TrustedRoot
	if err == nil {
		root, err = trust.Parse(b)
	}
	if err != nil {
		s.problem(n.Line, fieldTrustedRoot, "%.256s: %v", name, causeOf(err))
		return nil
	}
	return root
}

func (s *schema) trustedPEMs(n *yaml.Node) *verify.TrustedRoot {
	f, _ := s.mapping(n, fieldTrustedRoot, "fulcio", "rekor", "ctLog", "timestamp")
	if len(n.Content) == 0 {
		s.problem(n.Line, fieldTrustedRoot, emptyValue)
		return nil
	}
	var pems trust.PEMs
	before := len(s.problems)
	for name, to := range map[string]*[]byte{
		"fulcio": &pems.Fulcio, "rekor": &pems.Rekor, "ctLog": &pems.CTLog, "timestamp": &pems.Timestamp,
	} {
		if part := f.value[name]; part != nil {
			*to = s.content(part, name, limits.TrustedRoot)
		}
	}
	if len(s.problems) > before {
		return nil
	}
	root, err := trust.ParsePEMs(pems)
	if err != nil {
		s.problem(n.Line, fieldTrustedRoot, "%v", causeOf(err))
		return nil
	}
	return root
}

// content reads the file whose path a field has.
func (s *schema) content(n *yaml.Node, field string, limit int64) []byte {
	name, ok := s.text(n, field)
	if !ok {
		return nil
	}
	b, err := s.files.file(name, limit, "file")
	if err != nil {
		s.problem(n.Line, field, "%.256s: %v", name, err)
	}
	return b
}

// tuf reads the word for Sigstore's public instance, or a mapping.
func (s *schema) tuf(n *yaml.Node) *trust.TUF {
	config := trust.TUFConfig{Logger: s.config.Logger}
	if n.Kind != yaml.MappingNode {
		if s.oneOf(n, fieldTUF, publicInstance, "a mapping with mirror and initialRoot") != publicInstance {
			return nil
		}
		return s.newTUF(n, config)
	}
	f, _ := s.mapping(n, fieldTUF, "mirror", "initialRoot", "cacheDir")
	before := len(s.problems)
	mirror, initial := f.value["mirror"], f.value["initialRoot"]
	switch {
	case mirror == nil:
		s.problem(n.Line, fieldTUF, "mirror is missing, want a URL, or the word %s", publicInstance)
	case mirror.Value == publicInstance && initial != nil:
		s.problem(initial.Line, "initialRoot", "does nothing beside mirror: %s", publicInstance)
	case mirror.Value == publicInstance:
	case initial == nil:
		s.problem(n.Line, fieldTUF, "initialRoot is missing, want the path of the root metadata from which trust starts")
	default:
		config.Mirror, _ = s.text(mirror, "mirror")
		config.InitialRoot = s.content(initial, "initialRoot", limits.TrustedRoot)
	}
	if cache := f.value["cacheDir"]; cache != nil {
		if name, ok := s.text(cache, "cacheDir"); ok {
			dir, err := s.files.path(name)
			if err != nil {
				s.problem(cache.Line, "cacheDir", "%.256s: %v", name, err)
			}
			config.CacheDir = dir
		}
	}
	if len(s.problems) > before {
		return nil
	}
	return s.newTUF(n, config)
}

func (s *schema) newTUF(n *yaml.Node, config trust.TUFConfig) *trust.TUF {
	t, err := trust.NewTUF(config)
	if err != nil {
		s.problem(n.Line, fieldTUF, "%v", causeOf(err))
		return nil
	}
	return t
}

// noRoots stands for roots of which something is wrong, so that not every rule that
// needs them says so as well.
type noRoots struct{}

func (noRoots) TrustedRoot(context.Context) (*verify.TrustedRoot, error) {
	return nil, errors.New("the trusted root could not be read")
}
