// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package leash returns to a caller whose context has ended, even if the dependency
// that was called does not return.
//
// Go cannot stop a goroutine. [Call] runs a dependency in a goroutine of its own and,
// shortly after the context has ended, abandons it. The abandoned calls of a process
// are counted: with limits.StuckCalls of them, Call refuses every other one at once,
// until some return.
//
// An abandoned call goes on. What it returns is dropped, and it must not write to
// anything that the caller may use: it gets copies, returns what it made, and tells
// the caller about steps on the way with [Do].
package leash

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// ErrPanic is the cause of the error of a call that panicked, or that ended its
// goroutine.
var ErrPanic = errors.New("panic")

// ErrStuck is inconclusive. It is the cause of the error of a call that was refused.
var ErrStuck error = fault.New(fault.ErrInconclusive, "call a dependency", "", "",
	fmt.Errorf("%d earlier calls have not returned; find out which dependency hangs, and restart the process", limits.StuckCalls))

// stuck is the number of calls that were abandoned and have not returned.
var stuck atomic.Int64

// Stuck returns the number of abandoned calls that have not returned.
func Stuck() int { return int(stuck.Load()) }

// own is an error that this package made, and not the function that was called.
type own struct{ error }

func (o own) Unwrap() error { return o.error }

// Call returns what f does. When ctx ends and f does not return within a moment, Call
// returns why ctx ended. A panic in f is an error that matches [ErrPanic].
func Call[T any](ctx context.Context, f func(context.Context) (T, error)) (T, error) {
	var none T
	if stuck.Load() >= limits.StuckCalls {
		return none, own{ErrStuck}
	}
	outer, _ := ctx.Value(key{}).(*hold)
	h := &hold{outer: outer, grace: limits.Grace, told: make(chan struct{}, 1)}
	if outer != nil {
		h.grace = outer.grace / 2 // the inner call returns first, and says more
	}
	var value T
	err := error(own{fmt.Errorf("%w: a dependency ended its goroutine", ErrPanic)})
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer h.end()
		err = Recovered(func() (err error) {
			value, err = f(context.WithValue(ctx, key{}, h))
			return err
		})
	}()
	select {
	case <-done:
		return value, err
	case <-ctx.Done():
	}
	grace := time.NewTimer(h.grace)
	defer grace.Stop()
	select {
	case <-done:
		return value, err
	case <-grace.C:
	}
	if !h.abandon() {
		<-done
		return value, err
	}
	return none, own{fmt.Errorf("%w, and a call has not returned", fault.Ended(ctx))}
}

// Operation is [Call] for a whole operation, such as to verify an image. An error
// that f did not make itself, such as that of a panic, becomes one of op, subject and
// kind.
func Operation[T any](ctx context.Context, kind error, op, subject string, f func(context.Context) (T, error)) (T, error) {
	value, err := Call(ctx, f)
	if o, ok := err.(own); ok { //nolint:errorlint // this very error, not one that f wraps
		err = fault.New(kind, op, subject, "", o.error)
	}
	return value, err
}

// Do runs f for the call whose context is ctx, and reports whether it did. It does
// not if that call, or one around it, was abandoned. Call does not return while f
// runs, unless f itself does not return. Calls of Do exclude each other, so f must
// not call Do.
func Do(ctx context.Context, f func()) bool {
	h, _ := ctx.Value(key{}).(*hold)
	return h.do(f)
}

// Recovered returns what f does, in the goroutine of the caller. A panic in f is an
// error that matches [ErrPanic].
func Recovered(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = own{fault.Printable(fmt.Errorf("%w: %.256v", ErrPanic, p))}
		}
	}()
	return f()
}

type key struct{}

// The states of a call.
const (
	running int32 = iota
	returned
	abandoned
)

// hold is what a caller has of a call.
type hold struct {
	outer *hold
	grace time.Duration
	state atomic.Int32
	// told has room for whoever runs a function of the caller's.
	told chan struct{}
}

// end is for the call itself.
func (h *hold) end() {
	if !h.state.CompareAndSwap(running, returned) {
		stuck.Add(-1)
	}
}

// abandon reports whether it was in time: a call that has returned cannot be
// abandoned any more.
func (h *hold) abandon() bool {
	stuck.Add(1)
	if !h.state.CompareAndSwap(running, abandoned) {
		stuck.Add(-1)
		return false
	}
	// What the call told so far happened before the caller goes on.
	wait := time.NewTimer(limits.Grace / 8)
	defer wait.Stop()
	select {
	case h.told <- struct{}{}:
		<-h.told
	case <-wait.C:
	}
	return true
}

func (h *hold) do(f func()) bool {
	if h == nil {
		f()
		return true
	}
	h.told <- struct{}{}
	defer func() { <-h.told }()
	return h.state.Load() != abandoned && h.outer.do(f)
}
