package graph_test

import (
	"testing"
	"time"

	"rollcall/graph/graphtest"
)

func TestDeactivate(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		ann := w.Bearer("ann")
		w.Clock.Pass(time.Millisecond) // lists have the newest user first
		w.Register(w.App, "bob")
		w.Clock.Pass(-time.Millisecond)
		const all = `{ user(id: "ann") { id name avatarUrl createdAt updatedAt state ban { until } deactivatedAt status { presence changedAt } } }`
		w.Run(
			graphtest.Scenario{Name: "with an avatar", As: graphtest.AppServer, Query: update, Variables: input("userId", "ann", "avatarUrl", "https://example.org/a.png")},
			graphtest.Scenario{Name: "and a ban", As: graphtest.AppServer, Query: banMany, Variables: input("userIds", []string{"ann"}, "minutes", 60, "reason", "spam")},
		)
		w.Clock.Pass(time.Second)
		w.Run(
			graphtest.Scenario{Name: "deactivate", As: graphtest.AppServer, Query: deactivate, Variables: inIDs([]string{"ann"}),
				WantData: results("deactivateUsers", result{"ann", "DONE", ""})},
			graphtest.Scenario{Name: "everything but the ID is erased", As: graphtest.AppServer, Query: all,
				WantData: `{"user":{"id":"ann","name":"","avatarUrl":null,"createdAt":"2026-11-20T08:15:30.123Z","updatedAt":"2026-11-20T08:15:31.123Z","state":"DEACTIVATED",
					"ban":null,"deactivatedAt":"2026-11-20T08:15:31.123Z","status":{"presence":"UNLOGINED","changedAt":null}}}`},
			graphtest.Scenario{Name: "also for another user", As: "bob", Query: `{ user(id: "ann") { name state deactivatedAt } users(ids: ["ann"]) { state } }`,
				WantData: `{"user":{"name":"","state":"DEACTIVATED","deactivatedAt":"2026-11-20T08:15:31.123Z"},"users":[{"state":"DEACTIVATED"}]}`},
			graphtest.Scenario{Name: "listed as deactivated, not as banned", As: graphtest.AppServer,
				Query:    `{ deactivatedUsers { totalCount nodes { id } } bannedUsers { totalCount nodes { id } } userList { totalCount nodes { id } } }`,
				WantData: `{"deactivatedUsers":{"totalCount":1,"nodes":[{"id":"ann"}]},"bannedUsers":{"totalCount":0,"nodes":[]},"userList":{"totalCount":2,"nodes":[{"id":"bob"},{"id":"ann"}]}}`},
			graphtest.Scenario{Name: "not in another app", As: graphtest.OtherServer, Query: `{ deactivatedUsers { totalCount nodes { id } } }`,
				WantData: `{"deactivatedUsers":{"totalCount":0,"nodes":[]}}`},
			graphtest.Scenario{Name: "its place is free", As: graphtest.AppServer, Query: `{ app { registeredUserCount } }`, WantData: `{"app":{"registeredUserCount":1}}`},
			graphtest.Scenario{Name: "its ID is not", As: graphtest.AppServer, Query: register, Variables: input("id", "ann", "name", "Ann"),
				WantCode: "USER_DEACTIVATED", WantExtensions: map[string]any{"userId": "ann"}},
			graphtest.Scenario{Name: "updating it", As: graphtest.AppServer, Query: update, Variables: input("userId", "ann", "name", "Ann"),
				WantCode: "USER_DEACTIVATED", WantExtensions: map[string]any{"userId": "ann"}},
			graphtest.Scenario{Name: "banning it", As: graphtest.AppServer, Query: banMany, Variables: input("userIds", []string{"ann"}, "minutes", 1),
				WantData: results("banUsers", result{"ann", "REFUSED", "USER_DEACTIVATED"})},
			graphtest.Scenario{Name: "expiring its tokens", As: graphtest.AppServer, Query: expire, Variables: input("userIds", []string{"ann"}, "issuedBefore", soon),
				WantData: results("expireTokens", result{"ann", "ALREADY", ""})},
			graphtest.Scenario{Name: "disconnecting it", As: graphtest.AppServer, Query: disconnect, Variables: input("userId", "ann", "allDevices", true), WantData: `{"disconnectUser":{"disconnectedCount":0}}`},
		)
		refused := func(when string) {
			w.T.Helper()
			if r := w.Do(ann, `{ me { id } }`, nil); r.Status != 401 || r.Code() != "UNAUTHENTICATED" {
				w.T.Errorf("its token %s: %s", when, r.Body)
			}
			if _, code := w.Connect(ann); code != 4401 {
				w.T.Errorf("a connect %s: closed with %d", when, code)
			}
		}
		refused("while deactivated")

		w.Clock.Pass(time.Second)
		w.Run(
			graphtest.Scenario{Name: "reactivate", As: graphtest.AppServer, Query: reactivate, Variables: inIDs([]string{"ann"}),
				WantData: results("reactivateUsers", result{"ann", "DONE", ""})},
			graphtest.Scenario{Name: "an empty account", As: graphtest.AppServer, Query: all,
				WantData: `{"user":{"id":"ann","name":"","avatarUrl":null,"createdAt":"2026-11-20T08:15:30.123Z","updatedAt":"2026-11-20T08:15:32.123Z","state":"ACTIVE",
					"ban":null,"deactivatedAt":null,"status":{"presence":"UNLOGINED","changedAt":null}}}`},
			graphtest.Scenario{Name: "its place is taken", As: graphtest.AppServer, Query: `{ app { registeredUserCount } deactivatedUsers { totalCount nodes { id } } }`,
				WantData: `{"app":{"registeredUserCount":2},"deactivatedUsers":{"totalCount":0,"nodes":[]}}`},
			graphtest.Scenario{Name: "reactivate again", As: graphtest.AppServer, Query: reactivate, Variables: inIDs([]string{"ann"}),
				WantData: results("reactivateUsers", result{"ann", "ALREADY", ""})},
		)
		refused("after reactivation")
		w.Run(graphtest.Scenario{Name: "registered again", As: graphtest.AppServer, Query: register, Variables: input("id", "ann", "name", "Ann II"),
			WantData: `{"registerUser":{"created":false,"token":"*","expiresAt":null,"user":{"id":"ann","name":"Ann II","avatarUrl":null,"state":"ACTIVE"}}}`})
		refused("after registration")
		w.Socket(w.Bearer("ann")).Close()
	})
}
