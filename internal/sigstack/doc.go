// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sigstack starts Sigstore's services for tests and demonstrations: an
// own Fulcio, Rekor, timestamp authority, OpenID Connect provider, TUF
// repository and registry, on loopback, in one child process.
//
// The services are the program of the module internal/e2e/sigstack. Its
// hundreds of dependencies stay there: this package needs none of them, and no
// program of a user links it.
package sigstack
