package graph

import (
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/core"
)

// singleRootRule is the name of the rule singleRoot, which replaces gqlparser's.
const singleRootRule = "SingleFieldSubscriptions"

// singleRoot is the rule "Single Root Field" of the GraphQL specification of September 2025,
// section 5.2.4.1: a subscription selects exactly one field, and @skip and @include must not decide
// whether it does. gqlparser's rule ignores both directives and counts two aliases of one field as
// one field; the executor refuses both only after the document has been accepted.
func singleRoot(observers *core.Events, addError core.AddErrFunc) {
	observers.OnOperation(func(_ *core.Walker, operation *ast.OperationDefinition) {
		if operation.Operation != ast.Subscription {
			return
		}
		subject := "An anonymous subscription"
		if operation.Name != "" {
			subject = "The subscription " + strconv.Quote(operation.Name)
		}
		r := rootFields{names: make(map[string]bool), seen: make(map[*ast.FragmentDefinition]bool)}
		r.collect(operation.SelectionSet)
		if r.conditional != nil {
			addError(core.Message("%s must not use @%s on its root selection.", subject, r.conditional.Name), core.At(r.conditional.Position))
		}
		if r.second != nil {
			addError(core.Message("%s must select exactly one root field.", subject), core.At(r.second.Position))
		}
		if r.introspection != nil {
			addError(core.Message("%s must not select the introspection field %s.", subject, r.introspection.Name), core.At(r.introspection.Position))
		}
	})
}

// rootFields collects the root fields of a subscription and the first violation of each kind.
type rootFields struct {
	names map[string]bool // response names
	seen  map[*ast.FragmentDefinition]bool

	conditional   *ast.Directive
	second        *ast.Field
	introspection *ast.Field
}

func (r *rootFields) collect(set ast.SelectionSet) {
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			r.check(s.Directives)
			r.add(s)
		case *ast.InlineFragment:
			r.check(s.Directives)
			r.collect(s.SelectionSet)
		case *ast.FragmentSpread:
			r.check(s.Directives)
			if s.Definition != nil && !r.seen[s.Definition] {
				r.seen[s.Definition] = true
				r.collect(s.Definition.SelectionSet)
			}
		}
	}
}

func (r *rootFields) check(directives ast.DirectiveList) {
	for _, d := range directives {
		if r.conditional == nil && (d.Name == "skip" || d.Name == "include") {
			r.conditional = d
		}
	}
}

func (r *rootFields) add(field *ast.Field) {
	r.names[responseName(field)] = true
	if r.second == nil && len(r.names) > 1 {
		r.second = field
	}
	if r.introspection == nil && strings.HasPrefix(field.Name, "__") {
		r.introspection = field
	}
}
