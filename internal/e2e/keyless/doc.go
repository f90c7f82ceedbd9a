// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package keyless tests signing with an identity against the services of
// Sigstore, which it starts on loopback: every source of tokens against an
// OpenID Connect issuer, and every service with faults in front of it.
//
// Run it with make e2e, or in this directory with go test. The first run builds
// the services, which takes some minutes.
package keyless
