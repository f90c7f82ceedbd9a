// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package layout

const lockFlags = 0
