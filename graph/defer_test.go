package graph_test

import (
	"strings"
	"testing"

	"rollcall/graph/graphtest"
	"rollcall/internal/testenv"
)

// TestDefer_IsNotSupported: no transport sends deferred parts of a response, so fields that cannot
// be null would be missing.
func TestDefer_IsNotSupported(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	w.Run(graphtest.Scenario{
		Name: "in a query", As: graphtest.AppServer, Query: `{ app { key ... @defer { onlineUserCount } } }`,
		WantCode: "GRAPHQL_VALIDATION_FAILED", WantStatus: 400,
	})
	if r := w.Do("", `{ __schema { directives { name } } }`, nil); strings.Contains(string(r.Data), "defer") || len(r.Errors) > 0 {
		t.Errorf("introspection lists it: %s", r.Body)
	}
}
