// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package bundles makes the content of both forms of signature, and translates
// between a legacy signature's annotations and a Sigstore bundle, so that
// certificates, log entries and timestamps are made and checked by the same code
// in either form.
package bundles
