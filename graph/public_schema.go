package graph

import (
	"fmt"
	"strings"
	"sync"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
	"github.com/vektah/gqlparser/v2/validator"

	"rollcall/graph/auth"
	"rollcall/graph/generated"
	"rollcall/internal/validate"
)

// sourceSchema returns the schema as written, with the directives that control its code generation,
// access and validation.
func sourceSchema() *ast.Schema {
	return generated.NewExecutableSchema(generated.Config{}).Schema()
}

// publicSchema is the schema that callers see, by introspection and as text.
type publicSchema struct {
	schema *ast.Schema
	text   string
	// subgraph is the text for the composition of a federated graph: with Federation's directives,
	// without the fields for gateways.
	subgraph string
}

// public is the public form of sourceSchema. All executors share it; it must not be modified.
var public = sync.OnceValue(func() publicSchema {
	p, err := publish(sourceSchema())
	if err != nil {
		panic(err) // the schema is a constant of the program
	}
	return p
})

// SDL returns the public schema with all its descriptions: the text that is served, that
// `rollcall schema` prints, and that docs/schema.graphql holds.
func SDL() string { return public().text }

// SubgraphSDL returns the public schema as a subgraph of a federated graph: the text that `_service`
// returns, and that `rollcall schema --subgraph` prints.
func SubgraphSDL() string { return public().subgraph }

// publish returns the public form of a schema: without the directives that concern only this
// program and the types that only they use, but with their facts for callers appended to the
// descriptions.
func publish(source *ast.Schema) (publicSchema, error) {
	text, err := write(source, false)
	if err != nil {
		return publicSchema{}, err
	}
	subgraph, err := write(source, true)
	if err != nil {
		return publicSchema{}, err
	}
	// The schema for introspection is parsed from the text, so that the two are equal.
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphql", Input: text})
	if err != nil {
		return publicSchema{}, fmt.Errorf("reading the public schema: %w", err)
	}
	delete(schema.Directives, "defer") // gqlparser adds it; the transports do not send a response in parts
	return publicSchema{schema, text, subgraph}, nil
}

// write returns the text of the public form of a schema, or of the subgraph.
func write(source *ast.Schema, subgraph bool) (string, error) {
	p := publisher{source: source, subgraph: subgraph, types: make(map[string]*ast.Definition)}
	for _, root := range []*ast.Definition{source.Query, source.Mutation, source.Subscription} {
		if root != nil {
			p.add(root.Name)
		}
	}
	out := &ast.Schema{Types: p.types, SchemaDirectives: p.directives(source.SchemaDirectives)}
	var text strings.Builder
	formatter.NewFormatter(&text, formatter.WithIndent("  ")).FormatSchema(out)
	return text.String(), p.err
}

// publisher collects the public definitions of the types that can be reached from the roots.
type publisher struct {
	source   *ast.Schema
	subgraph bool
	types    map[string]*ast.Definition
	err      error
}

// add adds the type of that name and those that its fields and arguments mention.
func (p *publisher) add(name string) {
	def := p.source.Types[name]
	if p.types[name] != nil || def.BuiltIn {
		return
	}
	out := *def
	p.types[name] = &out
	out.Directives = p.directives(def.Directives)
	out.Fields = nil
	for _, field := range def.Fields {
		// The names of the fields for gateways begin with one underscore, those of introspection with two.
		if strings.HasPrefix(field.Name, "__") || p.subgraph && strings.HasPrefix(field.Name, "_") {
			continue
		}
		out.Fields = append(out.Fields, p.field(field))
		p.add(field.Type.Name())
	}
}

func (p *publisher) field(field *ast.FieldDefinition) *ast.FieldDefinition {
	out := *field
	out.Directives = p.directives(field.Directives)
	out.Description = described(field.Description, exampleText(field.Directives), costText(field), callersText(field), p.allowed(field.Type, tagRule(field)))
	out.Arguments = nil
	for _, arg := range field.Arguments {
		a := *arg
		a.Directives = p.directives(arg.Directives)
		a.Description = described(arg.Description, exampleText(arg.Directives), p.allowed(arg.Type, argumentRule(arg)))
		out.Arguments = append(out.Arguments, &a)
		p.add(arg.Type.Name())
	}
	return &out
}

// directives returns those directives that the GraphQL specification defines, and for the subgraph
// those of Federation. Both are built in; all others are this program's own.
func (p *publisher) directives(list ast.DirectiveList) ast.DirectiveList {
	var out ast.DirectiveList
	for _, d := range list {
		if src := d.Definition.Position.Src; src.BuiltIn && (p.subgraph || src.Name == validator.Prelude.Name) {
			out = append(out, d)
		}
	}
	return out
}

// described returns a description followed by facts, each on a line of its own.
func described(description string, facts ...string) string {
	for _, fact := range facts {
		if fact != "" {
			description = strings.TrimPrefix(description+"\n"+fact, "\n")
		}
	}
	return description
}

// callersText returns which callers may select a field, according to @auth and @private, or "" if
// every caller that reaches the object may.
func callersText(field *ast.FieldDefinition) string {
	if field.Directives.ForName("private") != nil {
		return "Requires an app token, or the user token of this user; otherwise FORBIDDEN."
	}
	let := callers(field)
	if let == nil {
		return ""
	}
	words := map[string]string{auth.AppServer.String(): "an app token", auth.User.String(): "a user token"}
	var tokens []string
	for _, kind := range let {
		if kind == auth.Guest.String() {
			return "Requires no token."
		}
		tokens = append(tokens, words[kind])
	}
	return "Requires " + strings.Join(tokens, " or ") + "."
}

// exampleText returns the value of @example, or "" if there is none.
func exampleText(directives ast.DirectiveList) string {
	mark := directives.ForName("example")
	if mark == nil {
		return ""
	}
	return "Example: " + mark.Arguments.ForName("value").Value.String()
}

// allowed describes the values that a rule allows for an input of that type; it returns "" for no
// rule.
func (p *publisher) allowed(typ *ast.Type, rule string) string {
	if rule == "" {
		return ""
	}
	var kinds []validate.Kind
	for ; typ.Elem != nil; typ = typ.Elem {
		kinds = append(kinds, validate.List)
	}
	switch typ.NamedType {
	case "Int", "Float":
		kinds = append(kinds, validate.Number)
	default:
		if p.source.Types[typ.NamedType].Kind == ast.Scalar {
			kinds = append(kinds, validate.Text)
		}
	}
	text, err := validate.Describe(rule, kinds...)
	if err != nil {
		p.err = err
	}
	if text == "" {
		return ""
	}
	return "Allowed: " + text + "."
}

// argumentRule returns the rule of an argument, or "" if it has none.
func argumentRule(arg *ast.ArgumentDefinition) string {
	if mark := arg.Directives.ForName("validate"); mark != nil {
		return mark.Arguments.ForName("rule").Value.Raw
	}
	return ""
}

// tagRule returns the rule of an input object's field, which gqlgen turns into a struct tag, or ""
// if it has none.
func tagRule(field *ast.FieldDefinition) string {
	for _, mark := range field.Directives.ForNames("goTag") {
		if mark.Arguments.ForName("key").Value.Raw == "validate" {
			return mark.Arguments.ForName("value").Value.Raw
		}
	}
	return ""
}
