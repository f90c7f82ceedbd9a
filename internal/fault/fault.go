// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fault holds the three families of failure that every package of the
// library reports, and the error type that carries them. Package verify
// exports both under names of its own.
package fault

import (
	"context"
	"errors"
	"strings"
)

// The families. An error that the library returns matches exactly one.
var (
	ErrRejected      = errors.New("rejected")
	ErrInconclusive  = errors.New("inconclusive")
	ErrMisconfigured = errors.New("misconfigured")
)

// Error is documented as verify.Error.
type Error struct {
	Op      string
	Stage   string
	Subject string
	Kind    error
	Err     error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Subject != "" {
		b.WriteString(" " + e.Subject)
	}
	if e.Stage != "" {
		b.WriteString(": " + e.Stage)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the family and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// Family returns the family that err already belongs to, or nil.
func Family(err error) error {
	for _, kind := range []error{ErrRejected, ErrInconclusive, ErrMisconfigured} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}

// New wraps cause. A cause that is a context's error is inconclusive, and one
// that already has a family keeps it, whatever kind the caller names: the
// place where a failure happened knows it best, and an error must never match
// two families.
//
// A cause that tells of the same operation on the same subject is returned as
// it is, so that no message says everything twice.
func New(kind error, op, subject, stage string, cause error) *Error {
	if e, ok := cause.(*Error); ok && e.Op == op && e.Subject == subject && stage == "" { //nolint:errorlint // this very error, not one in its chain
		return e
	}
	if known := Family(cause); known != nil {
		kind = known
	} else if errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded) {
		kind = ErrInconclusive
	}
	return &Error{Op: op, Stage: stage, Subject: subject, Kind: kind, Err: cause}
}
