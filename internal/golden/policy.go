// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package golden

import "github.com/cosignkit/cosignkit/verify"

// Policy asks for everything that the list says of v: all signers, the log and
// the timestamp, by [Set.TrustedRoot].
func (s *Set) Policy(v Vector, roots verify.TrustedRoots) (verify.Policy, error) {
	keys, err := s.SignerKeys(v)
	policy := verify.Policy{
		Keys:                          keys,
		Threshold:                     v.Signers,
		TrustedRoots:                  roots,
		Annotations:                   v.Annotations,
		InsecureIgnoreTransparencyLog: v.Log == NoLog,
	}
	if v.Timestamp {
		policy.TimestampThreshold = 1
	}
	if i := v.Identity; i != nil {
		policy.Identities = []verify.Identity{{Subject: i.Subject, Issuer: i.Issuer, GitHub: verify.GitHubWorkflow(i.GitHub)}}
	}
	return policy, err
}
