// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package origin_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheTableOfSecretsNamesTests: each row of the table in docs/secrets.md has a
// test, and the test exists.
func TestTheTableOfSecretsNamesTests(t *testing.T) {
	t.Parallel()
	const root = "../.."
	document, err := os.ReadFile(filepath.Join(root, "docs", "secrets.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests, name := testsIn(t, root), regexp.MustCompile("`(Test[A-Za-z0-9]+)`")
	rows := 0
	for line := range strings.Lines(string(document)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 3 || cells[1] == " Secret " || strings.HasPrefix(cells[1], "---") {
			continue
		}
		rows++
		named := name.FindAllStringSubmatch(cells[len(cells)-2], -1)
		if len(cells) != 6 || len(named) == 0 {
			t.Errorf("this row is not of four cells, the last of which names a test: %s", line)
		}
		for _, match := range named {
			if !tests[match[1]] {
				t.Errorf("there is no test %s", match[1])
			}
		}
	}
	if rows < 25 {
		t.Errorf("the document has %d rows of secrets", rows)
	}
}

// testsIn are the names of the tests in the module.
func testsIn(t *testing.T, root string) map[string]bool {
	t.Helper()
	tests, declared := map[string]bool{}, regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, match := range declared.FindAllSubmatch(b, -1) {
			tests[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}
