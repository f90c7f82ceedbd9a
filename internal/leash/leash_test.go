// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package leash_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/fault/faulttest"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/internal/limits"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The tests here share the count of the process, so none is parallel.

func TestCallReturnsWhatTheFunctionDoes(t *testing.T) {
	bad := errors.New("bad")
	value, err := leash.Call(t.Context(), func(context.Context) (int, error) { return 7, bad })
	if value != 7 || err != bad {
		t.Errorf("%d, %v", value, err)
	}
}

// hang never returns before release is closed, whatever its context says.
func hang(release chan struct{}) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		<-release
		return "late", nil
	}
}

func TestACallThatNeverReturnsIsAbandonedWithin100ms(t *testing.T) {
	boom := errors.New("the tool shuts down")
	for name, c := range map[string]struct {
		begin func(context.Context) (context.Context, context.CancelFunc)
		after time.Duration
		want  []error
	}{
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Hour)
		}, time.Hour, []error{context.DeadlineExceeded}},
		"deadline with a cause": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, time.Minute, boom)
		}, time.Minute, []error{context.DeadlineExceeded, boom}},
		"cancelled": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(boom) })
			return ctx, func() { cancel(nil) }
		}, time.Second, []error{context.Canceled, boom}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := c.begin(t.Context())
				defer cancel()
				release := make(chan struct{})
				began := time.Now()
				value, err := leash.Operation(ctx, fault.ErrRejected, "verify", "image", hang(release))
				if late := time.Since(began) - c.after; late < 0 || late > 100*time.Millisecond {
					t.Errorf("returned %v after the end of the context", late)
				}
				faulttest.Want(t, err, fault.ErrInconclusive)
				for _, want := range c.want {
					if !errors.Is(err, want) {
						t.Errorf("error is %v, want %v", err, want)
					}
				}
				if value != "" || leash.Stuck() != 1 {
					t.Errorf("value %q, %d stuck", value, leash.Stuck())
				}
				close(release)
				synctest.Wait()
				if leash.Stuck() != 0 {
					t.Errorf("%d stuck after the call returned", leash.Stuck())
				}
			})
		})
	}
}

func TestACallThatHeedsItsContextSaysWhatItFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		value, err := leash.Call(ctx, func(ctx context.Context) (string, error) {
			<-ctx.Done()
			time.Sleep(10 * time.Millisecond) // it tidies up
			return "half of it", ctx.Err()
		})
		if value != "half of it" || err != context.DeadlineExceeded || leash.Stuck() != 0 {
			t.Errorf("%q, %v, %d stuck", value, err, leash.Stuck())
		}
	})
}

// TestTheInnermostCallIsAbandonedFirst: the outer ones return by themselves, and
// only one call counts as stuck.
func TestTheInnermostCallIsAbandonedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		release := make(chan struct{})
		value, err := leash.Call(ctx, func(ctx context.Context) (string, error) {
			return leash.Call(ctx, func(ctx context.Context) (string, error) {
				_, err := leash.Call(ctx, hang(release))
				return "what was found before", err
			})
		})
		if value != "what was found before" || !errors.Is(err, context.DeadlineExceeded) || leash.Stuck() != 1 {
			t.Errorf("%q, %v, %d stuck", value, err, leash.Stuck())
		}
		close(release)
	})
}

func TestBeyondTheLimitCallsAreRefusedAtOnceUntilOneReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var releases []chan struct{}
		for range limits.StuckCalls {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			release := make(chan struct{})
			releases = append(releases, release)
			if _, err := leash.Call(ctx, hang(release)); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			cancel()
		}
		began := time.Now()
		_, err := leash.Operation(t.Context(), fault.ErrRejected, "verify", "image", func(context.Context) (int, error) {
			t.Error("called")
			return 0, nil
		})
		faulttest.Want(t, err, fault.ErrInconclusive)
		if !errors.Is(err, leash.ErrStuck) || !strings.Contains(err.Error(), "verify image: ") || time.Since(began) != 0 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		close(releases[0])
		synctest.Wait()
		if value, err := leash.Call(t.Context(), func(context.Context) (int, error) { return 7, nil }); value != 7 || err != nil {
			t.Errorf("%d, %v", value, err)
		}
		for _, release := range releases[1:] {
			close(release)
		}
		synctest.Wait()
		if leash.Stuck() != 0 {
			t.Errorf("%d stuck at the end", leash.Stuck())
		}
	})
}

func TestAPanicIsAnErrorOfTheKindGiven(t *testing.T) {
	for name, f := range map[string]func(context.Context) (int, error){
		"panic":           func(context.Context) (int, error) { panic("index out of range\x1b[2J" + strings.Repeat("x", 1<<20)) },
		"nil panic":       func(context.Context) (int, error) { panic(nil) },
		"ended goroutine": func(context.Context) (int, error) { runtime.Goexit(); return 7, nil },
		"inner": func(ctx context.Context) (int, error) {
			return leash.Call(ctx, func(context.Context) (int, error) { panic("inner") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			value, err := leash.Operation(t.Context(), fault.ErrRejected, "verify", "image", f)
			faulttest.Want(t, err, fault.ErrRejected)
			if value != 0 || !errors.Is(err, leash.ErrPanic) || len(err.Error()) > 1000 || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%d, %.100q", value, err)
			}
		})
	}
	if err := leash.Recovered(func() error { panic("here") }); !errors.Is(err, leash.ErrPanic) {
		t.Error(err)
	}
}

// TestAnAbandonedCallTellsNothing: what a call tells its caller is seen by whoever
// goes on after Call, and nothing is told later.
func TestAnAbandonedCallTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var told []string // with no lock: the race detector sees who may write
		release, late := make(chan struct{}), make(chan bool, 1)
		_, err := leash.Call(ctx, func(ctx context.Context) (int, error) {
			return leash.Call(ctx, func(ctx context.Context) (int, error) {
				leash.Do(ctx, func() { told = append(told, "in time") })
				<-release
				late <- leash.Do(ctx, func() { told = append(told, "late") })
				return 0, nil
			})
		})
		told = append(told, "the caller")
		close(release)
		if <-late || !errors.Is(err, context.DeadlineExceeded) || !slices.Equal(told, []string{"in time", "the caller"}) {
			t.Errorf("told %q, %v", told, err)
		}
	})
}

// TestOfAnAbandonedOuterCallNothingIsTold: the inner call need not be abandoned.
func TestOfAnAbandonedOuterCallNothingIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		release, late := make(chan struct{}), make(chan bool, 1)
		_, err := leash.Call(ctx, func(ctx context.Context) (int, error) {
			<-release
			return leash.Call(context.WithoutCancel(ctx), func(ctx context.Context) (int, error) {
				late <- leash.Do(ctx, func() { t.Error("told") })
				return 0, nil
			})
		})
		close(release)
		if <-late || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestACallbackThatNeverReturnsHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		release := make(chan struct{})
		began := time.Now()
		_, err := leash.Call(ctx, func(ctx context.Context) (int, error) {
			leash.Do(ctx, func() { <-release })
			return 7, nil
		})
		if late := time.Since(began) - time.Second; late > 100*time.Millisecond || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v after the end of the context: %v", late, err)
		}
		close(release)
	})
}

func TestDoWithoutACallRunsTheFunction(t *testing.T) {
	ran := false
	if !leash.Do(t.Context(), func() { ran = true }) || !ran {
		t.Error("did not run")
	}
	// A fetcher may keep the context of the call that made it.
	kept, err := leash.Call(t.Context(), func(ctx context.Context) (context.Context, error) { return ctx, nil })
	if err != nil || !leash.Do(kept, func() {}) {
		t.Errorf("after the call: %v", err)
	}
}
