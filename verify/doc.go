// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package verify decides whether signatures make a container image acceptable.
//
// [New] turns a [Policy] into a [Verifier]. A Verifier is given an image, by
// the descriptor that will be fetched, and every candidate signature that was
// found for it, and returns a [Result] that lists each candidate with the
// reason why it passed or failed. It asks no registry: package registry finds
// the candidates, and its Client.Verify is the one call that most programs want.
// [Bundle] is for what is no image: files, and attestations of any type.
//
// # What is checked
//
// For each candidate, in every form alike:
//
//   - the signature verifies, with a key of the policy, or with the key in a
//     Fulcio certificate that was issued to an identity of the policy;
//   - the signed payload names the very digest of the image, and is a signature of
//     an image, and not an attestation or one of a file (predicate type
//     https://sigstore.dev/cosign/sign/v1, or a simple signing payload; a message
//     signature over the manifest only if the policy allows it);
//   - it carries the annotations, and claims a repository, that the policy asks
//     for;
//   - a trusted transparency log has an entry for this very signature, content
//     and key or certificate, by a signed entry timestamp, or by an inclusion
//     proof to a signed checkpoint, or both where both are shown;
//   - the whole chain of a certificate, intermediates included, is valid at
//     each time that a log or a timestamp authority vouches for, of which there
//     must be one, and a trusted certificate transparency log has signed for
//     the certificate.
//
// The image is accepted when the candidates that pass were made by at least
// Threshold different keys and identities of the policy. Thresholds for logs and
// timestamps count different authorities, not entries.
//
// The bundles are of versions 0.1 to 0.3. [Limits] bounds what is read and taken.
//
// # Trusted roots
//
// A [TrustedRoot] says who is trusted. Package verify/trust reads one from
// JSON or from PEM files, or follows a TUF repository that distributes one and keeps
// it up to date, such as that of Sigstore's public instance. A root is immutable, and
// one verification uses one. This package asks nobody: only the [TrustedRoots] and
// the [LogLookup] that a policy names may go to the network.
//
// # Fail closed
//
// The zero Policy is an error, and so is every field that cannot be honoured.
// Every field that weakens a check has Insecure or Unsafe in its name. A candidate that makes a
// parser panic is a failed candidate. A candidate that could not be read is
// never the same as no candidate: if it could have mattered, the outcome is
// [ErrInconclusive] and not [ErrRejected].
package verify
