// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// How cosign refuses a certificate or a key that is not the one asked for.
var (
	otherIdentity = byForm("none of the expected identities matched", "no matching CertificateIdentity found")
	otherWorkflow = byForm("expected GitHub Workflow", "expected GithubWorkflow")
	keyAsked      = byForm("both public key and certificate were provided but did not match", "expected key signature, not certificate")
	identityAsked = byForm("error verifying bundle: empty key", "transparency log certificate does not match")
)

func byForm(legacy, bundle string) map[signing.Form]failure {
	return map[signing.Form]failure{
		signing.Legacy: {legacyBadSignature.code, legacy},
		signing.Bundle: {bundleBadSignature.code, bundle},
	}
}

// TestIdentities: whoever signed, no party takes it for somebody else.
func TestIdentities(t *testing.T) {
	s := services{recording: rekorV1Stamped}
	for _, signer := range parties() {
		for _, form := range singleForms {
			t.Run(signer.name+"/"+string(form), func(t *testing.T) {
				t.Parallel()
				r := registries[0]
				img := r.push(t)
				signer.sign(t, r, form, certified{person(), s}, img, nil)
				subject, issuer, similar := person(), person(), person()
				subject.Subject = "another@example.com"
				issuer.Issuer = stack.Actions
				similar.Subject = "PERSON@example.com"
				for what, with := range map[string]credential{
					"another subject":          certified{subject, s},
					"another issuer":           certified{issuer, s},
					"subject in capitals":      certified{similar, s},
					"a key and no certificate": recordedKey{keyMadeHere(t, p256, "stranger"), s},
				} {
					f := otherIdentity
					if _, ok := with.(recordedKey); ok {
						f = keyAsked
					}
					refusedByAll(t, r, row{what, string(form), noKey, signer.name, ""}, with, img, f[form])
				}
				subjectPatterns(t, r, signer, form, s, img)
			})
		}
	}
}

// subjectPatterns: a regular expression must match the whole subject, for
// cosign any part of it.
func subjectPatterns(t *testing.T, r testRegistry, signer party, form signing.Form, s services, img image) {
	t.Helper()
	for what, pattern := range map[string]string{
		"subject by pattern":         `person@example\.(com|org)`,
		"pattern of part of subject": `son@example\.com`,
	} {
		in := row{what, string(form), noKey, signer.name, ""}
		identity := verify.Identity{SubjectRegexp: pattern, Issuer: person().Issuer}
		with := certified{identity, s}
		for _, p := range parties() {
			in.verifier = p.name
			switch whole := !strings.Contains(what, "part"); {
			case p.command == nil && !whole:
				results.expect(t, in, s.name, refused, func(t *testing.T) { p.refuses(t, r, with, img, nil, failure{}) })
			case !whole:
				const note = "verified: cosign matches regular expressions with any part of the subject"
				results.expect(t, in, s.name, note, func(t *testing.T) { p.verifies(t, r, form, with, img, nil) })
			default:
				results.expect(t, in, s.name, verified, func(t *testing.T) { p.verifies(t, r, form, with, img, nil) })
			}
		}
	}
}

func refusedByAll(t *testing.T, r testRegistry, in row, with credential, img image, f failure) {
	t.Helper()
	for _, p := range parties() {
		in.verifier = p.name
		results.expect(t, in, with.recorded().column(r), refused, func(t *testing.T) {
			p.refuses(t, r, with, img, nil, f)
		})
	}
}

// TestKeyIsNoIdentity: what a key signed is nobody's.
func TestKeyIsNoIdentity(t *testing.T) {
	s := services{recording: rekorV1Stamped}
	for _, signer := range parties() {
		for _, form := range singleForms {
			t.Run(signer.name+"/"+string(form), func(t *testing.T) {
				t.Parallel()
				r := registries[0]
				img := r.push(t)
				signer.sign(t, r, form, recordedKey{signer.key(t, p256), s}, img, nil)
				in := row{"an identity and no key", string(form), p256.name, signer.name, ""}
				refusedByAll(t, r, in, certified{person(), s}, img, identityAsked[form])
			})
		}
	}
}

// TestWorkflow: a workflow of GitHub Actions signs with the token that it asks
// its runner for. Every party tells it from one that differs in the trigger,
// commit, name, repository or reference alone.
func TestWorkflow(t *testing.T) {
	s := services{recording: rekorV1Stamped}
	for _, signer := range parties() {
		for _, form := range singleForms {
			t.Run(signer.name+"/"+string(form), func(t *testing.T) {
				r := registries[0]
				img := r.push(t)
				with := inActions{certified{workflow(), s}}
				signer.sign(t, r, form, with, img, nil)
				in := row{"workflow", string(form), noKey, signer.name, ""}
				for _, p := range parties() {
					in.verifier = p.name
					results.expect(t, in, s.name, verified, func(t *testing.T) { p.verifies(t, r, form, with, img, nil) })
				}
				others := otherWorkflows()
				for _, what := range slices.Sorted(maps.Keys(others)) {
					in.what = "workflow, another " + what
					refusedByAll(t, r, in, certified{others[what], s}, img, otherWorkflow[form])
				}
			})
		}
	}
}

func otherWorkflows() map[string]verify.Identity {
	others := map[string]verify.Identity{}
	for what, change := range map[string]func(*verify.GitHubWorkflow){
		"trigger":    func(g *verify.GitHubWorkflow) { g.Trigger = "pull_request" },
		"commit":     func(g *verify.GitHubWorkflow) { g.SHA = strings.Repeat("0", len(g.SHA)) },
		"name":       func(g *verify.GitHubWorkflow) { g.Name = "test" },
		"repository": func(g *verify.GitHubWorkflow) { g.Repository = "example/other" },
		"ref":        func(g *verify.GitHubWorkflow) { g.Ref = "refs/heads/other" },
	} {
		other := workflow()
		change(&other.GitHub)
		others[what] = other
	}
	return others
}
