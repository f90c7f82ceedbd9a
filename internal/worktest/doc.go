// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package worktest holds decoders to linear work. A test gives [Run] a decoder and
// a few well-formed inputs; Run makes hostile inputs of growing size from them, and
// counts what the decoder allocates, and the steps that it takes, for each byte. It
// measures no time, so that a slow machine has the same verdict.
//
// The inputs keep the structure of what they are made from, so that they get past a
// parser's first checks: they nest, repeat and overlap elements and lie about their
// lengths, in ASN.1, in JSON, in PEM, and in what a string holds in base64.
package worktest
