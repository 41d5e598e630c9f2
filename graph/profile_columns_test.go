package graph_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/graph/graphtest"
)

// TestUser_EveryFieldAlone selects each field of a user alone, for the user itself and in each
// list, and expects the value from `users`, which reads all columns: however little is selected,
// the selected columns have been read.
func TestUser_EveryFieldAlone(t *testing.T) {
	lists := []struct {
		owner, field string
		path         []string
	}{
		{"ann", "friends(first: 10)", []string{"friends", "nodes", "user"}},
		{"ann", "friends(first: 10)", []string{"friends", "edges", "node", "user"}},
		{"ann", "blocklist(first: 10)", []string{"blocklist", "nodes", "user"}},
		{"ann", "whitelist", []string{"whitelist", "entries(first: 10)", "nodes", "user"}},
		{"ann", "statusSubscriptions(first: 10)", []string{"statusSubscriptions", "nodes", "user"}},
		{"ben", "friendRequests(direction: OUTGOING, first: 10)", []string{"friendRequests", "nodes", "to"}},
		{"amy", "friendRequests(direction: INCOMING, first: 10)", []string{"friendRequests", "nodes", "from"}},
	}
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "cid", "gone", "ben", "amy", "x")
		ask := func(as, query string, variables map[string]any) map[string]any {
			w.T.Helper()
			r := w.Do(w.Bearer(as), query, variables)
			var data map[string]any
			if r.Code() != "" || json.Unmarshal(r.Data, &data) != nil {
				w.T.Fatalf("%s %v: %s", query, variables, r.Body)
			}
			return data
		}
		device := w.Socket(w.Bearer("bob"))
		defer device.Close()
		both := []string{"bob", "cid"}
		for _, id := range both {
			sends(w, "ben", id)
			sends(w, id, "amy")
			ask(server, `mutation($input: UpdateUserInput!) { updateUser(input: $input) { user { id } } }`,
				input("userId", id, "name", "Somebody", "avatarUrl", "https://example.com/a.png"))
			ask(id, block, input("targetIds", []string{"x"}))
			ask(server, allow, input("userId", id, "targetIds", []string{"x", "ann"}))
			ask(server, addFriend, input("userId", id, "friendId", "x"))
			ask(server, addFriend, input("userId", "ann", "friendId", id))
		}
		ask(server, setWhitelist, input("userIds", both, "enabled", true))
		ask("ann", subscribe, vars("ids", both))
		ask("ann", block, input("targetIds", both))
		ask(server, allow, input("userId", "ann", "targetIds", both))
		ask(server, banMany, input("userIds", []string{"cid"}, "minutes", 10, "reason", "noise"))
		ask(server, deactivate, vars("ids", []string{"gone"}))

		s := schema()
		for _, field := range s.Types["User"].Fields {
			alone, variables := example(s, s.Query, field)
			head, body, _ := strings.Cut(strings.TrimSuffix(alone, "}"), "{")
			body = strings.Replace(body, "{ __typename }", leaves(s, field.Type, 3), 1)
			all := ask(server, head+`{ users(ids: ["bob", "cid", "gone"]) { id `+body+"} }", variables)["users"].([]any)
			for i, id := range []string{"bob", "cid", "gone"} {
				query := head + `{ user(id: "` + id + `") { id ` + body + "} }"
				if got := ask(server, query, variables)["user"]; !reflect.DeepEqual(got, all[i]) {
					w.T.Errorf("%s\n%v\nin users:\n%v", query, got, all[i])
				}
			}
			want := map[string]any{"bob": all[0], "cid": all[1]}
			for _, list := range lists {
				query := head + `{ user(id: "` + list.owner + `") { ` + strings.Join(append([]string{list.field}, list.path[1:]...), " { ") +
					" { " + "id " + body + strings.Repeat(" }", len(list.path)+2)
				got := make(map[string]any)
				for _, u := range within(ask(server, query, variables)["user"], list.path) {
					got[u.(map[string]any)["id"].(string)] = u
				}
				if !reflect.DeepEqual(got, want) {
					w.T.Errorf("%s\n%v\nin users:\n%v", query, got, want)
				}
			}
		}
	})
}

// leaves selects all fields of a type that need no arguments, to the given depth, except for users.
func leaves(s *ast.Schema, typ *ast.Type, depth int) string {
	def := s.Types[typ.Name()]
	if def.Kind != ast.Object {
		return ""
	}
	out := " { __typename"
	for _, field := range def.Fields {
		isUser := field.Type.Name() == "User"
		if isUser || depth == 0 && s.Types[field.Type.Name()].Kind == ast.Object || strings.HasPrefix(field.Name, "__") {
			continue
		}
		out += " " + field.Name + leaves(s, field.Type, depth-1)
	}
	return out + " }"
}

// within returns the values at a path; where it passes through a list, those below each element.
func within(value any, path []string) []any {
	if list, ok := value.([]any); ok {
		var all []any
		for _, element := range list {
			all = append(all, within(element, path)...)
		}
		return all
	}
	if len(path) == 0 {
		return []any{value}
	}
	name, _, _ := strings.Cut(path[0], "(") // without its arguments
	return within(value.(map[string]any)[name], path[1:])
}

// TestUser_ProfilesAreReadAlone: a query that selects only users' IDs, names, avatars and statuses
// reads only those columns, however it is written, and any other query reads all.
func TestProfilesAreReadAlone(t *testing.T) {
	const friend = `{ user(id: "ann") { friends(first: 10) { nodes { user { `
	tests := []struct {
		name, query string
		whole       bool
	}{
		{"a user", `{ user(id: "ann") { id name avatarUrl status { presence customStatus } __typename } }`, false},
		{"a user by a fragment", `{ user(id: "ann") { ...f } } fragment f on User { ... on User { alias: name } }`, false},
		{"its state", `{ user(id: "ann") { id state } }`, true},
		{"a friend", friend + `id } remark } } } }`, false},
		{"edges", `{ user(id: "ann") { friends { edges { cursor node { user { id } } } pageInfo { endCursor } totalCount } } }`, false},
		{"no friend", `{ user(id: "ann") { friends { totalCount } } }`, false},
		{"fragments", `{ user(id: "ann") { friends { ... on FriendshipConnection { nodes { ...f } } } } } fragment f on Friendship { user { ... { name } } }`, false},
		{"a friend's state", friend + `id s: state } } } } }`, true},
		{"under one of its names", friend + `id } } edges { node { user { updatedAt } } } } } }`, true},
		{"in a fragment in a fragment", friend + `...f } } } } } fragment f on User { ...g } fragment g on User { ban { until } }`, true},
		{"in an inline fragment", friend + `... on User { ... @include(if: true) { createdAt } } } } } } }`, true},
		{"a private field", friend + `friendIds } } } } }`, true},
		{"fragments that spread each other", friend + `...a } } } } } ` + manyFragments(7), true},
	}
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob")
		w.Run(step("friends", server, addFriend, input("userId", "ann", "friendId", "bob"), ""))
		var mu sync.Mutex
		var last string // to read users
		stop := w.DB.Watch(func(text string, _ []any) {
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(text, "avatar_url") {
				last = text
			}
		})
		defer stop()
		for _, test := range tests {
			r := w.Do(w.Bearer(server), test.query, nil)
			mu.Lock()
			if r.Code() != "" || last == "" || strings.Contains(last, "ban_reason") != test.whole {
				w.T.Errorf("%s: %s, read by %q", test.name, r.Body, last)
			}
			last = ""
			mu.Unlock()
		}
	})
}

// manyFragments returns fragments of which each spreads the next twice: following each spread
// visits 2^n.
func manyFragments(n int) string {
	var b strings.Builder
	for i := range n {
		name, next := string(rune('a'+i)), string(rune('a'+i+1))
		b.WriteString("fragment " + name + " on User { ..." + next + " ..." + next + " } ")
	}
	return b.String() + "fragment " + string(rune('a'+n)) + " on User { id }"
}
