// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	var r runner
	dir := flag.String("C", ".", "top of the repository")
	flag.StringVar(&r.module, "module", ".", "directory of the module, from there")
	flag.StringVar(&r.list, "survivors", "tools/mutation/survivors.txt", "file with the checks that no test misses, and what covers each")
	flag.IntVar(&r.workers, "workers", 1, "how many checks to try at a time")
	only := flag.String("only", "", "regular expression of the checks to try, as they are printed; all if empty")
	flag.DurationVar(&r.budget, "budget", 0, "how long to try one check, to see quickly which may survive; 0 is no limit")
	flag.BoolVar(&r.verbose, "v", false, "print each check and which test misses it")
	flag.BoolVar(&r.dry, "n", false, "print the checks, and try none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := os.Chdir(*dir)
	if err == nil {
		r.only, err = regexp.Compile(*only)
	}
	if err == nil {
		err = r.run(ctx, flag.Args())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type runner struct {
	list, module string
	workers      int
	budget       time.Duration
	only         *regexp.Regexp
	verbose, dry bool

	dir      string
	start    time.Time
	packages []*finder
	mutants  []*mutant
	covered  map[string]string
	done     int
}

func (r *runner) run(ctx context.Context, patterns []string) (err error) {
	r.start = time.Now()
	file, err := os.Open(r.list)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if r.covered, err = parseSurvivors(file); err != nil {
		return fmt.Errorf("%s: %w", r.list, err)
	}
	if err := r.find(patterns); err != nil {
		return err
	}
	if r.dry {
		for _, m := range r.mutants {
			fmt.Println(m.key())
		}
		r.summary(nil)
		return nil
	}
	if r.dir, err = os.MkdirTemp("", "mutation"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.dir)) }()
	tests, err := r.tests(ctx)
	if err != nil {
		return err
	}
	t := trial{workers: r.workers, budget: r.budget, report: r.report}
	t.add(r.mutants, tests)
	isListed := func(m *mutant) bool { return r.covered[m.key()] != "" }
	t.all(ctx, slices.DeleteFunc(slices.Clone(r.mutants), isListed))
	t.listed(ctx, slices.DeleteFunc(slices.Clone(r.mutants), func(m *mutant) bool { return !isListed(m) }))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.summary(t.survivors)
	return r.judge(t.survivors)
}

// find finds the checks of all packages, and those of them that are to be tried.
func (r *runner) find(patterns []string) error {
	sources, err := load(r.module, patterns)
	if err != nil {
		return err
	}
	next := 1
	for _, s := range sources {
		f := find(s, next)
		next += len(f.mutants)
		r.packages = append(r.packages, f)
		for _, m := range f.mutants {
			if r.only.MatchString(m.key()) {
				r.mutants = append(r.mutants, m)
			}
		}
	}
	if len(r.mutants) == 0 && r.only.String() == "" {
		return errors.New("there is no check to try")
	}
	return nil
}

// tests are those that may miss a check that is tried.
func (r *runner) tests(ctx context.Context) ([]*test, error) {
	config, err := overlay(r.dir, r.packages)
	if err != nil {
		return nil, err
	}
	// A program with a check off may write into the directory that it runs in.
	tree := filepath.Join(r.dir, "tree")
	if err := os.CopyFS(tree, os.DirFS(".")); err != nil {
		return nil, err
	}
	var all []*test
	for _, p := range r.packages {
		if !slices.ContainsFunc(r.mutants, func(m *mutant) bool { return mayTry(p.path, m.path) }) {
			continue
		}
		b, err := build(r.dir, tree, config, p.source)
		if err != nil {
			return nil, err
		}
		if b == nil {
			continue
		}
		tests, err := b.tests(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, tests...)
		fmt.Printf("%6.0f s  %s: %d tests\n", time.Since(r.start).Seconds(), p.path, len(tests))
	}
	return all, nil
}

func (r *runner) report(m *mutant, killer string) {
	r.done++
	switch {
	case killer == "" && r.covered[m.key()] == "":
		fmt.Printf("%6.0f s  %d/%d no test misses %s\n          %s\n", time.Since(r.start).Seconds(), r.done, len(r.mutants), m.position, m.key())
	case r.verbose:
		fmt.Printf("%6.0f s  %d/%d %s\n          %s\n", time.Since(r.start).Seconds(), r.done, len(r.mutants), m.key(), killer)
	}
}

// summary prints how many checks each package has, and how many of them a test
// misses.
func (r *runner) summary(survivors []*mutant) {
	fmt.Printf("\n%-28s %7s %7s %8s %7s\n", "package", "checks", "killed", "survive", "passed on")
	count := func(path string, all []*mutant) (n int) {
		for _, m := range all {
			if path == "" || m.path == path {
				n++
			}
		}
		return n
	}
	passed := 0
	line := func(name, path string, propagated int) {
		checks, alive := count(path, r.mutants), count(path, survivors)
		fmt.Printf("%-28s %7d %7d %8d %7d\n", name, checks, checks-alive, alive, propagated)
	}
	for _, p := range r.packages {
		if count(p.path, r.mutants) > 0 {
			line(p.path, p.path, p.propagated)
			passed += p.propagated
		}
	}
	line("all", "", passed)
	fmt.Printf("%.0f s. Passed on: conditions that only look at the error of a call, which are not tried.\n", time.Since(r.start).Seconds())
}

// judge compares the survivors with the list of those that are covered.
func (r *runner) judge(survivors []*mutant) error {
	alive, tried, known := keys(survivors), keys(r.mutants), map[string]bool{}
	loaded := map[string]bool{}
	for _, p := range r.packages {
		loaded[p.path] = true
		maps.Copy(known, keys(p.mutants))
	}
	var problems []string
	for _, key := range slices.Sorted(maps.Keys(alive)) {
		if r.covered[key] == "" {
			problems = append(problems, "no test misses, and the list does not have: "+key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.covered)) {
		path, _, _ := strings.Cut(key, ": ")
		switch {
		case tried[key] && !alive[key]:
			problems = append(problems, "the list has, and a test misses: "+key)
		case !known[key] && (loaded[path] || !isDirectory(path)):
			problems = append(problems, "the list has, and no package: "+key)
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("%s:\n%s", r.list, strings.Join(problems, "\n"))
	}
	return nil
}

func keys(mutants []*mutant) map[string]bool {
	all := map[string]bool{}
	for _, m := range mutants {
		all[m.key()] = true
	}
	return all
}

func isDirectory(path string) bool {
	info, err := os.Stat(filepath.FromSlash(path))
	return err == nil && info.IsDir()
}
