package selection

import (
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// compiler determines how a value is written in one operation.
type compiler struct {
	types Types
	op    *graphql.OperationContext
	// budget is how many more fields may be visited.
	budget int
	// conditions are the variables on which the selection depends.
	conditions []condition
	// visited are the fragments that have been searched for conditions.
	visited map[*ast.FragmentDefinition]bool
}

// condition is the value of a variable in @skip or @include. Anything but a Boolean is nil here and
// left to gqlgen to refuse.
type condition struct {
	variable string
	value    any
}

func conditionOf(variable string, variables map[string]any) condition {
	value, ok := variables[variable].(bool)
	if !ok {
		return condition{variable, nil}
	}
	return condition{variable, value}
}

// value returns how values of type t are written with this selection, or nil if the selection has
// anything that cannot be written directly.
func (c *compiler) value(t *ast.Type, selections ast.SelectionSet) *value {
	v := &value{nullable: !t.NonNull}
	if t.Elem != nil {
		t = t.Elem
		v.list, v.nullableElement = true, !t.NonNull
	}
	typ, ok := c.types[t.NamedType] // no name if it is a list of lists
	if !ok {
		return nil
	}
	v.typ = typ
	separator := ""
	var typenames []string // the names under which __typename is selected
	for _, field := range graphql.CollectFields(c.op, selections, typ.names) {
		if c.budget--; c.budget < 0 {
			return nil
		}
		m := member{text: separator + `"` + field.Alias + `":`}
		if field.Name == "__typename" {
			if slices.Contains(typenames, field.Alias) {
				continue // selected on a union too, which gqlgen collects apart
			}
			typenames = append(typenames, field.Alias)
			m.text += `"` + t.NamedType + `"`
		} else if m.field, ok = typ.fields[field.Name]; !ok {
			return nil
		} else if m.field.Value != nil {
			if m.value = c.value(field.Definition.Type, field.Selections); m.value == nil {
				return nil
			}
		}
		separator = ","
		v.members = append(v.members, m)
	}
	return v
}

// search records the variables on which the selection depends. It reports false if the operation
// cannot be planned, whatever is selected.
func (c *compiler) search(set ast.SelectionSet) bool {
	for _, selection := range set {
		c.budget--
		var directives ast.DirectiveList
		var below ast.SelectionSet
		switch s := selection.(type) {
		case *ast.Field:
			directives, below = s.Directives, s.SelectionSet
		case *ast.InlineFragment:
			directives, below = s.Directives, s.SelectionSet
		case *ast.FragmentSpread:
			directives = s.Directives
			if !c.visited[s.Definition] {
				c.visited[s.Definition] = true
				below = s.Definition.SelectionSet
			}
		}
		for _, d := range directives {
			if !c.note(d) {
				return false
			}
		}
		if !c.search(below) {
			return false
		}
	}
	return true
}

func (c *compiler) note(d *ast.Directive) bool {
	if d.Name != "skip" && d.Name != "include" {
		return false // @defer, and directives of the future
	}
	on := d.Arguments.ForName("if")
	if on == nil || on.Value.Kind != ast.Variable {
		return on != nil
	}
	condition := conditionOf(on.Value.Raw, c.op.Variables)
	if !slices.Contains(c.conditions, condition) {
		c.conditions = append(c.conditions, condition)
	}
	return condition.value != nil
}
