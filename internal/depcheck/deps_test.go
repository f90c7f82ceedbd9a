// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package depcheck

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// forbidden are import paths, each with all below it, that no library package
// may link, directly or not.
var forbidden = []ban{
	{"github.com/sigstore/cosign/v2/cmd", "the cosign commands"},
	{"github.com/sigstore/cosign/v2/pkg/signature", "it links every KMS provider"},
	{"github.com/sigstore/cosign/v2/pkg/providers/all", "opt-in by import only"},
	{"github.com/sigstore/sigstore/pkg/signature/kms/aws", "a cloud KMS provider, opt-in by import only"},
	{"github.com/sigstore/sigstore/pkg/signature/kms/azure", "a cloud KMS provider, opt-in by import only"},
	{"github.com/sigstore/sigstore/pkg/signature/kms/gcp", "a cloud KMS provider, opt-in by import only"},
	{"github.com/sigstore/sigstore/pkg/signature/kms/hashivault", "a KMS provider, opt-in by import only"},
	{module + "/" + processes, "it starts processes"},
	{module + "/" + vectors, "it is for tests"},
	{module + "/" + traffic, "it is for tests"},
	{"github.com/aws", "a cloud SDK"},
	{"github.com/Azure/azure-sdk-for-go", "a cloud SDK"},
	{"cloud.google.com/go", "a cloud SDK"},
	{"google.golang.org/api", "a cloud SDK"},
	{"github.com/hashicorp/vault", "a cloud SDK"},
	{"k8s.io", "Kubernetes"},
	{"sigs.k8s.io", "Kubernetes"},
}

type ban struct{ prefix, reason string }

func (b ban) links(d dependency) bool {
	return under(d.ImportPath, b.prefix) && !slices.ContainsFunc(tolerated, func(prefix string) bool {
		return under(d.ImportPath, prefix)
	})
}

// tolerated are exceptions to forbidden.
var tolerated = []string{
	// A logging package with no requirement but a logging interface. The client
	// of certificate transparency logs, which sigstore-go links, logs with it.
	"k8s.io/klog/v2",
}

// budget is the most that each library package may link: external packages, and the
// modules that they are from. See overBudget.
var budget = map[string]struct{ packages, modules int }{
	"signing": {72, 16},
	// All of cosign's library: it reads and writes the files.
	"signing/keyfile": {505, 98},
	// With no provider. What each one adds is in docs/keys.md.
	"signing/kms":  {67, 14},
	"verify":       {327, 70},
	"verify/trust": {328, 71},
	// All of cosign's library: it decides.
	"verify/cosign": {505, 98},
	// By the parser of YAML.
	"verify/policyfile": {329, 72},
	"keyless":           {405, 84},
	// By the clients of Buildkite and SPIFFE.
	"keyless/ambient": {442, 94},
	// By what reads containerd's configuration of hosts and speaks to registries.
	"registry": {405, 85},
	// By containerd's client.
	"registry/hooks": {505, 99},
	// With keyless.
	frontDoor: {482, 99},
	// With compose-go's types, and not its loader, and containerd's client.
	"compose": {594, 119},
}

// permissive link no module under the MPL.
var permissive = []string{"signing", "verify", "verify/trust", "verify/policyfile", "registry"}

func TestNoMPL(t *testing.T) {
	t.Parallel()
	for _, name := range permissive {
		for _, d := range dependencies(t, platform, module+"/"+name) {
			if d.Module != nil && slices.Contains(weakCopyleft, d.Module.Path) {
				t.Errorf("%s links %s", name, d.ImportPath)
			}
		}
	}
}

// platform is the one that the numbers are for, wherever the test runs.
const platform = "linux/amd64"

const overBudget = `%s links %d packages and %d modules; its budget is %d and %d.
What it links: go list -deps ./%s
If the new dependency is worth its weight to everyone who vendors the library,
raise the budget in internal/depcheck/deps_test.go, by little more than is needed,
and say why in the commit message.`

func TestBudget(t *testing.T) {
	t.Parallel()
	for _, importPath := range libraryPackages(t) {
		name := cmp.Or(strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/"), frontDoor)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			packages, modules := weight(dependencies(t, platform, importPath))
			t.Logf("%s links %d packages and %d modules", name, packages, modules)
			allowed, ok := budget[name]
			switch {
			case !ok:
				t.Errorf("%s has no budget; it links %d packages and %d modules", name, packages, modules)
			case packages > allowed.packages || modules > allowed.modules:
				t.Errorf(overBudget, name, packages, modules, allowed.packages, allowed.modules, name)
			}
		})
	}
}

func TestForbiddenDependencies(t *testing.T) {
	t.Parallel()
	library := libraryPackages(t)
	for _, platform := range []string{platform, "darwin/arm64", "windows/amd64", "freebsd/amd64"} {
		t.Run(platform, func(t *testing.T) {
			t.Parallel()
			all := dependencies(t, platform, library...)
			for _, f := range forbidden {
				if i := slices.IndexFunc(all, f.links); i >= 0 {
					t.Errorf("the library links %s: %s", all[i].ImportPath, f.reason)
				}
			}
		})
	}
}

// TestNoContainerd: those who only sign or verify bytes do not pay for
// containerd, nor can these packages reach a registry by it.
func TestNoContainerd(t *testing.T) {
	t.Parallel()
	for _, dependency := range dependencies(t, platform, module+"/signing", module+"/verify") {
		if under(dependency.ImportPath, "github.com/containerd/containerd") {
			t.Errorf("signing or verify links %s", dependency.ImportPath)
		}
	}
}

func libraryPackages(t *testing.T) []string {
	t.Helper()
	all := []string{module}
	for _, dir := range libraryDirs {
		importPath := path.Join(module, dir)
		all = append(all, strings.Fields(string(goCommand(t, moduleDir(importPath), platform, "list", importPath+"/...")))...)
	}
	return all
}

// dependency is what go list says of a package.
type dependency struct {
	ImportPath string
	Standard   bool
	Module     *struct{ Path, Dir string }
}

func (d dependency) isOurs() bool { return d.Module != nil && under(d.Module.Path, module) }

// dependencies returns packages and all that they link.
func dependencies(t *testing.T, platform string, packages ...string) []dependency {
	t.Helper()
	byDir := map[string][]string{}
	for _, p := range packages {
		byDir[moduleDir(p)] = append(byDir[moduleDir(p)], p)
	}
	var output []byte
	for dir, packages := range byDir {
		args := append([]string{"list", "-deps", "-json=ImportPath,Standard,Module"}, packages...)
		output = append(output, goCommand(t, dir, platform, args...)...)
	}
	decoder := json.NewDecoder(bytes.NewReader(output))
	var all []dependency
	for {
		var d dependency
		err := decoder.Decode(&d)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
}

// weight counts the external packages, those that are neither of the standard
// library nor of this project, and the modules that they are from.
func weight(dependencies []dependency) (packages, modules int) {
	seen, from := map[string]bool{}, map[string]bool{}
	for _, d := range dependencies {
		if d.Standard || d.isOurs() {
			continue
		}
		seen[d.ImportPath], from[d.Module.Path] = true, true
	}
	return len(seen), len(from)
}

// goCommand runs go in dir, without cgo, for a platform such as linux/amd64.
func goCommand(t *testing.T, dir, platform string, args ...string) []byte {
	t.Helper()
	treeFiles(t, ".go") // Not for what they return: see there.
	treeFiles(t, "go.mod")
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	goos, goarch, _ := strings.Cut(platform, "/")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, &stderr)
	}
	return output
}
