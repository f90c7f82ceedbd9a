// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// Problem is something in a policy file that is wrong.
type Problem struct {
	// File is the file, and Line the line in it, from 1.
	File string
	Line int
	// Field is the field concerned; empty for the file as a whole.
	Field string
	// Text says what was found and what is expected.
	Text string
}

func (p Problem) Error() string {
	where := fmt.Sprintf("%s:%d: ", p.File, p.Line)
	if p.Field != "" {
		where += p.Field + ": "
	}
	return where + p.Text
}

// Problems are all that is wrong with a policy file, in the order of the lines.
// It is the cause of the errors of [Load], [Parse] and [LoadContainers] for a
// file that could be read; find it with errors.As.
type Problems []Problem

func (p Problems) Error() string {
	texts := make([]string, len(p))
	for i, problem := range p {
		texts[i] = problem.Error()
	}
	return strings.Join(texts, "; ")
}

// sorted returns p by line and field, each problem once, and no more than anybody
// reads.
func (p Problems) sorted() Problems {
	p = slices.Clone(p)
	slices.SortFunc(p, func(a, b Problem) int {
		return cmp.Or(a.Line-b.Line, strings.Compare(a.Field, b.Field), strings.Compare(a.Text, b.Text))
	})
	p = slices.Compact(p)
	if more := len(p) - limits.Problems; more > 0 {
		p = append(p[:limits.Problems:limits.Problems], Problem{
			File: p[0].File, Line: p[limits.Problems].Line, Text: fmt.Sprintf("and %d more problems from here on", more),
		})
	}
	return p
}
