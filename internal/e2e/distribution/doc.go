// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package distribution starts the distribution project's registry, version 2 as
// Debian has it or version 3, as a child process: [Start] returns when it listens.
// The TestMain of a package that uses it calls [Supervise] first.
package distribution
