// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package golden reads testdata/golden: images that releases of cosign signed,
// and what is to be expected of them. [Open] reads the list, and [Set.Signatures]
// what an image layout holds. It is for tests and for the program that makes the
// files; it reads them by hand, and uses nothing of what is tested with them but
// the type of a policy.
package golden
