// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build race

package main

// raceFlags make the demo's build share the compiled packages of the tests.
var raceFlags = []string{"-race"}
