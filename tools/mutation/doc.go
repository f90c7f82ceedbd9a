// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Command mutation switches off the checks of packages, one at a time, and reports
// those that no test misses.
//
// A check is a condition whose body ends with an error. Where a condition is an or,
// each operand is a check. A condition that looks at nothing but the error of a call
// is one if the call returns the error and nothing else; all others of that kind
// only pass an error on, and are counted and not tried.
//
// All checks are compiled in once, by go build's overlay: a variable of the environment says
// which one is off. Each test runs once alone to learn which checks it reaches; each
// check is tried with the tests that reach it, the short ones first, until one fails.
package main
