// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fault holds the three families of failure that every package of the
// library reports, and the error type that carries them. Package verify
// exports both under names of its own.
package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The families. An error that the library returns matches exactly one.
var (
	ErrRejected      = errors.New("rejected")
	ErrInconclusive  = errors.New("inconclusive")
	ErrMisconfigured = errors.New("misconfigured")
)

// families is in the order in which they win where an error has several.
var families = []error{ErrMisconfigured, ErrInconclusive, ErrRejected}

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

// Unwrap returns the family and the cause. The families that the cause may
// have are not seen through it: it can be several errors that were joined.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, cause{e.Err}}
}

// cause is an error of no family.
type cause struct{ err error }

func (c cause) Error() string      { return c.err.Error() }
func (c cause) As(target any) bool { return errors.As(c.err, target) }

func (c cause) Is(target error) bool {
	return !slices.Contains(families, target) && errors.Is(c.err, target)
}

// Family returns the family that err already belongs to, or nil.
func Family(err error) error {
	for _, kind := range families {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}

// New wraps err. A cause that is a context's error is inconclusive, and one
// that already has a family keeps it, whatever kind the caller names: the
// place where a failure happened knows it best, and an error must never match
// two families.
//
// A cause that tells of the same operation on the same subject is returned as
// it is, so that no message says everything twice.
func New(kind error, op, subject, stage string, err error) *Error {
	// It may be of somebody else's, such as a reference in a project.
	subject = Line(subject, maxSubject)
	if e, ok := err.(*Error); ok && e.Op == op && e.Subject == subject && stage == "" { //nolint:errorlint // this very error, not one in its chain
		return e
	}
	if known := Family(err); known != nil {
		kind = known
	} else if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		kind = ErrInconclusive
	}
	return &Error{Op: op, Stage: stage, Subject: subject, Kind: kind, Err: err}
}

// Ended is why ctx has ended, with the error of the context itself in the chain.
func Ended(ctx context.Context) error {
	cause := context.Cause(ctx)
	if !errors.Is(cause, ctx.Err()) {
		return fmt.Errorf("%w: %w", ctx.Err(), cause)
	}
	return cause
}
