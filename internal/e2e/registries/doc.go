// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package registries has tests against Debian's docker-registry as it is set up in
// the field: with certificates, users, tokens, mirrors, proxies and blob stores of
// its own. Each goes through all flows in a process of its own, with nothing but
// the files and variables that a user would write; the registry's log shows that
// the requests for signatures came the way of those for images.
//
// It needs docker-registry, htpasswd and ip, and root or the right to make user
// namespaces. `make e2e` runs it.
package registries
