// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
)

// here is what the tables call cosignkit.
const here = "cosignkit"

// Outcomes that the tables show. Anything else is a note: what a release of
// cosign cannot do.
const (
	verified = "verified"
	refused  = "refused"
	opened   = "opened"
	failed   = "FAILED"
	untried  = "-"
)

// row says what was tried; it was tried with each registry, or with none.
type row struct {
	what, form, key, by, verifier string
}

func (r row) compare(other row) int {
	return cmp.Or(
		cmp.Compare(r.what, other.what), cmp.Compare(r.form, other.form), cmp.Compare(r.key, other.key),
		cmp.Compare(r.by, other.by), cmp.Compare(r.verifier, other.verifier))
}

// recorder collects the outcomes of all tests.
type recorder struct {
	mu    sync.Mutex
	cells map[row]map[string]string // row -> name of the registry -> outcome
}

var results = recorder{cells: map[row]map[string]string{}}

// expect runs check as a test and records want as the outcome if it passes.
// The registry is empty where none takes part.
func (r *recorder) expect(t *testing.T, in row, registry, want string, check func(t *testing.T)) {
	t.Helper()
	t.Run(in.what+", "+in.verifier, func(t *testing.T) {
		t.Cleanup(func() {
			outcome := want
			if t.Failed() {
				outcome = failed
			}
			r.add(in, registry, outcome)
		})
		check(t)
	})
}

func (r *recorder) add(in row, registry, outcome string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cells[in] == nil {
		r.cells[in] = map[string]string{}
	}
	r.cells[in][registry] = outcome
}

// String renders one table for images, with a column for each registry, and one
// for keys.
func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	var notes noteNumbers
	names := make([]string, 0, len(registries))
	for _, each := range registries {
		names = append(names, each.name)
	}
	fmt.Fprintf(&b, "\ncosign: %s, %s\n", cosignV2.name, cosignV3.name)
	r.table(&b, &notes, []string{"image", "form", "key", "signed by", "verified by"}, names)
	recorded := make([]string, 0, len(recordings()))
	for _, each := range recordings() {
		recorded = append(recorded, each.name)
	}
	r.table(&b, &notes, []string{"recorded", "form", "key", "signed by", "verified by"}, recorded)
	r.table(&b, &notes, []string{"key file", "", "key", "made by", "opened by"}, []string{""})
	for i, note := range notes {
		fmt.Fprintf(&b, "[%d] %s\n", i+1, note)
	}
	return b.String()
}

func (r *recorder) table(b *strings.Builder, notes *noteNumbers, head, columns []string) {
	lines := r.lines(notes, columns)
	if len(lines) == 0 {
		return
	}
	text := strings.Join(slices.Concat(head, columns), "\t") + "\n"
	for _, l := range lines {
		text += strings.Join([]string{l.what, l.form, l.key, l.by, l.verifier, l.outcomes}, "\t") + "\n"
	}
	b.WriteByte('\n')
	aligned := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	_, _ = io.WriteString(aligned, text)
	_ = aligned.Flush()
	b.WriteByte('\n')
}

// line is a row with its outcomes, separated by tabs.
type line struct {
	row
	outcomes string
}

// lines returns the rows that have an outcome in one of the columns. Rows that
// differ in nothing but a verifier, key, form or signer are one line.
func (r *recorder) lines(notes *noteNumbers, columns []string) []line {
	var lines []line
	for _, in := range slices.SortedFunc(maps.Keys(r.cells), row.compare) {
		var outcomes []string
		for _, name := range columns {
			outcomes = append(outcomes, notes.short(r.cells[in][name]))
		}
		if slices.ContainsFunc(outcomes, func(s string) bool { return s != untried }) {
			lines = append(lines, line{in, strings.Join(outcomes, "\t")})
		}
	}
	for _, field := range []func(*line) *string{
		func(l *line) *string { return &l.verifier },
		func(l *line) *string { return &l.key },
		func(l *line) *string { return &l.form },
		func(l *line) *string { return &l.by },
	} {
		lines = merge(lines, field)
	}
	return lines
}

// merge makes one line of those that are equal but for field.
func merge(lines []line, field func(*line) *string) []line {
	var merged []line
	at := map[line]int{} // line without field -> position in merged
	for _, l := range lines {
		rest := l
		*field(&rest) = ""
		if i, ok := at[rest]; ok {
			*field(&merged[i]) += ", " + *field(&l)
			continue
		}
		at[rest] = len(merged)
		merged = append(merged, l)
	}
	return merged
}

// noteNumbers are the notes below the tables.
type noteNumbers []string

// short returns what stands in the table for an outcome.
func (n *noteNumbers) short(outcome string) string {
	switch outcome {
	case verified, refused, opened, failed:
		return outcome
	case "":
		return untried
	}
	i := slices.Index(*n, outcome)
	if i < 0 {
		i = len(*n)
		*n = append(*n, outcome)
	}
	return fmt.Sprintf("see [%d]", i+1)
}
