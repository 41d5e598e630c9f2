package graph

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// gqlparser's rule for "fields in a set can merge" compares all pairs of fields with the same
// response name: a document with 9000 times `key` takes twelve seconds. merger merges all fields of
// one response name at once instead, in time proportional to the document.
//
// Fields of one response name that may be resolved for the same object must be the same field with
// the same arguments. Those of different object types, below an interface or a union, need only have
// values of the same shape. merger relies on a schema whose interfaces have only scalar fields
// without arguments, and unions none; a test checks that.
const overlapRule = "OverlappingFieldsCanBeMerged"

// tooComplexRule marks the error of a document that takes too long to check or to
// execute.
const tooComplexRule = "RollcallTooComplex"

const (
	// maxMergeSteps limits how many fields merging visits, in all operations of a document. A
	// fragment that is spread in many places is visited in each of them, which nesting multiplies.
	maxMergeSteps = 20 * MaxTokens
	// maxCollectSteps limits how often gqlgen compares two fields while it collects the fields of
	// an operation: it compares each with all before it in the same place, and again for each
	// fragment around it.
	maxCollectSteps = 20_000_000
)

// checkMerging returns an error if fields of doc, which is otherwise valid, cannot be
// merged, or if merging them takes too long.
func checkMerging(doc *ast.QueryDocument) *gqlerror.Error {
	m := &merger{}
	for _, op := range doc.Operations {
		conflict := m.conflict([]ast.SelectionSet{op.SelectionSet}, false)
		switch {
		case m.exhausted():
			return tooComplex(op.Position, "the document repeats its fields and fragments too often")
		case conflict != nil:
			return documentError(overlapRule, conflict.Position,
				`Fields "%s" conflict: they ask for different things under one name. Use different aliases.`, responseName(conflict))
		}
	}
	return nil
}

func responseName(field *ast.Field) string {
	if field.Alias != "" {
		return field.Alias
	}
	return field.Name
}

// merger merges selection sets as an executor would.
type merger struct {
	arguments canon
	steps     int
	// collected is how many comparisons gqlgen will make; see maxCollectSteps.
	collected int
}

// exhausted reports whether merging was given up.
func (m *merger) exhausted() bool {
	return m.steps > maxMergeSteps || m.collected > maxCollectSteps
}

// merged is the state of one merged selection set.
type merged struct {
	// names are the response names, in the document's order.
	names []*mergedName
	known map[string]*mergedName
	seen  map[*ast.FragmentDefinition]bool
	// shapes reports whether fields are compared by their shape only, because their objects are of
	// different types.
	shapes bool
}

// mergedName is what the fields of one response name have in common.
type mergedName struct {
	// parents has an entry for each parent type of the fields; there are few.
	parents []mergedParent
}

// mergedParent is what the fields of one response name and one parent type have in common.
type mergedParent struct {
	first *ast.Field
	below []ast.SelectionSet
}

// conflict returns a field that cannot be merged with another of its response name in the union of
// sets, or nil if all can.
func (m *merger) conflict(sets []ast.SelectionSet, shapes bool) *ast.Field {
	in := &merged{
		known:  make(map[string]*mergedName),
		seen:   make(map[*ast.FragmentDefinition]bool),
		shapes: shapes,
	}
	for _, set := range sets {
		if _, field := m.gather(in, set); field != nil || m.exhausted() {
			return field
		}
	}
	for _, name := range in.names {
		if field := m.conflictBelow(name, shapes); field != nil || m.exhausted() {
			return field
		}
	}
	return nil
}

// conflictBelow returns a conflict between the fields below those of one response name.
func (m *merger) conflictBelow(name *mergedName, shapes bool) *ast.Field {
	var all []ast.SelectionSet
	composite := 0
	for _, parent := range name.parents {
		if len(parent.below) == 0 {
			continue
		}
		composite++
		all = append(all, parent.below...)
		if shapes {
			continue
		}
		if field := m.conflict(parent.below, false); field != nil || m.exhausted() {
			return field
		}
	}
	if shapes && composite > 0 || composite > 1 {
		return m.conflict(all, true)
	}
	return nil
}

// gather adds the fields of set to in. It returns their number, and the first that conflicts with a
// field in in.
func (m *merger) gather(in *merged, set ast.SelectionSet) (n int, conflict *ast.Field) {
	for _, selection := range set {
		if m.steps++; m.exhausted() {
			return n, nil
		}
		fields := 0
		switch s := selection.(type) {
		case *ast.InlineFragment:
			fields, conflict = m.gather(in, s.SelectionSet)
		case *ast.FragmentSpread:
			if !in.seen[s.Definition] {
				in.seen[s.Definition] = true
				fields, conflict = m.gather(in, s.Definition.SelectionSet)
			}
		case *ast.Field:
			fields, conflict = 1, m.field(in, s)
		}
		m.collected += fields * len(in.known)
		if n += fields; conflict != nil {
			return n, conflict
		}
	}
	return n, nil
}

// field adds one field to in. It returns the field if it conflicts with a field in in.
func (m *merger) field(in *merged, field *ast.Field) *ast.Field {
	name := in.known[responseName(field)]
	if name == nil {
		name = &mergedName{}
		in.known[responseName(field)] = name
		in.names = append(in.names, name)
	}
	own := -1
	for i, parent := range name.parents {
		have := parent.first
		if !sameShape(have.Definition.Type, field.Definition.Type, isLeaf(have) && isLeaf(field)) || isLeaf(have) != isLeaf(field) {
			return field
		}
		if have.ObjectDefinition == field.ObjectDefinition {
			own = i
		}
		if !in.shapes && mayShareObject(have.ObjectDefinition, field.ObjectDefinition) &&
			(have.Name != field.Name || !m.arguments.same(have, field)) {
			return field
		}
	}
	if own < 0 {
		own = len(name.parents)
		name.parents = append(name.parents, mergedParent{first: field})
	}
	if len(field.SelectionSet) > 0 {
		name.parents[own].below = append(name.parents[own].below, field.SelectionSet)
	}
	return nil
}

// mayShareObject reports whether fields of these parent types may be resolved for the same object.
func mayShareObject(a, b *ast.Definition) bool {
	return a == b || a.IsAbstractType() || b.IsAbstractType()
}

// isLeaf reports whether the value of a field is a scalar or an enum.
func isLeaf(field *ast.Field) bool { return len(field.SelectionSet) == 0 }

// sameShape reports whether values of two types look alike: they are null in the same places, and
// lists. Leaves must also have the same type.
func sameShape(a, b *ast.Type, leaves bool) bool {
	for a.Elem != nil && b.Elem != nil {
		if a.NonNull != b.NonNull {
			return false
		}
		a, b = a.Elem, b.Elem
	}
	return a.NonNull == b.NonNull && (a.Elem == nil) == (b.Elem == nil) && (!leaves || a.NamedType == b.NamedType)
}

// canon numbers the arguments of fields and their values, so that equal ones have equal numbers.
// Each is visited once, however often it is compared.
type canon struct {
	fields map[*ast.Field]uint64
	values map[string]uint64
}

// same reports whether two fields have the same arguments.
func (c *canon) same(a, b *ast.Field) bool {
	if len(a.Arguments) != len(b.Arguments) {
		return false
	}
	return len(a.Arguments) == 0 || a == b || c.field(a) == c.field(b)
}

// field returns the number of a field's arguments.
func (c *canon) field(field *ast.Field) uint64 {
	n, ok := c.fields[field]
	if !ok {
		entries := make([]canonEntry, len(field.Arguments))
		for i, arg := range field.Arguments {
			entries[i] = canonEntry{c.number('N', arg.Name), c.value(arg.Value)}
		}
		n = c.entries('A', entries)
		if c.fields == nil {
			c.fields = make(map[*ast.Field]uint64)
		}
		c.fields[field] = n
	}
	return n
}

// canonEntry is an argument or a field of an object: the numbers of its name and of its value.
type canonEntry struct{ name, value uint64 }

// value returns the number of a value. Strings and block strings are the same kind.
func (c *canon) value(v *ast.Value) uint64 {
	switch v.Kind {
	case ast.ListValue:
		var key []byte
		for _, child := range v.Children {
			key = binary.AppendUvarint(key, c.value(child.Value))
		}
		return c.number('L', string(key))
	case ast.ObjectValue:
		entries := make([]canonEntry, len(v.Children))
		for i, child := range v.Children {
			entries[i] = canonEntry{c.number('N', child.Name), c.value(child.Value)}
		}
		return c.entries('O', entries)
	case ast.StringValue, ast.BlockValue:
		return c.number('S', v.Raw)
	}
	return c.number(byte(v.Kind), v.Raw)
}

// entries returns the number of entries, regardless of their order.
func (c *canon) entries(kind byte, entries []canonEntry) uint64 {
	slices.SortFunc(entries, func(a, b canonEntry) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.value, b.value))
	})
	var key []byte
	for _, e := range entries {
		key = binary.AppendUvarint(binary.AppendUvarint(key, e.name), e.value)
	}
	return c.number(kind, string(key))
}

// number returns the number of the element with that kind and text.
func (c *canon) number(kind byte, text string) uint64 {
	key := string(kind) + text
	n, ok := c.values[key]
	if !ok {
		if c.values == nil {
			c.values = make(map[string]uint64)
		}
		n = uint64(len(c.values))
		c.values[key] = n
	}
	return n
}
