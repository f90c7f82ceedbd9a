// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package services starts the real servers of Sigstore in this process, on
// loopback, and writes what their clients have to know.
//
// Rekor and the timestamp authority keep their state in package variables, and
// Rekor v2 reads os.Args and exits on error. So there is one of each in a
// process, and the process had better have no other purpose.
package services
