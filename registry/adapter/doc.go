// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package adapter is for container tools whose settings are flags: it takes
// strings as a command line has them, and returns what containerd's client
// takes. It knows nerdctl's flags, providers and Compose fields, and the
// variables of the environment that cosign's users set; and nothing of nerdctl's
// code.
//
// [New] makes an [Adapter] for one command. [Adapter.Signer] and
// [Adapter.Verifier] check everything that can be checked before a registry is
// asked: the provider, the key, its passphrase, the identities. Then
// [Adapter.Sign] signs what was pushed, or [Adapter.Push] pushes and signs;
// [Adapter.Verify] turns a reference into a pinned one; [Adapter.CheckTarget]
// verifies what a local name stands for; and registry.Pin records the tag.
package adapter
