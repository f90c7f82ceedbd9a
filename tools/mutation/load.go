// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// source is a package with its types.
type source struct {
	// path is the directory of the package, from the top of the repository.
	path, name, dir string
	fset            *token.FileSet
	info            *types.Info
	files           []sourceFile
}

type sourceFile struct {
	name   string
	syntax *ast.File
	text   []byte
}

// listed is a package as go list prints it.
type listed struct {
	ImportPath, Name, Dir, Export string
	DepOnly                       bool
	GoFiles                       []string
	Module                        struct{ Dir string }
}

// load parses the packages of a module that match patterns, and finds their types.
func load(module string, patterns []string) ([]*source, error) {
	out, err := goCommand(module, append([]string{"list", "-deps", "-export", "-json=ImportPath,Name,Dir,Export,DepOnly,GoFiles,Module"}, patterns...)...)
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	var targets []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		exports[p.ImportPath] = p.Export
		if !p.DepOnly {
			targets = append(targets, p)
		}
	}
	fset := token.NewFileSet()
	gc := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	all := make([]*source, 0, len(targets))
	for _, target := range targets {
		s, err := check(fset, gc, target)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", target.ImportPath, err)
		}
		within, err := filepath.Rel(target.Module.Dir, target.Dir)
		if err != nil {
			return nil, err
		}
		s.path = filepath.ToSlash(filepath.Join(module, within))
		all = append(all, s)
	}
	return all, nil
}

func check(fset *token.FileSet, imports types.Importer, target listed) (*source, error) {
	s := &source{
		name: target.Name, dir: target.Dir, fset: fset,
		info: &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}},
	}
	var files []*ast.File
	for _, name := range target.GoFiles {
		name = filepath.Join(target.Dir, name)
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
		s.files = append(s.files, sourceFile{name, file, text})
	}
	config := types.Config{Importer: imports}
	_, err := config.Check(target.ImportPath, fset, files, s.info)
	return s, err
}

// goCommand runs the go command in a module, and returns what it prints.
func goCommand(module string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...) //nolint:gosec // the arguments are this program's
	cmd.Dir = module
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, stderr.Bytes())
	}
	return out, nil
}
