// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"testing"

	"github.com/cosignkit/cosignkit/internal/golden"
	"github.com/cosignkit/cosignkit/verify"
)

// inPolicy are changes to what is asked for.
func inPolicy() []alteration {
	identity := func(f func(*verify.Identity)) change {
		return func(_ testing.TB, s, _ *specimen) bool {
			if s.Identity == nil {
				return false
			}
			f(&s.policy.Identities[0])
			return true
		}
	}
	workflow := func(f func(*verify.GitHubWorkflow)) change {
		return func(_ testing.TB, s, _ *specimen) bool {
			if s.Identity == nil {
				return false
			}
			f(&s.policy.Identities[0].GitHub)
			return true
		}
	}
	stranger := verify.Identity{Subject: "stranger@example.com", Issuer: "https://issuer.example"}
	return []alteration{
		{"policy, another key", func(t testing.TB, s, _ *specimen) bool {
			if s.Identity != nil {
				return false
			}
			s.policy.Keys[0] = keys["P-256"]().Public()
			return true
		}, because("does not verify with the key|does not verify with any of the 2 keys")},
		{"policy, another subject", identity(func(i *verify.Identity) { i.Subject = "stranger@example.com" }), because(`expected SAN value "stranger@example.com", got`)},
		{"policy, another issuer", identity(func(i *verify.Identity) { i.Issuer = "https://issuer.example" }), because(`expected issuer value "https://issuer.example", got`)},
		{"policy, another trigger", workflow(func(g *verify.GitHubWorkflow) { g.Trigger = "pull_request" }), because("expected GithubWorkflowTrigger to be")},
		{"policy, another commit", workflow(func(g *verify.GitHubWorkflow) { g.SHA = otherHex[:40] }), because("expected GithubWorkflowSHA to be")},
		{"policy, another workflow", workflow(func(g *verify.GitHubWorkflow) { g.Name = "nightly" }), because("expected GithubWorkflowName to be")},
		{"policy, another workflow repository", workflow(func(g *verify.GitHubWorkflow) { g.Repository = "example/fork" }), because("expected GithubWorkflowRepository to be")},
		{"policy, another git reference", workflow(func(g *verify.GitHubWorkflow) { g.Ref = "refs/heads/evil" }), because("expected GithubWorkflowRef to be")},
		{"policy, only keys for a certificate", func(_ testing.TB, s, _ *specimen) bool {
			s.policy.Identities, s.policy.Keys = nil, []crypto.PublicKey{keys["P-256"]().Public()}
			return s.Identity != nil
		}, because("signed with a certificate, and the policy names only keys").in("legacy", because("does not verify with the key"))},
		{"policy, only identities for a key", func(_ testing.TB, s, _ *specimen) bool {
			s.policy.Keys, s.policy.Identities, s.policy.Threshold = nil, []verify.Identity{stranger}, 1
			return s.Identity == nil
		}, because("signed with a key, and the policy names only identities")},
		{"policy, annotation of another value", func(_ testing.TB, s, _ *specimen) bool {
			s.policy.Annotations = map[string]string{"env": "prod"}
			return s.Annotations != nil
		}, because(`annotation "env" is "golden", want "prod"`)},
		{"policy, annotation that is missing", func(_ testing.TB, s, _ *specimen) bool {
			s.policy.Annotations = map[string]string{"absent": ""}
			return true
		}, because(`annotation "absent" is missing`)},
		{"policy, a signer more", func(_ testing.TB, s, _ *specimen) bool {
			s.policy.Threshold++
			s.policy.Keys = append(s.policy.Keys, keys["P-256"]().Public())
			return true
		}, because("signed by (1 of the 2|2 of the 3) different signers required$")},
		{"policy, an identity more", func(_ testing.TB, s, _ *specimen) bool {
			s.policy.Threshold++
			s.policy.Identities = append(s.policy.Identities, stranger)
			return true
		}, because("signed by (1 of the 2|2 of the 3) different signers required$")},
		{"policy, a log more", func(_ testing.TB, s, _ *specimen) bool {
			s.policy.LogThreshold = 2
			return s.Log != golden.NoLog
		}, because("not enough verified log entries from transparency log: 1 < 2")},
		{"policy, a log where there is none", func(_ testing.TB, s, _ *specimen) bool {
			s.policy.InsecureIgnoreTransparencyLog = false
			return s.Log == golden.NoLog
		}, notLogged},
		{"policy, a timestamp where there is none", func(_ testing.TB, s, _ *specimen) bool {
			s.policy.TimestampThreshold = 1
			return !s.Timestamp
		}, notStamped},
		{"policy, another repository", func(_ testing.TB, s, _ *specimen) bool {
			s.policy.Repository, s.image.Name = verify.ExactRepository(), repository
			return true
		}, because(`signed for repository ".*", which the policy does not accept for "registry.example/team/app"`)},
		{"image, another digest", func(_ testing.TB, s, another *specimen) bool {
			s.image = another.image
			return true
		}, anotherDigest},
	}
}

// inRoot are changes to who is trusted. A root that has nobody for what the
// policy asks for is misconfigured, so that there is always somebody else.
func inRoot() []alteration {
	root := func(applies func(*specimen) bool, f func(root, log object, s *specimen)) change {
		return func(t testing.TB, s, _ *specimen) bool {
			if !applies(s) {
				return false
			}
			log := within(s.trusted(t), "tlogs", 0)
			if s.Log == golden.RekorV2 {
				log = within(s.trusted(t), "tlogs", 1)
			}
			f(s.trusted(t), log, s)
			return true
		}
	}
	keyless := func(s *specimen) bool { return s.Identity != nil }
	logged := func(s *specimen) bool { return s.Log != golden.NoLog }
	stamped := func(s *specimen) bool { return s.Timestamp }
	ended := object{"start": "2026-11-23T12:27:01Z", "end": "2026-11-23T12:27:02Z"}
	toCome := object{"start": "2126-11-23T12:27:01Z"}
	return []alteration{
		{"root, another certificate authority", root(keyless, func(root, _ object, _ *specimen) {
			within(root, "certificateAuthorities", 0)["certChain"] = object{"certificates": []any{within(root, "timestampAuthorities", 0, "certChain", "certificates", 2)}}
		}), because("leaf certificate verification failed")},
		{"root, certificate authority until then", root(keyless, func(root, _ object, _ *specimen) {
			within(root, "certificateAuthorities", 0)["validFor"] = ended
		}), because("leaf certificate verification failed")},
		{"root, certificate authority since then", root(keyless, func(root, _ object, _ *specimen) {
			within(root, "certificateAuthorities", 0)["validFor"] = toCome
		}), because("leaf certificate verification failed")},
		{"root, another certificate transparency log", root(keyless, func(root, _ object, _ *specimen) {
			root["ctlogs"] = []any{within(root, "tlogs", 0)}
		}), because("only able to verify 0 SCT entries")},
		{"root, another key of the certificate transparency log", root(keyless, func(root, _ object, _ *specimen) {
			within(root, "ctlogs", 0)["publicKey"] = within(root, "tlogs", 0, "publicKey")
		}), because("only able to verify 0 SCT entries")},
		{"root, certificate transparency log until then", root(keyless, func(root, _ object, _ *specimen) {
			within(root, "ctlogs", 0, "publicKey")["validFor"] = ended
		}), because("only able to verify 0 SCT entries")},
		{"root, certificate transparency log since then", root(keyless, func(root, _ object, _ *specimen) {
			within(root, "ctlogs", 0, "publicKey")["validFor"] = toCome
		}), because("only able to verify 0 SCT entries")},
		{"root, another log", root(logged, func(root, _ object, s *specimen) {
			all := root["tlogs"].([]any)
			if s.Log == golden.RekorV2 {
				root["tlogs"] = all[:1]
			} else {
				root["tlogs"] = all[1:]
			}
		}), notLogged},
		{"root, another key of the log", root(logged, func(root, log object, _ *specimen) {
			log["publicKey"] = within(root, "ctlogs", 0, "publicKey")
		}), notLogged.in("v2", badCheckpoint)},
		{"root, log until then", root(logged, func(_, log object, _ *specimen) { within(log, "publicKey")["validFor"] = ended }), notLogged},
		{"root, log since then", root(logged, func(_, log object, _ *specimen) { within(log, "publicKey")["validFor"] = toCome }), notLogged},
		{"root, another timestamp authority", root(stamped, func(root, _ object, _ *specimen) {
			within(root, "timestampAuthorities", 0)["certChain"] = within(root, "certificateAuthorities", 0, "certChain")
		}), because("0 < 1; error: unable to verify signed timestamps: (leaf certificate must be present|.*unknown authority)")},
		{"root, timestamp authority until then", root(stamped, func(root, _ object, _ *specimen) {
			within(root, "timestampAuthorities", 0)["validFor"] = ended
		}), because("timestamp is after the validity period end")},
		{"root, timestamp authority since then", root(stamped, func(root, _ object, _ *specimen) {
			within(root, "timestampAuthorities", 0)["validFor"] = toCome
		}), because("timestamp is before the validity period start")},
	}
}
