// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package layout

import "syscall"

// lockFlags keep the file to lock from being a link to elsewhere, or a named
// pipe, that was put in its place after it was looked at.
const lockFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
