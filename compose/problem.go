// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// Problem is one thing that is wrong in a project.
type Problem struct {
	// File has the field, in Line from 1. They are empty where that is not known.
	File string
	Line int
	// Service is empty for what is in no service.
	Service string
	// Field is the path of the field in the service, or in the project.
	Field string
	// Err says what was found and what was expected.
	Err error
}

func (p *Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		fmt.Fprintf(&b, "%s:%d: ", p.File, p.Line)
	}
	if p.Service != "" {
		b.WriteString("service " + fault.OneLine(p.Service) + ": ")
	}
	if p.Field != "" {
		b.WriteString(fault.OneLine(p.Field) + ": ")
	}
	b.WriteString(p.Err.Error())
	return b.String()
}

func (p *Problem) Unwrap() error { return p.Err }

// Problems lists what is wrong in a project, of an error of this package; none
// of any other error. They are ordered by service and line.
func Problems(err error) []*Problem {
	var list problemList
	if errors.As(err, &list) {
		return slices.Clone(list)
	}
	return nil
}

// problemList is the cause of an error: a line for each problem, after one with
// their number where they are several.
type problemList []*Problem

func (l problemList) Error() string {
	if len(l) == 1 {
		return l[0].Error()
	}
	lines := []string{fmt.Sprintf("%d problems", len(l))}
	for _, p := range l {
		lines = append(lines, p.Error())
	}
	return strings.Join(lines, "\n")
}

func (l problemList) Unwrap() []error {
	errs := make([]error, 0, len(l))
	for _, p := range l {
		errs = append(errs, p)
	}
	return errs
}

// problems collects.
type problems struct {
	files *sources
	list  problemList
}

// add leaves out what is too much to read; there is an error then in any case.
func (p *problems) add(found Problem) {
	if len(p.list) == limits.Problems {
		return
	}
	found.Err = fault.Printable(found.Err)
	p.list = append(p.list, &found)
}

// err is nil if there are none. Which file has a field is only looked for when
// there is something to say of it.
func (p *problems) err(op, project string) error {
	if len(p.list) == 0 {
		return nil
	}
	for _, found := range p.list {
		found.File, found.Line = p.files.find(found.Service, found.Field)
	}
	slices.SortStableFunc(p.list, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return fault.New(verify.ErrMisconfigured, op, fault.OneLine(project), "", p.list)
}
