// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// mutant is a check that can be switched off.
type mutant struct {
	number int
	// path is that of the package, function the one around the check, and text the
	// condition.
	path, function, text string
	position             token.Position
}

// key names a mutant wherever in its function it is.
func (m *mutant) key() string { return m.path + ": " + m.function + ": " + m.text }

// edit is text to insert at an offset of a file.
type edit struct {
	offset int
	text   string
}

// finder finds the checks of a package.
type finder struct {
	*source
	mutants []*mutant
	// propagated counts the conditions that only pass on an error of a call.
	propagated int
	first      int
	edits      map[string][]edit

	file     sourceFile
	function string
	results  []*types.Tuple
	before   map[ast.Stmt]ast.Stmt
	goesOn   map[ast.Stmt]bool
}

// find numbers the checks of s from first.
func find(s *source, first int) *finder {
	f := &finder{source: s, first: first, edits: map[string][]edit{}, before: map[ast.Stmt]ast.Stmt{}, goesOn: map[ast.Stmt]bool{}}
	for _, file := range s.files {
		f.file = file
		for _, decl := range file.syntax.Decls {
			f.function = "package"
			if fn, ok := decl.(*ast.FuncDecl); ok {
				f.function = nameOf(fn)
			}
			f.walk(decl)
		}
	}
	seen := map[string]int{}
	for _, m := range f.mutants {
		seen[m.key()]++
		if n := seen[m.key()]; n > 1 {
			m.text = fmt.Sprintf("%s (%d)", m.text, n)
		}
	}
	return f
}

// nameOf is a function's name as Go's documentation has it.
func nameOf(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	receiver := types.ExprString(fn.Recv.List[0].Type)
	if strings.HasPrefix(receiver, "*") {
		receiver = "(" + receiver + ")"
	}
	return receiver + "." + fn.Name.Name
}

func (f *finder) offset(at token.Pos) int { return f.fset.Position(at).Offset }

func (f *finder) walk(n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			return f.within(n.Body, f.info.Defs[n.Name].Type())
		case *ast.FuncLit:
			return f.within(n.Body, f.info.TypeOf(n))
		case *ast.ForStmt:
			f.neighbours(n.Body.List, true)
		case *ast.RangeStmt:
			f.neighbours(n.Body.List, true)
		case *ast.BlockStmt:
			f.neighbours(n.List, false)
		case *ast.CaseClause:
			f.neighbours(n.Body, false)
		case *ast.CommClause:
			f.neighbours(n.Body, false)
		case *ast.IfStmt:
			f.ifStatement(n)
		case *ast.SwitchStmt:
			for _, c := range n.Body.List {
				f.caseClause(n, n.Tag == nil, c.(*ast.CaseClause))
			}
		case *ast.TypeSwitchStmt:
			for _, c := range n.Body.List {
				f.caseClause(n, false, c.(*ast.CaseClause))
			}
		}
		return true
	})
}

// within walks the body of a function of a type.
func (f *finder) within(body *ast.BlockStmt, signature types.Type) bool {
	if body != nil {
		f.results = append(f.results, signature.(*types.Signature).Results())
		f.walk(body)
		f.results = f.results[:len(f.results)-1]
	}
	return false
}

// neighbours notes which statement of a list is before another, and after which
// the function goes on.
func (f *finder) neighbours(list []ast.Stmt, loop bool) {
	for i, s := range list {
		if i > 0 {
			f.before[s] = list[i-1]
		}
		f.goesOn[s] = f.goesOn[s] || loop || i < len(list)-1
	}
}

func (f *finder) ifStatement(n *ast.IfStmt) {
	last, ok := f.refusal(n.Body.List)
	if !ok {
		return
	}
	for _, operand := range operands(n.Cond) {
		switch {
		case !f.onlyErrors(operand):
			f.switchable(operand, types.ExprString(operand))
		case f.verdict(n) != nil:
			f.switchable(operand, types.ExprString(f.verdict(n)))
		case types.ExprString(operand) == "err == nil" && assigned(last) != nil:
			f.switchable(operand, types.ExprString(assigned(last)))
		default:
			f.propagated++
		}
	}
}

// caseClause takes a case without a tag for an if. Any other is left early, unless
// the compiler would then miss a return.
func (f *finder) caseClause(parent ast.Stmt, tagless bool, c *ast.CaseClause) {
	_, ok := f.refusal(c.Body)
	switch {
	case !ok:
	case tagless && c.List != nil:
		for _, e := range c.List {
			for _, operand := range operands(e) {
				if f.onlyErrors(operand) {
					f.propagated++
					continue
				}
				f.switchable(operand, types.ExprString(operand))
			}
		}
	case f.goesOn[parent]:
		text := "default"
		if c.List != nil {
			text = "case " + types.ExprString(c.List[0])
		}
		number := f.add(c, text)
		f.insert(c.Colon+1, fmt.Sprintf(" if !mutantOn(%d) { break };", number))
	}
}

// switchable lets a condition be switched off.
func (f *finder) switchable(e ast.Expr, text string) {
	number := f.add(e, text)
	f.insert(e.Pos(), "(")
	f.insert(e.End(), fmt.Sprintf(") && mutantOn(%d)", number))
}

func (f *finder) add(n ast.Node, text string) int {
	number := f.first + len(f.mutants)
	f.mutants = append(f.mutants, &mutant{number: number, path: f.path, function: f.function, text: text, position: f.fset.Position(n.Pos())})
	return number
}

func (f *finder) insert(at token.Pos, text string) {
	f.edits[f.file.name] = append(f.edits[f.file.name], edit{f.offset(at), text})
}

// instrumented is the text of a file with its edits.
func (f *finder) instrumented(file sourceFile) []byte {
	edits := slices.Clone(f.edits[file.name])
	slices.SortStableFunc(edits, func(a, b edit) int { return a.offset - b.offset })
	var out bytes.Buffer
	done := 0
	for _, e := range edits {
		out.Write(file.text[done:e.offset])
		out.WriteString(e.text)
		done = e.offset
	}
	out.Write(file.text[done:])
	return out.Bytes()
}
