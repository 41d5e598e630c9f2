package graph_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/graph/graphtest"
	"rollcall/models"
)

const (
	issueToken = `mutation($input: IssueUserTokenInput!) { issueUserToken(input: $input) { token expiresAt user { id name updatedAt } } }`
	tokenInfo  = `query($token: String!) { tokenInfo(token: $token) { active userId user { id name state } issuedAt expiresAt error { code message } } }`
)

func TestIssueUserToken(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Register(w.App, "ann")
		for _, id := range []string{"gone", "banned"} {
			w.Register(w.App, id)
		}
		call(w, deactivate, inIDs([]string{"gone"}))
		call(w, banMany, input("userIds", []string{"banned"}, "minutes", 1))
		w.Clock.Pass(time.Second)
		w.Run(
			graphtest.Scenario{
				Name: "without an end, changing nothing", As: graphtest.AppServer, Query: issueToken, Variables: input("userId", "ann"),
				WantData: `{"issueUserToken":{"token":"*","expiresAt":null,"user":{"id":"ann","name":"ann","updatedAt":"2026-11-20T08:15:30.123Z"}}}`,
			},
			graphtest.Scenario{
				Name: "with an end", As: graphtest.AppServer, Query: issueToken, Variables: input("userId", "ann", "ttlSeconds", 60),
				WantData: `{"issueUserToken":{"token":"*","expiresAt":"2026-11-20T08:16:31.123Z","user":{"id":"ann","name":"ann","updatedAt":"2026-11-20T08:15:30.123Z"}}}`,
			},
			graphtest.Scenario{
				Name: "a banned user", As: graphtest.AppServer, Query: issueToken, Variables: input("userId", "banned"),
				WantData: `{"issueUserToken":{"token":"*","expiresAt":null,"user":{"id":"banned","name":"banned","updatedAt":"*"}}}`,
			},
			graphtest.Scenario{
				Name: "an unknown user", As: graphtest.AppServer, Query: issueToken, Variables: input("userId", "Ann"),
				WantCode: "USER_NOT_FOUND", WantExtensions: map[string]any{"userId": "Ann"},
			},
			graphtest.Scenario{
				Name: "a user of another app", As: graphtest.OtherServer, Query: issueToken, Variables: input("userId", "ann"),
				WantCode: "USER_NOT_FOUND",
			},
			graphtest.Scenario{
				Name: "a deactivated user", As: graphtest.AppServer, Query: issueToken, Variables: input("userId", "gone"),
				WantCode: "USER_DEACTIVATED", WantExtensions: map[string]any{"userId": "gone"},
			},
			graphtest.Scenario{
				Name: "no user ID", As: graphtest.AppServer, Query: issueToken, Variables: input("userId", "a b"),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.userId", "userid"),
			},
			graphtest.Scenario{
				Name: "too long", As: graphtest.AppServer, Query: issueToken, Variables: input("userId", "ann", "ttlSeconds", 315_360_001),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.ttlSeconds", "max"),
			},
			graphtest.Scenario{Name: "as a user", As: "ann", Query: issueToken, Variables: input("userId", "ann"), WantCode: "FORBIDDEN"},
			graphtest.Scenario{Name: "as a guest", Query: issueToken, Variables: input("userId", "ann"), WantCode: "UNAUTHENTICATED"},
		)
		before := w.Register(w.App, "ann")
		r := w.Do(w.Bearer(graphtest.AppServer), issueToken, input("userId", "ann"))
		for name, token := range map[string]string{"the older token": before, "the issued token": between(string(r.Data), `"token":"`, `"`)} {
			if r := w.Do("Bearer "+token, `{ me { id } }`, nil); string(r.Data) != `{"me":{"id":"ann"}}` {
				w.T.Errorf("%s: %s", name, r.Body)
			}
		}
	})
}

// between returns what is in text after before and up to after.
func between(text, before, after string) string {
	_, rest, _ := strings.Cut(text, before)
	found, _, _ := strings.Cut(rest, after)
	return found
}

func TestTokenInfo(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		// The tokens are issued at 08:15:30.123.
		tokens := map[string]string{"app": w.AppToken(w.App), "foreign app": w.AppToken(w.Other), "foreign": w.Register(w.Other, "ann")}
		short := w.Do(w.Bearer(graphtest.AppServer), register, input("id", "short", "name", "Short", "tokenTtlSeconds", 1))
		tokens["short"] = between(string(short.Data), `"token":"`, `"`)
		for _, id := range []string{"ann", "expire", "deactivate", "reactivated", "delete", "ban"} {
			tokens[id] = w.Register(w.App, id)
		}
		tokens["broken"] = tokens["ann"][:len(tokens["ann"])-3]
		w.Clock.Pass(time.Second)
		for _, end := range ends {
			end.do(w, end.name)
		}
		call(w, deactivate, inIDs([]string{"reactivated"}))
		call(w, reactivate, inIDs([]string{"reactivated"}))

		const none = `{"active":false,"userId":null,"user":null,"issuedAt":null,"expiresAt":null,"error":{"code":"UNAUTHENTICATED","message":"the text is no token of this app"}}`
		info := func(active bool, id, name, state, expires, code string) string {
			user, userID, failure := "null", "null", "null"
			if id != "" {
				userID = `"` + id + `"`
				user = fmt.Sprintf(`{"id":%q,"name":%q,"state":%q}`, id, name, state)
			}
			if code != "" {
				failure = fmt.Sprintf(`{"code":%q,"message":"*"}`, code)
			}
			return fmt.Sprintf(`{"active":%t,"userId":%s,"user":%s,"issuedAt":"2026-11-20T08:15:30.123Z","expiresAt":%s,"error":%s}`,
				active, userID, user, expires, failure)
		}
		for name, want := range map[string]string{
			"ann":         info(true, "ann", "ann", "ACTIVE", "null", ""),
			"app":         info(true, "", "", "", `"2026-11-20T09:15:30.123Z"`, ""),
			"short":       info(false, "short", "Short", "ACTIVE", `"2026-11-20T08:15:31.123Z"`, "UNAUTHENTICATED"),
			"expire":      info(false, "expire", "expire", "ACTIVE", "null", "UNAUTHENTICATED"),
			"deactivate":  info(false, "deactivate", "", "DEACTIVATED", "null", "USER_DEACTIVATED"),
			"reactivated": info(false, "reactivated", "", "ACTIVE", "null", "UNAUTHENTICATED"),
			"delete":      info(false, "", "", "", "null", "UNAUTHENTICATED"),
			"ban":         info(false, "ban", "ban", "BANNED", "null", "USER_BANNED"),
			"foreign":     none, "foreign app": none, "broken": none, "": none,
		} {
			w.Run(graphtest.Scenario{
				Name: name, As: graphtest.AppServer, Query: tokenInfo, Variables: map[string]any{"token": tokens[name]},
				WantData: `{"tokenInfo":` + want + `}`,
			})
			// It agrees with what the token's bearer gets.
			r := w.Do("Bearer "+tokens[name], `{ __typename }`, nil)
			if strings.Contains(want, `"active":true`) != (r.Code() == "") && !strings.HasPrefix(name, "foreign") {
				w.T.Errorf("%q: %s, but a request with it: %s", name, want, r.Body)
			}
		}
		for as, code := range map[string]string{"ann": "FORBIDDEN", graphtest.Guest: "UNAUTHENTICATED"} {
			w.Run(graphtest.Scenario{Name: "as " + as, As: as, Query: tokenInfo, Variables: map[string]any{"token": tokens["app"]}, WantCode: code})
		}

		stale := w.AppToken(w.App)
		_, secret, err := w.Apps.RotateSecret(t.Context(), w.App.Key, 0, models.Actor{Name: "test"})
		if err != nil {
			w.T.Fatal(err)
		}
		w.App.Secret = secret
		for _, token := range []string{stale, tokens["ann"]} {
			r := w.Do("Bearer "+w.AppToken(w.App), tokenInfo, map[string]any{"token": token})
			if !strings.Contains(string(r.Data), `"active":false`) || !strings.Contains(string(r.Data), "the token was revoked") {
				w.T.Errorf("after the rotation: %s", r.Body)
			}
		}
		for _, token := range tokens {
			if token != "" && strings.Contains(w.Log.String(), token) {
				w.T.Error("the log contains a token")
			}
		}
	})
}

// TestTokenInfo_LeavesNoToken: a token that a caller has written into the document is in no error,
// and the document is not stored.
func TestTokenInfo_LeavesNoToken(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		server, token := w.Bearer(graphtest.AppServer), w.Register(w.App, "ann")
		document := `{ tokenInfo(token: "` + token + `") { active } }`
		for range 3 {
			if got := askPersisted(w, server, document, false); got != `{"tokenInfo":{"active":true}}` {
				w.T.Fatal(got)
			}
			if got := askPersisted(w, server, document, true); got != "PERSISTED_QUERY_NOT_FOUND" {
				w.T.Errorf("the document is stored: %s", got)
			}
		}
		in := `query($token: String!) { tokenInfo(token: $token) { active } }`
		for _, c := range []struct {
			as, query string
			variables map[string]any
		}{
			{w.Bearer("ann"), document, nil},
			{server, `{ tokenInfo(token: "` + token + `", other: "` + token + `") { active } }`, nil},
			{server, `{ tokenInfo(token: ["` + token + `"]) { active } }`, nil},
			{server, `{ tokenInfo(token: {token: "` + token + `"}) { active } }`, nil},
			{server, in, map[string]any{"token": map[string]any{"token": token}}},
			{server, in, map[string]any{"token": []any{token, token}}},
			{server, in, map[string]any{"tokens": token}},
		} {
			r := w.Do(c.as, c.query, c.variables)
			if r.Code() == "" || strings.Contains(string(r.Body), token) {
				w.T.Errorf("%.60s: %s", c.query, r.Body)
			}
		}
		if strings.Contains(w.Log.String(), token) {
			w.T.Error("the log contains the token")
		}
	})
}
