package graph_test

import (
	"encoding/json"
	"testing"

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
			"in.states.1: GONE is not a valid UserState", "in.states.1", "type"},
	} {
		r := w.Do(w.Bearer(graphtest.AppServer), c.query, map[string]any{"in": json.RawMessage(c.value)})
		if len(r.Errors) != 1 || r.Errors[0].Message != c.message || r.Errors[0].Path != nil ||
			r.Errors[0].Extensions["field"] != c.field || r.Errors[0].Extensions["rule"] != c.rule {
			t.Errorf("%s: %s", c.value, r.Body)
		}
	}
}
