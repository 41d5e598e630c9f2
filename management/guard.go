package management

import (
	"context"
	"strings"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/internal/fault"
	"rollcall/internal/operators"
)

// rightsByName are the rights by their names in the schema.
var rightsByName = map[string]operators.Right{
	"VIEWER":             operators.Viewers,
	"ADMIN":              operators.Admins,
	"VIEWER_OF_ALL_APPS": operators.ViewersOfAll,
	"ADMIN_OF_ALL_APPS":  operators.AdminsOfAll,
	"OWNER":              operators.Owners,
}

// guard runs before every field. It refuses the fields for which the request lacks the right, and those
// without a mark.
type guard struct {
	rights map[*ast.FieldDefinition]operators.Right
}

// newGuard returns a guard for the fields of a schema.
func newGuard(schema *ast.Schema) *guard {
	g := &guard{rights: map[*ast.FieldDefinition]operators.Right{}}
	for _, def := range schema.Types {
		for _, field := range def.Fields {
			if right, marked := rightOf(def, field); marked {
				g.rights[field] = right
			}
		}
	}
	describe.Do(func() { describeRights(schema) })
	return g
}

// rightOf returns the right that a field of an object needs: that of the field, or else that of its
// object. marked is false if neither names one.
func rightOf(def *ast.Definition, field *ast.FieldDefinition) (right operators.Right, marked bool) {
	for _, directives := range []ast.DirectiveList{field.Directives, def.Directives} {
		if mark := directives.ForName("needs"); mark != nil {
			right, marked = rightsByName[mark.Arguments.ForName("right").Value.Raw]
			return right, marked
		}
	}
	return right, false
}

// describe runs once, because all Servers serve the same schema.
var describe sync.Once

// describeRights adds the right that a root field needs to its description, because directives are not
// served.
func describeRights(schema *ast.Schema) {
	for _, root := range []*ast.Definition{schema.Query, schema.Mutation} {
		for _, field := range root.Fields {
			if right, marked := rightOf(root, field); marked {
				field.Description += "\n\nNeeds the role " + needText(right) + "."
			}
		}
	}
}

func needText(right operators.Right) string {
	text := strings.ToUpper(string(right.Role))
	if right.AllApps {
		text += " for all apps"
	}
	return text
}

// field is gqlgen's field middleware.
func (g *guard) field(ctx context.Context, next graphql.Resolver) (any, error) {
	if err := g.check(ctx); err != nil {
		return nil, err
	}
	return next(ctx)
}

func (g *guard) check(ctx context.Context) error {
	fc := graphql.GetFieldContext(ctx)
	if strings.HasPrefix(fc.Object, "__") || strings.HasPrefix(fc.Field.Name, "__") {
		return nil // introspection: for every key
	}
	right, marked := g.rights[fc.Field.Definition]
	if !marked {
		return fault.New(fault.Forbidden, "%s.%s is closed to all callers", fc.Object, fc.Field.Name)
	}
	switch right.Lacks(callOf(ctx).Grant) {
	case operators.LacksRole:
		return fault.New(fault.Forbidden, "this needs the role %s", needText(right))
	case operators.LacksApps:
		return fault.New(fault.Forbidden, "this needs a role for all apps")
	}
	return nil
}
