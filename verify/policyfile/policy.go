// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"

	"github.com/distribution/reference"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// Config is what a file cannot say. The zero Config is fine for files that name
// their trusted root.
type Config struct {
	// TrustedRoots is for rules of a file that names no trusted root of its own.
	// Nil means that there is none, and that rules which need one are
	// misconfigured.
	TrustedRoots verify.TrustedRoots

	// Limits bounds what is read and taken for one verification. The zero value
	// is the defaults.
	Limits verify.Limits

	// Logger is told, when the file is read, of what in it is insecure. Nil
	// discards it. Of each image that is let through unverified, the logger of the
	// registry client is told.
	Logger *slog.Logger
}

func (c Config) log() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}

// Policy is the content of a policy file. It is immutable and safe for
// concurrent use.
type Policy struct {
	rules map[string]*rule // by scope
	// standard is the rule for images that are in no scope.
	standard *rule
	limits   verify.Limits
	sources  []source
}

var (
	_ verify.Verifier        = (*Policy)(nil)
	_ verify.Selector        = (*Policy)(nil)
	_ verify.LimitedVerifier = (*Policy)(nil)
)

const opRead = "read policy"

// Load reads a policy file in YAML or JSON, as docs/policy.md has it. Paths in it
// are relative to its directory. It reads the keys and trusted roots that the file
// names as well, and asks nothing of the network. Whatever is wrong, all of it, is
// misconfigured: see [Problems].
func Load(path string, config Config) (*Policy, error) { return load(path, config, parse) }

// Parse is [Load] for content; paths in it are relative to dir.
func Parse(b []byte, dir string, config Config) (*Policy, error) {
	return parseWith(b, "policy", &sources{dir: dir}, config, parse)
}

// format reads a document of one of the formats into p.
type format func(d *document, b []byte, files *sources, config Config, p *Policy)

func load(path string, config Config, as format) (*Policy, error) {
	s := &sources{dir: filepath.Dir(path)}
	b, err := s.load(path, limits.PolicyFile, "policy file")
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opRead, path, "", err)
	}
	return parseWith(b, path, s, config, as)
}

func parseWith(b []byte, name string, files *sources, config Config, as format) (*Policy, error) {
	d := &document{name: name}
	p := &Policy{rules: map[string]*rule{}, limits: config.Limits.WithDefaults()}
	if len(b) > limits.PolicyFile {
		d.problem(1, "", "%v", limits.Exceeded("policy file in bytes", limits.PolicyFile))
	} else {
		as(d, b, files, config, p)
	}
	if len(d.problems) > 0 {
		return nil, fault.New(verify.ErrMisconfigured, opRead, "", "", d.problems.sorted())
	}
	p.sources = files.all
	p.warn(config.log())
	return p, nil
}

// find returns the rule for an image.
func (p *Policy) find(image verify.Image) (*rule, Rule, error) {
	if p == nil || p.standard == nil {
		return nil, Rule{}, errors.New("the policy was not read from a file")
	}
	if len(image.Name) > limits.Reference {
		return nil, Rule{}, limits.Exceeded("reference in bytes", limits.Reference)
	}
	named, err := reference.ParseNormalizedNamed(image.Name)
	if err != nil {
		return nil, Rule{}, fault.Printable(err)
	}
	named = reference.TagNameOnly(named)
	scopes := scopesOf(named)
	if d, ok := named.(reference.Digested); ok && image.Target.Digest != "" && image.Target.Digest != d.Digest() {
		// What the digest in the name is good for, the target is not.
		scopes = scopes[1:]
	}
	var found []*rule
	for _, scope := range scopes {
		if r := p.rules[scope]; r != nil {
			found = append(found, r)
		}
	}
	found = append(found, p.standard)
	best := found[0].Rule
	for _, other := range found[1:] {
		best.LessSpecific = append(best.LessSpecific, other.Rule)
	}
	return found[0], best, p.checkTag(named, found[0])
}

// checkTag refuses a reference with a tag and a digest where the rule is another
// than that for the tag. The digest counts, so that the rule for the tag is not to
// be applied; who gives both may believe that it is.
func (p *Policy) checkTag(named reference.Named, found *rule) error {
	tagged, isTagged := named.(reference.Tagged)
	_, isDigested := named.(reference.Digested)
	if !isTagged || !isDigested {
		return nil
	}
	onlyTag, err := reference.WithTag(reference.TrimNamed(named), tagged.Tag())
	if err != nil {
		return err
	}
	if r := p.rules[scopesOf(onlyTag)[0]]; r != nil && r != found {
		return errors.New("the reference has a digest, and a tag of which " + r.where() + " says something else: give one of them")
	}
	return nil
}

// Rule returns the rule that applies to an image reference, which is completed as
// Docker's users expect: alpine is docker.io/library/alpine:latest. A reference
// that no image can have is misconfigured.
func (p *Policy) Rule(ref string) (Rule, error) {
	_, found, err := p.find(verify.Image{Name: ref})
	if err != nil {
		return Rule{}, fault.New(verify.ErrMisconfigured, "look up rule", fault.OneLine(ref), "", err)
	}
	return found, nil
}

const opVerify = "verify"

// Select implements [verify.Selector].
func (p *Policy) Select(_ context.Context, image verify.Image) (verify.Selection, error) {
	r, _, err := p.find(image)
	if err != nil {
		return verify.Selection{}, fault.New(verify.ErrMisconfigured, opVerify, fault.OneLine(image.Name), "rule", err)
	}
	if r.refusal != nil {
		return verify.Selection{}, fault.New(verify.ErrRejected, opVerify, image.Name, "", r.refusal)
	}
	return r.selection, nil
}

// Limits implements [verify.LimitedVerifier].
func (p *Policy) Limits() verify.Limits { return p.limits }

// Verify implements [verify.Verifier], for callers that know nothing of a
// [verify.Selector]. It is strict: a rule that only warns rejects, and so does one that accepts
// anything, since a caller may take what is accepted for verified.
func (p *Policy) Verify(ctx context.Context, image verify.Image, candidates []verify.Candidate) (*verify.Result, error) {
	selection, err := p.Select(ctx, image)
	if err != nil {
		return nil, err
	}
	if selection.InsecureAcceptAnything {
		err := errors.New(selection.Rule + " accepts anything, and nothing was verified")
		return nil, fault.New(verify.ErrRejected, opVerify, image.Name, "", err)
	}
	selection.InsecureWarnOnly = false
	return selection.Decide(ctx, image, func() (*verify.Result, error) {
		return selection.Verifier.Verify(ctx, image, candidates)
	})
}
