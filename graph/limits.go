package graph

import (
	"context"
	"encoding/json"
	"math"
	"reflect"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"rollcall/internal/fault"
)

// Limits of one operation, with its variables.
const (
	// MaxComplexity limits the sum over all fields: one for a field and its children, times the
	// size of the page or the number of IDs requested, plus the @cost in the schema.
	MaxComplexity = 20_000
	// maxPage and maxList are the longest page and list that the complexity counts. A longer one is
	// refused by its @validate in the schema, whose error is clearer than that about the complexity.
	maxPage, maxList = 100, 500
	// maxSubscription limits what a running subscription keeps of its document and its variables,
	// in bytes. A connection may have a hundred of them.
	maxSubscription = 256 << 10
)

// limits refuses operations that request too much, or have variables of a wrong type, before
// anything is executed. The document has already been measured and validated; the contents of its
// variables have not.
type limits struct {
	schema        *ast.Schema
	introspection bool
	costs         costs
}

// ExtensionName names the extension to gqlgen.
func (limits) ExtensionName() string { return "RollcallLimits" }

// Validate accepts every schema.
func (limits) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext refuses an operation that is too large. The only thing it changes is
// whether introspection is allowed.
func (l limits) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	doc := ctx.Value(documentKey{}).(*document)
	known := doc.operations[op.Operation]
	op.Stats.SetExtension(operationExtension, known)
	op.DisableIntrospection = !l.introspection
	asksSchema := known.extent.schemas > 0 || known.extent.types > 0
	if !l.introspection && asksSchema {
		return refuse(fault.Forbidden, "introspection is switched off")
	}
	if err := checkVariables(l.schema, op.Operation, op.Variables); err != nil {
		return err
	}
	w := walker{vars: op.Variables, costs: l.costs}
	s := w.selection(op.Operation.SelectionSet)
	switch {
	case s.cost > MaxComplexity:
		return refuse(fault.QueryTooComplex, "the operation has complexity %d; at most %d is allowed", s.cost, MaxComplexity)
	case s.values > maxValues:
		return refuse(fault.QueryTooComplex, "the operation has %d values in its arguments; at most %d are allowed", s.values, maxValues)
	case s.text > maxText:
		return refuse(fault.QueryTooComplex, "the operation has %d bytes in its arguments; at most %d are allowed", s.text, maxText)
	}
	if op.Operation.Operation == ast.Subscription {
		if n := plus(doc.memory, contentOf(op.Variables).memory()); n > maxSubscription {
			return refuse(fault.QueryTooComplex, "the subscription takes about %d bytes of memory; at most %d are allowed", n, maxSubscription)
		}
	}
	if asksSchema && known.result.Load() == nil {
		c := introspection{schema: l.schema, vars: op.Variables}
		if c.root(op.Operation.SelectionSet); c.n > maxIntrospected {
			return refuse(fault.QueryTooComplex, "the operation lists more than %d fields of the schema", maxIntrospected)
		}
	}
	return nil
}

// refuse returns an error of the whole request.
func refuse(code fault.Code, format string, args ...any) *gqlerror.Error {
	return gqlerror.WrapIfUnwrapped(fault.New(code, format, args...))
}

// size is how much a selection requests: its complexity, and the values and bytes in its arguments.
// Arguments count once for each object that has the field.
type size struct {
	cost, values, text int
	// page is the complexity of the fields that are resolved once for the page around the
	// selection, whatever the page's size.
	page int
}

// add adds the size of a selection beside s.
func (s *size) add(other size) {
	s.cost = plus(s.cost, other.cost)
	s.values = plus(s.values, other.values)
	s.text = plus(s.text, other.text)
	s.page = plus(s.page, other.page)
}

// walker measures selections, each fragment and each variable once.
type walker struct {
	vars      map[string]any
	costs     costs
	fragments map[*ast.FragmentDefinition]size // nil if none has been measured
	known     []knownVariable
}

// knownVariable is a variable that has been measured.
type knownVariable struct {
	name    string
	content content
}

func (w *walker) selection(set ast.SelectionSet) size {
	var sum size
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			sum.add(w.field(s))
		case *ast.InlineFragment:
			sum.add(w.selection(s.SelectionSet))
		case *ast.FragmentSpread:
			known, ok := w.fragments[s.Definition]
			if !ok {
				known = w.selection(s.Definition.SelectionSet)
				if w.fragments == nil {
					w.fragments = make(map[*ast.FragmentDefinition]size)
				}
				w.fragments[s.Definition] = known
			}
			sum.add(known)
		}
	}
	return sum
}

func (w *walker) field(field *ast.Field) size {
	var one size
	if len(field.SelectionSet) > 0 {
		one = w.selection(field.SelectionSet)
	}
	var args content
	for _, arg := range field.Arguments {
		args.add(w.content(arg.Value))
	}
	cost := w.costs[field.Definition]
	items := w.items(cost, field)
	s := size{
		cost:   plus(times(plus(one.cost, 1), items), one.page),
		values: plus(times(one.values, items), args.values),
		text:   plus(times(one.text, items), args.text),
	}
	if weight := w.weight(cost, field); cost.ofPage {
		s.page = weight
	} else {
		s.cost = plus(s.cost, weight)
	}
	return s
}

// items returns the maximum number of values that a field may have: its page size, the length of
// the longest list among its arguments, or the maximum of a list without a page.
func (w *walker) items(cost fieldCost, field *ast.Field) int {
	n := max(1, cost.listSize)
	if !cost.sized {
		return n
	}
	paged := false
	for _, arg := range field.Arguments {
		if arg.Name != "first" {
			n = max(n, min(w.content(arg.Value).longest, maxList))
			continue
		}
		if value, err := arg.Value.Value(w.vars); err == nil && value != nil {
			size := number(value)
			paged = size != 0 // 0 is not given
			n = max(n, min(size, maxPage))
		}
	}
	if def := field.Definition.Arguments.ForName("first"); def != nil && !paged && def.DefaultValue != nil {
		if value, err := def.DefaultValue.Value(nil); err == nil {
			n = max(n, number(value))
		}
	}
	return n
}

// isMany reports whether an argument can determine how many values are returned: a page's size, or
// an argument that may contain a list. A plain value cannot.
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

// content is the content of a value: how many values, how many bytes of text, and the length of the
// longest list.
type content struct{ values, text, longest int }

// add adds the content of a part of the value, or of a value beside it.
func (c *content) add(other content) {
	c.values = plus(c.values, other.values)
	c.text = plus(c.text, other.text)
	c.longest = max(c.longest, other.longest)
}

// memory returns approximately how many bytes a variable's value takes.
func (c content) memory() int { return plus(c.text, times(c.values, variableValueBytes)) }

// variableValueBytes is what a value in a variable takes in addition to its text.
const variableValueBytes = 64

// content measures a value in the document.
func (w *walker) content(v *ast.Value) content {
	if v.Kind == ast.Variable {
		return w.variable(v)
	}
	c := content{values: 1, text: len(v.Raw)}
	if v.Kind == ast.ListValue {
		c.longest = len(v.Children)
	}
	for _, child := range v.Children {
		c.add(w.content(child.Value))
	}
	return c
}

// variable measures a variable, once.
func (w *walker) variable(v *ast.Value) content {
	for _, known := range w.known { // few entries: faster than a map
		if known.name == v.Raw {
			return known.content
		}
	}
	c := contentOf(w.vars[v.Raw])
	w.known = append(w.known, knownVariable{v.Raw, c})
	return c
}

// contentOf measures a variable's value.
func contentOf(value any) content {
	c := content{values: 1}
	switch v := value.(type) {
	case string:
		c.text = len(v)
	case json.Number:
		c.text = len(v)
	case map[string]any:
		for name, item := range v {
			c.text = plus(c.text, len(name))
			c.add(contentOf(item))
		}
	case nil, bool, int64, float64:
	default: // a list, which gqlparser may have made of a single value
		list := reflect.ValueOf(value)
		if list.Kind() == reflect.Slice {
			c.longest = list.Len()
			for i := range list.Len() {
				c.add(contentOf(list.Index(i).Interface()))
			}
		}
	}
	return c
}

// number reads an Int in the forms that gqlgen uses for literals and for variables.
func number(value any) int {
	n, err := graphql.UnmarshalInt(value)
	if err != nil {
		return 1
	}
	return n
}

// plus and times saturate instead of overflowing.
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
