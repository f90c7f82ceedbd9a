// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/cosignkit/cosignkit/compose"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// wrong is a project in memory with one problem, whose files can be anything.
func wrong(dir string, files ...string) *types.Project {
	return &types.Project{
		Name: "demo", WorkingDir: dir, ComposeFiles: files,
		Services: types.Services{"web": {
			Name:          "web",
			ContainerSpec: types.ContainerSpec{Image: "registry.example/web"},
			Extensions:    types.Extensions{"x-nerdctl-verify": true},
		}},
	}
}

// TestFilesThatAreMadeToBeSearchedForEver: where a line cannot be found in bounded
// work, the error is without. What a file says is compose-go's to read.
func TestFilesThatAreMadeToBeSearchedForEver(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]func(dir string) (files []string){
		"merged aliases": func(dir string) []string {
			var b strings.Builder
			b.WriteString("a0: &a0 {k: v}\n")
			for i := range 40 {
				fmt.Fprintf(&b, "a%d: &a%d\n  <<: [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 30), ", "))
			}
			b.WriteString("services:\n  web:\n    <<: *a40\n")
			return []string{writeFile(dir, "bomb.yaml", b.String())}
		},
		"an alias of itself": func(dir string) []string {
			return []string{writeFile(dir, "loop.yaml", "services: &s\n  web: &w\n    <<: *w\n  other: *s\n")}
		},
		"includes of includes": func(dir string) []string {
			for i := range 40 {
				writeFile(dir, fmt.Sprintf("%d.yaml", i), "include: ["+strings.TrimSuffix(strings.Repeat(fmt.Sprintf("%d.yaml, ", i+1), 30), ", ")+"]\n")
			}
			return []string{filepath.Join(dir, "0.yaml")}
		},
		"an include of itself": func(dir string) []string {
			return []string{writeFile(dir, "loop.yaml", "include: [loop.yaml, loop.yaml]\n")}
		},
		"a service that extends itself": func(dir string) []string {
			return []string{writeFile(dir, "loop.yaml", "services: {web: {extends: web}}\n")}
		},
		"services that extend one another": func(dir string) []string {
			return []string{writeFile(dir, "loop.yaml", "services: {web: {extends: {service: db}}, db: {extends: {service: web, file: loop.yaml}}}\n")}
		},
		"a file of devices":  func(string) []string { return []string{os.DevNull} },
		"a directory":        func(dir string) []string { return []string{dir} },
		"no such file":       func(dir string) []string { return []string{filepath.Join(dir, "missing")} },
		"what is no YAML":    func(dir string) []string { return []string{writeFile(dir, "x", "\x00{[}]: &")} },
		"a scalar":           func(dir string) []string { return []string{writeFile(dir, "x", "services")} },
		"a list of services": func(dir string) []string { return []string{writeFile(dir, "x", "services: [web, db]")} },
		"a large file": func(dir string) []string {
			return []string{writeFile(dir, "x", "services: {web: {x-nerdctl-verify: true}}\n"+strings.Repeat("# \n", 1<<20))}
		},
		"many files": func(dir string) (files []string) {
			for i := range 500 {
				files = append(files, writeFile(dir, fmt.Sprintf("%d.yaml", i), "services: {db: {}}\n"))
			}
			return files
		},
		"a file without an end": func(string) []string { return []string{"/proc/kmsg"} },
		"standard input":        func(string) []string { return []string{"-"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			dir := t.TempDir()
			a := s.adapter()
			files := place(dir)
			done := async(func() error {
				_, err := compose.NewPlan(wrong(dir, files...), compose.Config{Adapter: a})
				return err
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			select {
			case err := <-done:
				problems := compose.Problems(err)
				if len(problems) != 1 || problems[0].Field != "x-nerdctl-verify" || problems[0].Service != "web" {
					t.Fatalf("got %v", err)
				}
				if p := problems[0]; (p.File == "") != (p.Line == 0) {
					t.Errorf("file %q, line %d", p.File, p.Line)
				}
			case <-ctx.Done():
				t.Fatal("no end")
			}
		})
	}
}

// TestFilesWithManyDirectivesAreNotSearched: to read them takes the square of their
// number.
func TestFilesWithManyDirectivesAreNotSearched(t *testing.T) {
	t.Parallel()
	for n, line := range map[int]int{limits.YAMLDirectives: limits.YAMLDirectives + 4, limits.YAMLDirectives + 1: 0} {
		s := newScene(t)
		dir := t.TempDir()
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%%TAG !t%d! x\n", i)
		}
		file := writeFile(dir, "compose.yaml", b.String()+"---\nservices:\n  web:\n    x-nerdctl-verify: true\n")
		_, err := compose.NewPlan(wrong(dir, file), compose.Config{Adapter: s.adapter()})
		if problems := compose.Problems(err); len(problems) != 1 || problems[0].Line != line {
			t.Errorf("%d directives: got %v, want line %d", n, problems, line)
		}
	}
}

func async(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

func writeFile(dir, name, content string) string {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		panic(err)
	}
	return path
}

func TestProblemsAreBounded(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	project := wrong(s.dir)
	service := project.Services["web"]
	for i := range 100_000 {
		service.Extensions[fmt.Sprintf("x-nerdctl-%d", i)] = true
	}
	_, err := compose.NewPlan(project, compose.Config{Adapter: s.adapter()})
	if n := len(compose.Problems(err)); n == 0 || n > 256 || len(err.Error()) > 1<<20 {
		t.Errorf("%d problems in %d bytes", n, len(err.Error()))
	}
}

func TestServicesAreBounded(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	project := &types.Project{Name: "demo", Services: types.Services{}}
	for i := range 5000 {
		name := fmt.Sprintf("s%d", i)
		project.Services[name] = types.ServiceConfig{Name: name, ContainerSpec: types.ContainerSpec{Image: "a"}}
	}
	if _, err := compose.NewPlan(project, compose.Config{Adapter: s.adapter()}); family(err) != "misconfigured" || !strings.Contains(err.Error(), "number of services") {
		t.Errorf("got %v", err)
	}
}

// TestImagesAreBounded: a service can mount any number of them.
func TestImagesAreBounded(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	web := types.ServiceConfig{Name: "web", ContainerSpec: types.ContainerSpec{Image: "a"}}
	for i := range 10_000 {
		web.Volumes = append(web.Volumes, types.ServiceVolumeConfig{Type: types.VolumeTypeImage, Source: "a", Target: fmt.Sprintf("/%d", i)})
	}
	project := &types.Project{Name: "demo", Services: types.Services{"web": web}}
	if _, err := compose.NewPlan(project, compose.Config{Adapter: s.adapter()}); family(err) != "misconfigured" || !strings.Contains(err.Error(), "number of images") {
		t.Errorf("got %v", err)
	}
}

// TestWhatIsNoPlan: what a caller can get wrong, and projects that compose-go was
// told not to check.
func TestWhatIsNoPlan(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	unchecked := func(content string) *types.Project { return s.load(content, cli.WithConsistency(false)) }
	for name, c := range map[string]struct {
		project  *types.Project
		config   compose.Config
		services []string
		want     string
	}{
		"no project":    {nil, compose.Config{Adapter: s.adapter()}, nil, "no project"},
		"no adapter":    {wrong(s.dir), compose.Config{}, nil, "no adapter"},
		"negative":      {wrong(s.dir), compose.Config{Adapter: s.adapter(), Parallel: -1}, nil, "Parallel is negative"},
		"no such":       {s.load("services: {a: {image: a}}"), compose.Config{Adapter: s.adapter()}, []string{"a", "b", "c\x1b[2J"}, "service b: the project has no such service"},
		"a circle":      {unchecked("services: {a: {image: a, depends_on: [b]}, b: {image: b, depends_on: [a]}}"), compose.Config{Adapter: s.adapter()}, nil, "depends_on: found a circle"},
		"no dependency": {unchecked("services: {a: {image: a, depends_on: [b]}}"), compose.Config{Adapter: s.adapter()}, nil, `service a: depends_on: found "b"; expected a service that is enabled`},
		"disabled":      {unchecked("services: {a: {image: a, depends_on: [b]}, b: {image: b, profiles: [x]}}"), compose.Config{Adapter: s.adapter()}, nil, `service a: depends_on: found "b"; expected a service that is enabled`},
	} {
		_, err := compose.NewPlan(c.project, c.config, c.services...)
		if family(err) != "misconfigured" || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := compose.NewPlan(s.load("services: {a: {image: a, depends_on: {b: {condition: service_started, required: false}}}, b: {image: b, profiles: [x]}}"), compose.Config{Adapter: s.adapter()}); err != nil {
		t.Errorf("a dependency that is not required: %v", err)
	}
}
