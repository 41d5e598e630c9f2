package graph_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"rollcall/graph"
	"rollcall/graph/graphtest"
	"rollcall/internal/testenv"
)

const entities = `query($of: [_Any!]!) { _entities(representations: $of) { __typename ... on User { id name } } }`

// representation returns a user as a gateway refers to it.
func representation(id string) map[string]any { return map[string]any{"__typename": "User", "id": id} }

// representations returns the variables of entities for these users.
func representations(ids ...string) map[string]any {
	list := make([]any, len(ids))
	for i, id := range ids {
		list[i] = representation(id)
	}
	return vars("of", list)
}

func TestEntities(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob")
		w.Register(w.Other, "eve")
		const ann = `{"__typename":"User","id":"ann","name":"ann"}`
		all := representations("bob", "ann", "nobody", "eve", "ann")
		w.Run(
			graphtest.Scenario{
				Name: "in order, null for unknown users and those of other apps", As: server, Query: entities, Variables: all,
				WantData: `{"_entities":[{"__typename":"User","id":"bob","name":"bob"},` + ann + `,null,null,` + ann + `]}`,
			},
			graphtest.Scenario{
				Name: "another app", As: graphtest.OtherServer, Query: entities, Variables: all,
				WantData: `{"_entities":[null,null,null,{"__typename":"User","id":"eve","name":"eve"},null]}`,
			},
			graphtest.Scenario{
				Name: "a user", As: "bob", Query: entities, Variables: representations("ann"), WantData: `{"_entities":[` + ann + `]}`,
			},
			graphtest.Scenario{
				Name: "in the document", As: server, Query: `{ _entities(representations: {__typename: "User", id: "ann"}) { ... on User { name } } }`,
				WantData: `{"_entities":[{"name":"ann"}]}`,
			},
			graphtest.Scenario{
				Name: "none", As: server, Query: entities, Variables: representations(), WantData: `{"_entities":[]}`,
			},
			graphtest.Scenario{
				Name: "a guest", Query: entities, Variables: all, WantCode: "UNAUTHENTICATED", WantData: `null`,
			},
			graphtest.Scenario{
				Name: "as many as of users", As: server, Query: entities, Variables: representations(strangers(500)...),
			},
			graphtest.Scenario{
				Name: "more", As: server, Query: entities, Variables: representations(strangers(501)...),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("representations", "max"), WantData: `null`,
			},
			graphtest.Scenario{
				Name: "null", As: server, Query: entities, Variables: vars("of", []any{nil}), WantStatus: 400,
				WantCode: "GRAPHQL_VALIDATION_FAILED", WantExtensions: breaks("of.0", "required"),
			},
		)
	})
}

// TestEntities_BadRepresentations: each is an error at its place that names the field and the rule,
// and the representations beside it are resolved.
func TestEntities_BadRepresentations(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob")
		for _, c := range []struct {
			name           string
			representation any
			field, rule    string
		}{
			{"a text", "ann", "", "type"},
			{"a number", 7, "", "type"},
			{"a list", []any{representation("ann")}, "", "type"},
			{"an empty object", map[string]any{}, ".__typename", "required"},
			{"no type", map[string]any{"id": "ann"}, ".__typename", "required"},
			{"another type", map[string]any{"__typename": "Post", "id": "ann"}, ".__typename", "type"},
			{"a type that is no entity", map[string]any{"__typename": "App", "id": "app:x"}, ".__typename", "type"},
			{"a type that is no text", map[string]any{"__typename": 1, "id": "ann"}, ".__typename", "type"},
			{"no ID", map[string]any{"__typename": "User"}, ".id", "required"},
			{"null as the ID", map[string]any{"__typename": "User", "id": nil}, ".id", "type"},
			{"a number as the ID", map[string]any{"__typename": "User", "id": 7}, ".id", "type"},
			{"an empty ID", representation(""), ".id", "required"},
			{"an ID of 65 characters", representation(strings.Repeat("x", 65)), ".id", "max"},
			{"the ID of another node", representation("status:ann"), ".id", "userid"},
			{"a field that is not of the key", map[string]any{"__typename": "User", "id": "ann", "name": "Eve"}, ".name", "known"},
		} {
			for _, as := range []string{server, "bob"} {
				r := w.Do(w.Bearer(as), entities, vars("of", []any{representation("ann"), c.representation, representation("bob")}))
				const want = `{"_entities":[{"__typename":"User","id":"ann","name":"ann"},null,{"__typename":"User","id":"bob","name":"bob"}]}`
				if len(r.Errors) != 1 || string(r.Data) != want {
					t.Errorf("%s as %s: %s", c.name, as, r.Body)
					continue
				}
				e := r.Errors[0]
				got := fmt.Sprint(e.Extensions["code"], e.Extensions["field"], e.Extensions["rule"], e.Path)
				field := "representations.1" + c.field
				if got != fmt.Sprint("INVALID_ARGUMENT", field, c.rule, []any{"_entities", 1}) || !strings.Contains(e.Message, field) {
					t.Errorf("%s as %s: %s", c.name, as, r.Body)
				}
			}
		}
		bad := make([]any, 500)
		for i := range bad {
			bad[i] = "ann"
		}
		app := w.Bearer(server)
		queries := testenv.Queries(w.T, w.DB)
		r := w.Do(app, entities, vars("of", bad))
		if len(r.Errors) != 101 || string(r.Data) != `{"_entities":[null`+strings.Repeat(",null", 499)+`]}` {
			t.Errorf("only bad ones: %d errors: %s", len(r.Errors), r.Data)
		}
		if n := queries.Load(); n > 1 {
			t.Errorf("only bad ones took %d queries", n)
		}
	})
}

// TestEntities_SameAsUser selects each field of a user, for each kind of caller: what `_entities`
// returns and refuses is what `user` does.
func TestEntities_SameAsUser(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Register(w.App, "ann")
		w.Set(map[string]string{"statusQueryEnabled": "false"})
		s := schema()
		bearers := map[string]string{}
		for _, as := range []string{graphtest.Guest, server, graphtest.OtherServer, "ann", "bob"} {
			bearers[as] = w.Bearer(as)
		}
		for _, field := range s.Types["User"].Fields {
			query, variables := example(s, s.Query, field)
			at := strings.Index(query, "{")
			for as, bearer := range bearers {
				for _, id := range []string{"ann", "bob", "nobody"} {
					user := w.Do(bearer, fmt.Sprintf(`%s { user(id: %q) %s }`, query[:at], id, query[at:]), variables)
					entity := w.Do(bearer, fmt.Sprintf(`%s { _entities(representations: {__typename: "User", id: %q}) { ... on User %s } }`,
						query[:at], id, query[at:]), variables)
					want := strings.TrimSuffix(strings.TrimPrefix(string(user.Data), `{"user":`), `}`)
					got := strings.TrimSuffix(strings.TrimPrefix(string(entity.Data), `{"_entities":[`), `]}`)
					if as == graphtest.Guest {
						want = "null" // without the object around it: the list must not be null
						got = string(entity.Data)
					}
					if got != want || entity.Code() != user.Code() {
						t.Errorf("%s of %s as %q: %s, want %s", field.Name, id, as, entity.Body, user.Body)
					}
				}
			}
		}
	})
}

// TestEntities_AreReadAtOnce: by one query besides that for the token.
func TestEntities_AreReadAtOnce(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "cid")
		queries := testenv.Queries(w.T, w.DB)
		for _, as := range []string{server, "ann"} {
			bearer := w.Bearer(as)
			queries.Store(0)
			r := w.Do(bearer, entities, representations(append(strangers(100), "cid", "bob", "ann")...))
			if n := queries.Load(); n > 2 || !strings.Contains(string(r.Data), `"cid"`) {
				t.Errorf("as %s: %d queries: %s", as, n, r.Body)
			}
		}
	})
}

// TestEntities_CountTowardsLimits: to the complexity and the rates as those of `users`.
func TestEntities_CountTowardsLimits(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob")
		fields := repeat("n%d: name ", 40)
		w.Run(
			graphtest.Scenario{
				Name: "complexity", As: server, Query: `query($of: [_Any!]!) { _entities(representations: $of) { ... on User { ` + fields + `} } }`,
				Variables: representations(strangers(500)...), WantCode: tooComplex, WantStatus: 400,
			},
			graphtest.Scenario{
				Name: "the same of users", As: server, Query: `query($ids: [ID!]!) { users(ids: $ids) { ` + fields + `} }`,
				Variables: vars("ids", strangers(500)), WantCode: tooComplex, WantStatus: 400,
			},
		)
		ann := w.Bearer("ann")
		for _, r := range []*graphtest.Response{
			w.Do(ann, entities, representations(strangers(500)...)),
			w.Do(ann, `query($ids: [ID!]!) { users(ids: $ids) { name } }`, vars("ids", strangers(499))),
			w.Do(ann, entities, vars("of", []any{representation("ann"), representation("bob"), map[string]any{"__typename": "Post"}})),
		} {
			if code := r.Code(); code != "" && code != "INVALID_ARGUMENT" {
				t.Fatalf("up to the rate: %s", r.Body)
			}
		}
		for _, query := range []string{`{ user(id: "bob") { name } }`, `{ _entities(representations: {__typename: "User", id: "bob"}) { __typename } }`} {
			if r := w.Do(ann, query, nil); r.Code() != "RATE_LIMITED" {
				t.Errorf("%s beyond the rate: %s", query, r.Body)
			}
		}
	})
}

// TestService_DescribesTheSubgraph requests the schema for the composition of a federated graph.
// e2e/federation.test.mjs composes it.
func TestService_DescribesTheSubgraph(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	sdl := graph.SubgraphSDL()
	for _, as := range []string{graphtest.Guest, "ann", server} {
		r := w.Do(w.Bearer(as), `{ _service { sdl } }`, nil)
		var data struct {
			Service struct{ SDL string } `json:"_service"`
		}
		if err := json.Unmarshal(r.Data, &data); err != nil || r.Code() != "" || data.Service.SDL != sdl {
			t.Errorf("as %q: %s", as, r.Body)
		}
	}
	for _, part := range []string{
		`extend schema @link(url: "https://specs.apollo.dev/federation/v2.0", import: ["@key","@shareable"])`,
		`type User implements Node @key(fields: "id") {`, "type PageInfo @shareable {", "Requires an app token or a user token.",
	} {
		if !strings.Contains(sdl, part) {
			t.Errorf("the SDL lacks %s", part)
		}
	}
	for _, word := range []string{"@auth", "@private", "@validate", "@cost", "@go", "@representations", "@subgraph", "directive ", "_entities", "_Service", "_Any", "Entity"} {
		if strings.Contains(sdl, word) {
			t.Errorf("the SDL has %s", word)
		}
	}
	if strings.Contains(graph.SDL(), "@key") {
		t.Error("the schema for clients has Federation's directives")
	}
}
