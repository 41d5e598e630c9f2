package selection_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/graph/generated"
	"rollcall/graph/selection"
	"rollcall/internal/relations"
	"rollcall/models"
)

// TestTypes_OnlyPlainFieldsAreDirect: a field with arguments, or with a directive that has an
// effect at execution, is never encoded directly, so that no check is bypassed.
func TestTypes_OnlyPlainFieldsAreDirect(t *testing.T) {
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

// planned returns an executor with an extension, and the plans of its operations.
func planned() (*executor.Executor, map[*ast.OperationDefinition]*selection.Plan) {
	exec := executor.New(generated.NewExecutableSchema(generated.Config{Resolvers: stub{}}))
	exec.SetQueryCache(lru.New[*ast.QueryDocument](1000))
	plans := make(map[*ast.OperationDefinition]*selection.Plan)
	exec.Use(selection.New(generated.Selections(stub{}), selection.Options{
		PlanOf: func(op *graphql.OperationContext) *selection.Plan {
			if plans[op.Operation] == nil {
				plans[op.Operation] = new(selection.Plan)
			}
			return plans[op.Operation]
		},
	}))
	return exec, plans
}

// kept returns how many values the plans have, and how many fields they have.
func kept(plans map[*ast.OperationDefinition]*selection.Plan) (values, fields int) {
	for _, p := range plans {
		v, f := p.Kept()
		values, fields = values+v, fields+f
	}
	return values, fields
}

func TestPlan_IsBounded(t *testing.T) {
	// Each fragment spreads the next one twice, which is visited once.
	var chain strings.Builder
	chain.WriteString(`{ me { ...F0 } }`)
	for i := range 12 {
		fmt.Fprintf(&chain, ` fragment F%d on User { s%[1]d: status { presence } ...F%d ...F%[2]d }`, i, i+1)
	}
	chain.WriteString(` fragment F12 on User { id }`)
	// Each fragment spreads the next one in eleven different places.
	spread := func(on, field, next string) string {
		var text strings.Builder
		fmt.Fprintf(&text, " fragment %s on %[1]s {", on)
		for i := range 11 {
			fmt.Fprintf(&text, " f%d: %s { ...%s }", i, field, next)
		}
		return text.String() + " }"
	}
	tree := `{ userList { ...UserConnection } } fragment UserStatus on UserStatus { presence }` +
		spread("UserConnection", "edges", "UserEdge") + spread("UserEdge", "node", "User") + spread("User", "status", "UserStatus")
	wide := `{ me {`
	for i := range 3000 {
		wide += fmt.Sprintf(" f%d: name", i)
	}
	wide += ` } }`
	for _, c := range []struct {
		name           string
		documents      []string
		values, fields int
	}{
		{"few", []string{`{ me { id } }`, `{ me { name } }`}, 2, 2},
		{"a wide one", []string{wide}, 1, 0},
		{"a chain of fragments", []string{chain.String()}, 1, 25},
		{"a tree of fragments", []string{tree}, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			exec, plans := planned()
			for _, document := range c.documents {
				answers(t, context.Background(), exec, document, nil)
			}
			if values, fields := kept(plans); values != c.values || fields != c.fields {
				t.Errorf("kept %d values of %d fields, want %d of %d", values, fields, c.values, c.fields)
			}
		})
	}
}

// TestExtension_EncodedValuesAreBounded: a value that is too long is an error; gqlgen does not
// resolve it again.
func TestExtension_EncodedValuesAreBounded(t *testing.T) {
	const document = `{ userList { nodes { id name } totalCount } }`
	for max, large := range map[int]bool{10: true, 1 << 20: false} {
		exec := executor.New(generated.NewExecutableSchema(generated.Config{Resolvers: stub{}}))
		exec.Use(selection.New(generated.Selections(stub{}), selection.Options{MaxBytes: max}))
		got := answers(t, context.Background(), exec, document, nil)
		if strings.Contains(strings.Join(got, " "), selection.ErrTooLarge.Error()) != large {
			t.Errorf("at most %d bytes: %s", max, got)
		}
	}
}

// TestExtension_StopsWhenFull: elements that no longer fit are not encoded first.
func TestExtension_StopsWhenFull(t *testing.T) {
	encoded := 0
	users := selection.Of[models.User]([]string{"User", "Node"}, selection.Fields{"name": {Leaf: func(e *selection.Encoder, _ any) bool {
		encoded++
		return e.String(strings.Repeat("a", 100))
	}}})
	friendships := selection.Of[relations.Friendship]([]string{"Friendship", "Node"}, selection.Fields{"user": {Value: func(_ *selection.Encoder, obj any) (any, bool) {
		return obj.(*relations.Friendship).User, true
	}}})
	connections := selection.Of[relations.FriendshipConnection]([]string{"FriendshipConnection"}, selection.Fields{"nodes": {Value: func(*selection.Encoder, any) (any, bool) {
		return friends.Nodes(), true
	}}})
	exec := executor.New(generated.NewExecutableSchema(generated.Config{
		Resolvers: fifty{},
		Directives: generated.DirectiveRoot{Private: func(ctx context.Context, _ any, next graphql.Resolver) (any, error) {
			return next(ctx)
		}},
	}))
	exec.Use(selection.New(selection.Types{"User": users, "Friendship": friendships, "FriendshipConnection": connections}, selection.Options{MaxBytes: 1000}))
	got := answers(t, context.Background(), exec, `{ user(id: "ann") { friends { nodes { user { name } } } } }`, nil)
	if !strings.Contains(strings.Join(got, " "), selection.ErrTooLarge.Error()) || encoded > 20 {
		t.Errorf("%d of 50 users were encoded: %s", encoded, got)
	}
}

// TestPlan_ForEachUseOfVariables: a document has a plan for each selection that its variables lead
// to, up to the limit.
func TestPlan_ForEachUseOfVariables(t *testing.T) {
	exec, plans := planned()
	const document = `query($a: Boolean!, $b: Boolean!) { me { id @skip(if: $a) __typename @include(if: $b) } }`
	for range 2 {
		for i, want := range []string{`{"me":{"id":"me"}}`, `{"me":{}}`, `{"me":{"id":"me","__typename":"User"}}`, `{"me":{"__typename":"User"}}`} {
			variables := map[string]any{"a": i%2 == 1, "b": i >= 2}
			if got := answers(t, context.Background(), exec, document, variables); got[0] != want {
				t.Errorf("%v: %s, want %s", variables, got[0], want)
			}
		}
	}
	if values, fields := kept(plans); len(plans) != 1 || values != 4 || fields != 4 {
		t.Errorf("kept %d operations with %d values of %d fields, want 1 with 4 of 4", len(plans), values, fields)
	}
}

// TestExtension_LeavesDefer: deferred parts are left to gqlgen.
func TestExtension_LeavesDefer(t *testing.T) {
	exec, plans := planned()
	got := answers(t, context.Background(), exec, `{ me { name ... @defer { id } } }`, nil)
	if _, fields := kept(plans); fields != 0 {
		t.Errorf("got %s, with %d fields encoded directly", got, fields)
	}
}
