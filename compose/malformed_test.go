// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/cosignkit/cosignkit/compose"
	"github.com/cosignkit/cosignkit/verify"
)

// TestMalformedProjects: each archive in testdata/malformed is a project that must
// be refused, and the full text of the error. Files whose name ends in .yaml, and
// that are in no folder, are loaded.
func TestMalformedProjects(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/malformed/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(archives) < 40 {
		t.Errorf("%d projects, want at least 40", len(archives))
	}
	for _, file := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := newScene(t)
			var files []string
			want := ""
			for _, f := range archive.Files {
				if f.Name == "want" {
					want = strings.TrimSuffix(string(f.Data), "\n")
					continue
				}
				path := s.write(f.Name, string(f.Data))
				if filepath.Dir(path) == s.dir && filepath.Ext(path) == ".yaml" {
					files = append(files, path)
				}
			}
			project, err := loadProject(s.ctx, s.dir, files)
			if err != nil {
				t.Fatalf("compose-go refuses it: %v", err)
			}
			plan, err := compose.NewPlan(project, compose.Config{Adapter: s.adapter()})
			if err == nil { // keys are opened later, and still before any request
				_, err = plan.Verify(s.ctx)
			}
			if err == nil {
				t.Fatal("accepted")
			}
			if !errors.Is(err, verify.ErrMisconfigured) || len(compose.Problems(err)) == 0 {
				t.Errorf("want problems that are misconfigured, got %v", err)
			}
			// The directory is another one each time.
			got := strings.ReplaceAll(strings.ReplaceAll(err.Error(), s.dir+string(filepath.Separator), "DIR/"), s.dir, "DIR")
			if got != want {
				t.Errorf("the error is\n%s\nwant\n%s", got, want)
			}
			if n := s.asked(); n > 0 {
				t.Errorf("%d requests", n)
			}
		})
	}
}
