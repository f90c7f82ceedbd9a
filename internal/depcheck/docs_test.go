// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package depcheck

import (
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	goBlock    = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")
	heading    = regexp.MustCompile("(?m)^#+ +(.*?) *$")
	inlineLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	makeTarget = regexp.MustCompile("(?m)(?:^|`)make ([a-z][a-z0-9-]*)(?:`| *$| +#)")
)

// TestDocumentsCode: each Go block of a document is a whole file, and compiles
// in the module of the examples, which has all that users import.
func TestDocumentsCode(t *testing.T) {
	t.Parallel()
	blocks := 0
	for _, file := range treeFiles(t, ".md") {
		for i, block := range goBlock.FindAllStringSubmatch(readDocument(t, file), -1) {
			blocks++
			t.Run(fmt.Sprintf("%s/%d", file, i+1), func(t *testing.T) {
				t.Parallel()
				source := filepath.Join(t.TempDir(), "main.go")
				if err := os.WriteFile(source, []byte(block[1]), 0o600); err != nil {
					t.Fatal(err)
				}
				goCommand(t, path.Join(root, "examples"), runtime.GOOS+"/"+runtime.GOARCH, "build", "-o", os.DevNull, source)
			})
		}
	}
	if blocks == 0 {
		t.Error("no Go code in any document: is the test looking in the right place?")
	}
}

func TestDocumentsLinks(t *testing.T) {
	t.Parallel()
	for _, file := range treeFiles(t, ".md") {
		for _, link := range inlineLink.FindAllStringSubmatch(readDocument(t, file), -1) {
			target, err := url.Parse(link[1])
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			if target.IsAbs() {
				continue
			}
			linked := file
			if target.Path != "" {
				linked = path.Join(path.Dir(file), target.Path)
			}
			if _, err := os.Stat(filepath.Join(root, linked)); err != nil {
				t.Errorf("%s links to %s, which does not exist", file, link[1])
				continue
			}
			if target.Fragment != "" && !slices.Contains(anchors(readDocument(t, linked)), target.Fragment) {
				t.Errorf("%s links to %s, and there is no such heading", file, link[1])
			}
		}
	}
}

// anchors are those that GitHub gives to the headings of a document.
func anchors(document string) []string {
	var all []string
	for _, heading := range heading.FindAllStringSubmatch(document, -1) {
		words := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, heading[1])
		all = append(all, words)
	}
	return all
}

func TestDocumentsMakeTargets(t *testing.T) {
	t.Parallel()
	makefile := readDocument(t, "Makefile")
	for _, file := range treeFiles(t, ".md") {
		for _, match := range makeTarget.FindAllStringSubmatch(readDocument(t, file), -1) {
			if !strings.Contains(makefile, "\n"+match[1]+":") {
				t.Errorf("%s mentions make %s; the Makefile has no such target", file, match[1])
			}
		}
	}
}

func readDocument(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(content), "\r\n", "\n")
}
