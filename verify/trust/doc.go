// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package trust reads trusted roots, for package verify to verify with and for
// package keyless to check replies with.
//
// [Load] and [Parse] read the JSON of Sigstore's protobuf-specs. [ParsePEMs] and
// [FromEnvironment] make a root of its parts. None of them asks anybody.
//
// [NewTUF] follows a TUF repository that distributes a root, such as that of
// Sigstore's public instance:
//
//	roots, err := trust.NewTUF(trust.TUFConfig{})
//	if err != nil {
//		return err
//	}
//	verifier, err := verify.New(verify.Policy{Identities: identities, TrustedRoots: roots})
//
// It is the one part of verification, besides a [verify.LogLookup], that has a
// network, files and locks. A root, timestamp or snapshot that it has verified counts
// from that moment on: no mirror has a revoked key accepted again.
package trust
