// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package verify_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cosignkit/cosignkit/internal/golden"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/cosign"
)

// TestDifferencesFromCosign has this package and cosign's own verification judge all
// golden vectors and their alterations. What one of them alone accepts is the list in
// testdata/differences.txt, with a reason for each. See also
// TestDifferencesFromCosignByForgery.
func TestDifferencesFromCosign(t *testing.T) {
	t.Parallel()
	set, all, d := vectors(t), alterations(), &differences{}
	t.Run("vectors", func(t *testing.T) {
		for _, v := range set.Vectors {
			t.Run(v.Name, func(t *testing.T) {
				t.Parallel()
				fresh, another := specimens(t, set, v), specimens(t, set, similar(set, v))()
				d.judge(t, asSigned(v), fresh())
				for _, a := range all {
					if s := fresh(); a.alter(t, s, another) {
						d.judge(t, a.kind, s)
					}
				}
			})
		}
	})
	d.check(t, readFile(t, "testdata", "differences.txt"))
}

// asSigned says what tells a vector from others, if nothing of it is altered.
func asSigned(v golden.Vector) string {
	switch {
	case v.Signers > 1:
		return fmt.Sprintf("as signed, %d signers", v.Signers)
	case v.Annotations != nil:
		return "as signed, annotations"
	case v.Identity != nil:
		return "as signed, certificate"
	case v.Key == "p256" || v.Note == "":
		return "as signed, " + v.Key
	default:
		return "as signed, " + v.Key + ", " + strings.ReplaceAll(v.Note, ",", "")
	}
}

// differences are the verdicts by what was judged.
type differences struct {
	mu       sync.Mutex
	verdicts map[string]*verdicts
}

type verdicts struct{ both, none, here, cosign int }

func (d *differences) judge(t *testing.T, kind string, s *specimen) {
	t.Helper()
	candidates := s.now(t)
	_, here := newVerifier(t, s.policy).Verify(t.Context(), s.image, candidates)
	var there error
	if engine, err := cosign.New(s.policy); err != nil {
		there = err
	} else {
		_, there = engine.Verify(t.Context(), s.image, candidates)
	}
	if errors.Is(there, verify.ErrMisconfigured) && here != nil {
		return // cosign was not asked
	}
	words := s.words()
	what := fmt.Sprintf("%s | %s | log %s", kind, words[0], words[2])
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.verdicts == nil {
		d.verdicts = map[string]*verdicts{}
	}
	if d.verdicts[what] == nil {
		d.verdicts[what] = &verdicts{}
	}
	switch v := d.verdicts[what]; {
	case here == nil && there == nil:
		v.both++
	case here == nil:
		v.here++
	case there == nil:
		v.cosign++
	default:
		v.none++
	}
}

// check compares with the list: lines of what was altered, form, log, who alone
// accepts, and why.
func (d *differences) check(t *testing.T, list []byte) {
	t.Helper()
	reasons := map[string]string{}
	for line := range strings.Lines(string(list)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			last := strings.LastIndex(line, " | ")
			reasons[line[:last]] = line[last+3:]
		}
	}
	var shown strings.Builder
	agreed, differing := 0, 0
	for _, what := range slices.Sorted(maps.Keys(d.verdicts)) {
		v := *d.verdicts[what]
		agreed += v.both + v.none
		who, n := "only here", v.here
		if v.cosign > 0 {
			who, n = "only cosign", v.cosign
		}
		if n == 0 {
			continue
		}
		differing += n
		if v.both+v.none > 0 || n != v.here+v.cosign {
			t.Errorf("%s: some differ and some do not: %+v", what, v)
		}
		line := what + " | " + who
		if reasons[line] == "" {
			t.Errorf("not in the list: %s", line)
		}
		fmt.Fprintf(&shown, "%s (%d) | %s\n", line, n, reasons[line])
		delete(reasons, line)
	}
	for line := range reasons {
		t.Errorf("in the list, and there is no such difference: %s", line)
	}
	t.Logf("%d verdicts agree and %d differ:\n%s", agreed, differing, &shown)
}
