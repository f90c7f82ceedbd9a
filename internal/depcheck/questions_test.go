// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package depcheck

import (
	"bytes"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the list of type questions anew")

const questionsFile = "testdata/questions.txt"

// asked are the packages of dependencies that this library gives implementations of
// their interfaces to.
var asked = []string{
	"github.com/sigstore/sigstore-go/pkg/bundle",
	"github.com/sigstore/sigstore-go/pkg/root",
	"github.com/sigstore/sigstore-go/pkg/sign",
	"github.com/sigstore/sigstore-go/pkg/tlog",
	"github.com/sigstore/sigstore-go/pkg/verify",
	"github.com/sigstore/sigstore/pkg/signature",
	"github.com/sigstore/sigstore/pkg/signature/dsse",
	"github.com/sigstore/sigstore/pkg/signature/options",
	"github.com/secure-systems-lab/go-securesystemslib/dsse",
	"github.com/theupdateframework/go-tuf/v2/metadata/updater",
	"github.com/containerd/containerd/v2/client",
	"github.com/containerd/containerd/v2/core/content",
	"github.com/containerd/containerd/v2/core/remotes",
	"github.com/containerd/containerd/v2/core/remotes/docker",
	"github.com/google/go-containerregistry/pkg/v1/remote",
}

// TestTypeQuestionsOfDependencies: a dependency that asks for the concrete type behind
// an interface does not see it through a wrapper of ours. After a look at a question
// that is new, and at the table of wrappers in docs/design.md, run with -update.
func TestTypeQuestionsOfDependencies(t *testing.T) {
	t.Parallel()
	var all []string
	for line := range strings.Lines(string(goCommand(t, root, "linux/amd64", append([]string{"list", "-f", "{{.ImportPath}} {{.Dir}} {{join .GoFiles \" \"}}"}, asked...)...))) {
		fields := strings.Fields(line)
		for _, file := range fields[2:] {
			all = append(all, questions(t, fields[0], filepath.Join(fields[1], file))...)
		}
	}
	slices.Sort(all)
	got := []byte(strings.Join(all, ""))
	if *update {
		if err := os.WriteFile(questionsFile, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(questionsFile)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Errorf("only %d questions found", len(all))
	}
	if !bytes.Equal(got, want) {
		known := slices.Collect(strings.Lines(string(want)))
		for _, q := range all {
			if !slices.Contains(known, q) {
				t.Errorf("new: %s", q)
			}
		}
		t.Errorf("the questions are not those of %s", questionsFile)
	}
}

// questions are the type assertions, type switches and calls of errors.As in a file,
// one a line, by the function that they are in.
func questions(t *testing.T, importPath, path string) (all []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Body == nil {
			continue
		}
		ast.Inspect(function.Body, func(n ast.Node) bool {
			switch question := n.(type) {
			case *ast.TypeAssertExpr:
				answer := "type"
				if question.Type != nil {
					answer = types.ExprString(question.Type)
				}
				all = append(all, importPath+" "+function.Name.Name+": "+types.ExprString(question.X)+".("+answer+")\n")
			case *ast.CallExpr:
				if call := types.ExprString(question); strings.HasPrefix(call, "errors.As(") {
					all = append(all, importPath+" "+function.Name.Name+": "+call+"\n")
				}
			}
			return true
		})
	}
	return all
}
