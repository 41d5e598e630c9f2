package graph

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/internal/fault"
)

// What one operation may ask for.
const (
	// MaxTokens bounds the document, before it is parsed.
	MaxTokens = 10_000
	// MaxDepth bounds how deep fields are nested.
	MaxDepth = 20
	// MaxComplexity bounds the sum over all fields: one for a field and its
	// children, times the size of the page or the number of IDs asked for.
	MaxComplexity = 20_000
	// A longer page or list is refused by its field, which says so better than
	// the complexity would.
	maxPage, maxList = 100, 500
)

// limits refuses operations that ask for too much, or with variables of a wrong
// type, after they have been parsed and before anything is done. gqlgen's own extension does not know list sizes
// and walks a fragment once for each spread, which nested fragments make
// exponential.
type limits struct {
	schema        *ast.Schema
	introspection bool
}

// ExtensionName names the extension to gqlgen.
func (limits) ExtensionName() string { return "RollcallLimits" }

// Validate accepts every schema.
func (limits) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext refuses an operation that is too large; it changes
// nothing but the switch for introspection.
func (l limits) MutateOperationContext(_ context.Context, op *graphql.OperationContext) *gqlerror.Error {
	op.DisableIntrospection = !l.introspection
	if !l.introspection && asksSchema(op.Operation.SelectionSet) {
		return refuse(fault.Forbidden, "introspection is switched off")
	}
	if err := checkVariables(l.schema, op.Operation, op.Variables); err != nil {
		return err
	}
	w := walker{vars: op.Variables, fragments: make(map[*ast.FragmentDefinition]size)}
	s := w.selection(op.Operation.SelectionSet)
	switch {
	case s.depth > MaxDepth:
		return refuse(fault.QueryTooComplex, "the operation nests fields %d deep; at most %d is allowed", s.depth, MaxDepth)
	case s.cost > MaxComplexity:
		return refuse(fault.QueryTooComplex, "the operation has complexity %d; at most %d is allowed", s.cost, MaxComplexity)
	}
	return nil
}

// refuse answers an error of the whole request.
func refuse(code fault.Code, format string, args ...any) *gqlerror.Error {
	return gqlerror.WrapIfUnwrapped(fault.New(code, format, args...))
}

// asksSchema says whether a root selection has __schema or __type in it.
func asksSchema(set ast.SelectionSet) bool {
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			if s.Name == "__schema" || s.Name == "__type" {
				return true
			}
		case *ast.InlineFragment:
			if asksSchema(s.SelectionSet) {
				return true
			}
		case *ast.FragmentSpread:
			if asksSchema(s.Definition.SelectionSet) {
				return true
			}
		}
	}
	return false
}

// size is how much a selection asks for.
type size struct{ cost, depth int }

// walker measures selections, each fragment once.
type walker struct {
	vars      map[string]any
	fragments map[*ast.FragmentDefinition]size
}

func (w walker) selection(set ast.SelectionSet) size {
	var sum size
	for _, selection := range set {
		var one size
		switch s := selection.(type) {
		case *ast.Field:
			children := w.selection(s.SelectionSet)
			one.depth = children.depth + 1
			one.cost = times(plus(children.cost, 1), w.items(s))
		case *ast.InlineFragment:
			one = w.selection(s.SelectionSet)
		case *ast.FragmentSpread:
			known, ok := w.fragments[s.Definition]
			if !ok {
				known = w.selection(s.Definition.SelectionSet)
				w.fragments[s.Definition] = known
			}
			one = known
		}
		sum.cost = plus(sum.cost, one.cost)
		sum.depth = max(sum.depth, one.depth)
	}
	return sum
}

// items answers how many things a field may answer: its page size, or the length
// of the longest list among its arguments.
func (w walker) items(field *ast.Field) int {
	if field.Definition == nil || strings.HasPrefix(field.Name, "__") || !slices.ContainsFunc(field.Definition.Arguments, isMany) {
		return 1
	}
	args := field.ArgumentMap(w.vars)
	n := 1
	for name, value := range args {
		if name == "first" {
			n = max(n, min(number(value), maxPage))
			continue
		}
		n = max(n, min(longest(value), maxList))
	}
	if def := field.Definition.Arguments.ForName("first"); def != nil && args["first"] == nil && def.DefaultValue != nil {
		if value, err := def.DefaultValue.Value(nil); err == nil {
			n = max(n, number(value))
		}
	}
	return n
}

// isMany says whether an argument may say how many things are answered: a page's
// size, or what a list may be in. What is a plain value says nothing of it.
func isMany(arg *ast.ArgumentDefinition) bool {
	if arg.Name == "first" {
		return true
	}
	switch arg.Type.NamedType { // "" for a list
	case "ID", "String", "Boolean", "Int", "Float":
		return false
	}
	return true
}

// longest answers the length of the longest list in an argument's value.
func longest(value any) int {
	n := 0
	switch v := value.(type) {
	case []any:
		n = len(v)
		for _, item := range v {
			n = max(n, longest(item))
		}
	case map[string]any:
		for _, item := range v {
			n = max(n, longest(item))
		}
	}
	return n
}

// number reads an Int as gqlgen has it in literals and in variables.
func number(value any) int {
	n, err := graphql.UnmarshalInt(value)
	if err != nil {
		return 1
	}
	return n
}

// plus and times stop at the largest number, so that nobody wraps around.
func plus(a, b int) int {
	if a > math.MaxInt-b {
		return math.MaxInt
	}
	return a + b
}

func times(a, b int) int {
	if b > 0 && a > math.MaxInt/b {
		return math.MaxInt
	}
	return a * max(b, 1)
}
