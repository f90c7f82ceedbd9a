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
package daemon
