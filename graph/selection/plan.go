package selection

import (
	"slices"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// MaxPlanFields limits how many fields are visited to plan one operation, and so the size of its
// Plan. Fragments are visited in each place where they are spread.
const MaxPlanFields = 1000

// Plan records how the values of one parsed operation are written. It is filled while the operation
// is executed, and stays valid for every execution. The zero value is an empty plan.
type Plan struct {
	// known has the []entry of each *ast.Field that has been looked up.
	known sync.Map

	mu sync.Mutex
	// spent is how many fields have been visited.
	spent int
}

// entry is the result for one field. A field may have several: a field of a fragment is merged with
// different fields in different places, and variables change what is selected.
type entry struct {
	selections ast.SelectionSet
	conditions []condition
	// value is nil if the field is left to gqlgen.
	value *value
}

// value returns how the value of a collected field is written, or nil if it is not written
// directly.
func (p *Plan) value(types Types, op *graphql.OperationContext, field graphql.CollectedField) *value {
	if v, ok := p.find(op, field); ok {
		return v
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if v, ok := p.find(op, field); ok || p.spent >= MaxPlanFields {
		return v
	}
	budget := MaxPlanFields - p.spent
	c := compiler{types: types, op: op, budget: budget, visited: make(map[*ast.FragmentDefinition]bool)}
	found := entry{selections: field.Selections}
	if c.search(field.Selections) {
		found.value = c.value(field.Definition.Type, field.Selections)
	}
	found.conditions = c.conditions
	p.spent += budget - c.budget + 1
	known, _ := p.known.Load(field.Field)
	entries, _ := known.([]entry)
	p.known.Store(field.Field, append(slices.Clip(entries), found))
	return found.value
}

// find searches the known entries. Selections that consist of the same nodes of the document are
// equal, wherever they were collected.
func (p *Plan) find(op *graphql.OperationContext, field graphql.CollectedField) (*value, bool) {
	known, _ := p.known.Load(field.Field)
	entries, _ := known.([]entry)
next:
	for _, e := range entries {
		if !slices.Equal(e.selections, field.Selections) {
			continue
		}
		for _, c := range e.conditions {
			if conditionOf(c.variable, op.Variables) != c {
				continue next
			}
		}
		return e.value, true
	}
	return nil, false
}
