// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package traffic shows that the requests for signatures go the way of those for
// images. [Flows] pushes, verifies, pulls and signs an image through one
// configuration of registries; a [Log] in front of each server keeps what it was
// asked, by whom, and [Log.Check] compares the two kinds. Who counts requests can
// wait for [Connections]. The package is for tests; beside internal/golden it is the
// one package of internal that knows the library.
package traffic
