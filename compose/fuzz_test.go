// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/compose"
)

// FuzzPlan reads projects as whoever gives them to a user may write them. Of what
// compose-go loads, nothing makes a plan panic or prints control characters, and
// no field is passed over: a service that has one under the prefix of sign or
// verify is signed or verified, says none, or is a problem.
func FuzzPlan(f *testing.F) {
	archives, err := filepath.Glob("testdata/malformed/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archives {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(archive.Files[0].Data))
	}
	f.Add(strings.ReplaceAll(three, "$R/", "registry.example/"))
	f.Add(strings.ReplaceAll(rich, "$R/", "registry.example/"))
	a, err := cosignkit.New(cosignkit.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content string) {
		dir := t.TempDir()
		project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
			WorkingDir:  dir,
			ConfigFiles: []types.ConfigFile{{Filename: writeFile(dir, "compose.yaml", content), Content: []byte(content)}},
			Environment: types.Mapping{"SET": "cosign"},
		}, func(o *loader.Options) {
			o.SetProjectName("demo", true)
			// Other files are for other tests; what they say is not of this input.
			o.SkipInclude, o.SkipExtends, o.SkipResolveEnvironment, o.SkipResolveLabels = true, true, true, true
			o.MaxNodeVisits = 10_000
		})
		if err != nil {
			return
		}
		project.ComposeFiles = []string{filepath.Join(dir, "compose.yaml")}
		for _, push := range []bool{false, true} {
			plan, err := compose.NewPlan(project, compose.Config{Adapter: a, Push: push})
			if err != nil {
				if strings.ContainsFunc(strings.ReplaceAll(err.Error(), "\n", ""), func(r rune) bool { return r < ' ' || r == 0x7f }) {
					t.Errorf("control characters in %q", err)
				}
				if family(err) != "misconfigured" {
					t.Errorf("%s: %v", family(err), err)
				}
				continue
			}
			for _, service := range plan.Services() {
				checkFields(t, project.Services[service.Name].Extensions, service.Fields)
			}
		}
	})
}

func checkFields(t *testing.T, extensions types.Extensions, f cosignkit.Fields) {
	t.Helper()
	for field, provider := range map[string]string{"x-nerdctl-verify": f.Verify.Provider, "x-nerdctl-sign": f.Sign.Provider} {
		value, set := extensions[field]
		if set && value != "none" && provider != "cosign" || !set && provider != "" {
			t.Errorf("%s is %v, and the provider %q", field, value, provider)
		}
	}
	for name := range extensions {
		if strings.HasPrefix(name, "x-nerdctl-cosign-") && extensions["x-nerdctl-verify"] == nil && extensions["x-nerdctl-sign"] == nil {
			t.Errorf("%s does nothing", name)
		}
	}
}
