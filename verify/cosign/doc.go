// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cosign verifies as cosign verify does, by calling cosign's own library,
// github.com/sigstore/cosign/v2/pkg/cosign. It is for tools that must decide exactly as
// cosign does, and for a second opinion:
//
//	old, err := cosign.New(policy)
//	…
//	now, err := verify.New(policy)
//	…
//	verifier := verify.Both(now, old)
//
// It asks cosign about one candidate at a time, offline, and about each key and each
// identity of the policy by itself, as if cosign verify was run once for each. A key on
// P-384 or P-521 is tried with the default of --signature-digest-algorithm and with the
// hash of its curve. A signature that passes once is good.
//
// # Stricter than cosign
//
// The bytes of a candidate come from a registry, and cosign was written for those of
// honest ones. So the guards of package verify come first: limits, JSON and DER that
// can be read in one way only, certificates and log entries of a usual weight and
// form. A candidate that they refuse has failed, and cosign does not see it.
//
// A policy may promise more than cosign checks, and the promise is kept:
//
//   - a bundle must have the predicate type of a signature, while cosign verify takes
//     any attestation;
//   - a legacy signature must have a timestamp if the policy asks for one, while
//     cosign then only checks one that is there;
//   - patterns of identities match the whole.
//
// A bundle that was signed with SHA-256 by a certificate with a P-384 or P-521 key is
// refused, because sigstore-go writes to standard error to tell of it.
//
// # The rest is cosign's
//
// A signature that cosign accepts and package verify does not is accepted here. An
// example is a legacy one whose certificate is of an authority that had expired.
// docs/guide.md lists the differences. A Result has no Timestamps. A verification takes
// time for each key and each identity of the policy.
package cosign
