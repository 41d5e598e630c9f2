package graph_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/graph"
	"rollcall/graph/graphtest"
	"rollcall/internal/testenv"
)

// served returns the schema as a caller sees it.
func served(t *testing.T) *ast.Schema {
	t.Helper()
	s, err := gqlparser.LoadSchema(&ast.Source{Name: "served", Input: graph.SDL()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPublicSchema_IsThatOfDocs fails until `make generate` has written docs/schema.graphql.
func TestPublicSchema_IsThatOfDocs(t *testing.T) {
	docs, err := os.ReadFile("../docs/schema.graphql")
	if err != nil {
		t.Fatal(err)
	}
	if string(docs) != graph.SDL() {
		t.Error("docs/schema.graphql is not the schema that is served; run: make generate")
	}
}

// TestPublicSchema_HidesWhatIsInternal compares the public schema with the source: the same types,
// fields and arguments, but without internal directives and the types that only they use.
func TestPublicSchema_HidesWhatIsInternal(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	source, public := ours(schema()), ours(served(t))
	delete(source, "Caller")  // for @auth alone
	delete(source, "Literal") // for @example alone
	for name := range source {
		if public[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	for name, def := range public {
		from := source[name]
		if from == nil {
			t.Errorf("%s is internal", name)
			continue
		}
		if def.Description != from.Description {
			t.Errorf("%s is described as %q, want %q", name, def.Description, from.Description)
		}
		directives := slices.Clone(def.Directives)
		for i, field := range def.Fields {
			if field.Name != from.Fields[i].Name || field.Type.String() != from.Fields[i].Type.String() {
				t.Errorf("%s.%s: %s, want %s: %s", name, field.Name, field.Type, from.Fields[i].Name, from.Fields[i].Type)
			}
			if !strings.HasPrefix(field.Description, from.Fields[i].Description) {
				t.Errorf("%s.%s is described as %q", name, field.Name, field.Description)
			}
			directives = append(directives, field.Directives...)
			for j, arg := range field.Arguments {
				if before := from.Fields[i].Arguments[j]; arg.Name != before.Name || arg.Type.String() != before.Type.String() ||
					!strings.HasPrefix(arg.Description, before.Description) || arg.DefaultValue.String() != before.DefaultValue.String() {
					t.Errorf("%s.%s(%s) differs from the source", name, field.Name, arg.Name)
				}
				directives = append(directives, arg.Directives...)
			}
		}
		for _, d := range directives {
			if d.Name != "specifiedBy" && d.Name != "deprecated" {
				t.Errorf("%s has @%s", name, d.Name)
			}
		}
		if len(def.Fields) != len(from.Fields) { // both Query types have __schema and __type
			t.Errorf("%s has %d fields, want %d", name, len(def.Fields), len(from.Fields))
		}
		if def.Kind == ast.Scalar && def.Directives.ForName("specifiedBy") == nil {
			t.Errorf("the scalar %s has no @specifiedBy", name)
		}
	}
	w.Run(graphtest.Scenario{
		Name: "introspection", Query: `{ __schema { directives { name } } caller: __type(name: "Caller") { name } dateTime: __type(name: "DateTime") { specifiedByURL } }`,
		WantData: `{"__schema":{"directives":[{"name":"deprecated"},{"name":"include"},{"name":"oneOf"},{"name":"skip"},{"name":"specifiedBy"}]},
			"caller":null,"dateTime":{"specifiedByURL":"https://scalars.graphql.org/andimarek/date-time.html"}}`,
	})
}

// TestPublicSchema_SaysWhatIsRequired finds each mark and each rule of the source in a description.
func TestPublicSchema_SaysWhatIsRequired(t *testing.T) {
	public := served(t)
	for name, def := range ours(schema()) {
		for _, field := range def.Fields {
			mark := field.Directives.ForName("auth") != nil || field.Directives.ForName("private") != nil
			shown := public.Types[name].Fields.ForName(field.Name)
			if mark && !strings.Contains(shown.Description, "\nRequires ") {
				t.Errorf("%s.%s is described as %q", name, field.Name, shown.Description)
			}
			if field.Directives.ForName("goTag") != nil && !strings.Contains(shown.Description, "\nAllowed: ") {
				t.Errorf("%s.%s is described as %q", name, field.Name, shown.Description)
			}
			for _, arg := range field.Arguments {
				if text := shown.Arguments.ForName(arg.Name).Description; arg.Directives.ForName("validate") != nil && !strings.Contains(text, "\nAllowed: ") {
					t.Errorf("%s.%s(%s) is described as %q", name, field.Name, arg.Name, text)
				}
			}
		}
	}
	field := func(typ, name string) *ast.FieldDefinition { return public.Types[typ].Fields.ForName(name) }
	want := map[string]string{
		field("Mutation", "issueAppToken").Description:                           "Requires no token.",
		field("Query", "app").Description:                                        "Requires an app token.",
		field("Query", "me").Description:                                         "Requires a user token.",
		field("Query", "user").Description:                                       "Requires an app token or a user token.",
		field("User", "devices").Description:                                     "Requires an app token, or the user token of this user; otherwise FORBIDDEN.",
		field("User", "whitelist").Description:                                   "Requires an app token.",
		field("UserConnection", "totalCount").Description:                        "Complexity: 2000.",
		field("Query", "userList").Arguments.ForName("first").Description:        "Allowed: 1 to 100.",
		field("Query", "users").Arguments.ForName("ids").Description:             "Allowed: at most 500 items.",
		field("Subscription", "userStatus").Arguments.ForName("ids").Description: "Allowed: at most 200 items, each of 1 to 64 characters, only `A-Z a-z 0-9 _ - . @ = +`.",
		field("SetStatusInput", "customStatus").Description:                      "Allowed: at most 100 bytes, no control characters.",
		field("RegisterUserInput", "tokenTtlSeconds").Description:                "Allowed: 1 to 315360000.",
		field("RegisterUserInput", "avatarUrl").Description:                      "Allowed: at most 1024 bytes, an http or https URL with a valid host and port, without user info, quotes, angle brackets, backslashes, spaces or invisible characters.",
	}
	for text, line := range want {
		if !strings.HasSuffix(text, "\n"+line) {
			t.Errorf("%q does not end with %q", text, line)
		}
	}
	if slices.ContainsFunc(slices.Collect(maps.Keys(want)), func(text string) bool { return strings.Count(text, "\nAllowed: ") > 1 }) {
		t.Error("a rule is described twice")
	}
}

// TestPublicSchema_RefusesInternalDirectives sends directives of the source in documents.
func TestPublicSchema_RefusesInternalDirectives(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	for _, query := range []string{`{ app @auth(to: [GUEST]) { key } }`, `{ app @private { key } }`} {
		w.Run(graphtest.Scenario{Name: query, As: graphtest.AppServer, Query: query, WantCode: "GRAPHQL_VALIDATION_FAILED", WantStatus: 400})
	}
}
