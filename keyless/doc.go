// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package keyless is the place for signers without a long-lived key: an OIDC
// identity, a short-lived Fulcio certificate for it, and an entry in the Rekor
// transparency log. It exports nothing yet. To sign with a key pair, see package
// signing.
package keyless
