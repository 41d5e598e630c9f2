package graph_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/graph"
	"rollcall/graph/graphtest"
	"rollcall/internal/testenv"
)

func TestLimits_Refuse(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	refused := func(name, query string, code string) {
		t.Helper()
		w.Run(graphtest.Scenario{Name: name, As: graphtest.AppServer, Query: query, WantCode: code, WantStatus: 400})
	}
	refused("not GraphQL", `{ me `, "GRAPHQL_PARSE_FAILED")
	refused("an unknown field", `{ nobody }`, "GRAPHQL_VALIDATION_FAILED")
	refused("a variable of a wrong type", `query($id: ID!) { user(id: $id) { id } }`, "GRAPHQL_VALIDATION_FAILED")
	refused("too many tokens", "{ "+strings.Repeat("a ", graph.MaxTokens)+"}", "QUERY_TOO_COMPLEX")
	refused("10 000 aliases", "{ "+aliases(10_000)+"}", "QUERY_TOO_COMPLEX")
	refused("a page of IDs, many times", "{ "+strings.Repeat("", 1)+pages(14)+"}", "QUERY_TOO_COMPLEX")
	refused("depth through fragments", deep(21), "QUERY_TOO_COMPLEX")
	refused("fragments that double at each step", bomb(60), "QUERY_TOO_COMPLEX")
	w.Run(
		graphtest.Scenario{Name: "many aliases, but not too many", As: graphtest.AppServer, Query: "{ " + aliases(300) + "}"},
		graphtest.Scenario{Name: "large pages, but not too large", As: graphtest.AppServer, Query: "{ " + pages(13) + "}"},
	)
}

func aliases(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%d: app { key } ", i)
	}
	return b.String()
}

// pages requests 500 users with two fields each, n times: 1500 each time.
func pages(n int) string {
	ids := strings.Repeat(`"x" `, 500)
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%d: users(ids: [%s]) { id name } ", i, ids)
	}
	return b.String()
}

// deep nests introspection's ofType through a chain of fragments.
func deep(n int) string {
	var b strings.Builder
	b.WriteString(`{ __type(name: "App") { fields { type { ...f0 } } } } `)
	for i := range n {
		fmt.Fprintf(&b, "fragment f%d on __Type { ofType { ...f%d } } ", i, i+1)
	}
	fmt.Fprintf(&b, "fragment f%d on __Type { name }", n)
	return b.String()
}

// bomb has n fragments that each spread the next twice under other names.
func bomb(n int) string {
	var b strings.Builder
	b.WriteString("{ ...f0 } ")
	for i := range n {
		fmt.Fprintf(&b, "fragment f%d on Query { a%d: app { key } ...f%d ...f%d } ", i, i, i+1, i+1)
	}
	fmt.Fprintf(&b, "fragment f%d on Query { app { key } }", n)
	return b.String()
}

// TestLimits_HostileDocumentsAreRefusedQuickly has documents that would take a naive checker
// minutes. The time limit is generous because it is about minutes, not milliseconds.
func TestLimits_HostileDocumentsAreRefusedQuickly(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	bearer := w.Bearer(graphtest.AppServer)
	for name, query := range map[string]string{
		"doubling fragments":     bomb(1000),
		"one field 9000 times":   "{ app { " + strings.Repeat("key ", 9000) + "} }",
		"one object 2000 times":  "{ " + strings.Repeat("app { key } ", 2000) + "}",
		"3000 aliases":           "{ " + aliases(1600) + "}",
		"nested inline fragment": "{ app { " + strings.Repeat("... { ", 3000) + "key" + strings.Repeat(" }", 3000) + "} }",
	} {
		start := time.Now()
		r := w.Do(bearer, query, nil)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s took %s (%s)", name, took, r.Code())
		} else {
			t.Logf("%s: %d %s in %s", name, r.Status, r.Code(), took)
		}
	}
}

func TestIntrospection_Switch(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	w.Run(graphtest.Scenario{Name: "on", Query: `{ __schema { queryType { name } } }`, WantData: `{"__schema":{"queryType":{"name":"Query"}}}`})
}

// TestOperationName_Missing sends documents with several operations without choosing one.
func TestOperationName_Missing(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	r := w.Do(w.Bearer(graphtest.AppServer), `query a { app { name } } query b { app { name } } query c { app { name } }`, nil)
	if r.Status != 400 || r.Code() != "GRAPHQL_VALIDATION_FAILED" || r.Errors[0].Message != "the document has 3 operations: name one with operationName" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if r := w.Do(w.Bearer(graphtest.AppServer), `query a { app { name } }`, nil); r.Code() != "" {
		t.Errorf("one operation: %d %s", r.Status, r.Body)
	}
}
