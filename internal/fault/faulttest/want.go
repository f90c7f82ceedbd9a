// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package faulttest is what the tests of all packages ask of an error.
package faulttest

import (
	"errors"
	"testing"

	"github.com/cosignkit/cosignkit/internal/fault"
)

// Want fails the test unless err is of family and of no other, and of the type that
// the library's errors have. Without an error the test ends. The family nil wants none.
func Want(t testing.TB, err, family error) {
	t.Helper()
	if family == nil {
		if err != nil {
			t.Errorf("error: %v", err)
		}
		return
	}
	if err == nil {
		t.Fatalf("no error, want one that is %v", family)
	}
	for _, other := range []error{fault.ErrRejected, fault.ErrInconclusive, fault.ErrMisconfigured} {
		if got := errors.Is(err, other); got != errors.Is(family, other) {
			t.Errorf("errors.Is(err, %v) = %t, want the family %v alone: %v", other, got, family, err)
		}
	}
	if !errors.As(err, new(*fault.Error)) {
		t.Errorf("error is a %T, want a *verify.Error: %v", err, err)
	}
	// Programs built on cosign end with the code of an error that has one.
	if _, ok := err.(interface{ ExitCode() int }); ok {
		t.Errorf("error has a method ExitCode: %v", err)
	}
}
