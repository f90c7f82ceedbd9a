// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"strings"
	"unicode"

	"github.com/cosignkit/cosignkit/verify"
)

// usageError is a command line that makes no sense.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// misconfigured is an error of this program's own that only the user can mend,
// unless the user interrupted.
func misconfigured(op, subject string, err error) error {
	kind := verify.ErrMisconfigured
	if errors.Is(err, context.Canceled) {
		kind = verify.ErrInconclusive
	}
	return &verify.Error{Op: op, Subject: subject, Kind: kind, Err: err}
}

// exitCode tells a script which family of failure it sees.
func exitCode(err error) int {
	exited := containerExit(0)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exited):
		return int(exited)
	case errors.Is(err, verify.ErrRejected):
		return 1
	case errors.As(err, new(usageError)), errors.Is(err, verify.ErrMisconfigured):
		return 2
	default:
		return 3
	}
}

// printable is text on one line and without control characters, for what a
// registry may have a say in.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}
