// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/cosignkit/cosignkit/verify"
)

// Action is what a rule does.
type Action string

// The actions.
const (
	// Enforce lets images through that have the signatures asked for.
	Enforce Action = "enforce"
	// Warn lets all images through, and says of which it should not.
	Warn Action = "warn"
	// Reject lets none through.
	Reject Action = "reject"
	// InsecureAcceptAnything lets all through, and looks at nothing.
	InsecureAcceptAnything Action = "insecureAcceptAnything"
	// Unsupported lets none through: the rule asks for what this library cannot
	// check.
	Unsupported Action = "unsupported"
)

// Rule says what a policy file asks of an image, and where in the file.
type Rule struct {
	// File and Line are where the rule begins. The default of a file that says
	// nothing of it is on line 0.
	File string `json:"file"`
	Line int    `json:"line"`
	// Scope is the scope of the rule; empty for the default.
	Scope string `json:"scope"`
	// Action is what the rule does.
	Action Action `json:"action"`
	// Requirement is what the rule asks for, in words for people.
	Requirement string `json:"requirement"`
	// Insecure is what in the rule weakens it, in words for people. The Logger of
	// [Config] is told of that of every rule in the file; a program that applies one
	// of them tells of this.
	Insecure []string `json:"insecure,omitempty"`
	// LessSpecific are the other rules for the same image, that do not apply.
	LessSpecific []Rule `json:"lessSpecific,omitempty"`
}

// where names the rule in messages.
func (r Rule) where() string {
	place := fmt.Sprintf("%s:%d", r.File, r.Line)
	if r.Line == 0 {
		place = r.File
	}
	if r.Scope == "" {
		return "the default of " + place
	}
	return fmt.Sprintf("the rule at %s for %s", place, r.Scope)
}

// rule is a rule that can be applied.
type rule struct {
	Rule
	refusal   error // of rules that let nothing through
	selection verify.Selection
}

// requirement is what a rule asks for, of whichever format.
type requirement struct {
	action Action
	// policies must all be satisfied, in Enforce and Warn.
	policies []verify.Policy
	// words say what the policies cannot.
	words []string
	// because says why a rule is not supported.
	because             string
	signatureRepository *string
}

// add compiles a requirement, and makes it the rule for a scope, or the default.
func (p *Policy) add(d *document, line int, scope string, req requirement, config Config) {
	r := &rule{Rule: Rule{File: d.name, Line: line, Scope: scope, Action: req.action}}
	r.selection = verify.Selection{Rule: r.where(), SignatureRepository: req.signatureRepository}
	switch req.action {
	case Reject:
		r.Requirement = "every image is rejected"
		r.refusal = fmt.Errorf("%w by %s", verify.ErrRejected, r.where())
	case Unsupported:
		r.Requirement = "nothing is accepted: " + req.because
		r.refusal = fmt.Errorf("%w: %s: %s", verify.ErrMisconfigured, r.where(), req.because)
	case InsecureAcceptAnything:
		r.Requirement = "anything is accepted, and no signature is looked for"
		r.Insecure = []string{"any image is accepted"}
		r.selection.InsecureAcceptAnything = true
	default:
		if r.selection.InsecureWarnOnly = req.action == Warn; r.selection.InsecureWarnOnly {
			r.Insecure = []string{"images that are not acceptable are accepted with a warning"}
		}
		if !r.compile(d, line, req, config) {
			return
		}
	}
	if scope == "" {
		p.standard = r
		return
	}
	if first := p.rules[scope]; first != nil {
		d.problem(line, "scope", "%s has a rule on line %d already", scope, first.Line)
		return
	}
	p.rules[scope] = r
}

// compile makes the verifier of a rule.
func (r *rule) compile(d *document, line int, req requirement, config Config) bool {
	var all allOf
	var words []string
	for _, policy := range req.policies {
		policy.Limits = config.Limits
		if policy.TrustedRoots == nil {
			policy.TrustedRoots = config.TrustedRoots
		}
		v, err := verify.New(policy)
		if err != nil {
			d.problem(line, "", "%v", causeOf(err))
			return false
		}
		all = append(all, v)
		words = append(words, describePolicy(policy))
		for _, what := range insecureIn(policy) {
			if !slices.Contains(r.Insecure, what) {
				r.Insecure = append(r.Insecure, what)
			}
		}
	}
	r.selection.Verifier = all
	if len(all) == 1 {
		r.selection.Verifier = all[0]
	}
	r.Requirement = strings.Join(append([]string{strings.Join(words, "; and ")}, req.words...), "; ")
	return true
}

// warn logs what is insecure, and what lets nothing through by mistake.
func (p *Policy) warn(log *slog.Logger) {
	all := []*rule{p.standard}
	for _, r := range p.rules {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *rule) int {
		return cmp.Or(a.Line-b.Line, strings.Compare(a.Scope, b.Scope))
	})
	for _, r := range all {
		for _, what := range r.Insecure {
			log.Warn(what, "rule", r.where())
		}
		if r.Action == Unsupported {
			log.Warn("no image is accepted: the rule asks for what is not supported", "rule", r.where(), "reason", r.Requirement)
		}
	}
}

// causeOf leaves out the operation, of which the place in the file tells more.
func causeOf(err error) error {
	if e := (*verify.Error)(nil); errors.As(err, &e) && e.Err != nil {
		return e.Err
	}
	return err
}
