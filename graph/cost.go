package graph

import (
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// fieldCost is what a field adds to the complexity in addition to the one that each field adds. The
// zero value is that of a plain field. limits.go adds up the costs of an operation and refuses too
// many.
type fieldCost struct {
	// weight is the work of resolving the field itself, in the units of MaxComplexity.
	weight int
	// listSize is the maximum length of a list without pages; 0 for other fields.
	listSize int
	// sized reports whether an argument can determine how many values the field has.
	sized bool
	// ofPage reports whether the weight counts once for each page, as for a field beside the items.
	ofPage bool
	// filters are the weights of the input fields that filter a list, by the argument's
	// name.
	filters map[string]map[string]int
}

// costs has the costs that are not the zero value.
type costs map[*ast.FieldDefinition]fieldCost

// newCosts returns the costs of the fields of the served schema, as set by the directives of the
// source schema.
func newCosts(source, served *ast.Schema) costs {
	list := make(costs)
	for _, def := range source.Types {
		public := served.Types[def.Name]
		if def.Kind != ast.Object || public == nil || strings.HasPrefix(def.Name, "__") {
			continue
		}
		for _, field := range def.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			if cost, plain := costOf(source, field); !plain {
				cost.ofPage = def.Fields.ForName("pageInfo") != nil
				list[public.Fields.ForName(field.Name)] = cost
			}
		}
	}
	return list
}

// costOf returns the cost of a field and reports whether it is that of a plain field.
func costOf(source *ast.Schema, field *ast.FieldDefinition) (cost fieldCost, plain bool) {
	cost.weight, cost.listSize = costMark(field)
	for _, arg := range field.Arguments {
		cost.sized = cost.sized || isMany(arg)
		for _, input := range source.Types[arg.Type.Name()].Fields {
			weight, _ := costMark(input)
			if weight == 0 {
				continue
			}
			if cost.filters == nil {
				cost.filters = make(map[string]map[string]int)
			}
			if cost.filters[arg.Name] == nil {
				cost.filters[arg.Name] = make(map[string]int)
			}
			cost.filters[arg.Name][input.Name] = weight
		}
	}
	return cost, cost.weight == 0 && cost.listSize == 0 && !cost.sized && cost.filters == nil
}

// costMark returns the arguments of a field's @cost; those that are not given are 0.
func costMark(field *ast.FieldDefinition) (weight, listSize int) {
	mark := field.Directives.ForName("cost")
	if mark == nil {
		return 0, 0
	}
	read := func(name string) int {
		arg := mark.Arguments.ForName(name)
		if arg == nil {
			return 0
		}
		n, err := strconv.Atoi(arg.Value.Raw)
		if err != nil {
			panic(err) // the schema is a constant of the program, and the value an Int
		}
		return n
	}
	return read("weight"), read("listSize")
}

// costText describes what a field, or an input's field, adds to the complexity; it returns "" for
// plain fields.
func costText(field *ast.FieldDefinition) string {
	weight, listSize := costMark(field)
	switch {
	case weight > 0:
		return "Complexity: " + strconv.Itoa(weight) + "."
	case listSize > 0:
		return "Complexity: that of a list of " + strconv.Itoa(listSize) + "."
	}
	return ""
}

// weight returns the work of resolving the field itself with these arguments.
func (w *walker) weight(cost fieldCost, field *ast.Field) int {
	sum := cost.weight
	for name, filters := range cost.filters {
		arg := field.Arguments.ForName(name)
		if arg == nil {
			continue
		}
		value, err := arg.Value.Value(w.vars)
		if err != nil {
			continue // the field's resolver refuses it
		}
		given, _ := value.(map[string]any)
		for name, weight := range filters {
			v := given[name]
			if list, ok := v.([]any); v != nil && v != "" && !(ok && len(list) == 0) {
				sum = plus(sum, weight)
			}
		}
	}
	return sum
}
