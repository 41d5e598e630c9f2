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

// TestEveryFieldOfAListedUser asks each list for each field of its users alone, and
// gets what each of them answers by itself: however little is selected, what is
// selected has been read.
func TestEveryFieldOfAListedUser(t *testing.T) {
	lists := []struct {
		owner, field string
		path         []string
	}{
		{"ann", "friends", []string{"friends", "nodes", "user"}},
		{"ann", "friends", []string{"friends", "edges", "node", "user"}},
		{"ann", "blocklist", []string{"blocklist", "nodes", "user"}},
		{"ann", "whitelist", []string{"whitelist", "entries", "nodes", "user"}},
		{"ann", "statusSubscriptions", []string{"statusSubscriptions", "nodes", "user"}},
		{"ben", "friendRequests(direction: OUTGOING)", []string{"friendRequests", "nodes", "to"}},
		{"amy", "friendRequests(direction: INCOMING)", []string{"friendRequests", "nodes", "from"}},
	}
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "cid", "ben", "amy", "x")
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
			ask(server, `mutation($input: UpdateUserInput!) { updateUser(input: $input) { id } }`,
				input("id", id, "name", "Somebody", "avatarUrl", "https://example.com/a.png"))
			ask(id, block, input("ids", []string{"x"}))
			ask(server, allow, input("userId", id, "ids", []string{"x", "ann"}))
			ask(server, addFriend, input("userId", id, "friendId", "x"))
			ask(server, addFriend, input("userId", "ann", "friendId", id))
		}
		ask(server, setWhitelist, input("userIds", both, "enabled", true))
		ask("ann", subscribe, vars("ids", both))
		ask("ann", block, input("ids", both))
		ask(server, allow, input("userId", "ann", "ids", both))
		ask(server, banMany, input("ids", []string{"cid"}, "minutes", 10, "reason", "noise"))

		s := w.Executor.Schema()
		for _, field := range s.Types["User"].Fields {
			alone, variables := example(s, s.Query, field)
			head, body, _ := strings.Cut(strings.TrimSuffix(alone, "}"), "{")
			body = strings.Replace(body, "{ __typename }", leaves(s, field.Type, 3), 1)
			want := make(map[string]any)
			for _, id := range both {
				want[id] = ask(server, head+`{ user(id: "`+id+`") { id `+body+"} }", variables)["user"]
			}
			for _, list := range lists {
				query := head + `{ user(id: "` + list.owner + `") { ` + strings.Join(append([]string{list.field}, list.path[1:]...), " { ") +
					" { " + "id " + body + strings.Repeat(" }", len(list.path)+2)
				got := make(map[string]any)
				for _, u := range within(ask(server, query, variables)["user"], list.path) {
					got[u.(map[string]any)["id"].(string)] = u
				}
				if !reflect.DeepEqual(got, want) {
					w.T.Errorf("%s\n%v\neach by itself:\n%v", query, got, want)
				}
			}
		}
	})
}

// leaves selects all fields of a type that need no arguments, so many deep, but for
// users.
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

// within answers what lies at a path, below each element where it goes through a
// list.
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
	return within(value.(map[string]any)[path[0]], path[1:])
}

// TestProfilesAreReadAlone: a list whose users are shown by name and status reads
// no more of them, however that is written, and else all that may be selected.
func TestProfilesAreReadAlone(t *testing.T) {
	tests := []struct {
		name, selection, fragments string
		whole                      bool
	}{
		{"a profile", `nodes { remark user { id name avatarUrl status { presence } __typename } }`, ``, false},
		{"edges", `edges { cursor node { user { id } } } pageInfo { endCursor } totalCount`, ``, false},
		{"no user", `totalCount`, ``, false},
		{"fragments", `... on FriendshipConnection { nodes { ...f } }`, `fragment f on Friendship { user { ... { alias: name } } }`, false},
		{"the state", `nodes { user { id s: state } }`, ``, true},
		{"under one of its names", `nodes { user { id } } edges { node { user { updatedAt } } }`, ``, true},
		{"in a fragment in a fragment", `nodes { ...f }`, `fragment f on Friendship { user { ...g } } fragment g on User { ban { until } }`, true},
		{"in an inline fragment", `nodes { user { ... on User { ... @include(if: true) { createdAt } } } }`, ``, true},
		{"a list below", `nodes { user { blocklist { totalCount } } }`, ``, true},
		{"fragments that spread each other", `nodes { user { ...a } }`, manyFragments(7), true},
	}
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob")
		w.Run(step("friends", server, addFriend, input("userId", "ann", "friendId", "bob"), ""))
		var mu sync.Mutex
		var seen []string
		stop := w.DB.Watch(func(text string, _ []any) {
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(text, "friendships f") {
				seen = append(seen, text)
			}
		})
		defer stop()
		for _, test := range tests {
			r := w.Do(w.Bearer(server), `{ user(id: "ann") { friends { `+test.selection+` } } } `+test.fragments, nil)
			mu.Lock()
			if r.Code() != "" || len(seen) != 1 || strings.Contains(seen[0], "ban_reason") != test.whole {
				w.T.Errorf("%s: %s, read by %q", test.name, r.Body, seen)
			}
			seen = nil
			mu.Unlock()
		}
	})
}

// manyFragments are fragments of which each spreads the next twice: n of them are
// walked 2^n times by who follows each spread.
func manyFragments(n int) string {
	var b strings.Builder
	for i := range n {
		name, next := string(rune('a'+i)), string(rune('a'+i+1))
		b.WriteString("fragment " + name + " on User { ..." + next + " ..." + next + " } ")
	}
	return b.String() + "fragment " + string(rune('a'+n)) + " on User { id }"
}
