// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package keyfile generates, imports and opens the key files of cosign.
//
// [Open] opens a private key for signing.KeySignerConfig. [Generate] makes a key
// pair, [Import] encrypts a key that you have, and [Pair.WriteFiles] writes
// cosign.key and cosign.pub.
//
// Cosign's own functions read and write the files: GenerateKeyPairWithAlgorithm,
// ImportKeyPair and LoadPrivateKey of github.com/sigstore/cosign/v2/pkg/cosign. This
// package checks sizes and structure first, and asks for the passphrase. It links
// all of that cosign package; a program whose keys come from elsewhere does not.
//
// All errors match signing.ErrMisconfigured, except signing.ErrInconclusive when
// the context ended first. They never contain key material or passphrases.
package keyfile
