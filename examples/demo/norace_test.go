// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package main

var raceFlags []string
