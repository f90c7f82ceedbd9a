// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package merkle is the hash tree of RFC 6962, section 2.1, for tests that stand in
// for a transparency log. It keeps nothing and is fast for few leaves only.
package merkle

import (
	"bytes"
	"crypto/sha256"
)

// Leaf is the hash of an entry.
func Leaf(entry []byte) []byte {
	sum := sha256.Sum256(append([]byte{0}, entry...))
	return sum[:]
}

// Root is that of the tree of leaves, of which there is at least one.
func Root(leaves [][]byte) []byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := split(len(leaves))
	sum := sha256.Sum256(bytes.Join([][]byte{{1}, Root(leaves[:k]), Root(leaves[k:])}, nil))
	return sum[:]
}

// Path is the audit path of the leaf at an index.
func Path(at int, leaves [][]byte) [][]byte {
	if len(leaves) == 1 {
		return nil
	}
	k := split(len(leaves))
	if at < k {
		return append(Path(at, leaves[:k]), Root(leaves[k:]))
	}
	return append(Path(at-k, leaves[k:]), Root(leaves[:k]))
}

// split is the largest power of two below n.
func split(n int) int {
	k := 1
	for k*2 < n {
		k *= 2
	}
	return k
}
