package graph_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"rollcall/graph/graphtest"
)

// The operations on many users, and what they select from each result.
const (
	registerMany = `mutation($input: RegisterUsersInput!) { registerUsers(input: $input) { results { userId created user { id name avatarUrl } token expiresAt error { code } } } }`
	expire       = `mutation($input: ExpireTokensInput!) { expireTokens(input: $input) { results { userId outcome error { code } } } }`
	banMany      = `mutation($input: BanUsersInput!) { banUsers(input: $input) { results { userId outcome error { code } } } }`
	unban        = `mutation($ids: [ID!]!) { unbanUsers(input: {userIds: $ids}) { results { userId outcome error { code } } } }`
	deactivate   = `mutation($ids: [ID!]!) { deactivateUsers(input: {userIds: $ids}) { results { userId outcome error { code } } } }`
	reactivate   = `mutation($ids: [ID!]!) { reactivateUsers(input: {userIds: $ids}) { results { userId outcome error { code } } } }`
	disconnect   = `mutation($input: DisconnectUserInput!) { disconnectUser(input: $input) { disconnectedCount } }`
)

// soon is later than the tests' clock ever reaches.
const soon = "2100-01-01T00:00:00.000Z"

// batches are the operations on IDs: their arguments, how many IDs they accept, and the field of
// the arguments with the IDs.
var batches = []struct {
	name, query string
	variables   func(ids []string) map[string]any
	limit       int
	field       string
}{
	{"expireTokens", expire, func(ids []string) map[string]any { return input("userIds", ids, "issuedBefore", soon) }, 20, "input.userIds"},
	{"banUsers", banMany, func(ids []string) map[string]any { return input("userIds", ids, "minutes", 10) }, 20, "input.userIds"},
	{"unbanUsers", unban, inIDs, 20, "input.userIds"},
	{"deactivateUsers", deactivate, inIDs, 100, "input.userIds"},
	{"reactivateUsers", reactivate, inIDs, 100, "input.userIds"},
}

func inIDs(ids []string) map[string]any { return map[string]any{"ids": ids} }

// result is the result for one ID; an empty code means no error.
type result struct{ id, outcome, code string }

// results returns the data of a batch's response.
func results(field string, list ...result) string {
	out := make([]map[string]any, len(list))
	for i, it := range list {
		out[i] = map[string]any{"userId": it.id, "outcome": it.outcome, "error": nil}
		if it.code != "" {
			out[i]["error"] = map[string]any{"code": it.code}
		}
	}
	text, err := json.Marshal(map[string]any{field: map[string]any{"results": out}})
	if err != nil {
		panic(err) // only strings, so it cannot fail
	}
	return string(text)
}

// many returns n IDs that no user has.
func many(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint("nobody-", i)
	}
	return ids
}

// refusals returns scenarios in which callers without permission call an operation of the App
// Server.
func refusals(name, query string, variables map[string]any, user string) []graphtest.Scenario {
	return []graphtest.Scenario{
		{Name: name + " as a guest", Query: query, Variables: variables, WantCode: "UNAUTHENTICATED"},
		{Name: name + " as a user", As: user, Query: query, Variables: variables, WantCode: "FORBIDDEN"},
	}
}

func TestBatch_ResultForEachItem(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Register(w.Other, "eve")
		for _, id := range []string{"ann", "Ann", "gone", "bob"} {
			w.Register(w.App, id)
		}
		w.Run(graphtest.Scenario{Name: "deactivate one user", As: graphtest.AppServer, Query: deactivate, Variables: inIDs([]string{"gone"}),
			WantData: results("deactivateUsers", result{"gone", "DONE", ""})})
		nobody := func(id string) result { return result{id, "NOT_FOUND", "USER_NOT_FOUND"} }
		illFormed := []string{"", "ann ", "a b", "ann\x00", "丽", strings.Repeat("x", 65)}
		ids := append([]string{"ann", "nobody", "eve", "gone", "ann"}, illFormed...)
		wants := map[string][2][]result{ // for ann, gone and ann again
			"expireTokens":    {{{"ann", "DONE", ""}}, {{"gone", "ALREADY", ""}, {"ann", "ALREADY", ""}}},
			"banUsers":        {{{"ann", "DONE", ""}}, {{"gone", "REFUSED", "USER_DEACTIVATED"}, {"ann", "DONE", ""}}},
			"unbanUsers":      {{{"ann", "DONE", ""}}, {{"gone", "ALREADY", ""}, {"ann", "ALREADY", ""}}},
			"deactivateUsers": {{{"ann", "DONE", ""}}, {{"gone", "ALREADY", ""}, {"ann", "ALREADY", ""}}},
			"reactivateUsers": {{{"ann", "DONE", ""}}, {{"gone", "DONE", ""}, {"ann", "ALREADY", ""}}},
		}
		for _, b := range batches {
			want := append(wants[b.name][0], nobody("nobody"), nobody("eve"))
			want = append(want, wants[b.name][1]...)
			for _, id := range illFormed {
				want = append(want, nobody(id))
			}
			w.Run(refusals(b.name, b.query, b.variables([]string{"ann"}), "bob")...)
			w.Run(
				graphtest.Scenario{Name: b.name + " as another app's App Server", As: graphtest.OtherServer, Query: b.query,
					Variables: b.variables([]string{"ann", "gone"}), WantData: results(b.name, nobody("ann"), nobody("gone"))},
				graphtest.Scenario{Name: b.name, As: graphtest.AppServer, Query: b.query, Variables: b.variables(ids),
					WantData: results(b.name, want...)},
			)
		}
		w.Run(graphtest.Scenario{Name: "no other user was changed", As: graphtest.AppServer,
			Query:    `{ users(ids: ["Ann", "bob", "gone"]) { id name state } app { registeredUserCount } }`,
			WantData: `{"users":[{"id":"Ann","name":"Ann","state":"ACTIVE"},{"id":"bob","name":"bob","state":"ACTIVE"},{"id":"gone","name":"","state":"ACTIVE"}],"app":{"registeredUserCount":4}}`})
	})
}

// TestMutations_EachKeepsItsAnswer: a refused mutation is null and leaves the answers before and
// after it.
func TestMutations_EachKeepsItsAnswer(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Register(w.App, "ann")
		w.Run(graphtest.Scenario{
			Name: "two refused of four", As: graphtest.AppServer,
			Query: `mutation {
				ban: banUsers(input: {userIds: ["ann", "nobody"], minutes: 5, reason: ""}) {
					results { userId outcome user { id state ban { reason } } error { code message field rule limit } } }
				none: banUsers(input: {userIds: [], minutes: 5}) { results { userId } }
				nobody: updateUser(input: {userId: "nobody", name: "N"}) { user { id } }
				unban: unbanUsers(input: {userIds: ["ann"]}) { results { userId user { state ban { reason } } } }
			}`,
			WantCode: "INVALID_ARGUMENT",
			WantData: `{
				"ban":{"results":[{"userId":"ann","outcome":"DONE","user":{"id":"ann","state":"BANNED","ban":{"reason":null}},"error":null},
					{"userId":"nobody","outcome":"NOT_FOUND","user":null,
						"error":{"code":"USER_NOT_FOUND","message":"there is no user \"nobody\"","field":null,"rule":null,"limit":null}}]},
				"none":null,"nobody":null,
				"unban":{"results":[{"userId":"ann","user":{"state":"ACTIVE","ban":null}}]}}`,
		})
		w.Run(
			graphtest.Scenario{Name: "99 users", As: graphtest.AppServer, Query: registerMany, Variables: inputs(many(99)...)},
			graphtest.Scenario{Name: "fields of errors", As: graphtest.AppServer,
				Query:     `mutation($input: RegisterUsersInput!) { registerUsers(input: $input) { results { error { code field rule limit } } } }`,
				Variables: input("users", []map[string]any{{"id": "x", "name": "X"}, {"id": "a b", "name": "X"}, {"id": "x", "name": "X", "tokenTtlSeconds": -1}}),
				WantData: `{"registerUsers":{"results":[{"error":{"code":"USER_LIMIT_REACHED","field":null,"rule":null,"limit":100}},
					{"error":{"code":"INVALID_ARGUMENT","field":"input.users.1.id","rule":"userid","limit":null}},
					{"error":{"code":"INVALID_ARGUMENT","field":"input.users.2.tokenTtlSeconds","rule":"min","limit":null}}]}}`},
		)
	})
}

func TestBatch_Sizes(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Register(w.App, "ann")
		for _, b := range batches {
			over := append(many(b.limit), "ann")
			w.Run(
				graphtest.Scenario{Name: b.name + " of none", As: graphtest.AppServer, Query: b.query, Variables: b.variables([]string{}),
					WantCode: "INVALID_ARGUMENT", WantExtensions: breaks(b.field, "min")},
				graphtest.Scenario{Name: b.name + " with too many IDs", As: graphtest.AppServer, Query: b.query, Variables: b.variables(over),
					WantCode: "INVALID_ARGUMENT", WantExtensions: breaks(b.field, "max")},
				graphtest.Scenario{Name: b.name + " with the maximum of IDs", As: graphtest.AppServer, Query: b.query, Variables: b.variables(over[:b.limit])},
			)
		}
		w.Run(graphtest.Scenario{Name: "nothing was done", As: graphtest.AppServer, Query: `{ user(id: "ann") { name state } }`,
			WantData: `{"user":{"name":"ann","state":"ACTIVE"}}`})
	})
}

// inputs are inputs of registerUsers.
func inputs(ids ...string) map[string]any {
	in := make([]map[string]any, len(ids))
	for i, id := range ids {
		in[i] = map[string]any{"id": id, "name": "Name of " + id}
	}
	return input("users", in)
}

func TestRegisterUsers(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		for _, id := range []string{"gone", "there", "banned"} {
			w.Register(w.App, id)
		}
		w.Run(refusals("registering", registerMany, inputs("x"), "bob")...)
		batch := input("users", []map[string]any{
			{"id": "new", "name": "New", "avatarUrl": "https://example.org/1.png", "tokenTtlSeconds": 60},
			{"id": "there", "name": "There", "avatarUrl": "https://example.org/2.png"},
			{"id": "gone", "name": "Back"},
			{"id": "a b", "name": "Ill-formed"},
			{"id": "", "name": "Nobody"},
			{"id": "blank", "name": " "},
			{"id": "old", "name": "Old", "tokenTtlSeconds": -1},
			{"id": "new", "name": "Newer"},
			{"id": "new", "name": "Newest", "avatarUrl": "", "tokenTtlSeconds": 0},
			{"id": "New", "name": "Another"},
			{"id": "banned", "name": "Still"},
		})
		w.Run(
			graphtest.Scenario{Name: "deactivate one user", As: graphtest.AppServer, Query: deactivate, Variables: inIDs([]string{"gone"})},
			graphtest.Scenario{Name: "ban one user", As: graphtest.AppServer, Query: banMany, Variables: input("userIds", []string{"banned"}, "minutes", 1)},
			graphtest.Scenario{Name: "results in order", As: graphtest.AppServer, Query: registerMany, Variables: batch, WantData: `{"registerUsers":{"results":[
				{"userId":"new","created":true,"user":{"id":"new","name":"New","avatarUrl":"https://example.org/1.png"},"token":"*","expiresAt":"2026-11-20T08:16:30.123Z","error":null},
				{"userId":"there","created":false,"user":{"id":"there","name":"There","avatarUrl":"https://example.org/2.png"},"token":"*","expiresAt":null,"error":null},
				{"userId":"gone","created":false,"user":null,"token":null,"expiresAt":null,"error":{"code":"USER_DEACTIVATED"}},
				{"userId":"a b","created":false,"user":null,"token":null,"expiresAt":null,"error":{"code":"INVALID_ARGUMENT"}},
				{"userId":"","created":false,"user":null,"token":null,"expiresAt":null,"error":{"code":"INVALID_ARGUMENT"}},
				{"userId":"blank","created":false,"user":null,"token":null,"expiresAt":null,"error":{"code":"INVALID_ARGUMENT"}},
				{"userId":"old","created":false,"user":null,"token":null,"expiresAt":null,"error":{"code":"INVALID_ARGUMENT"}},
				{"userId":"new","created":false,"user":{"id":"new","name":"Newer","avatarUrl":"https://example.org/1.png"},"token":"*","expiresAt":null,"error":null},
				{"userId":"new","created":false,"user":{"id":"new","name":"Newest","avatarUrl":"https://example.org/1.png"},"token":"*","expiresAt":null,"error":null},
				{"userId":"New","created":true,"user":{"id":"New","name":"Another","avatarUrl":null},"token":"*","expiresAt":null,"error":null},
				{"userId":"banned","created":false,"user":{"id":"banned","name":"Still","avatarUrl":null},"token":"*","expiresAt":null,"error":null}]}}`},
			graphtest.Scenario{Name: "stored values", As: graphtest.AppServer,
				Query: `{ users(ids: ["new", "New", "there", "gone", "blank", "old", "banned"]) { id name avatarUrl state } }`,
				WantData: `{"users":[{"id":"new","name":"Newest","avatarUrl":"https://example.org/1.png","state":"ACTIVE"},{"id":"New","name":"Another","avatarUrl":null,"state":"ACTIVE"},
					{"id":"there","name":"There","avatarUrl":"https://example.org/2.png","state":"ACTIVE"},{"id":"gone","name":"","avatarUrl":null,"state":"DEACTIVATED"},
					null,null,{"id":"banned","name":"Still","avatarUrl":null,"state":"BANNED"}]}`},
			graphtest.Scenario{Name: "of none", As: graphtest.AppServer, Query: registerMany, Variables: inputs(),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.users", "min")},
			graphtest.Scenario{Name: "too many", As: graphtest.AppServer, Query: registerMany, Variables: inputs(many(101)...),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.users", "max")},
			graphtest.Scenario{Name: "none of those was registered", As: graphtest.AppServer, Query: `{ users(ids: ["nobody-0", "nobody-100"]) { id } }`, WantData: `{"users":[null,null]}`},
		)
	})
}

// TestRegisterUsers_TokensAreTheUsers: each token of a batch is that of its user.
func TestRegisterUsers_TokensAreTheUsers(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Register(w.App, "u07")
		ids := make([]string, 40)
		for i := range ids {
			ids[i] = fmt.Sprintf("u%02d", i%30)
		}
		r := w.Do(w.Bearer(graphtest.AppServer), registerMany, inputs(ids...))
		var answer struct {
			RegisterUsers struct {
				Results []struct{ UserID, Token string }
			}
		}
		if err := json.Unmarshal(r.Data, &answer); err != nil || len(answer.RegisterUsers.Results) != len(ids) {
			w.T.Fatalf("%v: %s", err, r.Body)
		}
		for i, one := range answer.RegisterUsers.Results {
			me := w.Do("Bearer "+one.Token, `{ me { id name } }`, nil)
			if want := fmt.Sprintf(`{"me":{"id":%q,"name":"Name of %s"}}`, ids[i], ids[i]); one.UserID != ids[i] || string(me.Data) != want {
				w.T.Errorf("item %d: %s, %s", i, one.UserID, me.Body)
			}
		}
	})
}

func TestBatch_CrossesTheUserLimit(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Run(graphtest.Scenario{Name: "97 users", As: graphtest.AppServer, Query: registerMany, Variables: inputs(many(97)...)})
		const short = `mutation($input: RegisterUsersInput!) { registerUsers(input: $input) { results { userId created error { code } } } }`
		w.Run(
			graphtest.Scenario{Name: "three fit", As: graphtest.AppServer, Query: short, Variables: inputs("a", "nobody-3", "b", "a", "bad id", "c", "d", "c", "nobody-4", "d"),
				WantData: `{"registerUsers":{"results":[{"userId":"a","created":true,"error":null},{"userId":"nobody-3","created":false,"error":null},
					{"userId":"b","created":true,"error":null},{"userId":"a","created":false,"error":null},{"userId":"bad id","created":false,"error":{"code":"INVALID_ARGUMENT"}},
					{"userId":"c","created":true,"error":null},{"userId":"d","created":false,"error":{"code":"USER_LIMIT_REACHED"}},{"userId":"c","created":false,"error":null},
					{"userId":"nobody-4","created":false,"error":null},{"userId":"d","created":false,"error":{"code":"USER_LIMIT_REACHED"}}]}}`},
			graphtest.Scenario{Name: "the app is full", As: graphtest.AppServer, Query: `{ app { registeredUserCount registeredUserLimit } }`,
				WantData: `{"app":{"registeredUserCount":100,"registeredUserLimit":100}}`},
			graphtest.Scenario{Name: "the 101st alone", As: graphtest.AppServer, Query: register, Variables: input("id", "d", "name", "D"),
				WantCode: "USER_LIMIT_REACHED", WantExtensions: map[string]any{"limit": 100}},
			graphtest.Scenario{Name: "a registered user again", As: graphtest.AppServer, Query: register, Variables: input("id", "c", "name", "C")},
			graphtest.Scenario{Name: "deactivating frees two places", As: graphtest.AppServer, Query: deactivate, Variables: inIDs([]string{"nobody-0", "nobody-1"})},
			graphtest.Scenario{Name: "one place is taken", As: graphtest.AppServer, Query: short, Variables: inputs("d"),
				WantData: `{"registerUsers":{"results":[{"userId":"d","created":true,"error":null}]}}`},
			graphtest.Scenario{Name: "one comes back, the other finds no room", As: graphtest.AppServer, Query: reactivate, Variables: inIDs([]string{"nobody-1", "c", "nobody-0", "nobody-1"}),
				WantData: results("reactivateUsers", result{"nobody-1", "DONE", ""}, result{"c", "ALREADY", ""}, result{"nobody-0", "REFUSED", "USER_LIMIT_REACHED"}, result{"nobody-1", "ALREADY", ""})},
			graphtest.Scenario{Name: "full again", As: graphtest.AppServer, Query: `{ app { registeredUserCount } deactivatedUsers { totalCount nodes { id } } }`,
				WantData: `{"app":{"registeredUserCount":100},"deactivatedUsers":{"totalCount":1,"nodes":[{"id":"nobody-0"}]}}`},
		)
	})
}
