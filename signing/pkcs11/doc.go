// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pkcs11 opens private keys on PKCS #11 tokens: hardware security modules,
// smart cards, SoftHSM.
//
// [Open] finds the key that a pkcs11: URI names (RFC 7512), and the [Key] that it
// returns is for signing.KeySignerConfig.Key. Verifying needs no token: write the
// public key to a file once, and have verifiers load that.
//
// A token and a key are used only if they are the only ones that the URI fits. The
// PIN goes to no other token, and is in no error.
//
// # Cgo
//
// The package is a module of its own. It loads the library of the token's vendor
// into the process, and so needs cgo: in a program that is built without, Open is
// always an error. What that library does, such as reading the environment or
// starting threads, is its own.
//
// # Errors
//
// An error is misconfigured where the URI, the library or the PIN is wrong, and where
// no token or key, or more than one, fits. It is inconclusive where the context ended
// or the token failed.
package pkcs11
