package graph

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/graph/auth"
	"rollcall/graph/stream"
	"rollcall/internal/fault"
	"rollcall/internal/validate"
)

// guard runs before every resolver. It lets through the callers that the schema's @auth lists, or
// none if a root field has no @auth. It refuses arguments that violate their @validate or their
// input's tags, and gives the resolver nil for optional arguments that are zero values.
type guard struct {
	validator *validate.Validator
	// checks has an entry for each field that needs a check: all root fields, and other fields with
	// restricted callers or arguments.
	checks map[*ast.FieldDefinition]check
}

// check is what must hold before one field is resolved.
type check struct {
	root bool
	// confirms reports whether the resolver itself confirms the caller; see auth.Deferred.
	confirms bool
	callers  []string
	args     []argument
}

// argument is an argument that is optional or has rules.
type argument struct {
	name string
	// rule is empty if there is none, or if the rules are in the tags of an input type.
	rule string
	// optional reports whether a zero value means that the argument is not given.
	optional bool
}

// newGuard returns a guard for the fields of the served schema, with the checks that the directives
// of the source schema require.
func newGuard(source, served *ast.Schema) *guard {
	g := &guard{validator: validate.New(), checks: make(map[*ast.FieldDefinition]check)}
	roots := []*ast.Definition{source.Query, source.Mutation, source.Subscription}
	for _, def := range source.Types {
		public := served.Types[def.Name]
		if def.Kind != ast.Object || public == nil || strings.HasPrefix(def.Name, "__") {
			continue
		}
		for _, field := range def.Fields {
			// The specification's own fields (__schema, __type) are open to all callers; the switch
			// for introspection is in limits.
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			c := check{root: slices.Contains(roots, def), callers: callers(field), args: arguments(source, field)}
			c.confirms = def == source.Query && auth.ConfirmsItself(field.Name)
			if c.root || c.callers != nil || len(c.args) > 0 {
				g.checks[public.Fields.ForName(field.Name)] = c
			}
		}
	}
	return g
}

// callers returns the callers that @auth lists.
func callers(field *ast.FieldDefinition) []string {
	mark := field.Directives.ForName("auth")
	if mark == nil {
		return nil
	}
	var list []string
	for _, child := range mark.Arguments.ForName("to").Value.Children {
		list = append(list, child.Value.Raw)
	}
	return list
}

func arguments(schema *ast.Schema, field *ast.FieldDefinition) []argument {
	var list []argument
	for _, arg := range field.Arguments {
		a := argument{name: arg.Name, rule: argumentRule(arg), optional: !arg.Type.NonNull}
		if a.optional || a.rule != "" || schema.Types[arg.Type.Name()].Kind == ast.InputObject {
			list = append(list, a)
		}
	}
	return list
}

// field is gqlgen's field middleware. The field's value counts towards the size of the response.
func (g *guard) field(ctx context.Context, next graphql.Resolver) (any, error) {
	if err := g.check(ctx); err != nil {
		return nil, err
	}
	value, err := next(ctx)
	return charged(ctx, value, err)
}

// check returns an error if the caller may not resolve the field with these arguments.
func (g *guard) check(ctx context.Context) error {
	fc := graphql.GetFieldContext(ctx)
	c, ok := g.checks[fc.Field.Definition]
	// An event belongs to an operation whose root field was checked when it started; fields below
	// it are reached only with the events.
	if !ok || c.root && stream.IsEvent(ctx) {
		return nil
	}
	if c.root || c.callers != nil {
		p := auth.From(ctx)
		if !c.confirms {
			if err := p.LoadApp(ctx); err != nil {
				return err
			}
		}
		if err := checkCaller(p, c.callers); err != nil {
			return err
		}
	}
	for _, arg := range c.args {
		if arg.optional {
			fc.Args[arg.name] = given(fc.Args[arg.name])
		}
		if err := g.argument(arg, fc.Args[arg.name]); err != nil {
			return err
		}
	}
	return nil
}

// given returns the value of an optional argument, which is nil or a pointer or a list; if it is a
// pointer to a zero value, it returns a nil pointer of the same type. Typed clients send zero values
// for what their callers leave out.
func given(value any) any {
	v := reflect.ValueOf(value)
	if v.Kind() == reflect.Pointer && !v.IsNil() && v.Elem().IsZero() {
		return reflect.Zero(v.Type()).Interface()
	}
	return value
}

// checkCaller refuses callers that are not in the list.
func checkCaller(p *auth.Principal, callers []string) error {
	switch {
	case slices.Contains(callers, p.Kind.String()):
		return nil
	case p.Kind == auth.Guest:
		return fault.New(fault.Unauthenticated, "a token is required: send the header Authorization: Bearer TOKEN")
	case len(callers) == 1 && callers[0] == auth.User.String():
		return fault.New(fault.Forbidden, "only a user may do this, with a user token")
	}
	return fault.New(fault.Forbidden, "only the App Server may do this, with an app token")
}

func (g *guard) argument(arg argument, value any) error {
	v := reflect.ValueOf(value)
	switch {
	case arg.rule != "":
		return g.validator.Var(arg.name, value, arg.rule)
	case reflect.Indirect(v).Kind() == reflect.Struct: // not a nil pointer, whose indirect value has no kind
		return g.validator.Struct(arg.name, value)
	}
	return nil
}
