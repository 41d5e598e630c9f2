package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/graph"
	"rollcall/graph/graphtest"
	"rollcall/internal/testenv"
)

// hostile are documents that cost a naive server far more than their length suggests, and the codes
// that refuse them.
var hostile = map[string]struct{ text, code string }{
	"__schema in fragments that double":  {doubling("__schema", "__Schema", 40), tooComplex},
	"__type in fragments that double":    {doubling(`__type(name: "App")`, "__Type", 40), tooComplex},
	"the root in fragments that double":  {bomb(60), tooComplex},
	"a thousand fragments that double":   {bomb(700), tooComplex},
	"a fragment that spreads itself":     {`{ ...f } fragment f on Query { ...f }`, invalid},
	"a long cycle of fragments":          {chain(900) + ` fragment f900 on Query { ...f0 }`, invalid},
	"a cycle in an unused fragment":      {`{ __typename } fragment f on Query { ... { ...f } }`, invalid},
	"a long chain of fragments":          {chain(1200) + ` fragment f1200 on Query { __typename }`, tooComplex},
	"fragments that are walked often":    {comb(95, 40), tooComplex},
	"inline fragments, nested":           {"{ " + nested("a%d: __typename ... {", "b: __typename", 1400) + " }", tooComplex},
	"inline fragments, few and wide":     {"{ " + strings.Repeat("... { ", 90) + repeat("a%d: __typename ", 3000) + strings.Repeat("}", 90) + " }", tooComplex},
	"fields, nested":                     {deep(21), tooComplex},
	"lists, nested":                      {"{ user(id: " + strings.Repeat("[", 4900) + strings.Repeat("]", 4900) + ") { id } }", tooComplex},
	"objects, nested":                    {"{ user(id: " + strings.Repeat("{ a: ", 3000) + "1" + strings.Repeat("}", 3000) + ") { id } }", tooComplex},
	"types, nested":                      {"query($a: " + strings.Repeat("[", 4900) + "ID" + strings.Repeat("]", 4900) + ") { user(id: $a) { id } }", tooComplex},
	"a long name":                        {"{ " + strings.Repeat("a", 300_000) + " }", tooComplex},
	"a long name of a variable's type":   {"query($a: " + strings.Repeat("a", 300_000) + ") { user(id: $a) { id } }", tooComplex},
	"a long name of an enum's value":     {"{ userList(filter: {states: [" + strings.Repeat("a", 300_000) + "]}) { totalCount } }", tooComplex},
	"a long string for an enum":          {`{ userList(filter: {states: ["` + strings.Repeat("a", 300_000) + `"]}) { totalCount } }`, invalid},
	"a long literal in many places":      {literals(13), tooComplex},
	"600 operations":                     {repeat("query q%d { ...f } ", 600) + "fragment f on Query { " + strings.Repeat("x ", 3000) + "}", tooComplex},
	"20 operations and 3000 errors":      {repeat("query q%d { ...f } ", 20) + "fragment f on Query { " + strings.Repeat("x ", 3000) + "}", invalid},
	"many directives":                    {"{ __typename " + strings.Repeat("@a ", 4900) + "}", invalid},
	"many variables":                     {"query(" + repeat("$a%d: ID ", 1500) + ") { " + repeat("a%d: user(id: $a1499) { id } ", 300) + "}", invalid},
	"many spreads of unknown fragments":  {"{ " + repeat("...f%d ", 4900) + "}", invalid},
	"many fragments that are never used": {"{ __typename } " + repeat("fragment f%d on Query { __typename } ", 1200), invalid},
	"__schema 560 times":                 {"{ " + repeat("a%d: __schema { ...s } ", 560) + "} fragment s on __Schema { types { name } }", tooComplex},
	"__schema twice by a fragment":       {"{ ...f a: __schema { types { name } } } fragment f on Query { __schema { types { name } } }", tooComplex},
	"__type eleven times":                {"{ " + repeat(`a%d: __type(name: "App") { name } `, 11) + "}", tooComplex},
	"a schema's fields 500 times":        {"{ __schema { types { " + repeat("a%d: fields { name } ", 500) + "} } }", tooComplex},
	"the schema's types, nested":         {nestedTypes(3), tooComplex},
	"a block string of many lines":       {`{ user(id: """` + strings.Repeat("\n", 300_000) + `""") { id } }`, ""},
	"comments":                           {"{ " + strings.Repeat("#\n", 9_000) + "__typename }", ""},
	"many aliases":                       {"{ " + repeat("a%d: __typename ", 3000) + "}", ""},
	"one field many times":               {"{ " + strings.Repeat("__typename ", 9000) + "}", ""},
}

const (
	tooComplex = "QUERY_TOO_COMPLEX"
	invalid    = "GRAPHQL_VALIDATION_FAILED"
)

// repeat returns n copies of format, each with its number.
func repeat(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// nested returns n levels of format, each with its number, around inner.
func nested(format, inner string, n int) string {
	return repeat(format+" ", n) + inner + strings.Repeat(" }", n)
}

// doubling selects field, of type on, with n fragments that each spread the next twice.
func doubling(field, on string, n int) string {
	return "{ " + field + " { ...f0 } } " + spreads(on, 2, n) + fmt.Sprintf(" fragment f%d on %s { __typename }", n, on)
}

// chain spreads n fragments, each of which spreads the next; the last is missing.
func chain(n int) string { return "{ ...f0 } " + spreads("Query", 1, n) }

// spreads returns n fragments on a type that each spread the next the given number of times.
func spreads(on string, times, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " fragment f%d on %s { %s }", i, on, strings.Repeat(fmt.Sprintf("...f%d ", i+1), times))
	}
	return b.String()
}

// comb has n fragments that each spread the next, and many fields.
func comb(n, fields int) string {
	var b strings.Builder
	b.WriteString("{ ...f0 }")
	for i := range n {
		fmt.Fprintf(&b, " fragment f%d on Query { %s ...f%d }", i, strings.Repeat("__typename ", fields), i+1)
	}
	fmt.Fprintf(&b, " fragment f%d on Query { __typename }", n)
	return b.String()
}

// nestedTypes selects the types of the fields of the types, and so on, n times.
func nestedTypes(n int) string {
	var b strings.Builder
	b.WriteString("{ __schema { types { ...f0 } } }")
	for i := range n {
		below := fmt.Sprintf("fields { type { ...f%d ofType { ...f%[1]d ofType { ofType { ...f%[1]d } } } } }", i+1)
		fmt.Fprintf(&b, " fragment f%d on __Type { a: %s b: %[2]s c: %[2]s }", i, below)
	}
	fmt.Fprintf(&b, " fragment f%d on __Type { fields { name description } }", n)
	return b.String()
}

// literals selects two users by a long literal, in 2^n places.
func literals(n int) string {
	literal := strings.Repeat("a", 100<<10)
	return "{ ...f0 }" + spreads("Query", 2, n) + fmt.Sprintf(` fragment f%d on Query { user(id: %q) { id } user(id: %q) { name } }`, n, literal, literal)
}

// TestHostileDocuments: each document is refused, or executed for a guest, quickly, whether
// introspection is on or off. The time limit is generous because it is about minutes, not
// milliseconds.
func TestHostileDocuments(t *testing.T) {
	const patience = 30 * time.Second
	for _, introspection := range []bool{true, false} {
		e := graph.NewExecutor(&graph.Resolver{}, graph.Options{
			Introspection: introspection, Stock: true, Logger: slog.New(slog.DiscardHandler),
		})
		for name, c := range hostile {
			t.Run(fmt.Sprintf("%s, introspection %t", name, introspection), func(t *testing.T) {
				done := make(chan *graphql.Response, 1)
				go func() { done <- execute(e, c.text) }()
				var resp *graphql.Response
				select {
				case resp = <-done:
				case <-time.After(patience):
					t.Fatal("this takes too long")
				}
				body, err := json.Marshal(resp)
				if err != nil {
					t.Fatal(err)
				}
				if len(body) > 64<<10 {
					t.Errorf("the response has %d bytes", len(body))
				}
				code := ""
				if len(resp.Errors) > 0 {
					code = resp.Errors[0].Extensions["code"].(string)
				}
				want := []string{c.code}
				if !introspection && strings.Contains(c.text, "__schema") || strings.Contains(c.text, "__type(") {
					want = append(want, "FORBIDDEN")
				}
				if c.code == "" {
					want = append(want, "UNAUTHENTICATED")
				}
				if !slices.Contains(want, code) {
					t.Errorf("the code is %q, want %q: %.500s", code, c.code, body)
				}
			})
		}
	}
}

// execute executes a document as a guest.
func execute(e *graph.Executor, text string) *graphql.Response {
	ctx := graphql.StartOperationTrace(context.Background())
	op, errs := e.CreateOperationContext(ctx, &graphql.RawParams{Query: text})
	if errs != nil {
		return e.DispatchError(graphql.WithOperationContext(ctx, op), errs)
	}
	responses, ctx := e.DispatchOperation(ctx, op)
	return responses(ctx)
}

// TestHostileDocuments_EveryTransport: the transport makes no difference.
func TestHostileDocuments_EveryTransport(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	for _, name := range []string{"__schema in fragments that double", "the root in fragments that double", "20 operations and 3000 errors"} {
		c := hostile[name]
		for _, way := range graphtest.Ways {
			s := graphtest.Scenario{Name: name + " over " + way, As: graphtest.AppServer, Query: c.text, WantCode: c.code}
			if way == "http" {
				s.WantStatus = http.StatusBadRequest
			}
			w.RunOver(way, s)
		}
		if len(c.text) > 8<<10 {
			continue // too long for a URL
		}
		resp, err := http.Get(w.URL + "?query=" + url.QueryEscape(c.text))
		if err != nil {
			t.Fatal(err)
		}
		var body graphtest.Response
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || body.Code() != c.code {
			t.Errorf("%s over GET: %q (%v)", name, body.Code(), err)
		}
		resp.Body.Close()
	}
}

// TestHostileVariables: the content of a variable counts in each place where it is used.
func TestHostileVariables(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	ids := make([]string, 100_000)
	for name, s := range map[string]graphtest.Scenario{
		"a long list in many fields": {
			Query:     `query($v: [ID!]!) { ` + repeat("a%d: users(ids: $v) { id } ", 19) + `}`,
			Variables: map[string]any{"v": ids}, WantCode: tooComplex, WantStatus: 400,
		},
		"a long text in many fields": {
			Query:     `query($v: ID!) { ` + repeat("a%d: user(id: $v) { id } ", 500) + `}`,
			Variables: map[string]any{"v": strings.Repeat("a", 500_000)}, WantCode: tooComplex, WantStatus: 400,
		},
		"a long list once": {
			Query:     `query($v: [ID!]!) { users(ids: $v) { id } }`,
			Variables: map[string]any{"v": ids[:1000]}, WantCode: "INVALID_ARGUMENT",
		},
		"a long text once": {
			Query:     `query($v: ID!) { user(id: $v) { id } }`,
			Variables: map[string]any{"v": strings.Repeat("a", 500_000)}, WantCode: "INVALID_ARGUMENT",
		},
	} {
		s.Name, s.As = name, graphtest.AppServer
		w.Run(s)
	}
}

// TestSubscription_MemoryIsBounded: a running subscription keeps its document and its variables in
// memory.
func TestSubscription_MemoryIsBounded(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	w.Register(w.App, "ann")
	const plain = `subscription { userStatus(ids: ["ann"]) { userId } }`
	for name, s := range map[string]graphtest.Scenario{
		"a usual one":     {Query: plain, WantData: `{"userStatus":{"userId":"ann"}}`},
		"a long comment":  {Query: plain + " #" + strings.Repeat("a", 300_000), WantCode: tooComplex},
		"many fields":     {Query: "subscription { userStatus(ids: [\"ann\"]) { " + repeat("a%d: userId ", 2000) + "} }", WantCode: tooComplex},
		"a long variable": {Query: "subscription($v: [ID!]!) { userStatus(ids: $v) { userId } }", Variables: map[string]any{"v": []string{strings.Repeat("a", 300_000)}}, WantCode: tooComplex},
	} {
		s.Name, s.As = name, "ann"
		w.RunOver("websocket", s)
	}
}

// TestErrors_AreFew: neither the validation nor the execution reports more errors than a person
// reads.
func TestErrors_AreFew(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	w.Register(w.App, "ann")
	for name, c := range map[string]struct {
		as, query string
		errors    int
		last      string
		data      int
	}{
		"one of each unknown field":  {graphtest.Guest, "{ " + repeat("x%d ", 10) + "}", 10, "", 0},
		"unknown fields":             {graphtest.Guest, "{ " + repeat("x%d ", 3000) + "}", 51, "there are too many errors", 0},
		"unknown fields, fragments":  {graphtest.Guest, "{ ...f } fragment f on Query { " + repeat("x%d ", 20) + "}", 20, "", 0},
		"100 refused fields":         {graphtest.Guest, "{ " + repeat(`a%d: user(id: "x") { id } `, 100) + "}", 100, "", 100},
		"600 refused fields":         {graphtest.Guest, "{ " + repeat(`a%d: user(id: "x") { id } `, 600) + "}", 101, "further errors were left out", 600},
		"600 refused fields of one":  {"ann", "{ " + repeat(`a%d: app { key } `, 600) + "}", 101, "further errors were left out", 0},
		"private fields of ann's":    {graphtest.AppServer, `{ users(ids: ["ann"]) { ` + repeat("a%d: friends(first: -1) { totalCount } ", 150) + "} }", 101, "further errors were left out", 0},
		"many refused, then a value": {graphtest.AppServer, "{ " + repeat(`a%d: userList(first: -1) { pageInfo { hasNextPage } } `, 150) + "app { key } }", 101, "further errors were left out", 0},
	} {
		r := w.Do(w.Bearer(c.as), c.query, nil)
		if len(r.Errors) != c.errors {
			t.Errorf("%s: %d errors, want %d: %.300s", name, len(r.Errors), c.errors, r.Body)
			continue
		}
		if last := r.Errors[len(r.Errors)-1]; !strings.HasPrefix(last.Message, c.last) {
			t.Errorf("%s: the last error is %q, want %q", name, last.Message, c.last)
		}
		var data map[string]json.RawMessage
		if err := json.Unmarshal(r.Data, &data); c.data > 0 && (err != nil || len(data) != c.data) {
			t.Errorf("%s: the data has %d fields, want %d (%v)", name, len(data), c.data, err)
		}
		if len(r.Body) > 64<<10 {
			t.Errorf("%s: the response has %d bytes", name, len(r.Body))
		}
	}
}

// TestErrors_ClipWhatTheyRepeat: errors repeat names and values of any length only up to a useful
// length.
func TestErrors_ClipWhatTheyRepeat(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	long := strings.Repeat("é", 5000)
	name := strings.Repeat("n", 200)
	for kind, s := range map[string]struct {
		query     string
		variables map[string]any
	}{
		"an unknown field":          {query: "{ " + name + " }"},
		"an unknown argument":       {query: "{ app(" + name + ": 1) { key } }"},
		"a value of a wrong type":   {query: fmt.Sprintf("{ userList(first: %q) { totalCount } }", long)},
		"a list of a wrong type":    {query: fmt.Sprintf("{ userList(first: [%s]) { totalCount } }", strings.Repeat("1,", 2000))},
		"no document at all":        {query: long},
		"an unexpected string":      {query: fmt.Sprintf("{ %q }", long)},
		"an unknown variable field": {query: `query($v: UserFilter) { userList(filter: $v) { totalCount } }`, variables: map[string]any{"v": map[string]any{long: 1}}},
		"an unknown enum value":     {query: `query($v: UserFilter) { userList(filter: $v) { totalCount } }`, variables: map[string]any{"v": map[string]any{"states": []string{long}}}},
		"an operation's name":       {query: "subscription " + name + " { a: statusChanged { userId } b: statusChanged { userId } }"},
	} {
		r := w.Do(w.Bearer(graphtest.AppServer), s.query, s.variables)
		if len(r.Errors) == 0 || len(r.Body) > 2000 {
			t.Errorf("%s: the response has %d bytes: %.500s", kind, len(r.Body), r.Body)
		}
		for _, text := range []string{long[:2*70], name[:70]} {
			if strings.Contains(string(r.Body), text) {
				t.Errorf("%s: not clipped: %.500s", kind, r.Body)
			}
		}
	}
}
