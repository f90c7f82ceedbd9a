// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// trial tries mutants with the tests that reach them.
type trial struct {
	tests    []*test // the short ones first
	reaching map[int][]*test
	workers  int
	// budget bounds how long the tests for one mutant may run. Zero is no limit.
	budget time.Duration
	// report hears of each verdict as it is found.
	report func(m *mutant, killer string)

	mu        sync.Mutex
	survivors []*mutant
	// lately are the tests that killed another mutant of a file, the last one first:
	// they are likely to kill the next.
	lately map[string][]*test
}

// add adds the tests that may kill some of mutants.
func (t *trial) add(mutants []*mutant, tests []*test) {
	t.tests, t.reaching, t.lately = tests, map[int][]*test{}, map[string][]*test{}
	path := map[int]string{}
	for _, m := range mutants {
		path[m.number] = m.path
	}
	slices.SortStableFunc(tests, func(a, b *test) int { return int(a.took - b.took) })
	for _, test := range tests {
		for _, n := range test.reached {
			if mayTry(test.path, path[n]) {
				t.reaching[n] = append(t.reaching[n], test)
			}
		}
	}
}

// mayTry reports whether the tests of a package count for the checks of another: a
// package has tests of its own, and one that is internal may have them in any that
// uses it.
func mayTry(tests, checks string) bool {
	return tests == checks || strings.Contains("/"+checks+"/", "/internal/")
}

// all tries each mutant by itself.
func (t *trial) all(ctx context.Context, mutants []*mutant) {
	t.parallel(len(mutants), func(i int) { t.done(mutants[i], t.kill(ctx, mutants[i])) })
}

func (t *trial) done(m *mutant, killer string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.report(m, killer); killer == "" {
		t.survivors = append(t.survivors, m)
	}
}

func (t *trial) parallel(n int, do func(i int)) {
	slots := make(chan struct{}, t.workers)
	var group sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	group.Wait()
}

// kill returns the tests that fail without a check, or nothing.
func (t *trial) kill(ctx context.Context, m *mutant) string {
	start := time.Now()
	for _, batch := range batches(t.inOrder(m), 1) {
		if fails(ctx, batch, m) {
			t.remember(m, batch)
			return batch[0].path + " " + names(batch)
		}
		if t.budget > 0 && time.Since(start) > t.budget {
			break
		}
	}
	return ""
}

// listed tries mutants that are expected to survive. All are off at once: most tests
// pass then as well, and each mutant is tried alone with those that do not.
func (t *trial) listed(ctx context.Context, mutants []*mutant) {
	var tests []*test
	for _, test := range t.tests {
		if slices.ContainsFunc(mutants, func(m *mutant) bool { return slices.Contains(t.reaching[m.number], test) }) {
			tests = append(tests, test)
		}
	}
	var failing []*test
	all := batches(tests, 16)
	t.parallel(len(all), func(i int) {
		if !fails(ctx, all[i], mutants...) {
			return
		}
		for _, one := range all[i] {
			if fails(ctx, []*test{one}, mutants...) {
				t.mu.Lock()
				failing = append(failing, one)
				t.mu.Unlock()
			}
		}
	})
	t.parallel(len(mutants), func(i int) { t.done(mutants[i], t.killListed(ctx, mutants[i], failing)) })
}

// killListed returns the one of tests that fails without a check. One that fails for
// another reason must not take the check off the list, and so each is asked twice.
func (t *trial) killListed(ctx context.Context, m *mutant, tests []*test) string {
	for _, one := range t.reaching[m.number] {
		alone := []*test{one}
		if slices.Contains(tests, one) && fails(ctx, alone, m) && !fails(ctx, alone) && fails(ctx, alone, m) {
			return one.path + " " + one.name
		}
	}
	return ""
}

// fails reports whether a test fails with mutants off.
func fails(ctx context.Context, tests []*test, off ...*mutant) bool {
	limit := 30 * time.Second
	for _, test := range tests {
		limit += 10 * test.took
	}
	numbers := make([]string, 0, len(off))
	for _, m := range off {
		numbers = append(numbers, strconv.Itoa(m.number))
	}
	passed, _ := run(ctx, tests, limit, offVariable+"="+strings.Join(numbers, ","))
	return !passed && ctx.Err() == nil
}

// inOrder are the tests that reach a mutant, the likely ones first.
func (t *trial) inOrder(m *mutant) []*test {
	t.mu.Lock()
	lately := slices.Clone(t.lately[m.position.Filename])
	t.mu.Unlock()
	reaching := t.reaching[m.number]
	likely := slices.DeleteFunc(lately, func(x *test) bool { return !slices.Contains(reaching, x) })
	return append(likely, slices.DeleteFunc(slices.Clone(reaching), func(x *test) bool { return slices.Contains(likely, x) })...)
}

// batches are tests for one process each. Each batch of a suite has twice as many as
// the last one, from size up to 32: most mutants are killed by the first, and the
// others are tried with few processes.
func batches(tests []*test, size int) [][]*test {
	sizes := map[*suite]int{}
	var all [][]*test
	for len(tests) > 0 {
		b := tests[0].suite
		sizes[b] = min(max(size, 2*sizes[b]), 32)
		var batch, rest []*test
		for _, x := range tests {
			if x.suite == b && len(batch) < sizes[b] {
				batch = append(batch, x)
			} else {
				rest = append(rest, x)
			}
		}
		all, tests = append(all, batch), rest
	}
	return all
}

// remember notes a test that killed a mutant, if it was alone.
func (t *trial) remember(m *mutant, batch []*test) {
	if len(batch) > 1 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	file := m.position.Filename
	others := slices.DeleteFunc(t.lately[file], func(x *test) bool { return x == batch[0] })
	t.lately[file] = append([]*test{batch[0]}, others...)
}

func names(tests []*test) string {
	var all []string
	for _, t := range tests {
		all = append(all, t.name)
	}
	return strings.Join(all, ", ")
}
