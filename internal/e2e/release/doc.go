// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package release builds programs of other projects, at a version, from the
// module proxy, and keeps them: a [Command] is the program that its module's
// release is, with the versions that it requires itself.
package release
