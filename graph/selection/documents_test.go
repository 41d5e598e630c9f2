package selection_test

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// writer generates valid documents: with aliases, fields that are selected several times, fragments
// in fragments, and @skip and @include.
type writer struct {
	*rand.Rand
	schema *ast.Schema
	// ids are the values for IDs in arguments.
	ids []string
	// tokens are the values for tokens.
	tokens []string
	// left is how many more fields may be written.
	left int
	// fragments are those that are complete and may be spread.
	fragments []fragment
	// variables are the names of the variables that were used.
	variables map[string]bool
}

type fragment struct{ name, on, text string }

// conditions are the variables of @skip and @include, with their declarations.
var conditions = map[string]string{"a": "$a: Boolean!", "b": "$b: Boolean!", "c": "$c: Boolean = true"}

// document returns a document with one operation on a root type, of at most rootFields root fields,
// and the names of its variables.
func (w *writer) document(root *ast.Definition, rootFields int) (text string, variables map[string]bool) {
	w.left, w.fragments, w.variables = 5+w.IntN(60), nil, make(map[string]bool)
	var body strings.Builder
	for range 1 + w.IntN(rootFields) {
		body.WriteString(w.field(root, 0) + " ")
	}
	var declared []string
	for name := range w.variables {
		declared = append(declared, conditions[name])
	}
	text = strings.ToLower(root.Name)
	if len(declared) > 0 {
		text += "(" + strings.Join(declared, ", ") + ")"
	}
	text += " { " + body.String() + "}"
	for _, f := range w.fragments {
		text += fmt.Sprintf(" fragment %s on %s %s", f.name, f.on, f.text)
	}
	return text, w.variables
}

// set returns a selection set.
func (w *writer) set(on *ast.Definition, depth int) string {
	var out strings.Builder
	out.WriteString("{ ")
	for range 1 + w.IntN(5) {
		out.WriteString(w.selection(on, depth) + " ")
	}
	out.WriteString("}")
	return out.String()
}

func (w *writer) selection(on *ast.Definition, depth int) string {
	switch n := w.IntN(20); {
	case n < 2, n < 12 && on.IsAbstractType():
		condition := ""
		if w.IntN(2) == 0 || on.IsAbstractType() {
			on = w.overlapping(on)
			condition = " on " + on.Name
		}
		return "..." + condition + w.directive() + " " + w.set(on, depth+1)
	case n < 4:
		for _, f := range w.fragments {
			if f.on == on.Name && w.IntN(2) == 0 {
				return "..." + f.name + w.directive()
			}
		}
		text := w.set(on, depth+1)
		name := fmt.Sprint("F", len(w.fragments))
		w.fragments = append(w.fragments, fragment{name, on.Name, text})
		return "..." + name + w.directive()
	case n < 5:
		return "__typename" + w.directive()
	}
	return w.field(on, depth)
}

// overlapping returns a type that objects of a type may have too: one of those of an interface or a
// union, or the type itself or one of its interfaces.
func (w *writer) overlapping(on *ast.Definition) *ast.Definition {
	candidates := w.schema.GetPossibleTypes(on)
	if !on.IsAbstractType() {
		candidates = append([]*ast.Definition{on}, w.schema.GetImplements(on)...)
	}
	return candidates[w.IntN(len(candidates))]
}

// field returns a field. Its response name depends on its arguments, so that fields of one name can
// always be merged. It is never _service, whose text an operation may select only once.
func (w *writer) field(on *ast.Definition, depth int) string {
	var candidates []*ast.FieldDefinition
	for _, f := range on.Fields {
		if !strings.HasPrefix(f.Name, "__") && f.Name != "_service" && (w.schema.Types[f.Type.Name()].IsLeafType() || depth < 8 && w.left > 0) {
			candidates = append(candidates, f)
		}
	}
	w.left--
	if len(candidates) == 0 {
		return "__typename"
	}
	f := candidates[w.IntN(len(candidates))]
	variant := w.IntN(3)
	text := f.Name
	if variant > 0 {
		text = fmt.Sprintf("%s%d: %s", f.Name, variant, f.Name)
	}
	text += w.arguments(f, variant) + w.directive()
	if def := w.schema.Types[f.Type.Name()]; !def.IsLeafType() {
		text += " " + w.set(def, depth+1)
	}
	return text
}

func (w *writer) arguments(f *ast.FieldDefinition, variant int) string {
	id := func(i int) string { return fmt.Sprintf("%q", w.ids[(variant+i)%len(w.ids)]) }
	var list []string
	for _, arg := range f.Arguments {
		value := ""
		switch {
		case arg.Type.NamedType == "ID":
			value = id(0)
		case arg.Type.Name() == "ID":
			value = "[" + id(0) + ", " + id(1) + ", " + id(3) + "]"
		case arg.Name == "pairs":
			value = "[{from: " + id(0) + ", to: " + id(1) + "}, {from: " + id(2) + ", to: " + id(0) + "}]"
		case arg.Name == "representations":
			typename := []string{"User", "User", "Post"}[variant]
			value = "[{__typename: \"User\", id: " + id(0) + "}, {__typename: \"" + typename + "\", id: " + id(1) + "}]"
		case arg.Name == "token":
			value = fmt.Sprintf("%q", w.tokens[variant%len(w.tokens)])
		case arg.Name == "direction":
			value = []string{"INCOMING", "OUTGOING", "INCOMING"}[variant]
		case arg.Name == "first":
			value = []string{"0", "2", "3"}[variant]
		case arg.Name == "after" && variant != 1:
			value = `""`
		default:
			continue
		}
		list = append(list, arg.Name+": "+value)
	}
	if len(list) == 0 {
		return ""
	}
	return "(" + strings.Join(list, ", ") + ")"
}

func (w *writer) directive() string {
	if w.IntN(8) > 0 {
		return ""
	}
	name := []string{"skip", "include"}[w.IntN(2)]
	value := []string{"true", "false", "$a", "$b", "$c"}[w.IntN(5)]
	if value[0] == '$' {
		w.variables[value[1:]] = true
	}
	return fmt.Sprintf(" @%s(if: %s)", name, value)
}
