package graph_test

import (
	"encoding/json"
	"strings"
	"testing"

	"rollcall/graph/graphtest"
	"rollcall/internal/testenv"
)

// TestNumberLiterals_OutOfRange sends numbers in documents. A number outside the range of Int is
// refused like a variable, before anything is executed; a number in the range that the argument's
// rule forbids is the field's error.
func TestNumberLiterals_OutOfRange(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	const (
		refused = "GRAPHQL_VALIDATION_FAILED"
		rule    = "INVALID_ARGUMENT"
	)
	for name, c := range map[string]struct{ query, code string }{
		"argument":                   {`{ userList(first: 3000000000) { totalCount } }`, refused},
		"argument, negative":         {`{ userList(first: -3000000000) { totalCount } }`, refused},
		"argument, 64 bits":          {`{ userList(first: 9223372036854775808) { totalCount } }`, refused},
		"one above 32 bits":          {`{ userList(first: 2147483648) { totalCount } }`, refused},
		"the largest Int":            {`{ userList(first: 2147483647) { totalCount } }`, rule},
		"the smallest Int":           {`{ userList(first: -2147483648) { totalCount } }`, rule},
		"one below 32 bits":          {`{ userList(first: -2147483649) { totalCount } }`, refused},
		"default value":              {`query($n: Int = 3000000000) { userList(first: $n) { totalCount } }`, refused},
		"directive":                  {`{ app @skip(if: 3000000000) { key } }`, refused},
		"input field":                {`mutation { registerUser(input: {id: "a", name: "A", tokenTtlSeconds: 3000000000}) { created } }`, refused},
		"input field in a list":      {`mutation { registerUsers(input: {users: [{id: "a", name: "A", tokenTtlSeconds: 3000000000}]}) { results { created } } }`, refused},
		"input field in a default":   {`mutation($in: RegisterUserInput! = {id: "a", name: "A", tokenTtlSeconds: 3000000000}) { registerUser(input: $in) { created } }`, refused},
		"in a fragment":              {`{ ...F } fragment F on Query { userList(first: 3000000000) { totalCount } }`, refused},
		"below the root":             {`{ user(id: "a") { friends(first: 3000000000) { totalCount } } }`, refused},
		"a float of an endless size": {`{ userList(first: 1e999) { totalCount } }`, refused},
		"ID of 32 bits":              {`{ user(id: 3000000000) { id } }`, ""},
		"ID of more than 64 bits":    {`{ user(id: 9223372036854775808) { id } }`, ""},
		"ID of more, too long":       {`{ user(id: ` + strings.Repeat("9", 65) + `) { id } }`, rule},
		"ID with a fraction":         {`{ user(id: 1.0) { id } }`, refused},
		"String as a number":         {`mutation { registerUser(input: {id: 1, name: 99999999999999999999}) { created } }`, refused},
		"DateTime of 64 bits":        {`mutation { expireTokens(input: {userIds: ["a"], issuedBefore: 3000000000}) { results { userId } } }`, rule},
		"DateTime of more":           {`mutation { expireTokens(input: {userIds: ["a"], issuedBefore: 9223372036854775808}) { results { userId } } }`, refused},
		"DateTime, endless":          {`mutation { expireTokens(input: {userIds: ["a"], issuedBefore: 1e999}) { results { userId } } }`, refused},
		"DateTime as a default":      {`mutation($at: DateTime! = 9223372036854775808) { expireTokens(input: {userIds: ["a"], issuedBefore: $at}) { results { userId } } }`, refused},
		"DateTime in an object":      {`mutation { expireTokens(input: {userIds: ["a"], issuedBefore: {a: 9223372036854775808}}) { results { userId } } }`, refused},
		"in a representation":        {`{ _entities(representations: [{__typename: "User", id: 9223372036854775808}]) { __typename } }`, refused},
		"endless in one":             {`{ _entities(representations: [{__typename: "User", id: [{a: 1e999}]}]) { __typename } }`, refused},
		"in place of one":            {`{ _entities(representations: [1e999]) { __typename } }`, refused},
		"as the default of one":      {`query($r: _Any! = {id: 1e999}) { _entities(representations: [$r]) { __typename } }`, refused},
		"in one, of 64 bits":         {`{ _entities(representations: [{__typename: "User", id: 3000000000}]) { __typename } }`, rule},
		"DateTime in a list":         {`mutation { expireTokens(input: {userIds: ["a"], issuedBefore: [9223372036854775808]}) { results { userId } } }`, refused},
	} {
		s := graphtest.Scenario{Name: name, As: graphtest.AppServer, Query: c.query, WantCode: c.code}
		if c.code == refused {
			s.WantStatus = 400
		}
		w.Run(s)
	}
}

// TestNumberLiterals_InLists applies the rule to lists of Int, of which the schema has none yet.
func TestNumberLiterals_InLists(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	for literal, want := range map[string]string{
		`[1, 3000000000]`: "Int cannot represent non 32-bit signed integer value: 3000000000",
		`[[3000000000]]`:  "Int cannot represent non 32-bit signed integer value: 3000000000",
		`3000000000`:      "Int cannot represent non 32-bit signed integer value: 3000000000",
		`[1, 2]`:          "",
	} {
		typ := "[Int!]"
		if strings.HasPrefix(literal, "[[") {
			typ = "[[Int!]]"
		}
		r := w.Do(w.Bearer(graphtest.AppServer), `query($n: `+typ+` = `+literal+`) { app { key } }`, nil)
		if got := strings.Contains(string(r.Body), "Int cannot"); got != (want != "") || !strings.Contains(string(r.Body), want) {
			t.Errorf("%s: %s, want %q", literal, r.Body, want)
		}
	}
}

// TestNumberLiterals_StandForIDs registers a user with a number of more than 64 bits as its ID, and
// finds it by every way of writing the number.
func TestNumberLiterals_StandForIDs(t *testing.T) {
	const id = "123456789012345678901234567890"
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	w.Run(graphtest.Scenario{Name: "in an object", As: graphtest.AppServer,
		Query:    `mutation { registerUser(input: {id: ` + id + `, name: "A"}) { created user { id } } }`,
		WantData: `{"registerUser":{"created":true,"user":{"id":"` + id + `"}}}`})
	for name, query := range map[string]string{
		"an argument":            `{ users: user(id: ` + id + `) { id } }`,
		"a default":              `query($id: ID! = ` + id + `) { users: user(id: $id) { id } }`,
		"a default in a list":    `query($ids: [ID!]! = [` + id + `]) { users(ids: $ids) { id } }`,
		"a list":                 `{ users(ids: [` + id + `]) { id } }`,
		"one in place of a list": `{ users(ids: ` + id + `) { id } }`,
		"in a fragment":          `{ ...F } fragment F on Query { users: user(id: ` + id + `) { id } }`,
	} {
		want := `{"users":[{"id":"` + id + `"}]}`
		if strings.Contains(query, "user(") {
			want = `{"users":{"id":"` + id + `"}}`
		}
		w.Run(graphtest.Scenario{Name: name, As: graphtest.AppServer, Query: query, WantData: want})
	}
	w.Run(
		graphtest.Scenario{Name: "a variable", As: graphtest.AppServer, Query: `query($id: ID!) { user(id: $id) { id } }`,
			Variables: map[string]any{"id": json.RawMessage(id)}, WantData: `{"user":{"id":"` + id + `"}}`},
		graphtest.Scenario{Name: "a variable in a list", As: graphtest.AppServer, Query: `query($ids: [ID!]!) { users(ids: $ids) { id } }`,
			Variables: map[string]any{"ids": json.RawMessage("[" + id + ",1]")}, WantData: `{"users":[{"id":"` + id + `"},null]}`},
		graphtest.Scenario{Name: "a variable with an exponent", As: graphtest.AppServer, Query: `query($id: ID!) { user(id: $id) { id } }`,
			Variables: map[string]any{"id": json.RawMessage("1e3")}, WantCode: "GRAPHQL_VALIDATION_FAILED", WantStatus: 400},
	)
}
