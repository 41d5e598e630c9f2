package graph_test

import (
	"encoding/json"
	"testing"
	"time"

	"rollcall/graph/graphtest"
	"rollcall/internal/testenv"
)

func TestVariables_WrongTypes(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	const (
		page   = `query($v: Int) { userList(first: $v) { totalCount } }`
		user   = `query($v: ID!) { user(id: $v) { id } }`
		users  = `query($v: [ID!]!) { users(ids: $v) { id } }`
		filter = `query($v: UserFilter) { userList(filter: $v) { totalCount } }`
		create = `mutation($v: RegisterUserInput!) { registerUser(input: $v) { created } }`
		update = `mutation($v: UpdateUserInput!) { updateUser(input: $v) { user { id } } }`
	)
	for name, c := range map[string]struct {
		query, value string
		good         bool
	}{
		"Int":                           {page, `5`, true},
		"Int as 5.0":                    {page, `5.0`, false},
		"Int null":                      {page, `null`, true},
		"Int as a string":               {page, `"5"`, false},
		"Int with a fraction":           {page, `1.5`, false},
		"Int of more than 32 bits":      {page, `3000000000`, false},
		"Int of more than 64 bits":      {page, `99999999999999999999999`, false},
		"Int as a list":                 {page, `[5]`, false},
		"ID":                            {user, `"a"`, true},
		"ID as a number":                {user, `5`, true},
		"ID with a fraction":            {user, `1.5`, false},
		"ID as true":                    {user, `true`, false},
		"ID null":                       {user, `null`, false},
		"a list of one":                 {users, `"a"`, true},
		"a list with null":              {users, `["a", null]`, false},
		"a list with an object":         {users, `[{}]`, false},
		"an enum":                       {filter, `{"states": ["BANNED"]}`, true},
		"an enum in lower case":         {filter, `{"states": ["banned"]}`, false},
		"an enum as a number":           {filter, `{"states": [1]}`, false},
		"a Boolean as a string":         {update, `{"userId": "ann", "removeAvatar": "true"}`, false},
		"an unknown field":              {filter, `{"colour": "red"}`, false},
		"an object as a list":           {filter, `[1]`, false},
		"a String":                      {create, `{"id": "a", "name": "A"}`, true},
		"a String as a number":          {create, `{"id": "a", "name": 5}`, false},
		"a missing field":               {create, `{"id": "a"}`, false},
		"a nested Int as a string":      {create, `{"id": "a", "name": "A", "tokenTtlSeconds": "60"}`, false},
		"a nested Int":                  {create, `{"id": "a", "name": "A", "tokenTtlSeconds": 60}`, true},
		"a nested Int of a wrong range": {create, `{"id": "a", "name": "A", "tokenTtlSeconds": 1e12}`, false},
	} {
		s := graphtest.Scenario{
			Name: name, As: graphtest.AppServer, Query: c.query,
			Variables: map[string]any{"v": json.RawMessage(c.value)},
		}
		if !c.good {
			s.WantCode, s.WantStatus = "GRAPHQL_VALIDATION_FAILED", 400
		}
		w.Run(s)
	}
}

// TestVariables_ZeroValuesAreNotGiven: what a typed client sends for optional variables that its
// caller leaves out has the same result as leaving them out.
func TestVariables_ZeroValuesAreNotGiven(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		for _, id := range []string{"ann", "bob", "cid"} {
			people(w, id)
			w.Clock.Pass(time.Millisecond) // lists have the oldest user first
		}
		w.Run(step("bob", server, addFriend, input("userId", "ann", "friendId", "bob"), ""),
			step("cid", server, addFriend, input("userId", "ann", "friendId", "cid"), ""))
		const (
			page    = `nodes { user { id } } pageInfo { hasPreviousPage }`
			friends = `query($first: Int, $after: String, $orderBy: ListOrder) { user(id: "ann") { friends(first: $first, after: $after, orderBy: $orderBy) { ` + page + ` } } }`
			all     = `{"user":{"friends":{"nodes":[{"user":{"id":"cid"}},{"user":{"id":"bob"}}],"pageInfo":{"hasPreviousPage":false}}}}`
			users   = `query($first: Int = 2, $after: String, $filter: UserFilter, $orderBy: ListOrder = OLDEST_FIRST) { userList(first: $first, after: $after, filter: $filter, orderBy: $orderBy) { nodes { id } pageInfo { hasPreviousPage } } }`
		)
		zero := vars("first", 0, "after", "", "orderBy", "", "filter", vars("search", "", "states", []string{}, "presences", nil))
		refused := func(name string, variables map[string]any, field string) graphtest.Scenario {
			return refusal(name, server, users, variables, "INVALID_ARGUMENT", "field", field)
		}
		w.Run(
			step("friends", server, friends, vars("first", 0, "after", "", "orderBy", ""), all),
			step("friends with literals", server, `{ user(id: "ann") { friends(first: 0, after: "") { `+page+` } } }`, nil, all),
			step("users", server, users, zero,
				`{"userList":{"nodes":[{"id":"ann"},{"id":"bob"},{"id":"cid"}],"pageInfo":{"hasPreviousPage":false}}}`),
			refused("a negative page", vars("first", -1), "first"),
			refused("a cursor of blanks", vars("after", " "), "after"),
			graphtest.Scenario{
				Name: "an enum of blanks", As: server, Query: users, Variables: vars("orderBy", " "),
				WantCode: "GRAPHQL_VALIDATION_FAILED", WantStatus: 400,
			},
			graphtest.Scenario{
				Name: "an empty enum in a list", As: server, Query: users, Variables: vars("filter", vars("states", []string{""})),
				WantCode: "GRAPHQL_VALIDATION_FAILED", WantStatus: 400,
			},
			graphtest.Scenario{
				Name: "a required enum", As: server, Variables: vars("d", ""),
				Query:    `query($d: RequestDirection!) { user(id: "ann") { friendRequests(direction: $d) { totalCount } } }`,
				WantCode: "GRAPHQL_VALIDATION_FAILED", WantStatus: 400,
			},
			graphtest.Scenario{
				Name: "a required ID", As: server, Query: `query($id: ID!) { user(id: $id) { id } }`, Variables: vars("id", ""),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("id", "required"),
			},
		)
	})
}

// TestVariables_ErrorsNameThem: an error about a variable has its path and the violated rule, as
// errors of arguments do, and repeats nothing that was not sent.
func TestVariables_ErrorsNameThem(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	const create = `mutation($in: RegisterUserInput!) { registerUser(input: $in) { created } }`
	for _, c := range []struct{ query, value, message, field, rule string }{
		{create, `{"id": "a", "name": "A", "tokenTtlSeconds": 1.5}`, "in.tokenTtlSeconds must be a value of the type Int", "in.tokenTtlSeconds", "type"},
		{create, `{"id": "a", "name": "A", "tokenTtlSeconds": "60"}`, "in.tokenTtlSeconds must be a value of the type Int", "in.tokenTtlSeconds", "type"},
		{create, `{"id": "a", "name": null}`, "in.name must not be null", "in.name", "required"},
		{create, `{"id": "a"}`, "in.name is required", "in.name", "required"},
		{create, `{"id": "a", "name": "A", "colour": 1}`, "in.colour is not a field of its type", "in.colour", "known"},
		{`query($in: [ID!]!) { users(ids: $in) { id } }`, `["a", {}]`, "in.1 must be a value of the type ID", "in.1", "type"},
		{`query($in: UserFilter) { userList(filter: $in) { totalCount } }`, `{"states": ["BANNED", "GONE"]}`,
			`in.states.1: "GONE" is not a value of UserState`, "in.states.1", "type"},
	} {
		r := w.Do(w.Bearer(graphtest.AppServer), c.query, map[string]any{"in": json.RawMessage(c.value)})
		if len(r.Errors) != 1 || r.Errors[0].Message != c.message || r.Errors[0].Path != nil ||
			r.Errors[0].Extensions["field"] != c.field || r.Errors[0].Extensions["rule"] != c.rule {
			t.Errorf("%s: %s", c.value, r.Body)
		}
	}
}
