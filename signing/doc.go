// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package signing makes signatures over container images.
//
// [NewKeySigner] turns a private key into a [Signer]. Package signing/keyfile opens
// the key files of cosign and makes them. A Signer only computes; package registry
// attaches what it returns to the image.
//
// A signature is over the digest of a manifest or index, in one of two forms.
// [Bundle], the default, is an in-toto statement whose predicate type is
// https://sigstore.dev/cosign/sign/v1, signed as a DSSE envelope and wrapped in
// a Sigstore bundle v0.3. [Legacy] is the simple signing payload that cosign
// has written since its first release.
//
// # Other artifacts
//
// An [ArtifactSigner] signs what is no image: files, and in-toto statements, such as
// provenance, about files and images. A [KeySigner] is one. It never makes the
// signature of an image from a statement that it is given.
//
// # Keys
//
// A key may be any crypto.Signer. Package signing/kms opens those of key management
// services, and the module signing/pkcs11 those of tokens; docs/keys.md has all.
//
// ECDSA on P-256 (SHA-256), P-384 (SHA-384) and P-521 (SHA-512), RSA of 2048,
// 3072 or 4096 bits (PKCS #1 v1.5, SHA-256) and Ed25519: the algorithms of
// sigstore's registry.
//
// Ed25519 signatures are pure Ed25519 (RFC 8032, section 5.1) and not the
// pre-hashed Ed25519ph. cosign verify accepts pure Ed25519 only, although cosign
// sign makes Ed25519ph. In the same way cosign verify expects SHA-256 with every
// curve unless it is told --signature-digest-algorithm, although cosign sign
// hashes by the curve. Package verify accepts all of these.
//
// # Errors
//
// Errors match [ErrMisconfigured] when the key, its passphrase or the request
// is wrong, and [ErrInconclusive] when the context ended first or the private
// key, which may be a token or a service, failed to sign. They never contain key
// material or passphrases.
package signing
