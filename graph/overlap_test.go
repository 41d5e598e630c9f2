package graph

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"rollcall/graph/generated"
)

// TestMerger_AbstractFields: merger does not compare what is selected below a field of an interface
// with what is selected below the same field of an object type.
func TestMerger_AbstractFields(t *testing.T) {
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	for name, def := range schema.Types {
		if def.Kind != ast.Interface || strings.HasPrefix(name, "__") {
			continue
		}
		for _, field := range def.Fields {
			if !schema.Types[field.Type.Name()].IsLeafType() || len(field.Arguments) > 0 {
				t.Errorf("%s.%s has arguments or objects: merger must compare it with the fields of all types", name, field.Name)
			}
		}
	}
}

// TestMerger_ObjectAndScalar: the specification forbids it, which gqlparser's rule does not notice.
func TestMerger_ObjectAndScalar(t *testing.T) {
	doc := validated(t, `{ node(id: "a") { ... on App { x: settings { deviceLimit } } ... on User { x: name } } }`)
	if err := checkMerging(doc); err == nil {
		t.Error("an object and a scalar of one name can be merged")
	}
}

// TestMerger_AgreesWithGqlparser compares the result with that of gqlparser's own rule.
func TestMerger_AgreesWithGqlparser(t *testing.T) {
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	library := rules.NewRules(rules.OverlappingFieldsCanBeMergedRule)
	for query, merges := range map[string]bool{
		`{ me { id id } }`:                                                                        true,
		`{ me { id } me { id name } }`:                                                            true,
		`{ me { a: id } me { a: name } }`:                                                         false,
		`{ me { x: id x: name } }`:                                                                false,
		`{ user(id: "a") { id } user(id: "a") { name } }`:                                         true,
		`{ user(id: "a") { id } user(id: "b") { id } }`:                                           false,
		`{ a: user(id: "a") { id } b: user(id: "b") { id } }`:                                     true,
		`query($x: ID!) { user(id: $x) { id } user(id: $x) { id } }`:                              true,
		`query($x: ID!, $y: ID!) { user(id: $x) { id } user(id: $y) { id } }`:                     false,
		`{ user(id: "a") { id } user: me { id } }`:                                                false,
		`{ me { ...f } } fragment f on User { id: name id }`:                                      false,
		`{ me { id: name ...f } } fragment f on User { ...g } fragment g on User { id }`:          false,
		`{ me { ...f ... on User { n: name } } } fragment f on User { n: name }`:                  true,
		`{ me { status { p: presence } ...f } } fragment f on User { status { p: userId } }`:      false,
		`{ me { ...f } me { ...g } } fragment f on User { a: id } fragment g on User { a: name }`: false,
		`{ users(ids: ["a", "b"]) { id } users(ids: ["a", "b"]) { id } }`:                         true,
		`{ me { friends { totalCount } friends(first: 1) { totalCount } } }`:                      false,
		`mutation { sendFriendRequest(input: {targetId: "a"}) { result { __typename ... on FriendRequest { a: message } ... on Friendship { __typename a: remark } } } }`:   true,
		`mutation { sendFriendRequest(input: {targetId: "a"}) { result { ... on FriendRequest { a: createdAt } ... on Friendship { a: remark } } } }`:                       false,
		`mutation { sendFriendRequest(input: {targetId: "a"}) { result { ... on FriendRequest { a: from { b: name } } ... on Friendship { a: user { b: avatarUrl } } } } }`: false,
		`mutation { sendFriendRequest(input: {targetId: "a"}) { result { ... on FriendRequest { a: from { b: name } } ... on Friendship { a: user { b: id name } } } } }`:   false,
		`mutation { sendFriendRequest(input: {targetId: "a"}) { result { ... on FriendRequest { a: from { id } } ... on Friendship { a: user { name } } } } }`:              true,
		`{ node(id: "a") { id ... on User { id name } ... on App { name } } }`:                                                                                              true,
		`{ node(id: "a") { ... on User { x: name } ... on App { x: key } } }`:                                                                                               false,
		`{ node(id: "a") { ... on User { x: name } ... on App { x: name } } }`:                                                                                              true,
		`{ node(id: "a") { x: id ... on App { x: key } } }`:                                                                                                                 false,
		`{ node(id: "a") { ... on App { x: id } x: id } }`:                                                                                                                  true,
		`{ node(id: "a") { ... on App { x: id } ... on User { x: avatarUrl } } }`:                                                                                           false,
		`{ node(id: "a") { x: __typename ... on App { x: name } } }`:                                                                                                        false,
		`{ node(id: "a") { ... on Block { u: user { x: id } } ... on Friendship { u: user { x: name } } } }`:                                                                false,
		`{ node(id: "a") { ... on Block { u: user { x: name } } ... on Friendship { u: user { x: name } } } }`:                                                              true,
		`{ node(id: "a") { ... on Block { u: user { id } } ... on Friendship { u: user { x: name } } } }`:                                                                   true,
		`{ node(id: "a") { ... on User { f: friendship(with: "a") { remark } f: friendship(with: "b") { id } } } }`:                                                         false,
		`{ me { ... on Node { x: id } x: name } }`:                                                                                                                          false,
		`{ node(id: "a") { ... on FriendRequest { x: from { n: name } } ... on Block { x: user { n: name s: id } } ... on Friendship { x: user { s: createdAt } } } }`:      false,
	} {
		doc, err := parser.ParseQuery(&ast.Source{Input: query})
		if err != nil {
			t.Fatal(query, err)
		}
		if errs := validator.ValidateWithRules(schema, doc, library); (len(errs) == 0) != merges {
			t.Errorf("%s: gqlparser says %v, want merging %v", query, errs, merges)
		}
		if err := checkMerging(doc); (err == nil) != merges {
			t.Errorf("%s: checkMerging says %v, want merging %v", query, err, merges)
		}
	}
}

// validated returns a document whose names have been looked up in the schema.
func validated(t *testing.T, text string) *ast.QueryDocument {
	t.Helper()
	doc, err := parser.ParseQuery(&ast.Source{Input: text})
	if err != nil {
		t.Fatal(err)
	}
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	if errs := validator.ValidateWithRules(schema, doc, rules.NewRules()); errs != nil {
		t.Fatal(errs)
	}
	return doc
}

func TestMerger_IsBounded(t *testing.T) {
	// Each fragment selects two users that spread the next: 2^40 paths.
	var paths strings.Builder
	paths.WriteString(`{ ...f0 }`)
	for i := range 40 {
		fmt.Fprintf(&paths, ` fragment f%d on Query { a: me { ...f%d } b: me { ...f%d } }`, i, i+1, i+1)
	}
	paths.WriteString(` fragment f40 on Query { me { id } }`)
	// gqlgen collects the fields again for each fragment around them.
	fields := ""
	for i := range 2000 {
		fields += fmt.Sprintf("a%d: __typename ", i)
	}
	around := strings.Repeat("... { ", 90) + fields + strings.Repeat("}", 90)
	for name, c := range map[string]struct {
		text    string
		bounded bool
	}{
		"doubling paths":            {paths.String(), true},
		"many fields, nested":       {"{ " + around + "}", true},
		"many fields, not nested":   {"{ " + fields + "}", false},
		"many fields, merged often": {"{ " + strings.Repeat("me { id name } ", 1000) + "}", false},
	} {
		m := &merger{}
		m.conflict([]ast.SelectionSet{validated(t, c.text).Operations[0].SelectionSet}, false)
		if m.exhausted() != c.bounded || m.steps > maxMergeSteps+1000 {
			t.Errorf("%s: %d steps, %d comparisons; given up: %t", name, m.steps, m.collected, m.exhausted())
		}
	}
}

// TestMerger_ListsInAnotherOrder: they conflict, although gqlparser's rule considers them equal.
func TestMerger_ListsInAnotherOrder(t *testing.T) {
	doc := validated(t, `{ users(ids: ["a", "b"]) { id } users(ids: ["b", "a"]) { id } }`)
	if checkMerging(doc) == nil {
		t.Error("they merge")
	}
}

// TestMerger_ComparesValuesByStructure: the notation of a value does not matter, and each literal
// is read once, whatever the number of places where it is compared.
func TestMerger_ComparesValuesByStructure(t *testing.T) {
	for query, merges := range map[string]bool{
		`{ userList(filter: {presences: [ONLINE], search: "a"}) { totalCount } userList(filter: {search: "a", presences: [ONLINE]}) { totalCount } }`: true,
		`{ userList(filter: {presences: [ONLINE], search: "a"}) { totalCount } userList(filter: {presences: [ONLINE], search: "b"}) { totalCount } }`: false,
		`{ user(id: "a") { id } user(id: """a""") { id } }`:                                               true,
		`{ user(id: "1") { id } user(id: 1) { id } }`:                                                     false,
		`{ users(ids: ["a", "b"]) { id } users(ids: ["ab"]) { id } }`:                                     false,
		`{ users(ids: ["a", "b"]) { id } users(ids: ["c", "b"]) { id } }`:                                 false,
		`{ users(ids: []) { id } users(ids: [[]]) { id } }`:                                               false,
		`query($a: ID!) { user(id: $a) { id } user(id: "a") { id } }`:                                     false,
		`{ userList(first: 1, after: "a") { totalCount } userList(after: "a", first: 1) { totalCount } }`: true,
	} {
		if err := checkMerging(validated(t, query)); (err == nil) != merges {
			t.Errorf("%s: %v, want merging %t", query, err, merges)
		}
	}
}

func TestMerger_ReadsEachLiteralOnce(t *testing.T) {
	// Two fields in 2^13 places, each with a long literal.
	literal := strings.Repeat("a", 100<<10)
	var b strings.Builder
	b.WriteString("{ ...f0 }")
	for i := range 13 {
		fmt.Fprintf(&b, " fragment f%d on Query { x%d: app { key } ...g%d ...h%d }", i, i, i, i)
		fmt.Fprintf(&b, " fragment g%d on Query { ...f%d } fragment h%d on Query { ...f%d }", i, i+1, i, i+1)
	}
	fmt.Fprintf(&b, ` fragment f13 on Query { user(id: %q) { id } user(id: %q) { name } }`, literal, literal)
	doc := validated(t, b.String())
	m := &merger{}
	for range 1000 {
		if conflict := m.conflict([]ast.SelectionSet{doc.Operations[0].SelectionSet}, false); conflict != nil {
			t.Fatal("a conflict")
		}
	}
	if n := len(m.arguments.fields); n != 2 {
		t.Errorf("the arguments of %d fields have been numbered, want 2", n)
	}
	if n := len(m.arguments.values); n != 3 { // the name, the literal and the arguments
		t.Errorf("%d values have been numbered, want 3", n)
	}
}
