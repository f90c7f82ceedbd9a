// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"crypto"
	"errors"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// schema reads a document in the format of this library, see docs/policy.md.
type schema struct {
	*document
	files  *sources
	config Config
}

func parse(d *document, b []byte, files *sources, config Config, p *Policy) {
	root := d.parse(b)
	if root == nil {
		return
	}
	s := &schema{d, files, config}
	top, ok := s.mapping(root, "", "version", fieldTrustedRoot, fieldTUF, "default", "rules")
	if !ok {
		return
	}
	if !top.has("version") {
		s.problem(top.line, "version", "is missing, want version: 1")
	} else if v := top.value["version"]; !reported(v) && (v.ShortTag() != tagNumber || v.Value != "1") {
		s.problem(v.Line, "version", "%s, want 1", describe(v))
	}
	if top.has(fieldTrustedRoot) || top.has(fieldTUF) {
		s.config.TrustedRoots = s.roots(top)
		if s.config.TrustedRoots == nil {
			s.config.TrustedRoots = noRoots{}
		}
	}
	s.standard(top, p)
	if !top.has("rules") {
		if n := top.value["default"]; n != nil && n.Kind == yaml.MappingNode {
			return // one rule for everything
		}
		s.problem(top.line, "rules", "is missing, want a list of rules")
		return
	}
	for _, n := range s.list(top.value["rules"], "rules") {
		s.rule(n, p)
	}
}

// standard reads what holds for images that no rule is for: a word, or a rule
// without a scope.
func (s *schema) standard(top fields, p *Policy) {
	req, line := requirement{action: Reject}, 0
	if n := top.value["default"]; n != nil {
		line = top.lines["default"]
		if s.damaged[n] {
			return
		}
		if n.Kind == yaml.MappingNode {
			f, ok := s.mapping(n, "default", ruleFields[1:]...)
			if ok {
				req, ok = s.requirement(f)
			}
			if !ok {
				return
			}
		} else if Action(s.oneOf(n, "default", string(Reject), string(InsecureAcceptAnything))) == InsecureAcceptAnything {
			req.action = InsecureAcceptAnything
		}
	}
	p.add(s.document, line, "", req, s.config)
}

// Fields of a rule. Those of verify.Policy have the same names there.
const (
	fieldScope                 = "scope"
	fieldReject                = "reject"
	fieldAccept                = "insecureAcceptAnything"
	fieldMode                  = "mode"
	fieldKeys                  = "keys"
	fieldIdentities            = "identities"
	fieldThreshold             = "threshold"
	fieldLogThreshold          = "logThreshold"
	fieldTimestampThreshold    = "timestampThreshold"
	fieldIgnoreTransparencyLog = "insecureIgnoreTransparencyLog"
	fieldIgnoreSCT             = "insecureIgnoreSCT"
	fieldAnnotations           = "annotations"
	fieldClaimedRepository     = "claimedRepository"
	fieldSignatureRepository   = "signatureRepository"
	fieldTrustedRoot           = "trustedRoot"
	fieldTUF                   = "tuf"
)

// ruleFields are all of them, the scope first.
var ruleFields = []string{
	fieldScope, fieldReject, fieldAccept, fieldMode, fieldKeys, fieldIdentities, fieldThreshold, fieldLogThreshold,
	fieldTimestampThreshold, fieldIgnoreTransparencyLog, fieldIgnoreSCT, fieldAnnotations, fieldClaimedRepository,
	fieldSignatureRepository, fieldTrustedRoot, fieldTUF,
}

func (s *schema) rule(n *yaml.Node, p *Policy) {
	if s.damaged[n] {
		return
	}
	f, ok := s.mapping(n, "rules", ruleFields...)
	if !ok {
		return
	}
	before := len(s.problems)
	scopes := s.scopes(f)
	req, ok := s.requirement(f)
	if !ok || len(s.problems) > before {
		return
	}
	for _, scope := range scopes {
		p.add(s.document, scope.line, scope.text, req, s.config)
	}
}

// lacksRoot reports whether a rule needs a trusted root and has none. [verify.New]
// would say so too, and not where to name one.
func (s *schema) lacksRoot(req requirement) bool {
	return s.config.TrustedRoots == nil && slices.ContainsFunc(req.policies, func(p verify.Policy) bool {
		return p.TrustedRoots == nil && (len(p.Identities) > 0 || !p.InsecureIgnoreTransparencyLog || p.TimestampThreshold > 0)
	})
}

// scope is one of those of a rule, and where it is.
type scope struct {
	text string
	line int
}

// scopes reads a scope, or a list of them.
func (s *schema) scopes(f fields) (scopes []scope) {
	n := f.value[fieldScope]
	if n == nil {
		s.problem(f.line, fieldScope, "is missing, want REGISTRY or REGISTRY/REPOSITORY")
		return nil
	}
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = s.list(n, fieldScope)
	}
	for _, item := range items {
		text, ok := s.text(item, fieldScope)
		if !ok {
			continue
		}
		if err := checkScope(text); err != nil {
			s.problem(item.Line, fieldScope, "%.128q %v", text, err)
			continue
		}
		scopes = append(scopes, scope{text, item.Line})
	}
	return scopes
}

// requirement reads all of a rule but its scope, or false where that has problems.
func (s *schema) requirement(f fields) (requirement, bool) {
	before := len(s.problems)
	req := s.asked(f)
	if len(s.problems) > before {
		return requirement{}, false
	}
	if s.lacksRoot(req) {
		s.problem(f.line, "", "the rule needs a trusted root, by which identities, log entries and timestamps are verified, want %s or %s in it or in the file", fieldTUF, fieldTrustedRoot)
		return requirement{}, false
	}
	return req, true
}

// asked reads what a rule asks for.
func (s *schema) asked(f fields) requirement {
	var does []string
	for _, name := range []string{fieldReject, fieldAccept} {
		if f.has(name) {
			s.yes(f.value[name], name)
			does = append(does, name)
		}
	}
	signed := f.has(fieldKeys) || f.has(fieldIdentities)
	if signed {
		does = append(does, "keys or identities")
	}
	switch {
	case len(does) == 0:
		s.problem(f.line, "", "the rule asks for nothing, want one of keys, identities, reject and insecureAcceptAnything")
		return requirement{}
	case len(does) > 1:
		s.problem(f.line, "", "the rule has %s, which exclude each other", strings.Join(does, " and "))
		return requirement{}
	case signed:
		return s.signed(f)
	}
	for _, name := range f.names {
		if name != fieldScope && name != does[0] {
			s.problem(f.lines[name], name, "does nothing beside %s", does[0])
		}
	}
	if does[0] == fieldReject {
		return requirement{action: Reject}
	}
	return requirement{action: InsecureAcceptAnything}
}

// signed reads a rule that asks for signatures.
func (s *schema) signed(f fields) requirement {
	req := requirement{action: Enforce}
	if n := f.value[fieldMode]; n != nil && Action(s.oneOf(n, fieldMode, string(Enforce), string(Warn))) == Warn {
		req.action = Warn
		req.words = append(req.words, "no more than a warning otherwise")
	}
	policy := verify.Policy{TrustedRoots: s.roots(f)}
	if n := f.value[fieldKeys]; n != nil {
		for _, item := range s.list(n, fieldKeys) {
			if key := s.key(item); key != nil {
				policy.Keys = append(policy.Keys, key)
			}
		}
	}
	if n := f.value[fieldIdentities]; n != nil {
		for _, item := range s.list(n, fieldIdentities) {
			policy.Identities = append(policy.Identities, s.identity(item))
		}
	}
	for name, to := range map[string]*int{
		fieldThreshold: &policy.Threshold, fieldLogThreshold: &policy.LogThreshold, fieldTimestampThreshold: &policy.TimestampThreshold,
	} {
		if n := f.value[name]; n != nil {
			*to = s.number(n, name)
		}
	}
	for name, to := range map[string]*bool{
		fieldIgnoreTransparencyLog: &policy.InsecureIgnoreTransparencyLog, fieldIgnoreSCT: &policy.InsecureIgnoreSCT,
	} {
		if n := f.value[name]; n != nil {
			*to = s.yes(n, name)
		}
	}
	s.uses(f)
	if n := f.value[fieldAnnotations]; n != nil {
		policy.Annotations = s.texts(n, fieldAnnotations)
	}
	if n := f.value[fieldClaimedRepository]; n != nil {
		var words string
		policy.Repository, words = s.claimedRepository(n)
		req.words = append(req.words, words)
	}
	if n := f.value[fieldSignatureRepository]; n != nil {
		if text, ok := s.text(n, fieldSignatureRepository); ok && s.repository(n, fieldSignatureRepository, text) {
			req.signatureRepository = &text
			req.words = append(req.words, "signatures also in "+text)
		}
	}
	req.policies = []verify.Policy{policy}
	return req
}

// uses refuses fields that another one makes do nothing.
func (s *schema) uses(f fields) {
	if f.has(fieldIgnoreTransparencyLog) && f.has(fieldLogThreshold) {
		s.problem(f.lines[fieldLogThreshold], fieldLogThreshold, "does nothing beside %s", fieldIgnoreTransparencyLog)
	}
	if f.has(fieldIgnoreSCT) && !f.has(fieldIdentities) {
		s.problem(f.lines[fieldIgnoreSCT], fieldIgnoreSCT, "does nothing without %s", fieldIdentities)
	}
}

// key reads a public key, given in PEM or by the path of a file.
func (s *schema) key(n *yaml.Node) crypto.PublicKey {
	text, ok := s.text(n, fieldKeys)
	if !ok {
		return nil
	}
	var b []byte
	var err error
	name := "the key"
	if strings.Contains(text, "-----BEGIN") {
		b = []byte(text)
	} else {
		name = text
		b, err = s.files.file(text, limits.KeyFile, "key file")
	}
	var key crypto.PublicKey
	if err == nil {
		key, err = verify.ParsePublicKey(b)
	}
	if err != nil {
		s.problem(n.Line, fieldKeys, "%.256s: %v", name, causeOf(err))
		return nil
	}
	return key
}

func (s *schema) identity(n *yaml.Node) (i verify.Identity) {
	f, ok := s.mapping(n, fieldIdentities, "subject", "subjectRegexp", "issuer", "issuerRegexp", "github")
	if !ok {
		return i
	}
	before := len(s.problems)
	s.textsInto(f, map[string]*string{
		"subject": &i.Subject, "subjectRegexp": &i.SubjectRegexp, "issuer": &i.Issuer, "issuerRegexp": &i.IssuerRegexp,
	})
	if n := f.value["github"]; n != nil {
		if g, ok := s.mapping(n, "github", "trigger", "sha", "name", "repository", "ref"); ok {
			s.textsInto(g, map[string]*string{
				"trigger": &i.GitHub.Trigger, "sha": &i.GitHub.SHA, "name": &i.GitHub.Name,
				"repository": &i.GitHub.Repository, "ref": &i.GitHub.Ref,
			})
			if len(n.Content) == 0 {
				s.problem(n.Line, "github", emptyValue)
			}
		}
	}
	if len(s.problems) == before {
		if err := i.Check(); err != nil {
			s.problem(f.line, fieldIdentities, "%v", err)
		}
	}
	return i
}

func (s *schema) textsInto(f fields, to map[string]*string) {
	for _, name := range f.names {
		if target := to[name]; target != nil {
			*target, _ = s.text(f.value[name], name)
		}
	}
}

// texts reads a mapping of texts, of which there must be some.
func (s *schema) texts(n *yaml.Node, field string) map[string]string {
	f, ok := s.mapping(n, field)
	if !ok {
		return nil
	}
	if len(f.names) == 0 {
		s.problem(n.Line, field, emptyValue)
	}
	all := map[string]string{}
	for _, name := range f.names {
		all[name], _ = s.text(f.value[name], field+"."+name)
	}
	return all
}

// claimedRepository reads any, exact, or a mapping of prefixes.
func (s *schema) claimedRepository(n *yaml.Node) (verify.RepositoryMatcher, string) {
	if n.Kind != yaml.MappingNode {
		switch s.oneOf(n, fieldClaimedRepository, "any", "exact", "a mapping with remap") {
		case "any":
			return nil, "for any repository"
		case "exact":
			return verify.ExactRepository(), "for its own repository"
		}
		return nil, ""
	}
	f, _ := s.mapping(n, fieldClaimedRepository, "remap")
	if !f.has("remap") {
		s.problem(n.Line, fieldClaimedRepository, "is empty, want remap")
		return nil, ""
	}
	prefixes := s.texts(f.value["remap"], "remap")
	var words []string
	for _, from := range slices.Sorted(maps.Keys(prefixes)) {
		to := prefixes[from]
		if s.prefix(f.value["remap"], from) && s.prefix(f.value["remap"], to) {
			words = append(words, from+" as "+to)
		}
	}
	return verify.RemapRepository(prefixes), "for its own repository, with " + strings.Join(words, ", ")
}

// prefix checks one side of a mapping of repositories.
func (s *schema) prefix(n *yaml.Node, text string) bool {
	if text == "" {
		return false // reported
	}
	err := checkScope(text)
	if err == nil && (strings.Contains(text, "*") || !isBare(text)) {
		err = errors.New("want REGISTRY or REGISTRY/REPOSITORY")
	}
	if err != nil {
		s.problem(n.Line, "remap", "%.128q %v", text, err)
	}
	return err == nil
}

// repository checks the name of a repository, without tag and digest.
func (s *schema) repository(n *yaml.Node, field, text string) bool {
	err := checkScope(text)
	if err == nil && (!strings.Contains(text, "/") || strings.Contains(text, "*") || !isBare(text)) {
		err = errors.New("is no repository, want REGISTRY/REPOSITORY")
	}
	if err != nil {
		s.problem(n.Line, field, "%.128q %v", text, err)
	}
	return err == nil
}

// isBare reports whether a scope has neither tag nor digest.
func isBare(scope string) bool { return checkName(scope) == nil }
