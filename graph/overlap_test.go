package graph

import (
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"rollcall/graph/generated"
)

// TestTheSchemaHasNoAbstractTypes: with an interface or a union, two fields of
// one selection set may have different parents, which merger does not look at.
func TestTheSchemaHasNoAbstractTypes(t *testing.T) {
	for name, def := range generated.NewExecutableSchema(generated.Config{}).Schema().Types {
		if def.Kind == ast.Interface || def.Kind == ast.Union {
			t.Errorf("%s is abstract: merger must learn about parent types", name)
		}
	}
}

// TestOverlapAgreesWithTheLibrary compares the verdict with gqlparser's own rule.
func TestOverlapAgreesWithTheLibrary(t *testing.T) {
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	library := rules.NewRules(rules.OverlappingFieldsCanBeMergedRule)
	ours := rules.NewRules()
	ours.AddRule(overlapRule, validationRules().GetInner()[overlapRule])
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
		`mutation { logout logout(allDevices: true) }`:                                            false,
	} {
		doc, err := parser.ParseQuery(&ast.Source{Input: query})
		if err != nil {
			t.Fatal(query, err)
		}
		for name, set := range map[string]*rules.Rules{"gqlparser": library, "ours": ours} {
			if errs := validator.ValidateWithRules(schema, doc, set); (len(errs) == 0) != merges {
				t.Errorf("%s: %s says %v, want merging %v", query, name, errs, merges)
			}
		}
	}
}

func TestMergingIsBounded(t *testing.T) {
	// Each fragment asks for two users that spread the next: 2^40 paths.
	var b strings.Builder
	b.WriteString(`{ ...f0 }`)
	for i := range 40 {
		from, to := string(rune('A'+i%26))+string(rune('a'+i/26)), string(rune('A'+(i+1)%26))+string(rune('a'+(i+1)/26))
		if i == 0 {
			from = "f0"
		}
		b.WriteString(` fragment ` + from + ` on Query { a: me { ...` + to + ` } b: me { ...` + to + ` } }`)
	}
	doc, err := parser.ParseQuery(&ast.Source{Input: b.String()})
	if err != nil {
		t.Fatal(err)
	}
	m := &merger{fragments: doc.Fragments}
	if m.conflict([]ast.SelectionSet{doc.Operations[0].SelectionSet}); m.steps <= maxMergeSteps || m.steps > maxMergeSteps+1000 {
		t.Errorf("%d steps", m.steps)
	}
}

// TestListsInAnotherOrderDoNotMerge: gqlparser's rule takes them for equal.
func TestListsInAnotherOrderDoNotMerge(t *testing.T) {
	doc, err := parser.ParseQuery(&ast.Source{Input: `{ users(ids: ["a", "b"]) { id } users(ids: ["b", "a"]) { id } }`})
	if err != nil {
		t.Fatal(err)
	}
	if (&merger{}).conflict([]ast.SelectionSet{doc.Operations[0].SelectionSet}) == nil {
		t.Error("they merge")
	}
}
