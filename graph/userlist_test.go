package graph_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/graph/graphtest"
)

// lists are the lists of users; each has members in a world of populate.
var lists = map[string]string{
	"userList":         `query($first: Int, $after: String) { userList(first: $first, after: $after) { edges { cursor node { id } } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount } }`,
	"bannedUsers":      `query($first: Int, $after: String) { bannedUsers(first: $first, after: $after) { edges { cursor node { id } } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount } }`,
	"deactivatedUsers": `query($first: Int, $after: String) { deactivatedUsers(first: $first, after: $after) { edges { cursor node { id } } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount } }`,
}

// connection is a page as the API returns it.
type connection struct {
	Edges []struct {
		Cursor string
		Node   struct{ ID string }
	}
	Nodes    []struct{ ID string }
	PageInfo struct {
		HasNextPage, HasPreviousPage bool
		StartCursor, EndCursor       *string
	}
	TotalCount int
}

func (c connection) ids() []string {
	ids := []string{}
	for _, n := range c.Nodes {
		ids = append(ids, n.ID)
	}
	return ids
}

// page requests a page of a list as the caller who.
func page(w *graphtest.World, who, list string, variables map[string]any) connection {
	w.T.Helper()
	r := w.Do(w.Bearer(who), lists[list], variables)
	var data map[string]connection
	if err := json.Unmarshal(r.Data, &data); err != nil || r.Code() != "" {
		w.T.Fatalf("%v: %s", err, r.Body)
	}
	c := data[list]
	for i, e := range c.Edges {
		if e.Node.ID != c.Nodes[i].ID {
			w.T.Errorf("edges and nodes differ: %s", r.Body)
		}
	}
	info := c.PageInfo
	if n := len(c.Edges); n == 0 && (info.StartCursor != nil || info.EndCursor != nil) ||
		n > 0 && (*info.StartCursor != c.Edges[0].Cursor || *info.EndCursor != c.Edges[n-1].Cursor) {
		w.T.Errorf("the cursors of the page: %s", r.Body)
	}
	return c
}

// populate registers 60 users, 25 of them banned and 25 deactivated, with several in the same
// millisecond, and returns the lists.
func populate(w *graphtest.World) map[string][]string {
	w.T.Helper()
	ids := make([]string, 60)
	for i := range ids {
		ids[i] = fmt.Sprintf("u%02d", i)
	}
	app := w.Bearer(graphtest.AppServer)
	must := func(query string, variables map[string]any) {
		w.T.Helper()
		if r := w.Do(app, query, variables); r.Code() != "" {
			w.T.Fatalf("%s", r.Body)
		}
	}
	wants := make(map[string][]string)
	keys := make(map[string]int64)
	// list adds the IDs, which have the same time, to the list: the last key first.
	list := func(name string, some []string) {
		newest := slices.SortedFunc(slices.Values(some), func(a, b string) int { return cmp.Compare(keys[b], keys[a]) })
		wants[name] = append(newest, wants[name]...)
		w.Clock.Pass(time.Millisecond)
	}
	for some := range slices.Chunk(ids, 5) {
		for _, id := range some {
			w.Register(w.App, id)
			u, err := w.Users.ByID(w.T.Context(), w.App.ID, id)
			if err != nil {
				w.T.Fatal(err)
			}
			keys[id] = u.ID
		}
		list("userList", some)
	}
	for some := range slices.Chunk(ids[5:30], 4) {
		must(banMany, input("userIds", some, "minutes", 10))
		list("bannedUsers", some)
	}
	for some := range slices.Chunk(ids[30:55], 3) {
		must(deactivate, inIDs(some))
		list("deactivatedUsers", some)
	}
	return wants
}

func TestUserLists_Pages(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		wants := populate(w)
		w.Run(refusals("userList", lists["userList"], nil, "u00")...)
		w.Run(refusals("bannedUsers", lists["bannedUsers"], nil, "u00")...)
		w.Run(refusals("deactivatedUsers", lists["deactivatedUsers"], nil, "u00")...)
		for list, want := range wants {
			var got []string
			variables := map[string]any{"first": 7}
			for n := 0; ; n++ {
				c := page(w, graphtest.AppServer, list, variables)
				got = append(got, c.ids()...)
				if c.TotalCount != len(want) || c.PageInfo.HasPreviousPage != (n > 0) || c.PageInfo.HasNextPage != (len(got) < len(want)) {
					t.Errorf("%s: page %d: %+v", list, n, c.PageInfo)
				}
				if !c.PageInfo.HasNextPage {
					break
				}
				variables["after"] = *c.PageInfo.EndCursor
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %q\nwant %q", list, got, want)
			}
			for name, first := range map[string]any{"left out": "", "null": nil, "0": 0} {
				variables := map[string]any{"first": first}
				if first == "" {
					variables = nil
				}
				if c := page(w, graphtest.AppServer, list, variables); !slices.Equal(c.ids(), want[:20]) {
					t.Errorf("%s: first %s: %q", list, name, c.ids())
				}
			}
			if c := page(w, graphtest.AppServer, list, map[string]any{"first": 100}); !slices.Equal(c.ids(), want) || c.PageInfo.HasNextPage {
				t.Errorf("%s: all at once: %q", list, c.ids())
			}
			if c := page(w, graphtest.OtherServer, list, nil); len(c.ids()) != 0 || c.TotalCount != 0 {
				t.Errorf("%s of another app: %+v", list, c)
			}
		}
	})
}

// TestUserLists_PagesAreStable: a user that leaves or joins a list before a page does not move
// others to another page.
func TestUserLists_PagesAreStable(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		wants := populate(w)
		second := make(map[string]map[string]any)
		for list, want := range wants {
			c := page(w, graphtest.AppServer, list, map[string]any{"first": 10})
			if !slices.Equal(c.ids(), want[:10]) {
				t.Fatalf("%s: %q", list, c.ids())
			}
			second[list] = map[string]any{"first": 10, "after": *c.PageInfo.EndCursor}
		}
		app := w.Bearer(graphtest.AppServer)
		for query, variables := range map[string]map[string]any{
			registerMany: inputs("new-1", "new-2", "new-3"),
			// The first, and the one whose cursor the page follows.
			unban:      inIDs([]string{wants["bannedUsers"][0], wants["bannedUsers"][9]}),
			banMany:    input("userIds", []string{"u55"}, "minutes", 60),
			reactivate: inIDs([]string{wants["deactivatedUsers"][0], wants["deactivatedUsers"][9]}),
		} {
			if r := w.Do(app, query, variables); r.Code() != "" {
				t.Fatalf("%s", r.Body)
			}
		}
		if r := w.Do(app, deactivate, inIDs([]string{"u56", "new-2"})); r.Code() != "" {
			t.Fatalf("%s", r.Body)
		}
		for list, want := range wants {
			if c := page(w, graphtest.AppServer, list, second[list]); !slices.Equal(c.ids(), want[10:20]) {
				t.Errorf("%s: got %q\nwant %q", list, c.ids(), want[10:20])
			}
		}
	})
}

func TestUserList_OldestFirst(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		for _, id := range []string{"a", "b", "c"} {
			w.Register(w.App, id)
			w.Clock.Pass(time.Second)
		}
		const list = `query($after: String) { userList(first: 2, after: $after, orderBy: OLDEST_FIRST) { nodes { id } pageInfo { endCursor } } }`
		type answer struct {
			UserList struct {
				Nodes    []struct{ ID string }
				PageInfo struct{ EndCursor string }
			}
		}
		var first, second answer
		decode(t, w.Do(w.Bearer(graphtest.AppServer), list, nil).Data, &first)
		decode(t, w.Do(w.Bearer(graphtest.AppServer), list, vars("after", first.UserList.PageInfo.EndCursor)).Data, &second)
		if got := fmt.Sprint(first.UserList.Nodes, second.UserList.Nodes); got != "[{a} {b}] [{c}]" {
			t.Errorf("pages %s", got)
		}
		w.Run(graphtest.Scenario{Name: "a cursor of the other order", As: graphtest.AppServer,
			Query:     `query($after: String) { userList(after: $after) { nodes { id } } }`,
			Variables: vars("after", first.UserList.PageInfo.EndCursor),
			WantCode:  "INVALID_ARGUMENT", WantExtensions: breaks("after", "cursor"), WantData: `{"userList":null}`})
	})
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
}

func TestUserLists_BadPages(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		populate(w)
		for _, id := range []string{"a", "b"} {
			w.Register(w.Other, id)
		}
		app, other := w.Bearer(graphtest.AppServer), w.Bearer(graphtest.OtherServer)
		for query, variables := range map[string]map[string]any{banMany: input("userIds", []string{"a"}, "minutes", 1), deactivate: inIDs([]string{"b"})} {
			if r := w.Do(other, query, variables); r.Code() != "" {
				t.Fatalf("%s", r.Body)
			}
		}
		for list, query := range lists {
			own := *page(w, graphtest.AppServer, list, map[string]any{"first": 1}).PageInfo.EndCursor
			first := "B"
			if own[:1] == first {
				first = "C"
			}
			cursors := map[string]string{
				"blank": " ", "made up": "abc", "cut": own[:len(own)-1], "longer": own + "A", "changed": first + own[1:],
				"of another app": *page(w, graphtest.OtherServer, list, nil).PageInfo.EndCursor,
			}
			for another := range lists {
				if another != list {
					cursors["of "+another] = *page(w, graphtest.AppServer, another, nil).PageInfo.EndCursor
				}
			}
			for name, after := range cursors {
				w.Run(graphtest.Scenario{Name: list + " after a cursor " + name, As: graphtest.AppServer, Query: query, Variables: map[string]any{"after": after},
					WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("after", "cursor")})
			}
			for first, rule := range map[int]string{-1: "min", 101: "max"} {
				w.Run(graphtest.Scenario{Name: fmt.Sprintf("%s of %d", list, first), As: graphtest.AppServer, Query: query, Variables: map[string]any{"first": first},
					WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("first", rule)})
			}
		}
		const filtered = `query($filter: UserFilter) { userList(filter: $filter) { totalCount } }`
		w.Run(graphtest.Scenario{Name: "a search of 65 characters", As: graphtest.AppServer, Query: filtered,
			Variables: map[string]any{"filter": map[string]any{"search": strings.Repeat("丽", 65)}},
			WantCode:  "INVALID_ARGUMENT", WantExtensions: breaks("filter.search", "max")})
		if r := w.Do(app, filtered, map[string]any{"filter": map[string]any{"states": []string{"ASLEEP"}}}); len(r.Errors) == 0 {
			t.Errorf("an unknown state: %s", r.Body)
		}
	})
}

func TestUserLists_Filters(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		app := w.Bearer(graphtest.AppServer)
		for id, name := range map[string]string{"ann": "Ann Example", "bob": "Bob 100%", "li": "林丽 Lin", "Ann.2": "ZOË", "gone": "Gustav", "banned": "Banned Ann"} {
			if r := w.Do(app, register, input("id", id, "name", name)); r.Code() != "" {
				t.Fatalf("%s", r.Body)
			}
		}
		for query, variables := range map[string]map[string]any{banMany: input("userIds", []string{"banned"}, "minutes", 1), deactivate: inIDs([]string{"gone"})} {
			if r := w.Do(app, query, variables); r.Code() != "" {
				t.Fatalf("%s", r.Body)
			}
		}
		socket := w.Socket("Bearer " + mustRegister(w, "li", "林丽 Lin"))
		defer socket.Close()
		for _, c := range []struct {
			name   string
			filter map[string]any
			want   []string
		}{
			{"nothing", map[string]any{}, []string{"Ann.2", "ann", "banned", "bob", "gone", "li"}},
			{"all null", map[string]any{"search": nil, "states": nil, "presences": nil}, []string{"Ann.2", "ann", "banned", "bob", "gone", "li"}},
			{"an empty search", map[string]any{"search": ""}, []string{"Ann.2", "ann", "banned", "bob", "gone", "li"}},
			{"an ID's beginning", map[string]any{"search": "Ann."}, []string{"Ann.2"}},
			{"an ID's end, case-insensitive", map[string]any{"search": "NN.2"}, []string{"Ann.2"}},
			{"a whole ID", map[string]any{"search": "gone"}, []string{"gone"}},
			{"a name, case-insensitive", map[string]any{"search": "EXAMPLE"}, []string{"ann"}},
			{"both", map[string]any{"search": "ANN"}, []string{"Ann.2", "ann", "banned"}},
			{"Chinese", map[string]any{"search": "丽"}, []string{"li"}},
			{"beyond ASCII, case-insensitive", map[string]any{"search": "zoë"}, []string{"Ann.2"}},
			{"a per cent sign is literal", map[string]any{"search": "%"}, []string{"bob"}},
			{"an underscore is literal", map[string]any{"search": "_"}, []string{}},
			{"an exclamation mark is literal", map[string]any{"search": "!"}, []string{}},
			{"an ID with a trailing space", map[string]any{"search": "gone "}, []string{}},
			{"a deactivated user's name", map[string]any{"search": "Gustav"}, []string{}},
			{"no states", map[string]any{"states": []string{}}, []string{"Ann.2", "ann", "banned", "bob", "gone", "li"}},
			{"the active", map[string]any{"states": []string{"ACTIVE"}}, []string{"Ann.2", "ann", "bob", "li"}},
			{"the banned", map[string]any{"states": []string{"BANNED"}}, []string{"banned"}},
			{"the deactivated", map[string]any{"states": []string{"DEACTIVATED"}}, []string{"gone"}},
			{"two states", map[string]any{"states": []string{"DEACTIVATED", "BANNED", "BANNED"}}, []string{"banned", "gone"}},
			{"every state", map[string]any{"states": []string{"ACTIVE", "DEACTIVATED", "BANNED"}}, []string{"Ann.2", "ann", "banned", "bob", "gone", "li"}},
			{"the online", map[string]any{"presences": []string{"ONLINE"}}, []string{"li"}},
			{"the others", map[string]any{"presences": []string{"OFFLINE", "UNLOGINED"}}, []string{"Ann.2", "ann", "banned", "bob", "gone"}},
			{"those that never logged in", map[string]any{"presences": []string{"UNLOGINED"}}, []string{"Ann.2", "ann", "banned", "bob", "gone"}},
			{"those that are offline", map[string]any{"presences": []string{"OFFLINE"}}, []string{}},
			{"every presence", map[string]any{"presences": []string{"OFFLINE", "UNLOGINED", "ONLINE"}}, []string{"Ann.2", "ann", "banned", "bob", "gone", "li"}},
			{"the active others", map[string]any{"presences": []string{"OFFLINE", "UNLOGINED"}, "states": []string{"ACTIVE"}}, []string{"Ann.2", "ann", "bob"}},
			{"all at once", map[string]any{"search": "ann", "presences": []string{"OFFLINE", "UNLOGINED"}, "states": []string{"BANNED"}}, []string{"banned"}},
		} {
			const query = `query($filter: UserFilter) { userList(filter: $filter) { nodes { id } totalCount } }`
			r := w.Do(app, query, map[string]any{"filter": c.filter})
			var data struct{ UserList connection }
			if err := json.Unmarshal(r.Data, &data); err != nil {
				t.Fatalf("%s: %v: %s", c.name, err, r.Body)
			}
			got := data.UserList.ids()
			slices.Sort(got)
			if !slices.Equal(got, c.want) || data.UserList.TotalCount != len(c.want) {
				t.Errorf("%s: got %q and %d in all, want %q", c.name, got, data.UserList.TotalCount, c.want)
			}
		}
	})
}

// mustRegister registers a user of App with a name and returns the token.
func mustRegister(w *graphtest.World, id, name string) string {
	w.T.Helper()
	r := w.Do(w.Bearer(graphtest.AppServer), register, input("id", id, "name", name))
	var data struct {
		RegisterUser struct{ Token string }
	}
	if err := json.Unmarshal(r.Data, &data); err != nil || r.Code() != "" {
		w.T.Fatalf("%v: %s", err, r.Body)
	}
	return data.RegisterUser.Token
}
