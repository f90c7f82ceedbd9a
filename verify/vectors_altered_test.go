// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package verify_test

import (
	"errors"
	"fmt"
	"regexp"
	"testing"

	"github.com/cosignkit/cosignkit/verify"
)

// TestAlteredVectorsAreRejected alters one thing at a time in what verifies as it
// is, and wants it to be rejected for the reason that it is to be rejected for.
func TestAlteredVectorsAreRejected(t *testing.T) {
	t.Parallel()
	set, all, counts := vectors(t), alterations(), &tally{}
	t.Run("vectors", func(t *testing.T) {
		for _, v := range set.Vectors {
			t.Run(v.Name, func(t *testing.T) {
				t.Parallel()
				fresh, another := specimens(t, set, v), specimens(t, set, similar(set, v))()
				if _, err := fresh().verify(t); err != nil {
					t.Fatalf("is rejected as it is: %v", err)
				}
				kinds := 0
				for _, a := range all {
					s := fresh()
					if !a.alter(t, s, another) {
						continue
					}
					kinds++
					counts.add(a.kind, v.Form)
					result, err := s.verify(t)
					if wrong := wrongRejection(result, err, a.why.of(s)); wrong != nil {
						t.Errorf("%s: %v", a.kind, wrong)
					}
				}
				if kinds < fewestKinds {
					t.Errorf("%d kinds of alterations, want %d or more", kinds, fewestKinds)
				}
			})
		}
	})
	counts.check(t, len(set.Vectors), all)
}

// wrongRejection says what is wrong with an outcome that is to be a rejection,
// for a reason.
func wrongRejection(result *verify.Result, err error, why string) error {
	switch {
	case err == nil:
		return errors.New("ACCEPTED")
	case !errors.Is(err, verify.ErrRejected) || errors.Is(err, verify.ErrInconclusive) || errors.Is(err, verify.ErrMisconfigured):
		return fmt.Errorf("not rejected: %w", err)
	case result == nil || result.Accepted:
		return errors.New("no result, or one that accepts")
	case why == "" || !regexp.MustCompile(why).MatchString(err.Error()):
		return fmt.Errorf("want %q: %w", why, err)
	}
	return nil
}

// fewestKinds is how many kinds of alterations there are of each vector at least.
const fewestKinds = 30
