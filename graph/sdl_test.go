package graph_test

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"rollcall/graph"
	"rollcall/graph/scalar"
	"rollcall/internal/validate"
)

// internals are words of the program that callers must not need to know: Go, its libraries, the
// names of rules in struct tags, and the database.
var internals = regexp.MustCompile(`\b(?i:golang|gqlgen|gorm|validator|resolver|goroutine|struct|sql|sqlite|mysql|mariadb|rows?|nil|omitempty|omitnil|dive|userid|notblank|nocontrol|nobidi|maxbytes|http_url)\b|\bGo\b|@go|\bdirective @`)

// TestSDL_HasNoInternals also finds directives other than those of the specification.
func TestSDL_HasNoInternals(t *testing.T) {
	fields := regexp.MustCompile(`\buserId\b`) // not the rule of almost the same name
	for _, line := range strings.Split(fields.ReplaceAllString(graph.SDL(), ""), "\n") {
		if word := internals.FindString(line); word != "" {
			t.Errorf("%q in: %s", word, strings.TrimSpace(line))
		}
	}
}

// exampleLine matches the line with an example in a description.
var exampleLine = regexp.MustCompile(`(?m)^Example: (.+)$`)

// TestSDL_InputsHaveValidExamples requires an example of every scalar and of each argument and
// input field that takes scalars (but not of flags), and checks it against the type and the rule.
func TestSDL_InputsHaveValidExamples(t *testing.T) {
	source := schema()
	check := func(place, description string, typ *ast.Type, directives ast.DirectiveList, rule string) {
		if source.Types[typ.Name()].Kind != ast.Scalar || typ.Name() == "Boolean" {
			return
		}
		mark := directives.ForName("example")
		if mark == nil {
			t.Errorf("%s has no @example", place)
			return
		}
		value := mark.Arguments.ForName("value").Value
		if lines := exampleLine.FindAllStringSubmatch(description, -1); len(lines) != 1 || lines[0][1] != value.String() {
			t.Errorf("%s is described as %q, want one example: %s", place, description, value)
		}
		if err := allows(typ, rule, value); err != nil {
			t.Errorf("the example %s of %s: %v", value, place, err)
		}
	}
	for name, def := range ours(served(t)) {
		if def.Kind == ast.Scalar {
			lines := exampleLine.FindAllStringSubmatch(def.Description, -1)
			if len(lines) != 1 {
				t.Errorf("%s is described as %q, want one example", name, def.Description)
			} else if value, err := literal(lines[0][1]).Value(nil); err != nil || unmarshal(name, value) != nil {
				t.Errorf("the example %s of %s is invalid", lines[0][1], name)
			}
		}
		for _, field := range def.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			from := source.Types[name].Fields.ForName(field.Name)
			if def.Kind == ast.InputObject {
				check(name+"."+field.Name, field.Description, field.Type, from.Directives, ruleOf(from.Directives, "goTag", "value"))
			}
			for _, arg := range field.Arguments {
				marks := from.Arguments.ForName(arg.Name).Directives
				check(name+"."+field.Name+"("+arg.Name+")", arg.Description, arg.Type, marks, ruleOf(marks, "validate", "rule"))
			}
		}
	}
}

// literal parses a value as it is in a document.
func literal(text string) *ast.Value {
	doc, err := parser.ParseQuery(&ast.Source{Input: "{ f(a: " + text + ") }"})
	if err != nil {
		return &ast.Value{Kind: ast.NullValue}
	}
	return doc.Operations[0].SelectionSet[0].(*ast.Field).Arguments[0].Value
}

// ruleOf returns the rule for a value by itself, without the parts about other fields.
func ruleOf(directives ast.DirectiveList, mark, argument string) string {
	found := directives.ForName(mark)
	if found == nil {
		return ""
	}
	tags := strings.Split(found.Arguments.ForName(argument).Value.Raw, ",")
	tags = slices.DeleteFunc(tags, func(tag string) bool {
		return strings.HasPrefix(tag, "either=") || strings.HasPrefix(tag, "without=")
	})
	return strings.Join(tags, ",")
}

// allows returns why the literal is not valid for the type and the rule, or nil.
func allows(typ *ast.Type, rule string, literal *ast.Value) error {
	value, err := literal.Value(nil)
	if err != nil {
		return err
	}
	if list, isList := value.([]any); isList && typ.Elem != nil {
		for _, item := range list {
			if err := unmarshal(typ.Elem.Name(), item); err != nil {
				return err
			}
		}
	} else if err := unmarshal(typ.String(), value); err != nil {
		return err
	}
	return validate.New().Var("example", value, rule)
}

// unmarshal returns why the value is not one of the scalar of that name, or nil. A list is none.
func unmarshal(name string, value any) error {
	_, isText := value.(string)
	_, isNumber := value.(int64)
	_, isObject := value.(map[string]any)
	switch name = strings.TrimSuffix(name, "!"); {
	case name == "DateTime":
		_, err := scalar.UnmarshalDateTime(value)
		return err
	case name == "Int" && isNumber, (name == "ID" || name == "String" || name == "URL") && isText:
		return nil
	case name == "_Any" && isObject:
		return nil
	}
	return strconv.ErrSyntax
}

// capitals are the words in capital letters that are no values of enums.
var capitals = []string{"HTTP", "JSON", "RFC", "SSE", "URL", "UTC"}

// TestSDL_DescriptionsNameExistingCodes finds each word in capital letters outside of backticks
// among the values of the enums.
func TestSDL_DescriptionsNameExistingCodes(t *testing.T) {
	types := ours(served(t))
	known := make(map[string]bool)
	for _, word := range capitals {
		known[word] = false
	}
	for _, def := range types {
		for _, value := range def.EnumValues {
			known[value.Name] = false
		}
	}
	quoted, word := regexp.MustCompile("`[^`]*`"), regexp.MustCompile(`\b[A-Z][A-Z_]{2,}\b`)
	check := func(place, description string) {
		text := exampleLine.ReplaceAllString(quoted.ReplaceAllString(description, ""), "")
		for _, w := range word.FindAllString(text, -1) {
			if _, exists := known[w]; !exists {
				t.Errorf("%s names %s, which is no value of an enum", place, w)
			}
			known[w] = true
		}
	}
	for name, def := range types {
		check(name, def.Description)
		for _, value := range def.EnumValues {
			check(name+"."+value.Name, value.Description)
		}
		for _, field := range def.Fields {
			check(name+"."+field.Name, field.Description)
			for _, arg := range field.Arguments {
				check(name+"."+field.Name+"("+arg.Name+")", arg.Description)
			}
		}
	}
	for _, w := range slices.Sorted(maps.Keys(known)) {
		if slices.Contains(capitals, w) && !known[w] {
			t.Errorf("no description has %s: remove it from capitals", w)
		}
	}
}
