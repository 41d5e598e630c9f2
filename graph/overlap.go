package graph

import (
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// gqlparser's rule for "fields in a set can merge" compares all pairs of fields
// with the same response name: a document of 9000 times `key` keeps it busy for
// twelve seconds. This one merges them instead, all fields of one response name
// at once, and needs time in proportion to the document. It relies on a schema
// without interfaces and unions, where fields of one selection set always have
// the same parent type, so that equal names and arguments are all there is to
// compare; a test watches over that.
const overlapRule = "OverlappingFieldsCanBeMerged"

// tooComplexRule marks the error of a document that takes too long to check.
const tooComplexRule = "RollcallTooComplex"

// maxMergeSteps bounds the fields looked at while merging. Fragments that are
// spread in many places are looked at in each, which nesting multiplies.
const maxMergeSteps = 20 * MaxTokens

// validationRules returns gqlparser's rules, of which those that fall short of the specification
// or cost too much are replaced.
func validationRules() *rules.Rules {
	list := rules.NewDefaultRules()
	list.ReplaceRule(singleRootRule, singleRoot)
	list.AddRule(intRangeRule, intRange)
	list.RemoveRule(overlapRule)
	list.AddRule(overlapRule, merging(func(m *merger, conflict *ast.Field, _ *ast.OperationDefinition, addError core.AddErrFunc) {
		if conflict != nil {
			addError(core.Message(`Fields "%s" conflict: they ask for different things under one name. Use different aliases.`, responseName(conflict)), core.At(conflict.Position))
		}
	}))
	list.AddRule(tooComplexRule, merging(func(m *merger, _ *ast.Field, operation *ast.OperationDefinition, addError core.AddErrFunc) {
		if m.steps > maxMergeSteps {
			addError(core.Message("the document repeats its fragments too often"), core.At(operation.Position))
		}
	}))
	return list
}

// merging answers a rule that merges each operation's fields and judges by what
// came out.
func merging(judge func(m *merger, conflict *ast.Field, operation *ast.OperationDefinition, addError core.AddErrFunc)) core.RuleFunc {
	return func(observers *core.Events, addError core.AddErrFunc) {
		observers.OnOperation(func(walker *core.Walker, operation *ast.OperationDefinition) {
			m := &merger{fragments: walker.Document.Fragments}
			judge(m, m.conflict([]ast.SelectionSet{operation.SelectionSet}), operation, addError)
		})
	}
}

func responseName(field *ast.Field) string {
	if field.Alias != "" {
		return field.Alias
	}
	return field.Name
}

// merger merges selection sets as an executor would.
type merger struct {
	fragments ast.FragmentDefinitionList
	steps     int
}

// conflict answers a field that cannot be merged with another of its name in the
// union of sets; nil where all can.
func (m *merger) conflict(sets []ast.SelectionSet) *ast.Field {
	first := make(map[string]*ast.Field)
	below := make(map[string][]ast.SelectionSet)
	var order []string
	seen := make(map[string]bool)
	for len(sets) > 0 {
		set := sets[0]
		sets = sets[1:]
		for _, selection := range set {
			if m.steps++; m.steps > maxMergeSteps {
				return nil
			}
			switch s := selection.(type) {
			case *ast.InlineFragment:
				sets = append(sets, s.SelectionSet)
			case *ast.FragmentSpread:
				if def := m.fragments.ForName(s.Name); def != nil && !seen[s.Name] {
					seen[s.Name] = true
					sets = append(sets, def.SelectionSet)
				}
			case *ast.Field:
				name := responseName(s)
				if have, ok := first[name]; !ok {
					first[name] = s
				} else if have.Name != s.Name || !sameArguments(have.Arguments, s.Arguments) {
					return s
				}
				if len(s.SelectionSet) > 0 {
					if len(below[name]) == 0 {
						order = append(order, name)
					}
					below[name] = append(below[name], s.SelectionSet)
				}
			}
		}
	}
	for _, name := range order {
		if field := m.conflict(below[name]); field != nil {
			return field
		}
	}
	return nil
}

func sameArguments(a, b ast.ArgumentList) bool {
	if len(a) != len(b) {
		return false
	}
	for _, arg := range a {
		other := b.ForName(arg.Name)
		if other == nil || other.Value.String() != arg.Value.String() {
			return false
		}
	}
	return true
}
