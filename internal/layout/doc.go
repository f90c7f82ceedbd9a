// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package layout reads and writes OCI image layouts in directories (OCI image
// specification 1.1, image layout). [Open] and [Create] return a [Layout].
//
// What is in the directory may be anybody's work. Nothing outside of it is
// reached by a symbolic link, nothing but regular files is read, and everything
// that is held in memory is bounded. Blobs and the index are replaced whole, by
// a rename, and writers of the index take turns.
package layout
