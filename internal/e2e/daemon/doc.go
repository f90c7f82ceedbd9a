// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package daemon runs containerd for tests: [Build] or [Debian] finds the
// programs, and [Start] starts a daemon that has a directory, a socket and a
// configuration of its own, and shares nothing with one of the machine's. It
// needs root on Linux, and Debian's runc and CNI plugins, which make e2e-deps
// installs.
//
// The tests of this package show on such daemons what the library and minictl
// promise: that what runs is what was verified.
//
// What must be different with the library from a tool that runs cosign, and the
// tests of it. Those with Nerdctl in their name are of the lines that
// docs/nerdctl.md adds, the others of minictl.
//
//  1. The image that runs is the image that was verified, also where another local
//     image bears the tag, or none does: TestWhatRunsIsWhatWasVerified,
//     TestNerdctlRunsWhatWasVerified; with Compose TestComposeStartsWhatWasVerified,
//     TestNerdctlComposeRunsWhatWasVerified.
//  2. The tag that was pulled stands for the verified digest, and a record whose
//     name claims another digest is refused: TestPulledTagPointsAtTheVerifiedDigest,
//     TestNerdctlPullRecordsTheTag.
//  3. Fields of Compose are read strictly, and only where they are needed:
//     TestComposeFieldsAreReadStrictly, TestNerdctlComposeFieldsAreReadStrictly.
//  4. What no registry has is refused, and image mounts are verified:
//     TestOtherKindsOfImagesAreRefused, TestNerdctlRefusesOtherKinds,
//     TestNerdctlVerifiesImageMounts.
//  5. What can be known to be wrong is refused before any request:
//     TestValidationComesBeforeAnyRequest, TestNerdctlValidatesBeforeAnyRequest.
//  6. A digest of many tags is signed once, and a reduced image as it was pushed:
//     TestAllTagsAreSignedOnce, TestReducedImageIsSignedAsPushed,
//     TestNerdctlSignsADigestOnce, TestNerdctlSignsTheReducedImageAsPushed.
package daemon
