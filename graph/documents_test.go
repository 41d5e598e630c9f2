package graph

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	usual "github.com/99designs/gqlgen/graphql/introspection"

	"rollcall/graph/auth"
	"rollcall/graph/generated"
	"rollcall/internal/fault"
)

// appServer returns a context with an App Server as the principal.
func appServer() context.Context {
	return auth.With(context.Background(), &auth.Principal{Kind: auth.AppServer})
}

func testDocuments() *documents {
	return newDocuments(generated.NewExecutableSchema(generated.Config{}).Schema(), true)
}

// load loads a document that must be valid.
func load(t testing.TB, d *documents, ctx context.Context, text string) *document {
	t.Helper()
	doc, errs := d.load(ctx, text)
	if errs != nil {
		t.Fatalf("%.100s: %v", text, errs)
	}
	return doc
}

func TestDocuments_CachedTheSecondTime(t *testing.T) {
	d := testDocuments()
	const text = `{ me { id } }`
	first := load(t, d, appServer(), text)
	second := load(t, d, appServer(), text)
	third := load(t, d, appServer(), text)
	if first == second || second != third {
		t.Error("the document is not cached from the second time on")
	}
}

func TestDocuments_GuestsCacheNothing(t *testing.T) {
	d := testDocuments()
	const text = `{ me { id } }`
	for range 3 {
		load(t, d, context.Background(), text)
	}
	if n := d.ofCallers.recent.entries.Len() + d.ofCallers.hot.entries.Len() + len(d.ofCallers.sighted); n != 0 {
		t.Errorf("%d documents of guests are cached", n)
	}
	// Guests use the cached documents of other callers.
	load(t, d, appServer(), text)
	kept := load(t, d, appServer(), text)
	if load(t, d, context.Background(), text) != kept {
		t.Error("a guest's document was parsed although it is cached")
	}
}

func TestDocuments_SecretsAreNotCached(t *testing.T) {
	d := testDocuments()
	for range 3 {
		load(t, d, appServer(), `{ tokenInfo(token: "secret") { active } }`)
	}
	if n := d.ofCallers.recent.entries.Len() + d.ofCallers.hot.entries.Len() + len(d.ofCallers.sighted); n != 0 {
		t.Errorf("%d documents with secrets are cached", n)
	}
}

// TestDocuments_HotOnesStay: documents that are sent twice, however many, do not replace one that
// is sent more often.
func TestDocuments_HotOnesStay(t *testing.T) {
	d := testDocuments()
	const text = `{ me { id name } }`
	load(t, d, appServer(), text)
	hot := load(t, d, appServer(), text)
	load(t, d, appServer(), text)
	ids := strings.Repeat("1,", 800)
	for i := range 300 {
		for range 2 {
			load(t, d, appServer(), fmt.Sprintf(`{ a%d: users(ids: [%s]) { id } }`, i, ids))
		}
	}
	if n := d.ofCallers.recent.entries.Len(); n >= 300 {
		t.Fatalf("all %d documents are cached", n)
	}
	if load(t, d, appServer(), text) != hot {
		t.Error("the hot document is gone")
	}
}

// TestDocuments_LiveHeap loads many distinct documents, of guests and of others, and measures what
// remains on the heap.
func TestDocuments_LiveHeap(t *testing.T) {
	aliases := func(i int) string {
		var b strings.Builder
		for j := range 150 {
			fmt.Fprintf(&b, "a%d_%d: __typename ", i, j)
		}
		return "{ me { " + b.String() + "} }"
	}
	lists := func(i int) string {
		return fmt.Sprintf("{ a%d: users(ids: [%s]) { id } }", i, strings.Repeat("1,", 2000))
	}
	comments := func(i int) string {
		return fmt.Sprintf("{ me { %s } }", strings.Repeat(strings.Repeat(fmt.Sprintf("#%d\n", i), 8)+"id ", 400))
	}
	escapes := func(i int) string {
		return fmt.Sprintf(`{ a%d: users(ids: [%s]) { id } }`, i, strings.Repeat(`"\u0041bcdefghijklmnop" `, 1500))
	}
	for _, c := range []struct {
		name string
		ctx  context.Context
		n    int
		text func(int) string
		max  int // in MiB
	}{
		{"of guests", context.Background(), 200, aliases, 4},
		{"of guests, with list literals", context.Background(), 50, lists, 4},
		{"of an App Server", appServer(), 500, aliases, 24},
		{"of an App Server, with list literals", appServer(), 100, lists, 24},
		{"of an App Server, with comments", appServer(), 100, comments, 24},
		{"of an App Server, with escapes", appServer(), 100, escapes, 24},
	} {
		d := testDocuments()
		before := liveHeap()
		for i := range c.n {
			text := c.text(i)
			load(t, d, c.ctx, text)
			load(t, d, c.ctx, text)
		}
		used := (liveHeap() - before) / (1 << 20)
		estimated := d.ofCallers.recent.memory + d.ofCallers.hot.memory
		t.Logf("%s: %d documents take %d MiB, estimated %d MiB", c.name, d.ofCallers.recent.entries.Len(), used, estimated>>20)
		if used > c.max {
			t.Errorf("%s: %d MiB are left on the heap, want at most %d", c.name, used, c.max)
		}
		runtime.KeepAlive(d)
	}
}

// liveHeap returns the size of the reachable objects in bytes.
func liveHeap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestDocuments_Concurrently(t *testing.T) {
	d := testDocuments()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 200 {
				load(t, d, appServer(), fmt.Sprintf(`{ a%d: me { id } }`, (i*j)%50))
			}
		})
	}
	all.Wait()
	for _, s := range []*segment{&d.ofCallers.recent, &d.ofCallers.hot} {
		memory := 0
		for _, doc := range s.entries.Values() {
			memory += doc.memory
		}
		if memory != s.memory {
			t.Errorf("a segment counts %d bytes, its documents have %d", s.memory, memory)
		}
	}
}

// introspect executes an introspection as a guest.
func introspect(t *testing.T, e *Executor, text string) (*operation, *graphql.Response) {
	t.Helper()
	ctx := graphql.StartOperationTrace(context.Background())
	op, errs := e.CreateOperationContext(ctx, &graphql.RawParams{Query: text})
	if errs != nil {
		t.Fatalf("%s: %v", text, errs)
	}
	responses, ctx := e.DispatchOperation(ctx, op)
	return operationOf(op), responses(ctx)
}

// testExecutor returns an Executor whose resolvers must not be called, which documents of guests
// never cause.
func testExecutor(introspection bool) *Executor {
	return NewExecutor(&Resolver{}, Options{Introspection: introspection, Stock: true, Logger: slog.New(slog.DiscardHandler)})
}

// TestIntrospection_SwitchedOff: then nothing returns the schema, the field for gateways neither.
func TestIntrospection_SwitchedOff(t *testing.T) {
	e := testExecutor(false)
	for _, text := range []string{`{ __schema { queryType { name } } }`, `{ __type(name: "User") { name } }`, `{ _service { sdl } }`} {
		_, errs := e.CreateOperationContext(graphql.StartOperationTrace(context.Background()), &graphql.RawParams{Query: text})
		if len(errs) != 1 || fault.CodeOf(errs[0]) != fault.Forbidden {
			t.Errorf("%s: %v", text, errs)
		}
	}
}

// TestIntrospection_IsCached: the result of an introspection that is sent again is cached, for
// guests too.
func TestIntrospection_IsCached(t *testing.T) {
	e := testExecutor(true)
	const text = `{ __schema { types { name fields { name } } } }`
	_, first := introspect(t, e, text)
	introspect(t, e, text)
	known, third := introspect(t, e, text)
	if known.result.Load() == nil || &third.Data[0] != &(*known.result.Load())[0] {
		t.Error("the result is not cached")
	}
	if string(first.Data) != string(third.Data) {
		t.Errorf("%s\nis not\n%s", third.Data, first.Data)
	}
	// So is the result of the full introspection query that tools send, with room for a larger
	// schema.
	for range 3 {
		known, first = introspect(t, e, usual.Query)
	}
	if known.result.Load() == nil || len(first.Data) > maxPrepared*3/4 {
		t.Errorf("the usual introspection has %d bytes: cached %t", len(first.Data), known.result.Load() != nil)
	}
	c := introspection{schema: e.documents.schema}
	doc, errs := e.documents.parse(usual.Query)
	if errs != nil {
		t.Fatal(errs)
	}
	if c.root(doc.tree.Operations[0].SelectionSet); c.n > maxIntrospected/3 {
		t.Errorf("the usual introspection lists %d fields, of %d that are allowed", c.n, maxIntrospected)
	}
	// A name in a variable changes the result, and other queries of guests are not cached.
	for _, text := range []string{`query($n: String = "User") { __type(name: $n) { name } }`, `{ __typename me { id } }`} {
		introspect(t, e, text)
		introspect(t, e, text)
		if known, _ := introspect(t, e, text); known.result.Load() != nil {
			t.Errorf("%s is kept", text)
		}
	}
}
