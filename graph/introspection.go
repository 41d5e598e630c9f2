package graph

import (
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

const (
	// maxIntrospected limits the fields in the response to one introspection. The usual
	// introspection query for the whole schema returns about a fifth of it.
	maxIntrospected = 30_000
	// maxPrepared limits the cached result of an introspection, in bytes.
	maxPrepared = 256 << 10
)

// asksOnlySchema reports whether op requests nothing but the schema and has the same result every
// time.
func asksOnlySchema(op *ast.OperationDefinition) bool {
	if op.Operation != ast.Query || len(op.VariableDefinitions) > 0 || len(op.Directives) > 0 {
		return false
	}
	for _, s := range op.SelectionSet {
		if field, ok := s.(*ast.Field); !ok || !strings.HasPrefix(field.Name, "__") {
			return false
		}
	}
	return true
}

// introspection counts the fields in the response to an introspection, up to maxIntrospected. It
// visits them as gqlgen would, without writing anything, so its time is proportional to their
// number.
type introspection struct {
	schema *ast.Schema
	vars   map[string]any
	n      int
}

// each counts the fields that are selected for one object, and calls below for each that has a
// selection of its own.
func (c *introspection) each(set ast.SelectionSet, below func(field *ast.Field)) {
	for _, selection := range set {
		if c.n > maxIntrospected {
			return
		}
		c.n++ // fragments count too, because they take time
		switch s := selection.(type) {
		case *ast.Field:
			if len(s.SelectionSet) > 0 {
				below(s)
			}
		case *ast.InlineFragment:
			c.each(s.SelectionSet, below)
		case *ast.FragmentSpread:
			c.each(s.Definition.SelectionSet, below)
		}
	}
}

// root counts what an operation requests of the schema.
func (c *introspection) root(set ast.SelectionSet) {
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			switch s.Name {
			case "__schema":
				c.ofSchema(s.SelectionSet)
			case "__type":
				if name, ok := s.ArgumentMap(c.vars)["name"].(string); ok {
					c.ofType(s.SelectionSet, ast.NamedType(name, nil))
				}
			}
		case *ast.InlineFragment:
			c.root(s.SelectionSet)
		case *ast.FragmentSpread:
			c.root(s.Definition.SelectionSet)
		}
	}
}

func (c *introspection) ofSchema(set ast.SelectionSet) {
	c.each(set, func(field *ast.Field) {
		switch field.Name {
		case "types":
			for name := range c.schema.Types {
				c.ofType(field.SelectionSet, ast.NamedType(name, nil))
			}
		case "directives":
			for _, d := range c.schema.Directives {
				c.each(field.SelectionSet, func(field *ast.Field) { c.ofArguments(field.SelectionSet, d.Arguments) })
			}
		case "queryType":
			c.ofRoot(field.SelectionSet, c.schema.Query)
		case "mutationType":
			c.ofRoot(field.SelectionSet, c.schema.Mutation)
		case "subscriptionType":
			c.ofRoot(field.SelectionSet, c.schema.Subscription)
		}
	})
}

func (c *introspection) ofRoot(set ast.SelectionSet, def *ast.Definition) {
	if def != nil {
		c.ofType(set, ast.NamedType(def.Name, nil))
	}
}

func (c *introspection) ofType(set ast.SelectionSet, t *ast.Type) {
	var def *ast.Definition
	inner := t.Elem
	if t.NonNull {
		bare := *t
		bare.NonNull = false
		inner = &bare
	} else if def = c.schema.Types[t.NamedType]; def == nil && inner == nil {
		return // null
	}
	c.each(set, func(field *ast.Field) {
		switch {
		case field.Name == "ofType":
			if inner != nil {
				c.ofType(field.SelectionSet, inner)
			}
		case def == nil: // a list, or a non-null type
		case field.Name == "fields" && def.Kind != ast.InputObject:
			for _, f := range def.Fields {
				c.ofField(field.SelectionSet, f)
			}
		case field.Name == "inputFields" && def.Kind == ast.InputObject:
			for _, f := range def.Fields {
				c.ofField(field.SelectionSet, f)
			}
		case field.Name == "enumValues":
			for range def.EnumValues {
				c.each(field.SelectionSet, func(*ast.Field) {})
			}
		case field.Name == "interfaces":
			for _, name := range def.Interfaces {
				c.ofType(field.SelectionSet, ast.NamedType(name, nil))
			}
		case field.Name == "possibleTypes" && def.IsAbstractType():
			for _, possible := range c.schema.GetPossibleTypes(def) {
				c.ofType(field.SelectionSet, ast.NamedType(possible.Name, nil))
			}
		}
	})
}

func (c *introspection) ofField(set ast.SelectionSet, f *ast.FieldDefinition) {
	c.each(set, func(field *ast.Field) {
		switch field.Name {
		case "type":
			c.ofType(field.SelectionSet, f.Type)
		case "args":
			c.ofArguments(field.SelectionSet, f.Arguments)
		}
	})
}

func (c *introspection) ofArguments(set ast.SelectionSet, args ast.ArgumentDefinitionList) {
	for _, arg := range args {
		c.each(set, func(field *ast.Field) { c.ofType(field.SelectionSet, arg.Type) })
	}
}
