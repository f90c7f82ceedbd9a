// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tufrepo publishes TUF repositories, for tests: good ones, and those
// that a client must refuse, such as one with metadata that has expired or
// that goes back to an earlier version.
package tufrepo
