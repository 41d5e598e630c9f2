package graph_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/internal/fault"
)

// maxVariablesNesting is more than transports allow.
const maxVariablesNesting = 40

// FuzzVariables executes every query and mutation with arguments that are all variables, for an App
// Server and for a guest. Each input selects an operation, a JSON text with its variables, and the
// choices of a grammar that generates variables, mostly of the right types.
func FuzzVariables(f *testing.F) {
	w := newFuzzWorld(f)
	operations := withVariables(w.schema)
	for i := range operations {
		choices := make([]byte, 10+10*(i%10))
		for j := range choices {
			choices[j] = byte(j*j)*5 + byte(j)*byte(i)*11 + byte(i)
		}
		f.Add(byte(i), `{}`, choices)
	}
	f.Add(byte(0), `{"id": 123456789012345678901234567890}`, []byte(nil))
	f.Add(byte(1), `{"ids": [null, {}, 1e400], "input": [[[]]]}`, []byte(nil))
	f.Add(byte(2), `{"input": {"id": "\u0000", "avatarUrl": "http://a:b@[::1]:99999/"}}`, []byte(nil))
	f.Add(byte(3), `null`, []byte(nil))
	f.Fuzz(func(t *testing.T, choice byte, text string, choices []byte) {
		op := operations[int(choice)%len(operations)]
		g := &generator{schema: w.schema, choices: choices}
		for _, text := range []string{text, g.variables(op)} {
			var variables map[string]any
			decoder := json.NewDecoder(strings.NewReader(text))
			decoder.UseNumber()
			if decoder.Decode(&variables) != nil || nesting(variables) > maxVariablesNesting {
				continue
			}
			for _, ctx := range w.callers {
				began := cpuTime()
				resp := executeWith(w.executor, ctx, &graphql.RawParams{Query: op.document, Variables: variables})
				if took := cpuTime() - began; took > maxFuzzedCPU {
					t.Errorf("%s of CPU time for %s with %q", took, op.document, text)
				}
				checkResponse(t, resp, fmt.Sprintf("%s with %q", op.document, text))
			}
		}
	})
}

// nesting returns how many levels of objects and lists a value has.
func nesting(value any) (deepest int) {
	switch v := value.(type) {
	case map[string]any:
		for _, inside := range v {
			deepest = max(deepest, nesting(inside))
		}
	case []any:
		for _, inside := range v {
			deepest = max(deepest, nesting(inside))
		}
	default:
		return 0
	}
	return deepest + 1
}

// checkResponse reports a response that is too large or that is INTERNAL.
func checkResponse(t *testing.T, resp *graphql.Response, to string) {
	t.Helper()
	if resp == nil {
		return
	}
	if len(resp.Data) > maxFuzzedAnswer || len(resp.Errors) > 101 {
		t.Errorf("%d bytes and %d errors for %s", len(resp.Data), len(resp.Errors), to)
	}
	for _, err := range resp.Errors {
		if code := err.Extensions["code"]; code == nil || code == string(fault.Internal) {
			t.Errorf("%v for %s", err, to)
		}
	}
}

// operation is a root field whose arguments are all variables of the same names.
type operation struct {
	field    *ast.FieldDefinition
	document string
}

// withVariables returns the schema's queries and mutations that have arguments.
func withVariables(schema *ast.Schema) (out []operation) {
	for _, root := range []*ast.Definition{schema.Query, schema.Mutation} {
		for _, field := range root.Fields {
			if strings.HasPrefix(field.Name, "__") || len(field.Arguments) == 0 {
				continue
			}
			var definitions, arguments []string
			for _, arg := range field.Arguments {
				definitions = append(definitions, fmt.Sprintf("$%s: %s", arg.Name, arg.Type))
				arguments = append(arguments, fmt.Sprintf("%s: $%[1]s", arg.Name))
			}
			fields := ""
			if !schema.Types[field.Type.Name()].IsLeafType() {
				fields = " { __typename }"
			}
			out = append(out, operation{field, fmt.Sprintf("%s(%s) { %s(%s)%s }", strings.ToLower(root.Name),
				strings.Join(definitions, ", "), field.Name, strings.Join(arguments, ", "), fields)})
		}
	}
	return out
}

// variables returns the variables of an operation as JSON text.
func (g *generator) variables(op operation) string {
	var list []string
	for _, arg := range op.field.Arguments {
		if arg.Type.NonNull || g.choose(3) > 0 {
			list = append(list, fmt.Sprintf("%q: %s", arg.Name, g.json(arg.Type, 0)))
		}
	}
	return "{" + strings.Join(list, ", ") + "}"
}

// json returns a JSON value of a type, or occasionally of another type.
func (g *generator) json(t *ast.Type, depth int) string {
	def := g.schema.Types[t.Name()]
	switch {
	case g.choose(16) == 15:
		return [...]string{"null", "[]", "{}", "-1", "1e9", "true", `"\u0000"`, `[[["x"]]]`, "12345678901234567890123"}[g.choose(9)]
	case depth > 8:
		return "null"
	case t.Elem != nil:
		n := g.often()
		return "[" + strings.TrimSuffix(strings.Repeat(g.json(t.Elem, depth+1)+",", n), ",") + "]"
	case def.Kind == ast.InputObject:
		var list []string
		for _, field := range def.Fields {
			if field.Type.NonNull || g.choose(2) == 1 {
				list = append(list, fmt.Sprintf("%q: %s", field.Name, g.json(field.Type, depth+1)))
			}
		}
		return "{" + strings.Join(list, ", ") + "}"
	case def.Kind == ast.Enum:
		return `"` + def.EnumValues[g.choose(len(def.EnumValues))].Name + `"`
	}
	switch t.NamedType {
	case "Int", "Float":
		return fmt.Sprint(g.choose(256) - 1)
	case "Boolean":
		return [...]string{"true", "false"}[g.choose(2)]
	}
	switch g.choose(16) {
	case 8:
		return `"` + strings.Repeat("é", g.often()) + `"`
	case 9:
		return `"2026-11-20T08:15:30Z"`
	case 10:
		return `"https://example.org/a.png"`
	case 11:
		return `"\u202e\ufffc\u0007"`
	case 12:
		return fmt.Sprint(g.choose(25))
	}
	return fmt.Sprintf(`"u%d"`, g.choose(25))
}
