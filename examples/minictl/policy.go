// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/distribution/reference"
	"github.com/spf13/pflag"

	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/policyfile"
)

// policyFlags are the flags that say which policy file to verify with.
type policyFlags struct {
	set        *pflag.FlagSet
	path       string
	containers string
	explain    bool
}

// names of the flags of which one is enough.
const (
	flagPolicy     = "policy"
	flagContainers = "containers-policy"
)

func (p *policyFlags) flags(f *pflag.FlagSet) {
	p.set = f
	f.StringVar(&p.path, flagPolicy, "", "verify as the policy `FILE` says, in the place of --verify and its flags")
	f.StringVar(&p.containers, flagContainers, "", "the same for a policy.json of Podman and Skopeo, a `FILE`")
}

func (p *policyFlags) explainFlag(f *pflag.FlagSet) {
	f.BoolVar(&p.explain, "explain", false, "say which rule of the policy file applied, and what it asks for")
}

// verifier is that of the policy file, if one is given, or else of the flags; the
// rule is nil unless it is to be explained.
func (p *policyFlags) verifier(a *app, flags *verifyFlags, name reference.Named) (verify.Verifier, *policyfile.Rule, error) {
	given := p.set.Changed(flagPolicy) || p.set.Changed(flagContainers)
	if !given {
		if err := refuseWithout("--"+flagPolicy, p.set, "explain"); err != nil {
			return nil, nil, err
		}
		verifier, err := flags.verifier(a)
		return verifier, nil, err
	}
	policy, err := p.load(a)
	if err != nil {
		return nil, nil, err
	}
	rule, err := policy.Rule(name.String())
	if err != nil {
		return nil, nil, err
	}
	for _, what := range rule.Insecure {
		a.log.Warn(what, "scope", rule.Scope, "file", rule.File, "line", rule.Line)
	}
	if !p.explain {
		return policy, nil, nil
	}
	return policy, &rule, nil
}

func (p *policyFlags) load(a *app) (*policyfile.Policy, error) {
	if p.set.Changed(flagPolicy) && p.set.Changed(flagContainers) {
		return nil, usageError{fmt.Errorf("--%s and --%s exclude each other", flagPolicy, flagContainers)}
	}
	// The file is the whole policy: a flag that asks for more would be lost.
	for _, name := range append([]string{"verify", "cosign-key", "insecure-ignore-tlog", "trusted-root"}, identityFlagNames...) {
		if p.set.Changed(name) {
			return nil, usageError{fmt.Errorf("--%s does nothing with a policy file", name)}
		}
	}
	config := policyfile.Config{Logger: slog.New(exceptRules{a.log.Handler()})}
	if p.set.Changed(flagContainers) {
		return policyfile.LoadContainers(p.containers, config)
	}
	return policyfile.Load(p.path, config)
}

// problemsOf are those of a policy file, a line each.
func problemsOf(err error) (lines []string) {
	var problems policyfile.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			lines = append(lines, p.Error())
		}
	}
	return lines
}
