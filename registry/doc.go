// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package registry moves signatures to and from where images live, and puts
// signing and verification into containerd's push and pull.
//
// [New] returns a [Client] for registries as a container tool configures them.
// Its one-call forms are what most programs want:
//
//   - [Client.Sign] signs an image that is in a registry already.
//   - [Client.Verify] resolves a reference once and verifies what it stands
//     for; run nothing but the descriptor in the result.
//   - [Client.PushWith] and [Client.PullWith] do so around containerd's own push and
//     pull.
//   - [Client.VerifyLocal] verifies an image that was pulled, before it runs,
//     without a network where it can.
//
// A tool that has its own push and pull keeps them, and passes
// the resolver of [Client.SignPush] or [Client.VerifyingResolver] to
// containerd.WithResolver. After such a pull it calls [KeepSignatures]. A daemon
// that embeds containerd's transfer service passes [Client.ImageVerifier] to it.
//
// # Guarantees
//
// Pull: the reference is resolved once, that digest is verified before one byte
// of the image is fetched, and nothing else is fetched or recorded. Push:
// content goes up by digest, the digest is signed, the signature is attached
// and read back, and only then is the tag written; nobody sees the tag without
// its signature, and a failure leaves the tag as it was.
//
// # Where signatures live
//
// Bundles are referrers of the image (OCI distribution specification 1.1):
// found by the referrers API, and under the referrers tag sha256-<hex> where a
// registry has no such API. Legacy signatures are layers of the manifest under
// the tag sha256-<hex>.sig, or of referrers (cosign's OCI 1.1 form). All of this
// can be in another repository, [Config.SignatureRepository]. All places are read
// at once, and each signature is checked as it arrives: one that passes in any of
// them is enough and ends the search, and a place that could not be looked at
// makes an image without one inconclusive, never unsigned. A registry is asked
// once whether it has the referrers API, in the life of a [Client].
//
// An image with its signatures can also be in a directory, see [LayoutResolver].
//
// # Local images
//
// Signatures that passed are kept with the image in containerd's content store, as
// referrers: the signed manifest has a label for each, which begins with
// containerd.io/gc.ref.content.referrer., so that containerd's garbage collection
// keeps them as long as the image, and no longer. They are believed no more than
// those in a registry: each start verifies them again, against the policy of that
// time. Referrers that containerd itself pulled with the image are found as well.
//
// # Several platforms
//
// An index is signed and verified as what it is, and what it contains is bound to
// it by digest. [WithRecursive] signs that as well. Verification can ask for all of
// these signatures ([WithEveryPlatform]), take a manifest for the index that
// contains it ([WithContainingIndex]), or the other way round
// ([WithSignedPlatform]); the result says which of them has the signatures.
//
// # Several signers
//
// Tags are shared by all who sign one image, and registries offer no
// conditional write. A [Client] therefore merges with what is there, waits for
// a settle time, reads again, and repeats until nothing is missing. A signature
// can still be lost to a writer of another machine that takes longer than the
// settle time, a quarter of a second, between its last read and its write. The
// referrers API has no such window.
//
// # One network path
//
// Requests for images and for signatures go the same way: the hosts.toml
// machinery of containerd with its mirrors, certificate authorities, client
// certificates and headers, one set of credentials, one insecure setting. Each
// signature is read back from the host that it was written to, not from a mirror.
//
// Everything read is bounded in size and checked against its digest.
package registry
