package graph_test

import (
	"testing"

	"rollcall/graph/graphtest"
	"rollcall/internal/testenv"
)

// TestDocument_EscapesOfAnyWidth reads back a string of a document.
func TestDocument_EscapesOfAnyWidth(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	for _, c := range []struct{ literal, want, code string }{
		{literal: `"\u{1F600}"`, want: `"😀"`},
		{literal: `"\u{61}\u{0062}\u{00000063}\u0064"`, want: `"abcd"`},
		{literal: `"\u{22}\u{5c}n\u{a}"`, want: `"\"\\n\n"`},
		{literal: `"\u{10FFFF}"`, want: `"\udbff\udfff"`},
		{literal: `"\ud83d\ude00"`, want: `"😀"`},
		{literal: `"\\u{1F600}"`, want: `"\\u{1F600}"`},
		{literal: `"""\u{1F600}"""`, want: `"\\u{1F600}"`},
		{literal: `"\u{110000}"`, code: "GRAPHQL_PARSE_FAILED"},
		{literal: `"\u{}"`, code: "GRAPHQL_PARSE_FAILED"},
		{literal: `"\u{1F600"`, code: "GRAPHQL_PARSE_FAILED"},
		{literal: `"\u{x}"`, code: "GRAPHQL_PARSE_FAILED"},
		{literal: `"\u{D83D}\u{DE00}"`, code: "BAD_REQUEST"},
		{literal: `"\ud83d"`, code: "BAD_REQUEST"},
	} {
		s := graphtest.Scenario{
			Name: c.literal, As: graphtest.AppServer, Query: `{ messagePermission(from: ` + c.literal + `, to: "b") { from } }`,
			WantData: `{"messagePermission":{"from":` + c.want + `}}`, WantCode: c.code,
		}
		if c.code != "" {
			s.WantData, s.WantStatus = "", 400
		}
		w.Run(s)
	}
}
