// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cosignkit signs container images on push and verifies them on pull, for
// tools whose settings are flags and environment variables, such as nerdctl.
//
// [New] makes an [Adapter] from what a command line and an environment say:
//
//   - [Adapter.Signing] opens the key or gets an identity. [Signing.Push] runs the
//     tool's own push and writes the tag last; [Signing.Sign] signs an image that has
//     been pushed.
//   - [Adapter.Verification] reads the policy. [Verification.Verify] asks the
//     registry; [Verification.Ensure] first checks the image store. Both return a
//     [Verified] with the reference to pull or run. [Verified.Record] records it
//     under the name that the user gave.
//   - [ParseFields] reads the x-nerdctl fields of a Compose service into the same
//     options.
//
// The provider "none" gives a Signing and a Verification that do nothing, so that a
// tool has one path. docs/nerdctl.md shows where in nerdctl each call goes.
//
// # Other packages
//
// A program with its own configuration uses the packages below. Each one imports
// those that come after it, and not those before it.
//
//   - registry signs and verifies images in registries, in containerd and in OCI
//     image layouts. Its Client.Sign and Client.Verify are the usual calls.
//   - keyless signs with an identity: it gets certificates from Fulcio, and log
//     entries from Rekor.
//   - signing makes signatures with a key. signing/keyfile opens cosign's key files,
//     signing/kms keys in key management services.
//   - verify decides whether signatures make an image acceptable. verify/policyfile
//     reads policies from YAML, verify/trust reads trusted roots from files and TUF.
//
// The modules compose, for Compose projects, and signing/pkcs11, for tokens, have
// requirements of their own.
//
// # Errors
//
// Every error of the library matches one of [ErrRejected], [ErrInconclusive] and
// [ErrMisconfigured].
package cosignkit
