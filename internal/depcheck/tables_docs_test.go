// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package depcheck

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	tableRow = regexp.MustCompile(`(?m)^\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|$`)
	inCode   = regexp.MustCompile("`([^`]+)`")
)

// TestDocumentedLimits holds that each constant and each test in docs/limits.md
// exists, and that each decoder has a test.
func TestDocumentedLimits(t *testing.T) {
	t.Parallel()
	constants := declared(t, "internal/limits", false)
	for _, row := range tableWithTests(t, "docs/limits.md") {
		for _, name := range inCode.FindAllStringSubmatch(row[3], -1) {
			if !constants[name[1]] {
				t.Errorf("%s: internal/limits has no constant %s", row[1], name[1])
			}
		}
	}
}

// TestDocumentedSecrets holds that each way out in docs/secrets.md has a test, which
// exists.
func TestDocumentedSecrets(t *testing.T) {
	t.Parallel()
	tableWithTests(t, "docs/secrets.md")
}

// tableWithTests returns the rows of the tables in a document, in the fourth cell of
// which are tests, such as verify.TestX, that must exist.
func tableWithTests(t *testing.T, document string) [][]string {
	t.Helper()
	var rows [][]string
	for _, row := range tableRow.FindAllStringSubmatch(readDocument(t, document), -1) {
		if last := strings.TrimSpace(row[4]); strings.EqualFold(last, "test") || strings.EqualFold(last, "tests") || strings.HasPrefix(last, "---") {
			continue
		}
		rows = append(rows, row)
		tests := inCode.FindAllStringSubmatch(row[4], -1)
		if len(tests) == 0 {
			t.Errorf("%s: no test", row[0])
		}
		for _, name := range tests {
			dir, test, _ := strings.Cut(name[1], ".")
			if !declared(t, dir, true)[test] {
				t.Errorf("%s: package %s has no test %s", row[1], dir, test)
			}
		}
	}
	if len(rows) < 10 {
		t.Errorf("%s has %d rows: is the test looking in the right place?", document, len(rows))
	}
	return rows
}

// declared returns the names of the functions in the tests of a package, or of what
// else it declares in its other files.
func declared(t *testing.T, dir string, tests bool) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") != tests {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch d := n.(type) {
			case *ast.FuncDecl:
				names[d.Name.Name] = names[d.Name.Name] || tests
				return false
			case *ast.ValueSpec:
				for _, name := range d.Names {
					names[name.Name] = !tests
				}
			}
			return true
		})
	}
	return names
}
