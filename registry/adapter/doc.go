// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package adapter is for container tools whose settings are flags: it takes
// strings as a command line has them, and returns what containerd's client
// takes. It knows nerdctl's flags, providers and Compose fields, and the
// variables of the environment that cosign's users set; and nothing of nerdctl's
// code. docs/nerdctl.md shows where in nerdctl each call goes.
//
// [New] makes an [Adapter]. Each command asks it for what its flags mean, and is
// told then of everything that can be known to fail without a registry:
//
//   - [Adapter.Signing] opens the key or gets an identity.
//     [Signing.Push] has the tool push, and the tag written last;
//     [Signing.Sign] is for a push that is over.
//   - [Adapter.Verification] reads the policy. [Verification.Verify] asks the
//     registry, [Verification.Ensure] first what is in the image store; either
//     returns a [Verified] with the reference to pull or run, which
//     [Verified.Record] records under the name that the user gave.
//   - [ParseFields] reads the fields of a Compose service into the same options.
//
// The provider none gives a Signing and a Verification that do nothing, so that a
// tool has one path, and no check can be left out by a nil that was not looked
// at.
package adapter
