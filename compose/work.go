// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/verify"
)

// errStopped is why something was not finished that did not fail by itself.
var errStopped = errors.New("not finished, because another image failed")

// work is done in tasks, as many at once as the plan allows. The first that fails
// ends the others.
type work struct {
	op     string
	result *Result
	trace  func(Event)

	caller context.Context
	ctx    context.Context // of every task
	cancel context.CancelFunc
	slots  chan struct{}
	tasks  sync.WaitGroup

	mu       sync.Mutex // of the outcomes, failures and trace
	failures []*failure
	over     bool // the outcomes are the caller's
}

// failure is that of one task.
type failure struct {
	services []string
	err      error
}

func (f *failure) Error() string {
	noun := "service "
	if len(f.services) > 1 {
		noun = "services "
	}
	return noun + strings.Join(f.services, ", ") + ": " + f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

func (p *Plan) newWork(ctx context.Context, op string, result *Result) *work {
	w := &work{op: op, result: result, trace: p.config.Trace, caller: ctx, slots: make(chan struct{}, p.config.Parallel)}
	w.ctx, w.cancel = context.WithCancel(ctx)
	return w
}

// do runs a task that is for the outcomes of these numbers. A task may do others.
func (w *work) do(outcomes []int, task func(ctx context.Context) error) {
	if err := w.ctx.Err(); err != nil { // the task that asks may be one that was abandoned
		w.fail(outcomes, err)
		return
	}
	w.tasks.Go(func() {
		if err := w.slot(task); err != nil {
			w.fail(outcomes, err)
		}
	})
}

func (w *work) slot(task func(ctx context.Context) error) error {
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	case <-w.ctx.Done():
	}
	if err := w.ctx.Err(); err != nil {
		return err
	}
	_, err := leash.Call(w.ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, task(ctx) })
	return err
}

// fail notes why outcomes are not good, and ends the other tasks. What these then
// say of the end of their context is no failure.
func (w *work) fail(outcomes []int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	state := Failed
	if ended := w.ctx.Err(); ended != nil && errors.Is(err, ended) {
		state = Stopped
		if w.caller.Err() == nil {
			err = errStopped
		}
		err = fault.New(verify.ErrInconclusive, w.op, "", "", err)
	} else {
		w.failures = append(w.failures, &failure{services: w.services(outcomes), err: err})
	}
	w.cancel()
	w.change(outcomes, state, func(o *Outcome) { o.Err = err })
}

// services are the names of those that outcomes are of, each once.
func (w *work) services(outcomes []int) (names []string) {
	for _, i := range outcomes {
		names = append(names, w.result.Outcomes[i].Service)
	}
	return slices.Compact(names)
}

// set changes outcomes that have not failed, and tells that they are in a state. What
// an abandoned task has to say comes after its failure.
func (w *work) set(outcomes []int, state State, change func(o *Outcome)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	w.change(slices.DeleteFunc(slices.Clone(outcomes), func(i int) bool { return w.result.Outcomes[i].Err != nil }), state, change)
}

func (w *work) change(outcomes []int, state State, change func(o *Outcome)) {
	for _, i := range outcomes {
		o := &w.result.Outcomes[i]
		change(o)
		if w.trace != nil && state != "" {
			w.trace(Event{Service: o.Service, Use: o.Use, Image: o.Image, State: state, Err: o.Err})
		}
	}
}

// tell tells that outcomes are in a state.
func (w *work) tell(outcomes []int, state State) { w.set(outcomes, state, func(*Outcome) {}) }

// wait returns when all tasks have ended, with every failure of a task's own.
func (w *work) wait(project string) error {
	w.tasks.Wait()
	defer w.cancel()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if len(w.failures) == 0 {
		if w.caller.Err() != nil {
			return fault.New(verify.ErrInconclusive, w.op, fault.OneLine(project), "", fault.Ended(w.caller))
		}
		return nil
	}
	slices.SortFunc(w.failures, func(a, b *failure) int { return slices.Compare(a.services, b.services) })
	errs := make([]error, 0, len(w.failures))
	for _, f := range w.failures {
		errs = append(errs, f)
	}
	return fault.New(verify.ErrInconclusive, w.op, fault.OneLine(project), "", errors.Join(errs...))
}
