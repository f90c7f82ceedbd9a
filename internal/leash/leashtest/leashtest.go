// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package leashtest is for the tests of packages that use package leash.
package leashtest

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/fault/faulttest"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// Ends holds that an operation returns when its context has ended and a dependency
// has not returned, and that it is refused at once when too many such calls are
// stuck. The operation must call stuck from its dependency, each time that it is
// run. A test that calls Ends must not be parallel: calls are counted by process.
func Ends(t *testing.T, operation func(ctx context.Context, stuck func()) error) {
	t.Helper()
	for name, end := range map[string]struct {
		err   error
		begin func(context.Context) (context.Context, context.CancelFunc)
	}{
		"deadline": {context.DeadlineExceeded, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}},
		"cancelled": {context.Canceled, func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := end.begin(t.Context())
				defer cancel()
				Within(t, time.Second, end.err, func(stuck func()) error { return operation(ctx, stuck) })
			})
		})
	}
	t.Run("too many are stuck", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			Saturate(t)
			began := time.Now()
			err := operation(t.Context(), func() { t.Error("the dependency is called") })
			faulttest.Want(t, err, fault.ErrInconclusive)
			if !errors.Is(err, leash.ErrStuck) || time.Since(began) != 0 {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
		})
	})
}

// Within is for a bubble of package synctest. It holds that an operation, whose
// dependency calls stuck, returns no later than 100 ms after the time given, with an
// error that is inconclusive and matches want, and that the stuck call is counted as
// long as it lasts.
func Within(t *testing.T, after time.Duration, want error, operation func(stuck func()) error) {
	t.Helper()
	release := make(chan struct{})
	var called atomic.Bool
	began := time.Now()
	err := operation(func() {
		called.Store(true)
		<-release
	})
	late := time.Since(began) - after
	count := leash.Stuck()
	close(release)
	synctest.Wait()
	if !called.Load() {
		t.Fatalf("the dependency was not called: %v", err)
	}
	if late < 0 || late > 100*time.Millisecond {
		t.Errorf("returned %v after the end", late)
	}
	faulttest.Want(t, err, fault.ErrInconclusive)
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
	if count == 0 || leash.Stuck() != 0 {
		t.Errorf("%d calls stuck at the end of the operation, and %d later", count, leash.Stuck())
	}
}

// Saturate has as many calls stuck as a process may have, until the test ends.
func Saturate(t *testing.T) {
	t.Helper()
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var calls sync.WaitGroup
	for range limits.StuckCalls {
		calls.Go(func() {
			_, err := leash.Call(ctx, func(context.Context) (int, error) {
				<-release
				return 0, nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	t.Cleanup(func() {
		close(release)
		for leash.Stuck() > 0 {
			runtime.Gosched()
		}
	})
}
