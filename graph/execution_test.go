package graph_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"

	"rollcall/graph"
	"rollcall/graph/auth"
	"rollcall/graph/graphtest"
	"rollcall/internal/testenv"
	"rollcall/internal/users"
)

// TestResponse_IsBounded requests more than a response may have: by directly encoded values, by
// fields that gqlgen resolves, by names alone, and in events.
func TestResponse_IsBounded(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	avatar := "https://example.org/" + strings.Repeat("a", 980)
	for i := range 50 {
		if _, err := w.Users.Register(t.Context(), w.App.App, users.Registration{ID: fmt.Sprint("u", i), Name: "U", AvatarURL: avatar}); err != nil {
			t.Fatal(err)
		}
	}
	w.MaxResponse = 512 << 10
	w.Restart()
	page := func(aliases int) string {
		return "{ userList(first: 50) { nodes { " + repeat("a%d: avatarUrl ", aliases) + "} } }"
	}
	name := strings.Repeat("n", 200)
	const refused = `{"errors":[{"message":"the response would have more than 524288 bytes; ask for less at once","extensions":{"code":"QUERY_TOO_COMPLEX",`
	for _, c := range []struct {
		name, query string
		large       bool
	}{
		{"a page that fits", page(8), false},
		{"a page that does not", page(30), true},
		{"long names", "{ userList(first: 50) { nodes { " + repeat(name+"%d: id ", 150) + "} } }", true},
	} {
		for _, way := range graphtest.Ways {
			t.Run(c.name+" over "+way, func(t *testing.T) {
				var r graphtest.Response
				if way == "http" {
					r = *w.Do(w.Bearer(graphtest.AppServer), c.query, nil)
					if r.Status != http.StatusOK {
						t.Errorf("status %d", r.Status)
					}
				} else {
					live := w.Live(way, w.Bearer(graphtest.AppServer), c.query, nil)
					defer live.Close()
					r = live.Next()
				}
				switch {
				case c.large && (r.Code() != tooComplex || string(r.Data) != "null"):
					t.Errorf("%.200s with %.200s, want %s", r.Errors, r.Data, refused)
				case !c.large && (r.Code() != "" || len(r.Data) < 300_000):
					t.Errorf("%d bytes, %s", len(r.Data), r.Code())
				}
			})
		}
	}
	// Values that gqlgen itself resolves are counted as they are resolved.
	principal, err := (&auth.Authenticator{Users: w.Users}).Authenticate(t.Context(), w.Bearer(graphtest.AppServer))
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]*graph.Executor{"direct": w.Executor, "stock": w.Stock} {
		ctx := graphql.StartOperationTrace(auth.With(context.Background(), principal))
		op, errs := e.CreateOperationContext(ctx, &graphql.RawParams{Query: page(30)})
		if errs != nil {
			t.Fatal(errs)
		}
		responses, ctx := e.DispatchOperation(ctx, op)
		if resp := responses(ctx); string(resp.Data) != "null" || len(resp.Errors) != 1 || resp.Errors[0].Extensions["code"] != tooComplex {
			t.Errorf("%s: %d bytes, %v", name, len(resp.Data), resp.Errors)
		}
	}
}

// TestResponse_IsBoundedForEvents: an event that is too large is replaced by an error.
func TestResponse_IsBoundedForEvents(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	w.Register(w.App, "ann")
	w.MaxResponse = 32 << 10
	w.Restart()
	subscription := func(aliases int) string {
		return `subscription { userStatus(ids: ["ann"]) { ` + repeat(strings.Repeat("n", 200)+"%d: presence ", aliases) + "} }"
	}
	for _, way := range graphtest.Transports {
		for aliases, code := range map[int]string{100: "", 250: tooComplex} {
			live := w.Live(way, w.Bearer("ann"), subscription(aliases), nil)
			if r := live.Next(); r.Code() != code {
				t.Errorf("%d fields over %s: %q with %d bytes, want %q", aliases, way, r.Code(), len(r.Data), code)
			}
			live.Close()
		}
	}
}
