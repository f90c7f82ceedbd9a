// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package depcheck

import (
	"cmp"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// arrows says which other parts of this module the code of each may import.
var arrows = map[string][]string{
	"signing": {"internal"},
	"verify":  {"internal"},
	// Package signing cannot import it: it imports signing.
	keyfile: {"signing", "internal"},
	// Package verify cannot import it: it imports verify.
	trust:      {"verify", "internal"},
	"keyless":  {"signing", "verify", "internal"},
	"registry": {"signing", "verify", "internal"},
	"compose":  {frontDoor, "registry", "signing", "verify", "internal"},
	"internal": nil,
	// A module of its own, which may meet another version of this one: it uses what
	// every user may.
	tokens:    {"signing", "verify"},
	frontDoor: {"registry", "signing", "verify", "keyless", "internal"},
}

const (
	tokens  = "signing/pkcs11"
	trust   = "verify/trust"
	keyfile = "signing/keyfile"
	// frontDoor stands for the package at the top of the module.
	frontDoor = "cosignkit"
)

// processes is the one package that starts them, for tests and demonstrations;
// TestForbiddenDependencies holds that the library does not link it.
const processes = "internal/sigstack"

// vectors and traffic are the packages of internal that know the library, for its
// tests; the same test holds that.
const (
	vectors = "internal/golden"
	traffic = "internal/traffic"
)

// TestImportArrows reads the files of every operating system, tests left out.
func TestImportArrows(t *testing.T) {
	seen := map[string]bool{}
	for _, file := range libraryFiles(t) {
		part, _, below := strings.Cut(file, "/")
		if !below {
			part = frontDoor
		}
		for _, own := range []string{tokens, keyfile, trust} {
			if under(file, own) {
				part = own
			}
		}
		seen[part] = true
		for _, imported := range imports(t, file) {
			if imported == "os/exec" && !under(file, processes) {
				t.Errorf("%s imports os/exec: the library starts no process", file)
			}
			other, isOurs := partOf(imported)
			mayKnowIt := under(file, vectors) || under(file, traffic)
			if isOurs && other != part && !slices.Contains(arrows[part], other) && !mayKnowIt {
				t.Errorf("%s imports %s: %s may import, of this module, only itself and %q", file, imported, part, arrows[part])
			}
		}
	}
	for part := range arrows {
		if !seen[part] {
			t.Errorf("no Go files in %s: is the test looking in the right place?", part)
		}
	}
}

// TestVerifyAsksNobody: the packages that decide have no network of their own.
// sigstore-go links go-tuf and net/http all the same.
func TestVerifyAsksNobody(t *testing.T) {
	for _, file := range libraryFiles(t) {
		if !under(file, "verify") || under(file, trust) {
			continue
		}
		for _, imported := range imports(t, file) {
			for _, network := range []string{"net", "github.com/theupdateframework", "github.com/gofrs/flock", "github.com/sigstore/sigstore-go/pkg/tuf"} {
				if under(imported, network) && imported != "net/url" {
					t.Errorf("%s imports %s: verify asks nobody", file, imported)
				}
			}
		}
	}
}

func libraryFiles(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(treeFiles(t, ".go"), func(file string) bool {
		inLibrary := slices.ContainsFunc(libraryDirs, func(dir string) bool { return under(file, dir) }) || under(file, "internal")
		inLibrary = inLibrary || !strings.Contains(file, "/")
		return !inLibrary || under(file, "internal/e2e") || strings.HasSuffix(file, "_test.go")
	})
}

func imports(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, imported)
	}
	return paths
}

// partOf returns the first directory of an import path of this module.
func partOf(imported string) (part string, isOurs bool) {
	rest, isOurs := strings.CutPrefix(path.Clean(imported)+"/", module+"/")
	part, _, _ = strings.Cut(rest, "/")
	return cmp.Or(part, frontDoor), isOurs
}
