// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// suite is the tests of a package, as a program.
type suite struct {
	path, dir, binary string
}

// test is one of a suite.
type test struct {
	*suite
	name string
	// took is how long it runs alone, and reached which mutants it then reaches.
	took    time.Duration
	reached []int
}

// build builds the tests of a package, if it has any, to run in the copy of its
// directory below tree.
func build(dir, tree, overlay string, s *source) (*suite, error) {
	b := &suite{path: s.path, dir: filepath.Join(tree, s.path), binary: filepath.Join(dir, strings.ReplaceAll(s.path, "/", "-")+".test")}
	if _, err := goCommand(s.dir, "test", "-c", "-vet=off", "-ldflags=-w", "-overlay", overlay, "-o", b.binary, "."); err != nil {
		return nil, err
	}
	if _, err := os.Stat(b.binary); os.IsNotExist(err) {
		return nil, nil
	}
	return b, nil
}

// tests runs each test alone, to learn what it reaches.
func (b *suite) tests(ctx context.Context) ([]*test, error) {
	list := exec.CommandContext(ctx, b.binary, "-test.list", ".") //nolint:gosec // the program was built here
	list.Dir = b.dir
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: list tests: %w", b.path, err)
	}
	var all []*test
	for _, name := range strings.Fields(string(out)) {
		if strings.HasPrefix(name, "Benchmark") {
			continue
		}
		t := &test{suite: b, name: name}
		if err := t.record(ctx); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

func (t *test) record(ctx context.Context) error {
	file := t.binary + ".reached"
	defer func() { _ = os.Remove(file) }()
	start := time.Now()
	passed, out := run(ctx, []*test{t}, time.Hour, recordVariable+"="+file)
	t.took = time.Since(start)
	if !passed {
		return fmt.Errorf("%s: %s fails with every check on:\n%s", t.path, t.name, out)
	}
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	for _, line := range strings.Fields(string(b)) {
		n, err := strconv.Atoi(line)
		if err != nil {
			return err
		}
		t.reached = append(t.reached, n)
	}
	slices.Sort(t.reached)
	t.reached = slices.Compact(t.reached) // each package, and each child process, writes its own
	return nil
}

// run runs tests of one suite, and reports whether all passed. It ends with the
// first that fails; one that hangs fails.
func run(ctx context.Context, tests []*test, limit time.Duration, environ string) (bool, []byte) {
	ctx, cancel := context.WithTimeout(ctx, limit+10*time.Second)
	defer cancel()
	names := make([]string, 0, len(tests))
	for _, t := range tests {
		names = append(names, t.name)
	}
	pattern := "^(" + strings.Join(names, "|") + ")$"
	cmd := exec.CommandContext(ctx, tests[0].binary, "-test.run", pattern, "-test.v", "-test.failfast", "-test.timeout", limit.String()) //nolint:gosec // the program was built here
	cmd.Dir = tests[0].dir
	cmd.Env = append(os.Environ(), environ)
	cmd.WaitDelay = 5 * time.Second
	out := &output{failed: cancel}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	return err == nil && !out.seen.Load(), out.Bytes()
}

// output keeps what a test program prints, and calls failed at the first failure.
type output struct {
	bytes.Buffer
	failed func()
	seen   atomic.Bool
}

// Write implements io.Writer. One process writes line by line.
func (o *output) Write(b []byte) (int, error) {
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		if strings.HasPrefix(strings.TrimSpace(lines.Text()), "--- FAIL: ") && !o.seen.Swap(true) {
			o.failed()
		}
	}
	return o.Buffer.Write(b)
}

var _ io.Writer = (*output)(nil)
