package selection_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/plugin/federation/fedruntime"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/graph/auth"
	"rollcall/graph/generated"
	"rollcall/graph/graphtest"
	"rollcall/graph/selection"
	"rollcall/internal/fault"
	"rollcall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// documents is how many documents each test generates.
const documents = 200

// random returns a random source for a test. If the test fails, it logs the seed.
func random(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the seed was %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// resolvers are those of stub, or a modification of it.
type resolvers interface {
	generated.ResolverRoot
	fault(where string) error
}

// newExecutor returns a bare executor on stub; calls counts the fields that gqlgen resolves.
func newExecutor(s resolvers, direct bool) (exec *executor.Executor, calls *atomic.Int64) {
	exec = executor.New(generated.NewExecutableSchema(generated.Config{
		Resolvers: s,
		Directives: generated.DirectiveRoot{
			Private: func(ctx context.Context, _ any, next graphql.Resolver) (any, error) {
				if err := s.fault("private " + graphql.GetPath(ctx).String()); err != nil {
					return nil, err
				}
				return next(ctx)
			},
			Representations: func(ctx context.Context, _ any, next graphql.Resolver) (any, error) { return next(ctx) },
			Subgraph: func(context.Context, any, graphql.Resolver) (any, error) {
				return fedruntime.Service{SDL: "type Query"}, s.fault("subgraph")
			},
		},
	}))
	exec.SetQueryCache(lru.New[*ast.QueryDocument](100))
	exec.SetRecoverFunc(func(_ context.Context, cause any) error { return fmt.Errorf("recovered from %v", cause) })
	calls = new(atomic.Int64)
	exec.AroundFields(func(ctx context.Context, next graphql.Resolver) (any, error) {
		calls.Add(1)
		return next(ctx)
	})
	if direct {
		exec.Use(selection.New(generated.Selections(s), selection.Options{}))
	}
	return exec, calls
}

// answers executes a document and returns all responses. Errors are sorted: gqlgen's goroutines
// report them in any order.
func answers(t testing.TB, ctx context.Context, exec graphql.GraphExecutor, document string, variables map[string]any) []string {
	t.Helper()
	ctx = graphql.StartOperationTrace(ctx)
	op, errs := exec.CreateOperationContext(ctx, &graphql.RawParams{Query: document, Variables: variables})
	if errs != nil {
		if fault.CodeOf(errs[0]) != fault.QueryTooComplex {
			t.Fatalf("%s\nis refused: %v", document, errs)
		}
		return []string{errs.Error()}
	}
	responses, ctx := exec.DispatchOperation(ctx, op)
	var all []string
	for resp := responses(ctx); resp != nil; resp = responses(ctx) {
		text := string(resp.Data)
		var lines []string
		for _, err := range resp.Errors {
			line, _ := json.Marshal(err)
			lines = append(lines, "\n"+string(line))
		}
		slices.Sort(lines)
		all = append(all, text+strings.Join(lines, ""))
		if op.Operation.Operation != ast.Subscription {
			break
		}
	}
	return all
}

// same executes a document with both executors and compares the responses, twice with each of
// several sets of variables: a plan must fit later executions.
func same(t testing.TB, ctx context.Context, r *rand.Rand, direct, stock graphql.GraphExecutor, document string, names map[string]bool) {
	t.Helper()
	for range 3 {
		variables := make(map[string]any)
		for name := range names {
			if name != "c" || r.IntN(2) == 0 {
				variables[name] = r.IntN(2) == 0
			}
		}
		for range 2 {
			got, want := answers(t, ctx, direct, document, variables), answers(t, ctx, stock, document, variables)
			if !slices.Equal(got, want) {
				t.Fatalf("%s\nwith %v returns\n%s\n\ngqlgen alone returns\n%s", document, variables,
					strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
}

// TestExtension_SameAsGqlgen: whatever is selected and whatever fails, the response is the one of
// gqlgen's generated code.
func TestExtension_SameAsGqlgen(t *testing.T) {
	r := random(t)
	for _, faults := range []uint64{0, 5, 50, 300} {
		t.Run(fmt.Sprint(faults, " faults"), func(t *testing.T) {
			s := stub{seed: r.Uint64(), faults: faults}
			direct, directCalls := newExecutor(s, true)
			stock, stockCalls := newExecutor(s, false)
			schema := generated.NewExecutableSchema(generated.Config{Resolvers: s}).Schema()
			w := &writer{Rand: r, schema: schema, ids: []string{"ann", "bob", "cid", "dan"}, tokens: []string{"a", "b"}}
			for i := range documents {
				root, fields := schema.Query, 4
				if i%4 == 0 {
					root, fields = schema.Subscription, 1
				}
				document, variables := w.document(root, fields)
				same(t, context.Background(), r, direct, stock, document, variables)
			}
			if with, alone := directCalls.Load(), stockCalls.Load(); with >= alone || faults == 0 && with > alone*9/10 {
				t.Errorf("gqlgen has resolved %d fields, and %d alone: almost nothing was encoded directly", with, alone)
			}
		})
	}
}

// TestExtension_SameAsGqlgenInTheServer: the same with the server's own resolvers, checks and
// limits on a real database, for each kind of caller.
func TestExtension_SameAsGqlgenInTheServer(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		r := random(w.T)
		fill(w)
		app, err := w.Apps.ByID(context.Background(), w.App.ID)
		if err != nil {
			w.T.Fatal(err)
		}
		ann, err := w.Users.ByID(context.Background(), app.ID, "ann")
		if err != nil {
			w.T.Fatal(err)
		}
		silent := *app // refuses statuses
		silent.Settings.StatusQueryEnabled = false
		writer := &writer{
			Rand: r, schema: generated.NewExecutableSchema(generated.Config{}).Schema(), ids: []string{"ann", "bob", "nobody", "cid", "dan"},
			tokens: []string{w.Register(w.App, "ann"), w.AppToken(w.App), "none"},
		}
		for i := range documents / 4 {
			p := &auth.Principal{Kind: auth.AppServer, App: app}
			if i%4 == 0 {
				p = &auth.Principal{Kind: auth.User, App: &silent, User: ann}
			} else if i%2 == 0 {
				p = &auth.Principal{Kind: auth.User, App: app, User: ann}
			}
			document, variables := writer.document(writer.schema.Query, 1)
			same(w.T, auth.With(context.Background(), p), r, w.Executor, w.Stock, document, variables)
			w.Clock.Pass(time.Minute) // otherwise calls would exceed the rate limits
		}
	})
}

// fill creates users in all states with relations of all kinds.
func fill(w *graphtest.World) {
	for _, id := range []string{"ann", "bob", "cid", "dan", "eve", "fay"} {
		w.Register(w.App, id)
	}
	ann := w.Socket("Bearer " + w.Register(w.App, "ann"))
	ann.Want(`mutation { setStatus(input: {customStatus: "busy \"☃\""}) { status { presence } } }`, `{"setStatus":{"status":{"presence":"ONLINE"}}}`)
	server := w.Bearer(graphtest.AppServer)
	for _, mutation := range []string{
		`addFriend(input: {userId: "ann", friendId: "bob", remark: "B"}) { created }`,
		`addFriend(input: {userId: "ann", friendId: "cid"}) { created }`,
		`addFriend(input: {userId: "bob", friendId: "cid"}) { created }`,
		`addToBlocklist(input: {userId: "ann", targetIds: ["cid", "dan"]}) { results { outcome } }`,
		`addToWhitelist(input: {userId: "ann", targetIds: ["bob"]}) { results { outcome } }`,
		`banUsers(input: {userIds: ["bob"], minutes: 9000, reason: "so"}) { results { outcome } }`,
		`deactivateUsers(input: {userIds: ["eve"]}) { results { outcome } }`,
		`updateUser(input: {userId: "cid", avatarUrl: "https://example.org/c.png"}) { user { id } }`,
	} {
		if r := w.Do(server, "mutation { "+mutation+" }", nil); r.Code() != "" {
			w.T.Fatalf("%s: %s", mutation, r.Body)
		}
	}
	w.Run(graphtest.Scenario{Name: "a request waits", As: "ann",
		Query: `mutation { sendFriendRequest(input: {targetId: "fay", message: "hello"}) { __typename } }`})
}
