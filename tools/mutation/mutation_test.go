// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// checks has a function for each form of a check, and the name of each function
// says which.
const checks = `package sample

import "errors"

var errNo = errors.New("no")

func verdictOf(n int) error {
	if n > 9 {
		return errNo
	}
	return nil
}

func or(a, b, c bool) (int, error) {
	if a || b && c {
		return 0, errNo
	}
	return 1, nil
}

func orWithin(a, b, c bool) error {
	if a && (b || c) {
		return errNo
	}
	return nil
}

func verdict(n int) error {
	if err := verdictOf(n); err != nil {
		return err
	}
	err := verdictOf(n + 1)
	if err != nil {
		return err
	}
	return nil
}

func value(f func() (int, error)) (int, error) {
	n, err := f()
	if err != nil {
		return 0, err
	}
	return n, nil
}

func assigned(n int, err error) error {
	if err == nil {
		err = verdictOf(n)
	}
	if err == nil && n == 3 {
		err = errNo
	}
	return err
}

func listed(n int) error {
	var all []error
	if n > 5 {
		all = append(all, errNo)
	}
	return errors.Join(all...)
}

func handed(n int, fail func(error)) {
	if n > 5 {
		fail(errNo)
	}
}

func cases(n int, word string) error {
	switch {
	case n == 1, n == 2:
		return errNo
	}
	switch word {
	case "bad":
		return errNo
	case "good":
	default:
		return errNo
	}
	return nil
}

func accepts(n int) (int, error) {
	if n == 1 {
		return n, nil
	}
	return 0, errNo
}
`

const tests = `package sample

import "testing"

func TestOr(t *testing.T) {
	if _, err := or(true, false, false); err == nil {
		t.Error("accepted")
	}
}

func TestCases(t *testing.T) {
	for _, n := range []int{1, 2, 3} {
		for _, word := range []string{"good", "bad", "other"} {
			if err := cases(n, word); (err == nil) != (n == 3 && word == "good") {
				t.Error(n, word, err)
			}
		}
	}
}
`

func sample(t *testing.T, list string) runner {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/m\n\ngo 1.26\n", "sample/sample.go": checks, "sample/sample_test.go": tests, "list": list,
		"nested/go.mod": "module example.com/m/nested\n\ngo 1.26\n", "nested/nested.go": strings.Replace(checks, "sample", "nested", 1),
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	return runner{list: "list", module: ".", workers: 2, only: regexp.MustCompile("")}
}

func TestFormsOfChecks(t *testing.T) {
	r := sample(t, "")
	if err := r.find([]string{"./..."}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range r.mutants {
		got = append(got, strings.TrimPrefix(m.key(), "sample: "))
	}
	want := []string{
		"verdictOf: n > 9",
		"or: a", "or: b && c",
		"orWithin: b", "orWithin: c",
		"verdict: verdictOf(n)", "verdict: verdictOf(n + 1)",
		"assigned: verdictOf(n)", "assigned: err == nil && n == 3",
		"listed: n > 5", "handed: n > 5",
		"cases: n == 1", "cases: n == 2", `cases: case "bad"`, "cases: default",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n := r.packages[0].propagated; n != 1 {
		t.Errorf("%d only pass on an error, want that of value", n)
	}
}

// TestSurvivors: each check that no test misses has to be in the list, and nothing
// else may be.
func TestSurvivors(t *testing.T) {
	r := sample(t, "# a comment\nsample: or: a\n\tcovered by b\n\nsample: or: b && c\n\tcovered by\n\ta\nsample: gone: a\n\tcovered by b\n")
	err := r.run(t.Context(), []string{"./..."})
	if err == nil {
		t.Fatal("no error")
	}
	for text, want := range map[string]bool{
		"the list has, and a test misses: sample: or: a\n": true,
		"sample: or: b && c":                            false,
		"the list has, and no package: sample: gone: a": true,
		"no test misses, and the list does not have: sample: verdict: verdictOf(n)\n": true,
		"no test misses, and the list does not have: sample: listed: n > 5":           true,
		"sample: cases": false,
	} {
		if strings.Contains(err.Error()+"\n", text) != want {
			t.Errorf("%q is %t, got\n%v", text, !want, err)
		}
	}

	r = sample(t, "sample: or: b && c\n\tcovered by a\nsample: listed: n > 5\n\tnot tried\nother: f: a\n\tnot tried\n")
	if err := os.Mkdir("other", 0o700); err != nil {
		t.Fatal(err)
	}
	r.only = regexp.MustCompile("^sample: (or: b|cases)")
	if err := r.run(t.Context(), []string{"./sample"}); err != nil {
		t.Errorf("some of them: %v", err)
	}
}

func TestANestedModule(t *testing.T) {
	r := sample(t, "")
	r.module = "nested"
	if err := r.find([]string{"./..."}); err != nil {
		t.Fatal(err)
	}
	if got := r.mutants[0].key(); got != "nested: verdictOf: n > 9" {
		t.Errorf("the first check is %q", got)
	}
}

func TestListsThatAreNone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ list, want string }{
		"a reason first":              {"\treason\n", "line 1: a reason without a check"},
		"no reason":                   {"a: b: c\na: b: d\n\treason\n", "line 2: the check above has no reason"},
		"no reason at last":           {"a: b: c\n", "the last check has no reason"},
		"a check that is there twice": {"a: b: c\n\treason\na: b: c\n\treason\n", "line 3: the check is listed twice"},
	} {
		if _, err := parseSurvivors(strings.NewReader(c.list)); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}
