// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package nerdctl has, in the packages below it, the places of nerdctl that
// docs/nerdctl.md changes, each cut down to what the lines there touch, and with
// these lines. It is so that they compile and are tested; it is no container tool.
package nerdctl
