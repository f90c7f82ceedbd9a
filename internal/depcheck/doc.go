// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package depcheck has no code, only the tests that hold the project's shape:
// which package may import which, what the library may link and how much of it,
// the licence header of every Go file, and the code and links of the documents.
package depcheck
