package graph_test

import (
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/graph/graphtest"
	"rollcall/internal/testenv"
)

// TestSubscription_SingleRootField sends documents that select no root field, several, or one only
// under a condition, over every transport that carries subscriptions.
func TestSubscription_SingleRootField(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	const (
		conditional = "on its root selection"
		several     = "exactly one root field"
	)
	for name, c := range map[string]struct{ query, message string }{
		"skipped":                    {`subscription { statusChanged @skip(if: true) { userId } }`, conditional},
		"not skipped":                {`subscription { statusChanged @skip(if: false) { userId } }`, conditional},
		"not included":               {`subscription { statusChanged @include(if: false) { userId } }`, conditional},
		"included by a variable":     {`subscription S($yes: Boolean = true) { statusChanged @include(if: $yes) { userId } }`, conditional},
		"skipped inline fragment":    {`subscription { ... @skip(if: true) { statusChanged { userId } } }`, conditional},
		"skipped in inline fragment": {`subscription { ... on Subscription { statusChanged @skip(if: true) { userId } } }`, conditional},
		"skipped spread":             {`subscription { ...F @skip(if: true) } fragment F on Subscription { statusChanged { userId } }`, conditional},
		"skipped in named fragment":  {`subscription { ...F } fragment F on Subscription { statusChanged @skip(if: true) { userId } }`, conditional},
		"skipped in nested fragment": {`subscription { ...F } fragment F on Subscription { ...G } fragment G on Subscription { ... { statusChanged @include(if: false) { userId } } }`, conditional},
		"one of two skipped":         {`subscription { statusChanged { userId } relationshipChanged @skip(if: true) { kind } }`, conditional},
		"two fields":                 {`subscription { statusChanged { userId } relationshipChanged { kind } }`, several},
		"two names for one field":    {`subscription { a: statusChanged { userId } b: statusChanged { userId } }`, several},
		"two names in fragments":     {`subscription { statusChanged { userId } ...F } fragment F on Subscription { b: statusChanged { userId } }`, several},
		"only __typename":            {`subscription { __typename }`, "__typename"},
		"an operation not asked for": {`subscription A { statusChanged { userId } } subscription B { statusChanged @skip(if: true) { userId } }`, conditional},
	} {
		s := graphtest.Scenario{Name: name, As: "ann", Query: c.query, WantCode: "GRAPHQL_VALIDATION_FAILED"}
		for _, way := range graphtest.Transports {
			t.Run(name+" over "+way, func(t *testing.T) {
				live := w.Live(way, w.Bearer(s.As), s.Query, nil)
				defer live.Close()
				r := live.Next()
				if r.Code() != s.WantCode || !strings.Contains(r.Errors[0].Message, c.message) || len(r.Data) > 0 {
					t.Errorf("got %s, want %s with %q", r.Body, s.WantCode, c.message)
				}
			})
		}
	}
}

// TestSubscription_SkipOnEveryField sends each subscription of the schema with @skip.
func TestSubscription_SkipOnEveryField(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	s := schema()
	for _, field := range s.Subscription.Fields {
		if strings.HasPrefix(field.Name, "__") {
			continue
		}
		as := "ann"
		if caller := field.Directives.ForName("auth").Arguments.ForName("to").Value.String(); !strings.Contains(caller, "USER") {
			as = graphtest.AppServer
		}
		query, variables := example(s, &ast.Definition{Name: "subscription"}, field)
		query = strings.Replace(query, "{ __typename }", "@skip(if: true) { __typename }", 1)
		for _, way := range graphtest.Transports {
			w.RunOver(way, graphtest.Scenario{
				Name: field.Name + " over " + way, As: as, Query: query, Variables: variables, WantCode: "GRAPHQL_VALIDATION_FAILED",
			})
		}
	}
}

// TestSubscription_OneRootFieldInFragments starts subscriptions that select the same root field
// more than once, and conditions below the root.
func TestSubscription_OneRootFieldInFragments(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	const status = `{"userStatus":{"userId":"ann"}}`
	for _, way := range graphtest.Transports {
		w.RunOver(way,
			graphtest.Scenario{
				Name: "once in a fragment over " + way, As: "ann", WantData: status,
				Query: `subscription { ...F } fragment F on Subscription { ... { userStatus(ids: ["ann"]) { userId } } }`,
			},
			graphtest.Scenario{
				Name: "twice over " + way, As: "ann", WantData: status,
				Query: `subscription { userStatus(ids: ["ann"]) { userId } ...F ...F } fragment F on Subscription { userStatus(ids: ["ann"]) { userId } }`,
			},
			graphtest.Scenario{
				Name: "conditions below over " + way, As: "ann", WantData: status,
				Query: `subscription { userStatus(ids: ["ann"]) { userId presence @skip(if: true) } }`,
			},
		)
	}
}
