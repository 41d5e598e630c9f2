package graph_test

import (
	"fmt"
	"testing"

	"rollcall/graph/graphtest"
)

// TestNullability_RefusedFieldsKeepTheirNeighbours: a refused field is null, with an error at its
// path, whether gqlgen encodes the value or package selection does.
func TestNullability_RefusedFieldsKeepTheirNeighbours(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		for _, id := range []string{"ann", "bob", "cid"} {
			w.Register(w.App, id)
		}
		for _, friend := range []string{"bob", "cid"} {
			call(w, addFriend, input("userId", "ann", "friendId", friend))
		}
		w.Set(map[string]string{"statusQueryEnabled": "false"})
		for _, c := range []struct {
			name, query, data string
			paths             []string
		}{
			{"root fields", `{ me { id } app { key } user(id: "bob") { id } userList { nodes { id } } users(ids: ["bob", "x"]) { id } }`,
				`{"me":{"id":"ann"},"app":null,"user":{"id":"bob"},"userList":null,"users":[{"id":"bob"},null]}`,
				[]string{"[app]", "[userList]"}},
			{"statuses of friends", `{ me { name status { presence } friends(first: 10) { nodes { user { id name status { presence } } } } } }`,
				`{"me":{"name":"ann","status":{"presence":"UNLOGINED"},"friends":{"nodes":[
					{"user":{"id":"cid","name":"cid","status":null}},{"user":{"id":"bob","name":"bob","status":null}}]}}}`,
				[]string{"[me friends nodes 0 user status]", "[me friends nodes 1 user status]"}},
			{"statuses of users", `{ users(ids: ["bob", "ann"]) { id status { presence } } }`,
				`{"users":[{"id":"bob","status":null},{"id":"ann","status":{"presence":"UNLOGINED"}}]}`,
				[]string{"[users 0 status]"}},
		} {
			r := w.Do(w.Bearer("ann"), c.query, nil)
			if !graphtest.Match(t, c.data, r.Data) {
				t.Errorf("%s: %s", c.name, r.Body)
			}
			paths := make(map[string]bool)
			for _, err := range r.Errors {
				paths[fmt.Sprint(err.Path)] = true
			}
			if len(r.Errors) != len(c.paths) {
				t.Errorf("%s: %d errors: %s", c.name, len(r.Errors), r.Body)
			}
			for _, path := range c.paths {
				if !paths[path] {
					t.Errorf("%s: no error at %s: %s", c.name, path, r.Body)
				}
			}
		}
	})
}
