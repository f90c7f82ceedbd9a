// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package compose is the place for Compose projects: it will read the
// x-nerdctl-sign and x-nerdctl-verify fields of all services into one plan and
// pin each service to the digest that was verified. It exports nothing yet. To
// sign and verify single images, see package registry.
package compose
