// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"go/ast"
	"go/token"
	"go/types"
)

// operands are those of each or in a condition, which refuse by themselves; or the
// condition itself if it has none.
func operands(e ast.Expr) []ast.Expr {
	if all := alternatives(e); len(all) > 0 {
		return all
	}
	return []ast.Expr{e}
}

func alternatives(e ast.Expr) []ast.Expr {
	switch x := e.(type) {
	case *ast.ParenExpr:
		return alternatives(x.X)
	case *ast.BinaryExpr:
		switch x.Op {
		case token.LOR:
			return append(operands(x.X), operands(x.Y)...)
		case token.LAND:
			return append(alternatives(x.X), alternatives(x.Y)...)
		}
	}
	return nil
}

// refusal returns the last statement of a body that ends with an error: it returns
// one, keeps one in a variable or a list, or hands one to a function.
func (f *finder) refusal(body []ast.Stmt) (ast.Stmt, bool) {
	if len(body) == 0 {
		return nil, false
	}
	last := body[len(body)-1]
	switch s := last.(type) {
	case *ast.ReturnStmt:
		results := f.results[len(f.results)-1]
		if len(s.Results) == 0 || len(s.Results) != results.Len() || !isError(results.At(results.Len()-1).Type()) {
			return nil, false
		}
		return last, f.isRefusal(s.Results[len(s.Results)-1])
	case *ast.AssignStmt:
		to, from := s.Lhs[len(s.Lhs)-1], s.Rhs[len(s.Rhs)-1]
		if slice, ok := f.typeOf(to).Underlying().(*types.Slice); ok && isError(slice.Elem()) {
			return last, true
		}
		return last, isError(f.typeOf(to)) && f.isRefusal(from)
	case *ast.ExprStmt:
		call, ok := s.X.(*ast.CallExpr)
		return last, ok && f.takesError(call)
	}
	return nil, false
}

// isRefusal reports whether e is an error, and not nil.
func (f *finder) isRefusal(e ast.Expr) bool { return !f.info.Types[e].IsNil() }

// takesError reports whether an error is among the arguments of a call that
// returns nothing, or in one of them.
func (f *finder) takesError(call *ast.CallExpr) bool {
	if results, ok := f.typeOf(call).(*types.Tuple); !ok || results.Len() > 0 {
		return false
	}
	for _, arg := range call.Args {
		if isError(f.typeOf(arg)) {
			return true
		}
		literal, ok := arg.(*ast.CompositeLit)
		if !ok {
			continue
		}
		for _, element := range literal.Elts {
			pair, ok := element.(*ast.KeyValueExpr)
			if !ok || !isError(f.typeOf(pair.Value)) {
				continue
			}
			// Events tell of an error that is a fact already.
			if _, field := pair.Value.(*ast.SelectorExpr); !field {
				return true
			}
		}
	}
	return false
}

// onlyErrors reports whether a condition looks at nothing but errors that calls
// returned.
func (f *finder) onlyErrors(e ast.Expr) bool {
	switch x := e.(type) {
	case *ast.ParenExpr:
		return f.onlyErrors(x.X)
	case *ast.UnaryExpr:
		return f.onlyErrors(x.X)
	case *ast.BinaryExpr:
		if x.Op == token.LAND || x.Op == token.LOR {
			return f.onlyErrors(x.X) && f.onlyErrors(x.Y)
		}
		return isError(f.typeOf(x.X)) || isError(f.typeOf(x.Y))
	case *ast.CallExpr:
		for _, arg := range x.Args {
			if isError(f.typeOf(arg)) {
				return true
			}
		}
	}
	return false
}

// verdict returns the call that n refuses by, if it returns an error and nothing
// else: then that is what it is for.
func (f *finder) verdict(n *ast.IfStmt) ast.Expr {
	statement := n.Init
	if statement == nil {
		statement = f.before[n]
	}
	assign, ok := statement.(*ast.AssignStmt)
	if !ok || len(assign.Lhs) != 1 || !isError(f.typeOf(assign.Lhs[0])) {
		return nil
	}
	call, ok := assign.Rhs[0].(*ast.CallExpr)
	if !ok || types.ExprString(call.Fun) == "errors.Join" {
		return nil
	}
	compare, ok := n.Cond.(*ast.BinaryExpr)
	if !ok || compare.Op != token.NEQ || !f.info.Types[compare.Y].IsNil() {
		return nil
	}
	compared, ok := compare.X.(*ast.Ident)
	if result, isName := assign.Lhs[0].(*ast.Ident); !ok || !isName || compared.Name != result.Name {
		return nil
	}
	return call
}

// assigned is what an assignment assigns, or nil.
func assigned(s ast.Stmt) ast.Expr {
	if assign, ok := s.(*ast.AssignStmt); ok {
		return assign.Rhs[len(assign.Rhs)-1]
	}
	return nil
}

// typeOf is the type of an expression, or an invalid one where it has none.
func (f *finder) typeOf(e ast.Expr) types.Type {
	if t := f.info.TypeOf(e); t != nil {
		return t
	}
	return types.Typ[types.Invalid]
}

var errorType = types.Universe.Lookup("error").Type().Underlying().(*types.Interface)

func isError(t types.Type) bool {
	_, isInterface := t.Underlying().(*types.Interface)
	return isInterface && types.Implements(t, errorType)
}
