// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	err := show(t.Context(), &out, raceFlags...)
	t.Log("\n" + out.String())
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{
		"\n  $ minictl ":                 25,
		"\n  (exit code 1)":              4,
		"\n  (exit code 2)":              2,
		"\n  minictl: ":                  6,
		"no signatures found":            2,
		"  verified by sha256:":          2,
		"  not verified\n":               2,
		"\n  verified by sha256:":        1,
		"Everything was as it should be": 1,
	} {
		if got := strings.Count(out.String(), text); got != want {
			t.Errorf("%q %d times, want %d", text, got, want)
		}
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestDemoFailsWhenAnythingIsOtherThanExpected(t *testing.T) {
	// This test binary is program enough: it runs no test and says PASS.
	s := &stage{out: &bytes.Buffer{}, dir: t.TempDir(), program: os.Args[0]}
	const nothing = "-test.run=^$"
	if _, err := s.minictl(t.Context(), 0, "PASS", nothing); err != nil {
		t.Error(err)
	}
	if _, err := s.minictl(t.Context(), 1, "PASS", nothing); err == nil {
		t.Error("another exit code is no error")
	}
	if _, err := s.minictl(t.Context(), 0, "FAIL", nothing); err == nil {
		t.Error("other output is no error")
	}
}
