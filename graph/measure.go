package graph

import (
	"reflect"

	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"rollcall/graph/selection"
)

// Limits of a document. The contents of a fragment count once for each place where the fragment is
// spread.
const (
	// MaxTokens limits the document, before it is parsed.
	MaxTokens = 10_000
	// MaxDepth limits how deep fields are nested.
	MaxDepth = 20
	// maxOperations limits the operations of one document: each is validated.
	maxOperations = 20
	// maxNesting limits how deep selections are nested, fields and fragments alike.
	maxNesting = 100
	// maxSelections limits the fields, inline fragments and spreads.
	maxSelections = MaxComplexity
	// maxDirectives limits the directives.
	maxDirectives = MaxComplexity
	// maxValues limits the values in arguments, including lists and objects.
	maxValues = 2 * MaxComplexity
	// maxText is in bytes. It limits the names and the values, and then, with the variables, the
	// contents of the arguments.
	maxText = 1 << 20
	// maxName is the length of the longest name, in bytes.
	maxName = 256
	// maxValueNesting limits how deep lists and objects are nested in a value, and lists in a
	// variable's type.
	maxValueNesting = 32
	// maxValidationSteps limits how many nodes the validation visits. It visits the fragments that
	// are reached from each operation and from each fragment.
	maxValidationSteps = 20 * MaxTokens
	// maxTypeLookups limits how often one operation may select __type.
	maxTypeLookups = 10
)

// extent is the size of a selection set, including its fragments. Its numbers saturate.
type extent struct {
	selections, depth, nesting, directives, values, text int
	// schemas counts __schema, and sdl of _service, which return the whole schema; types counts __type.
	schemas, types int
}

// add adds the extent of a selection beside e.
func (e *extent) add(other extent) {
	e.selections = plus(e.selections, other.selections)
	e.directives = plus(e.directives, other.directives)
	e.values = plus(e.values, other.values)
	e.text = plus(e.text, other.text)
	e.schemas = plus(e.schemas, other.schemas)
	e.types = plus(e.types, other.types)
	e.depth = max(e.depth, other.depth)
	e.nesting = max(e.nesting, other.nesting)
}

// fragment is what is known about a fragment definition.
type fragment struct {
	def *ast.FragmentDefinition
	// own counts the nodes of the definition itself; spreads are the fragments that
	// it spreads.
	own     int
	spreads []*fragment
	state   fragmentState
	extent  extent
	// visit is the number of the last walk of validationSteps that reached the fragment.
	visit int
}

type fragmentState int8

const (
	fragmentNew fragmentState = iota
	fragmentOpen
	fragmentMeasured
)

// measurer measures a parsed document before any other check. It visits each node once, so its time
// is proportional to the document, however much the fragments multiply.
type measurer struct {
	fragments map[string]*fragment
	all       []*fragment
	// variables is how many variables the current operation declares.
	variables int
	// open are the spreads that lead to the current selection.
	open []*ast.FragmentSpread
	// own and spreads belong to the current definition.
	own     int
	spreads []*fragment
	// memory is approximately how many bytes the parsed document takes.
	memory int
	err    *gqlerror.Error
}

// measurement is what later checks need to know about a document.
type measurement struct {
	operations map[*ast.OperationDefinition]extent
	// memory is approximately how many bytes the parsed document and the plans of its operations
	// take.
	memory int
}

// measure measures doc. It returns an error if doc is too large or has a fragment that
// spreads itself.
func measure(doc *ast.QueryDocument) (measurement, *gqlerror.Error) {
	if len(doc.Operations) > maxOperations {
		return measurement{}, tooComplex(doc.Operations[maxOperations].Position,
			"the document has %d operations; at most %d are allowed", len(doc.Operations), maxOperations)
	}
	m := &measurer{fragments: make(map[string]*fragment, len(doc.Fragments))}
	for _, def := range doc.Fragments {
		f := &fragment{def: def}
		m.all = append(m.all, f)
		if m.fragments[def.Name] == nil { // spreads refer to the first definition of a name
			m.fragments[def.Name] = f
		}
	}
	out := measurement{operations: make(map[*ast.OperationDefinition]extent, len(doc.Operations))}
	var roots []*fragment
	for _, op := range doc.Operations {
		root := m.operation(op)
		out.operations[op] = root.extent
		roots = append(roots, root)
	}
	m.variables = 0
	for _, f := range m.all {
		m.fragment(f)
	}
	if m.err != nil {
		return out, m.err
	}
	for i, root := range roots {
		if err := checkExtent(doc.Operations[i].Position, root.extent); err != nil {
			return out, err
		}
		m.memory += min(root.extent.selections, selection.MaxPlanFields) * plannedBytes
	}
	for _, f := range m.all {
		if err := checkExtent(f.def.Position, f.extent); err != nil {
			return out, err
		}
	}
	if m.validationSteps(append(roots, m.all...)) > maxValidationSteps {
		return out, tooComplex(doc.Operations[0].Position, "the document repeats its fragments too often")
	}
	out.memory = m.memory
	return out, nil
}

// checkExtent returns an error if e exceeds a limit.
func checkExtent(at *ast.Position, e extent) *gqlerror.Error {
	switch {
	case e.depth > MaxDepth:
		return tooComplex(at, "the operation nests fields %d deep; at most %d is allowed", e.depth, MaxDepth)
	case e.nesting > maxNesting:
		return tooComplex(at, "the operation nests fields and fragments %d deep; at most %d is allowed", e.nesting, maxNesting)
	case e.selections > maxSelections:
		return tooComplex(at, "the operation selects %d fields and fragments; at most %d are allowed", e.selections, maxSelections)
	case e.directives > maxDirectives:
		return tooComplex(at, "the operation has %d directives; at most %d are allowed", e.directives, maxDirectives)
	case e.values > maxValues:
		return tooComplex(at, "the operation has %d values in its arguments; at most %d are allowed", e.values, maxValues)
	case e.text > maxText:
		return tooComplex(at, "the operation has %d bytes of names and values; at most %d are allowed", e.text, maxText)
	case e.schemas > 1:
		return tooComplex(at, "the operation asks for __schema or sdl more than once")
	case e.types > maxTypeLookups:
		return tooComplex(at, "the operation asks for __type %d times; at most %d are allowed", e.types, maxTypeLookups)
	}
	return nil
}

// tooComplex returns the error of a document that is too large. Like a document that
// does not validate, it is never executed.
func tooComplex(at *ast.Position, format string, args ...any) *gqlerror.Error {
	return documentError(tooComplexRule, at, format, args...)
}

// documentError returns an error of the document as a whole.
func documentError(rule string, at *ast.Position, format string, args ...any) *gqlerror.Error {
	err := gqlerror.ErrorPosf(at, format, args...)
	err.Rule = rule
	errcode.Set(err, errcode.ValidationFailed)
	return err
}

// operation measures an operation, as if it were a fragment that nothing spreads.
func (m *measurer) operation(op *ast.OperationDefinition) *fragment {
	root := &fragment{state: fragmentMeasured}
	m.own, m.spreads, m.variables = 0, nil, len(op.VariableDefinitions)
	m.memory += operationBytes + commentBytes(op.Comment)
	root.extent.text = m.name(op.Name, op.Position)
	root.extent.add(m.directives(op.Directives))
	for _, def := range op.VariableDefinitions {
		m.own++
		m.memory += variableBytes + commentBytes(def.Comment)
		root.extent.text = plus(root.extent.text, m.name(def.Variable, def.Position))
		root.extent.text = plus(root.extent.text, m.typeName(def.Type, def.Position))
		if def.DefaultValue != nil {
			root.extent.add(m.value(def.DefaultValue, 1))
		}
		root.extent.add(m.directives(def.Directives))
	}
	root.extent.add(m.set(op.SelectionSet, 0))
	root.own, root.spreads = m.own, m.spreads
	return root
}

// fragment measures a fragment definition, once.
func (m *measurer) fragment(f *fragment) extent {
	if f.state != fragmentNew {
		return f.extent
	}
	own, spreads := m.own, m.spreads
	m.own, m.spreads = 0, nil
	f.state = fragmentOpen
	m.memory += fragmentBytes + commentBytes(f.def.Comment)
	f.extent.text = plus(m.name(f.def.Name, f.def.Position), m.name(f.def.TypeCondition, f.def.Position))
	for _, def := range f.def.VariableDefinition {
		m.name(def.Variable, def.Position)
	}
	f.extent.add(m.directives(f.def.Directives))
	f.extent.add(m.set(f.def.SelectionSet, 0))
	f.state = fragmentMeasured
	f.own, f.spreads = m.own, m.spreads
	m.own, m.spreads = own, spreads
	return f.extent
}

// set measures a selection set. level is its depth in its definition.
func (m *measurer) set(set ast.SelectionSet, level int) extent {
	var sum extent
	if level > maxNesting {
		m.fail(tooComplex(set[0].GetPosition(), "the operation nests fields and fragments more than %d deep", maxNesting))
		return sum
	}
	for _, sel := range set {
		if m.err != nil {
			return sum
		}
		m.own++
		sum.add(m.selection(sel, level))
	}
	return sum
}

func (m *measurer) selection(sel ast.Selection, level int) extent {
	var one extent
	switch s := sel.(type) {
	case *ast.Field:
		if len(s.SelectionSet) > 0 {
			one = m.set(s.SelectionSet, level+1)
		}
		m.memory += fieldBytes + commentBytes(s.Comment)
		switch s.Name {
		case "__schema", "sdl":
			one.schemas = plus(one.schemas, 1)
		case "__type":
			one.types = plus(one.types, 1)
		case "__typename":
			m.memory += typenameBytes
		}
		one.depth = plus(one.depth, 1)
		one.text = plus(one.text, m.name(s.Alias, s.Position))
		if s.Name != s.Alias {
			one.text = plus(one.text, m.name(s.Name, s.Position))
		}
		one.add(m.arguments(s.Arguments))
		one.add(m.directives(s.Directives))
	case *ast.InlineFragment:
		if len(s.SelectionSet) > 0 {
			one = m.set(s.SelectionSet, level+1)
		}
		m.memory += inlineBytes + commentBytes(s.Comment)
		one.text = plus(one.text, m.name(s.TypeCondition, s.Position))
		one.add(m.directives(s.Directives))
	case *ast.FragmentSpread:
		m.memory += spreadBytes + commentBytes(s.Comment)
		m.own += len(m.all) / lookupsPerStep
		m.name(s.Name, s.Position)
		if f := m.fragments[s.Name]; f != nil { // the validation refuses unknown names
			m.spreads = append(m.spreads, f)
			if f.state == fragmentOpen {
				m.fail(cycle(s, m.open))
				return one
			}
			m.open = append(m.open, s)
			one = m.fragment(f)
			m.open = m.open[:len(m.open)-1]
		}
		one.add(m.directives(s.Directives))
	}
	one.selections = plus(one.selections, 1)
	one.nesting = plus(one.nesting, 1)
	return one
}

// cycle returns the error of a fragment that spreads itself through the fragments in open.
func cycle(spread *ast.FragmentSpread, open []*ast.FragmentSpread) *gqlerror.Error {
	return documentError(rules.NoFragmentCyclesRule.Name, spread.Position,
		`Cannot spread fragment "%s" within itself%s.`, spread.Name, via(spread.Name, open))
}

// via lists the fragments between two spreads of one fragment.
func via(name string, open []*ast.FragmentSpread) string {
	first := 0
	for i, s := range open {
		if s.Name == name {
			first = i + 1
		}
	}
	var names []string
	for _, s := range open[first:] {
		if len(names) == maxVia {
			names = append(names, "…")
			break
		}
		names = append(names, s.Name)
	}
	if len(names) == 0 {
		return ""
	}
	return " via " + core.QuotedOrList(names...)
}

// maxVia is how many fragments the error of a cycle lists.
const maxVia = 4

func (m *measurer) arguments(list ast.ArgumentList) extent {
	var sum extent
	for _, arg := range list {
		m.own++
		m.memory += argumentBytes + commentBytes(arg.Comment)
		sum.text = plus(sum.text, m.name(arg.Name, arg.Position))
		sum.add(m.value(arg.Value, 1))
	}
	return sum
}

func (m *measurer) directives(list ast.DirectiveList) extent {
	var sum extent
	for _, d := range list {
		m.own++
		m.memory += directiveBytes
		sum.directives = plus(sum.directives, 1)
		sum.text = plus(sum.text, m.name(d.Name, d.Position))
		sum.add(m.arguments(d.Arguments))
	}
	return sum
}

// value measures a value at the depth level.
func (m *measurer) value(v *ast.Value, level int) extent {
	var sum extent
	if level > maxValueNesting {
		m.fail(tooComplex(v.Position, "a value nests lists and objects more than %d deep", maxValueNesting))
		return sum
	}
	m.own++
	m.memory += valueBytes + commentBytes(v.Comment)
	sum.values, sum.text = 1, len(v.Raw)
	switch v.Kind {
	case ast.Variable:
		m.own += m.variables / lookupsPerStep
		m.name(v.Raw, v.Position)
	case ast.EnumValue:
		m.name(v.Raw, v.Position)
	case ast.StringValue, ast.BlockValue:
		m.memory += len(v.Raw) // an unescaped copy is not part of the source
	}
	for _, child := range v.Children {
		if m.err != nil {
			return sum
		}
		m.memory += childBytes + commentBytes(child.Comment)
		sum.text = plus(sum.text, m.name(child.Name, child.Position))
		sum.add(m.value(child.Value, level+1))
	}
	return sum
}

// typeName measures a variable's type.
func (m *measurer) typeName(t *ast.Type, at *ast.Position) int {
	for range maxValueNesting {
		m.memory += typeBytes
		if t.Elem == nil {
			return m.name(t.NamedType, at)
		}
		t = t.Elem
	}
	m.fail(tooComplex(at, "a variable's type nests lists more than %d deep", maxValueNesting))
	return 0
}

// name measures a name.
func (m *measurer) name(name string, at *ast.Position) int {
	if len(name) > maxName {
		m.fail(tooComplex(at, "a name has %d bytes; at most %d are allowed", len(name), maxName))
	}
	return len(name)
}

// fail stops the measurement with err.
func (m *measurer) fail(err *gqlerror.Error) {
	if m.err == nil {
		m.err = err
	}
}

// lookupsPerStep is how many names of fragments or variables are compared in the time in which one
// node is validated. gqlparser looks up both by a linear search.
const lookupsPerStep = 32

// validationSteps returns how many nodes the validation visits from roots: each root and, once for
// each root, the fragments reached from it. It stops beyond maxValidationSteps.
func (m *measurer) validationSteps(roots []*fragment) int {
	steps := 0
	for i, root := range roots {
		root.visit = i + 1
		reached := []*fragment{root}
		for len(reached) > 0 {
			f := reached[len(reached)-1]
			reached = reached[:len(reached)-1]
			steps += 1 + f.own
			if steps > maxValidationSteps {
				return steps
			}
			for _, next := range f.spreads {
				if next.visit != i+1 {
					next.visit = i + 1
					reached = append(reached, next)
				}
			}
		}
	}
	return steps
}

// Memory of the nodes of a parsed document, in bytes. The parser keeps a whole token for each
// position, and each element of a list has an entry there.
var (
	operationBytes = sizeOf[ast.OperationDefinition]() + tokenBytes + measuredBytes
	fragmentBytes  = sizeOf[ast.FragmentDefinition]() + tokenBytes
	variableBytes  = sizeOf[ast.VariableDefinition]() + tokenBytes + entryBytes
	fieldBytes     = sizeOf[ast.Field]() + tokenBytes + 2*entryBytes
	inlineBytes    = sizeOf[ast.InlineFragment]() + tokenBytes + 2*entryBytes
	spreadBytes    = sizeOf[ast.FragmentSpread]() + tokenBytes + 2*entryBytes
	typenameBytes  = sizeOf[ast.FieldDefinition]() + sizeOf[ast.Type]()
	argumentBytes  = sizeOf[ast.Argument]() + tokenBytes + entryBytes
	directiveBytes = sizeOf[ast.Directive]() + tokenBytes + entryBytes
	valueBytes     = sizeOf[ast.Value]() + tokenBytes
	childBytes     = sizeOf[ast.ChildValue]() + tokenBytes + entryBytes
	typeBytes      = sizeOf[ast.Type]() + tokenBytes
)

// commentBytes returns the memory of the comments before a node.
func commentBytes(group *ast.CommentGroup) int {
	if group == nil {
		return 0
	}
	return sizeOf[ast.CommentGroup]() + len(group.List)*(sizeOf[ast.Comment]()+tokenBytes+entryBytes)
}

const (
	// tokenBytes is the size of a lexer's token.
	tokenBytes = 80
	// entryBytes is the memory of a pointer in a list that has grown.
	entryBytes = 16
	// measuredBytes is the memory for each operation of a document in addition to the tree.
	measuredBytes = 256
	// plannedBytes is the memory that package selection uses for a field.
	plannedBytes = 160
)

func sizeOf[T any]() int { return int(reflect.TypeFor[T]().Size()) }
