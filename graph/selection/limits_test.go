package selection_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/graph/generated"
	"rollcall/graph/selection"
)

// TestOnlyPlainFieldsAreDirect: a field with arguments, or with a directive that
// means something when it is asked for, is never encoded directly, so that no
// check is passed by.
func TestOnlyPlainFieldsAreDirect(t *testing.T) {
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	direct := 0
	for name, typ := range generated.Selections(stub{}) {
		if def := schema.Types[name]; def == schema.Query || def == schema.Mutation || def == schema.Subscription {
			t.Errorf("%s is a root", name)
		}
		for _, field := range typ.Names() {
			direct++
			def := schema.Types[name].Fields.ForName(field)
			for _, d := range def.Directives {
				if !slices.Contains([]string{"goField", "goTag", "goInline"}, d.Name) {
					t.Errorf("%s.%s has @%s", name, field, d.Name)
				}
			}
			if len(def.Arguments) > 0 {
				t.Errorf("%s.%s has arguments", name, field)
			}
		}
	}
	if direct < 100 {
		t.Errorf("only %d fields are encoded directly", direct)
	}
}

// planned answers an executor with an extension that keeps so many plans.
func planned(opts selection.Options) (*executor.Executor, *selection.Extension) {
	exec := executor.New(generated.NewExecutableSchema(generated.Config{Resolvers: stub{}}))
	exec.SetQueryCache(lru.New[*ast.QueryDocument](1000))
	x := selection.New(generated.Selections(stub{}), opts)
	exec.Use(x)
	return exec, x
}

func TestPlansAreBounded(t *testing.T) {
	// Each fragment has the next one twice: 2^12 statuses.
	var deep strings.Builder
	deep.WriteString(`{ me { ...F0 } } `)
	for i := range 12 {
		fmt.Fprintf(&deep, `fragment F%d on User { a%[1]d: status { presence } ...F%d } `, i, i+1)
	}
	deep.WriteString(`fragment F12 on User { id }`)
	var wide strings.Builder
	wide.WriteString(`{ me {`)
	for i := range 3000 {
		fmt.Fprintf(&wide, ` f%d: name`, i)
	}
	wide.WriteString(` } }`)
	for _, c := range []struct {
		name                    string
		documents               []string
		opts                    selection.Options
		operations, atMostAlone int
	}{
		{"few", []string{`{ me { id } }`, `{ me { name } }`}, selection.Options{Operations: 10, DocumentBytes: 1 << 20}, 2, 2},
		{"many", []string{`{ me { id } }`, `{ me { name } }`, `{ app { name } }`}, selection.Options{Operations: 2, DocumentBytes: 1 << 20}, 2, 2},
		{"long", []string{`{ me { id } }`, `{ me { id name } }`}, selection.Options{Operations: 10, DocumentBytes: 14}, 1, 1},
		{"wide", []string{wide.String()}, selection.Options{Operations: 10, DocumentBytes: 1 << 20}, 1, 0},
		{"fragments", []string{deep.String()}, selection.Options{Operations: 10, DocumentBytes: 1 << 20}, 1, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			exec, x := planned(c.opts)
			for _, document := range c.documents {
				answers(t, context.Background(), exec, document, nil)
			}
			if operations, fields := x.Kept(); operations != c.operations || fields > c.atMostAlone {
				t.Errorf("kept %d operations with %d fields, want %d with at most %d", operations, fields, c.operations, c.atMostAlone)
			}
		})
	}
}

// TestVariablesMakePlans: a document has a plan for each way in which its
// variables let it be, up to the bound.
func TestVariablesMakePlans(t *testing.T) {
	exec, x := planned(selection.Options{Operations: 10, DocumentBytes: 1 << 20})
	const document = `query($a: Boolean!, $b: Boolean!) { me { id @skip(if: $a) __typename @include(if: $b) } }`
	for range 2 {
		for i, want := range []string{`{"me":{"id":"me"}}`, `{"me":{}}`, `{"me":{"id":"me","__typename":"User"}}`, `{"me":{"__typename":"User"}}`} {
			variables := map[string]any{"a": i%2 == 1, "b": i >= 2}
			if got := answers(t, context.Background(), exec, document, variables); got[0] != want {
				t.Errorf("%v: %s, want %s", variables, got[0], want)
			}
		}
	}
	if operations, fields := x.Kept(); operations != 1 || fields != 4 {
		t.Errorf("kept %d operations with %d fields, want 1 with 4", operations, fields)
	}
}

// TestDeferIsLeftAlone: what comes later is gqlgen's to send.
func TestDeferIsLeftAlone(t *testing.T) {
	exec, x := planned(selection.Options{Operations: 10, DocumentBytes: 1 << 20})
	got := answers(t, context.Background(), exec, `{ me { name ... @defer { status { presence } } } }`, nil)
	if _, fields := x.Kept(); fields != 0 {
		t.Errorf("answered %s, with %d fields directly", got, fields)
	}
}
