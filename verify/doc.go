// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package verify decides whether signatures make a container image acceptable.
//
// [New] turns a [Policy] into a [Verifier]. A Verifier is given an image, by
// the descriptor that will be fetched, and every candidate signature that was
// found for it, and returns a [Result] that lists each candidate with the
// reason why it passed or failed. It asks no registry: package registry finds
// the candidates, and its Client.Verify is the one call that most programs want.
//
// # What is checked
//
// For each candidate, in every form: the signature verifies with a key of the
// policy; the signed payload names the very digest of the image; it is a
// signature and not an attestation (predicate type
// https://sigstore.dev/cosign/sign/v1, or a simple signing payload); it carries
// the required annotations; and it claims a repository that the policy accepts.
// The image is accepted when the candidates that pass were made by at least
// Threshold different keys of the policy.
//
// # Fail closed
//
// The zero Policy is an error, and so is every field that cannot be honoured.
// What weakens a check has Insecure in its name. A candidate that makes a
// parser panic is a failed candidate. A candidate that could not be read is
// never the same as no candidate: if it could have mattered, the outcome is
// [ErrInconclusive] and not [ErrRejected].
package verify
