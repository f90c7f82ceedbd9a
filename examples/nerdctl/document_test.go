// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package nerdctl_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// places are the files of nerdctl, and what stands in for each here.
var places = map[string]string{
	"pkg/api/types/image_types.go":                "types/types.go",
	"pkg/signutil/signutil.go":                    "signutil/signutil.go",
	"pkg/cmd/image/push.go":                       "image/push.go",
	"pkg/cmd/image/pull.go":                       "image/pull.go",
	"pkg/cmd/container/create.go":                 "container/create.go",
	"pkg/cmd/container/run_mount.go":              "container/create.go",
	"pkg/composer/serviceparser/serviceparser.go": "composer/composer.go",
	"pkg/composer/run.go":                         "composer/composer.go",
	"pkg/composer/push.go":                        "composer/composer.go",
	"pkg/composer/pull.go":                        "composer/composer.go",
	"pkg/composer/up_service.go":                  "composer/composer.go",
	"pkg/cmd/compose/compose.go":                  "composer/composer.go",
}

var (
	diffBlock = regexp.MustCompile("(?ms)^```diff\n(.*?)^```$")
	// ours is what only the added lines may mention.
	ours = regexp.MustCompile(`\bcosignkit\.[A-Z]|\bkeyfile\b|"github.com/cosignkit/cosignkit"|\bverified\b|Signing|\.Cosign\b`)
)

// TestTheLinesOfTheDocument: the lines that docs/nerdctl.md adds are, run by run,
// those of the files here, which have nothing else of this library; and they are
// fewer than 60, imports included.
func TestTheLinesOfTheDocument(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/nerdctl.md")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]string{}
	for _, file := range places {
		files[file] = lines(t, file)
	}
	added := 0
	for _, block := range diffBlock.FindAllStringSubmatch(strings.ReplaceAll(string(document), "\r\n", "\n"), -1) {
		file, runs := parseDiff(t, block[1])
		stand, ok := places[file]
		if !ok {
			t.Errorf("the document changes %q, for which nothing stands in", file)
			continue
		}
		for _, run := range runs {
			added += len(run)
			i := indexRun(files[stand], run)
			if i < 0 {
				t.Errorf("%s has no such lines:\n%s", stand, strings.Join(run, "\n"))
				continue
			}
			for j := range run { // so that the same lines are not found twice
				files[stand][i+j] = "\x00"
			}
		}
	}
	t.Logf("%d lines are added", added)
	if added == 0 || added >= 60 {
		t.Errorf("%d lines are added", added)
	}
	for file, rest := range files {
		for _, line := range rest {
			if ours.MatchString(line) && !strings.HasPrefix(line, "//") {
				t.Errorf("%s has a line that the document does not: %s", file, line)
			}
		}
	}
}

var linesOfCode = regexp.MustCompile(`in (\d+) lines of code`)

// TestTheSizeOfTheProject: the document says how long project.go is.
func TestTheSizeOfTheProject(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/nerdctl.md")
	if err != nil {
		t.Fatal(err)
	}
	code := slices.DeleteFunc(lines(t, "composer/project.go"), func(line string) bool { return line == "" || strings.HasPrefix(line, "//") })
	if want := linesOfCode.FindSubmatch(document); want == nil || string(want[1]) != strconv.Itoa(len(code)) {
		t.Errorf("project.go has %d lines of code, and the document says %q", len(code), want)
	}
}

// lines are those of a file here, with the import paths of nerdctl and no
// indentation.
func lines(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "\r\n", "\n")
	for _, name := range []string{"image", "container"} {
		text = strings.ReplaceAll(text, "cosignkit/cosignkit/examples/nerdctl/"+name, "containerd/nerdctl/v2/pkg/cmd/"+name)
	}
	all := strings.Split(text, "\n")
	for i, line := range all {
		all[i] = strings.TrimSpace(line)
	}
	return all
}

// parseDiff returns the file that a diff is of, and each run of lines that it
// adds.
func parseDiff(t *testing.T, diff string) (file string, runs [][]string) {
	t.Helper()
	var run []string
	for line := range strings.Lines(diff) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "+++ "); ok {
			if file != "" {
				t.Errorf("a diff of %s and %s: use a block for each", file, name)
			}
			file = name
			continue
		}
		if added, ok := strings.CutPrefix(line, "+"); ok {
			run = append(run, strings.TrimSpace(added))
			continue
		}
		if run != nil && !strings.HasPrefix(line, "-") {
			runs, run = append(runs, run), nil
		}
	}
	if run != nil {
		runs = append(runs, run)
	}
	return file, runs
}

func indexRun(lines, run []string) int {
	for i := range len(lines) - len(run) + 1 {
		if slices.Equal(lines[i:i+len(run)], run) {
			return i
		}
	}
	return -1
}
