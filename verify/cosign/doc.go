// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cosign verifies as cosign verify does, by calling cosign's own library,
// github.com/sigstore/cosign/v2/pkg/cosign. It is for who must decide exactly as cosign
// does, and for a second opinion:
//
//	old, err := cosign.New(policy)
//	…
//	now, err := verify.New(policy)
//	…
//	verifier := verify.Both(now, old)
//
// cosign is asked about one candidate at a time, offline, and about each key and each
// identity of the policy by itself, as if it was run once for each: for keys on P-384 and
// P-521 with the default of --signature-digest-algorithm, and with the hash of the
// curve. A signature that passes once is good.
//
// # Where it is stricter
//
// The bytes of a candidate come from a registry, and cosign's parsers panic on some and
// take very long for others. So the guards of package verify come first: limits,
// JSON and DER that can be read in one way only, certificates and log entries of a usual
// weight and form. What they refuse is a failed candidate that cosign does not see.
//
// Where a policy promises more than cosign checks, this package keeps the promise:
//
//   - a bundle must have the predicate type of a signature, while cosign verify takes
//     any attestation;
//   - a legacy signature must have a timestamp if the policy asks for one, while
//     cosign then only checks one that is there;
//   - patterns of identities match the whole;
//   - a bundle that was signed with SHA-256 by a certificate with a P-384 or P-521 key
//     is refused, because sigstore-go writes to standard error to tell of it.
//
// What cosign accepts in spite of it, such as a certificate of an authority that had
// expired, is accepted here: see docs/policy.md for the list. A Result has no Timestamps.
package cosign
