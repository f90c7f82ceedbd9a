// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package interop tests cosignkit against the cosign command line.
//
// Its tests build cosign v2 and v3, distribution's registry, and Sigstore's own
// services (package internal/sigstack) from the module proxy, once, into a
// cache; they want Debian's docker-registry in PATH. Then each side opens the
// other's keys and verifies the other's signatures, through four registries:
// go-containerregistry's with and without the referrers API, docker-registry and
// distribution. Signatures are made with key pairs alone, and with key pairs and
// identities and recorded: by Rekor v1 or v2, with and without a timestamp
// authority. No test needs a network beyond loopback.
//
// What a cosign release cannot do is asserted as well, with the error that it
// gives, so that a release that can is noticed. At the end the tests print what
// was tried as a table.
//
// Run it with make interop, or in this directory with go test.
//
// Environment: COSIGNKIT_CACHE is the directory of what is built, by default
// cosignkit in the user's cache directory.
package interop
