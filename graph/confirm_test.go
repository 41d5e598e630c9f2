package graph_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"rollcall/graph/graphtest"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// TestUser_CostsTheAppServerOneQuery: the query for the user also confirms the token.
func TestUser_CostsTheAppServerOneQuery(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Register(w.App, "ann")
		app := w.Bearer(server)
		queries := testenv.Queries(w.T, w.DB)
		for _, test := range []struct {
			query, want string
			queries     int64
		}{
			{`{ user(id: "ann") { id } }`, `{"user":{"id":"ann"}}`, 1},
			{`{ user(id: "nobody") { id } }`, `{"user":null}`, 2},
			{`{ user(id: "丽") { id } }`, `{"user":null}`, 1},
			{`{ messagePermission(from: "ann", to: "ann") { allowed } }`, `{"messagePermission":{"allowed":true}}`, 1},
			{`{ messagePermission(from: "nobody", to: "丽") { reason } }`, `{"messagePermission":{"reason":"SENDER_NOT_FOUND"}}`, 1},
			{`{ messagePermission(from: "ann", to: "ann") { allowed } user(id: "ann") { id } }`, `{"messagePermission":{"allowed":true},"user":{"id":"ann"}}`, 2},
			{`{ __typename }`, `{"__typename":"Query"}`, 1},
			{`{ user(id: "ann") { id } app { name } }`, `{"user":{"id":"ann"},"app":{"name":"app"}}`, 2},
			{`{ a: user(id: "ann") { id } b: user(id: "ann") { friendship(with: "x") { createdAt } } }`, `{"a":{"id":"ann"},"b":{"friendship":null}}`, 4},
		} {
			queries.Store(0)
			r := w.Do(app, test.query, nil)
			if !graphtest.Match(w.T, test.want, r.Data) {
				w.T.Errorf("%s: %s", test.query, r.Body)
			}
			if n := queries.Load(); n > test.queries {
				w.T.Errorf("%s took %d queries", test.query, n)
			}
		}
	})
}

// TestRotatedAppToken_Refused: every operation with an app token of an earlier secret gets a
// response of 401 that discloses nothing else, and changes nothing.
func TestRotatedAppToken_Refused(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Register(w.App, "ann")
		stale := w.Bearer(server)
		if _, _, err := w.Apps.RotateSecret(t.Context(), w.App.Key, 0, models.Actor{Name: "test"}); err != nil {
			w.T.Fatal(err)
		}
		const register = `mutation { registerUser(input: {id: \"eve\", name: \"Eve\"}) { token } }`
		for name, body := range map[string]string{
			"a user":            `{"query": "{ user(id: \"ann\") { id name } }"}`,
			"nobody":            `{"query": "{ user(id: \"nobody\") { id } }"}`,
			"an impossible ID":  `{"query": "{ user(id: \"丽\") { id } }"}`,
			"an invalid ID":     `{"query": "{ user(id: \"\") { id } }"}`,
			"a permission":      `{"query": "{ messagePermission(from: \"ann\", to: \"ann\") { allowed } }"}`,
			"two permissions":   `{"query": "{ a: messagePermission(from: \"ann\", to: \"x\") { allowed } b: messagePermission(from: \"ann\", to: \"ann\") { allowed } }"}`,
			"two users":         `{"query": "{ a: user(id: \"ann\") { id } b: user(id: \"ann\") { friends { totalCount } } }"}`,
			"a user and others": `{"query": "{ user(id: \"ann\") { id } app { key } userList { totalCount } }"}`,
			"the app":           `{"query": "{ app { key } }"}`,
			"no field":          `{"query": "{ __typename }"}`,
			"the schema":        `{"query": "{ __schema { queryType { name } } }"}`,
			"a mutation":        `{"query": "` + register + `"}`,
			"a subscription":    `{"query": "subscription { appStatusChanged { userId } }"}`,
			"no such field":     `{"query": "{ nothing }"}`,
			"no document":       `{"query": "{"}`,
			"no JSON":           `{`,
			"nothing":           ``,
		} {
			for _, accept := range []string{"application/json", "application/graphql-response+json", "text/event-stream", "image/png"} {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL, strings.NewReader(body))
				if err != nil {
					w.T.Fatal(err)
				}
				request.Header.Set("Authorization", stale)
				request.Header.Set("Content-Type", "application/json")
				request.Header.Set("Accept", accept)
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					w.T.Fatal(err)
				}
				answer, err := io.ReadAll(response.Body)
				response.Body.Close()
				if err != nil || response.StatusCode != http.StatusUnauthorized || response.Header.Get("WWW-Authenticate") != "Bearer" ||
					!strings.Contains(string(answer), `"UNAUTHENTICATED"`) || strings.Contains(string(answer), "data") ||
					strings.Count(string(answer), "message") != 1 {
					w.T.Errorf("%s as %s: %d %s, %v", name, accept, response.StatusCode, answer, err)
				}
			}
		}
		if u, err := w.Users.ByID(t.Context(), w.App.ID, "eve"); u != nil || err != nil {
			w.T.Errorf("the mutation was executed: %+v, %v", u, err)
		}
		if _, code := w.Connect(stale); code != 4401 {
			w.T.Errorf("a WebSocket was closed with %d", code)
		}
	})
}
