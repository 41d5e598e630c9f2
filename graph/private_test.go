package graph_test

import (
	"strings"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/graph/graphtest"
)

// TestPrivate_EveryField queries every field of User that the schema marks as private, as every
// kind of caller.
func TestPrivate_EveryField(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Register(w.App, "ann")
		s := schema()
		tested := 0
		for _, field := range s.Types["User"].Fields {
			if field.Directives.ForName("private") == nil {
				continue
			}
			tested++
			query, variables := below(s, `user(id: "ann")`, field)
			for as, want := range map[string]string{
				graphtest.Guest: "UNAUTHENTICATED", "bob": "FORBIDDEN", "ann": "", graphtest.AppServer: "",
				graphtest.OtherServer: "", // has no such user
			} {
				r := w.Do(w.Bearer(as), query, variables)
				if r.Code() != want {
					t.Errorf("%s as %q: %s", field.Name, as, r.Body)
				}
				if as == "bob" && string(r.Data) != `{"user":{"`+field.Name+`":null}}` {
					t.Errorf("%s as %q: %s", field.Name, as, r.Body)
				}
				if nothing := as == graphtest.OtherServer; nothing != (string(r.Data) == `{"user":null}` && want == "") {
					t.Errorf("%s as %q: %s", field.Name, as, r.Body)
				}
			}
		}
		if tested < 2 {
			t.Errorf("%d fields are private", tested)
		}
	})
}

// below writes a query for a field of the object that parent returns.
func below(s *ast.Schema, parent string, field *ast.FieldDefinition) (string, map[string]any) {
	query, variables := example(s, s.Query, field)
	at := strings.Index(query, "{")
	return query[:at] + "{ " + parent + " " + query[at:] + " }", variables
}

// TestInvalidTokens_OpenNothing: an expired or revoked token opens nothing, not even fields that
// require no token.
func TestInvalidTokens_OpenNothing(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		s := schema()
		dead := map[string]string{}
		expired := w.Do(w.Bearer(graphtest.AppServer), register, input("id", "short", "name", "Short", "tokenTtlSeconds", 1))
		_, rest, _ := strings.Cut(string(expired.Data), `"token":"`)
		token, _, _ := strings.Cut(rest, `"`)
		dead["expired"] = "Bearer " + token
		for _, end := range ends {
			dead[end.name] = w.Bearer(end.name)
			end.do(w, end.name)
		}
		w.Clock.Pass(time.Second)
		for name, bearer := range dead {
			want := "UNAUTHENTICATED"
			if name == "ban" {
				want = "USER_BANNED"
			}
			for _, root := range []*ast.Definition{s.Query, s.Mutation} {
				for _, field := range root.Fields {
					if strings.HasPrefix(field.Name, "__") {
						continue
					}
					query, variables := example(s, root, field)
					if r := w.Do(bearer, query, variables); r.Code() != want || len(r.Data) > 0 {
						t.Errorf("%s with a token ended by %s: %s", field.Name, name, r.Body)
					}
				}
			}
		}
	})
}
