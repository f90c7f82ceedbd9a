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
	limitsRow = regexp.MustCompile(`(?m)^\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|$`)
	inCode    = regexp.MustCompile("`([^`]+)`")
)

// TestDocumentedLimits: each constant and each test in docs/limits.md exists, and
// each decoder has a test.
func TestDocumentedLimits(t *testing.T) {
	t.Parallel()
	constants := declared(t, "internal/limits", false)
	rows := 0
	for _, row := range limitsRow.FindAllStringSubmatch(readDocument(t, "docs/limits.md"), -1) {
		decoder := strings.TrimSpace(row[1])
		if decoder == "decoder" || strings.HasPrefix(decoder, "---") {
			continue
		}
		rows++
		for _, name := range inCode.FindAllStringSubmatch(row[3], -1) {
			if !constants[name[1]] {
				t.Errorf("%s: internal/limits has no constant %s", decoder, name[1])
			}
		}
		tests := inCode.FindAllStringSubmatch(row[4], -1)
		if len(tests) == 0 {
			t.Errorf("%s: no test", decoder)
		}
		for _, name := range tests {
			dir, test, _ := strings.Cut(name[1], ".")
			if !declared(t, dir, true)[test] {
				t.Errorf("%s: package %s has no test %s", decoder, dir, test)
			}
		}
	}
	if rows < 10 {
		t.Errorf("%d decoders: is the test looking in the right place?", rows)
	}
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
