package graph_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/graph/graphtest"
)

const bannedList = `{ bannedUsers { totalCount nodes { id state ban { since until reason } } } }`

func TestBan(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		ann := w.Bearer("ann")
		w.Clock.Pass(time.Millisecond) // lists have the newest user first
		bob := w.Bearer("bob")
		w.Clock.Pass(-time.Millisecond)
		as := func(name, bearer, query, data, code string) {
			w.T.Helper()
			r := w.Do(bearer, query, nil)
			if r.Code() != code || data != "" && !graphtest.Match(w.T, data, r.Data) {
				w.T.Errorf("%s: %s", name, r.Body)
			}
		}
		as("before", ann, `{ me { state ban { until } } }`, `{"me":{"state":"ACTIVE","ban":null}}`, "")
		w.Run(
			graphtest.Scenario{Name: "ban", As: graphtest.AppServer, Query: banMany, Variables: input("userIds", []string{"ann"}, "minutes", 2, "reason", "spam"),
				WantData: results("banUsers", result{"ann", "DONE", ""})},
			graphtest.Scenario{Name: "the App Server sees it", As: graphtest.AppServer, Query: `{ user(id: "ann") { state ban { since until reason } deactivatedAt } }`,
				WantData: `{"user":{"state":"BANNED","ban":{"since":"2026-11-20T08:15:30.123Z","until":"2026-11-20T08:17:30.123Z","reason":"spam"},"deactivatedAt":null}}`},
			graphtest.Scenario{Name: "the user is listed", As: graphtest.AppServer, Query: bannedList,
				WantData: `{"bannedUsers":{"totalCount":1,"nodes":[{"id":"ann","state":"BANNED","ban":{"since":"2026-11-20T08:15:30.123Z","until":"2026-11-20T08:17:30.123Z","reason":"spam"}}]}}`},
			graphtest.Scenario{Name: "not in another app", As: graphtest.OtherServer, Query: bannedList, WantData: `{"bannedUsers":{"totalCount":0,"nodes":[]}}`},
			graphtest.Scenario{Name: "the user still counts against the limit", As: graphtest.AppServer, Query: `{ app { registeredUserCount } }`, WantData: `{"app":{"registeredUserCount":2}}`},
		)
		as("another user sees the state alone", bob, `{ user(id: "ann") { name state ban { until } } }`, `{"user":{"name":"ann","state":"BANNED","ban":null}}`, "")
		for name, query := range map[string]string{"a query": `{ me { id } }`, "a public one": `{ __typename }`, "a mutation": `mutation { logout(input: {}) { loggedOutCount } }`} {
			r := w.Do(ann, query, nil)
			if r.Status != http.StatusForbidden || r.Code() != "USER_BANNED" || r.Errors[0].Extensions["until"] != "2026-11-20T08:17:30.123Z" {
				w.T.Errorf("%s while banned: %d %s", name, r.Status, r.Body)
			}
		}
		if _, code := w.Connect(ann); code != 4401 {
			w.T.Errorf("a connect while banned: closed with %d", code)
		}

		w.Clock.Pass(time.Minute)
		w.Run(
			graphtest.Scenario{Name: "again: another end and reason, the same beginning", As: graphtest.AppServer, Query: banMany, Variables: input("userIds", []string{"ann"}, "minutes", 43_200),
				WantData: results("banUsers", result{"ann", "DONE", ""})},
			graphtest.Scenario{Name: "the ban of 30 days", As: graphtest.AppServer, Query: `{ user(id: "ann") { ban { since until reason } } }`,
				WantData: `{"user":{"ban":{"since":"2026-11-20T08:15:30.123Z","until":"2026-12-20T08:16:30.123Z","reason":null}}}`},
			graphtest.Scenario{Name: "a shorter one", As: graphtest.AppServer, Query: banMany, Variables: input("userIds", []string{"ann"}, "minutes", 1),
				WantData: results("banUsers", result{"ann", "DONE", ""})},
		)
		registered := w.Bearer("ann") // a banned user can be registered again
		w.Run(graphtest.Scenario{Name: "and updated", As: graphtest.AppServer, Query: update, Variables: input("userId", "ann", "name", "Ann B."),
			WantData: `{"updateUser":{"user":{"id":"ann","name":"Ann B.","avatarUrl":null}}}`})
		as("the user stays banned", registered, `{ me { id } }`, "", "USER_BANNED")

		w.Clock.Pass(time.Minute - time.Millisecond)
		as("a millisecond before the end", ann, `{ me { id } }`, "", "USER_BANNED")
		w.Clock.Pass(time.Millisecond)
		as("the ban has ended by itself", ann, `{ me { state ban { until } } }`, `{"me":{"state":"ACTIVE","ban":null}}`, "")
		w.Socket(ann).Close()
		w.Run(
			graphtest.Scenario{Name: "no user is listed", As: graphtest.AppServer, Query: bannedList, WantData: `{"bannedUsers":{"totalCount":0,"nodes":[]}}`},
			graphtest.Scenario{Name: "nor found", As: graphtest.AppServer, Query: `{ banned: userList(filter: {states: [BANNED]}) { totalCount nodes { id } } active: userList(filter: {states: [ACTIVE]}) { totalCount nodes { id } } }`,
				WantData: `{"banned":{"totalCount":0,"nodes":[]},"active":{"totalCount":2,"nodes":[{"id":"bob"},{"id":"ann"}]}}`},
			graphtest.Scenario{Name: "unban after the end", As: graphtest.AppServer, Query: unban, Variables: inIDs([]string{"ann"}),
				WantData: results("unbanUsers", result{"ann", "ALREADY", ""})},
			graphtest.Scenario{Name: "a new ban has a new beginning", As: graphtest.AppServer, Query: banMany, Variables: input("userIds", []string{"ann"}, "minutes", 1)},
			graphtest.Scenario{Name: "since now", As: graphtest.AppServer, Query: `{ user(id: "ann") { ban { since until } } }`,
				WantData: `{"user":{"ban":{"since":"2026-11-20T08:17:30.123Z","until":"2026-11-20T08:18:30.123Z"}}}`},
			graphtest.Scenario{Name: "unban", As: graphtest.AppServer, Query: unban, Variables: inIDs([]string{"ann"}),
				WantData: results("unbanUsers", result{"ann", "DONE", ""})},
		)
		as("unbanned", ann, `{ me { name state ban { until } } }`, `{"me":{"name":"Ann B.","state":"ACTIVE","ban":null}}`, "")
	})
}

func TestBan_BadInputs(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Register(w.App, "ann")
		ids := []string{"ann"}
		for _, c := range []struct {
			name, field, rule string
			pairs             []any
		}{
			{"neither a length nor permanent", "input.minutes", "either", []any{"userIds", ids}},
			{"zero values", "input.minutes", "either", []any{"userIds", ids, "minutes", 0, "permanent", false, "reason", ""}},
			{"a length and permanent", "input.minutes", "either", []any{"userIds", ids, "minutes", 5, "permanent", true}},
			{"negative minutes", "input.minutes", "min", []any{"userIds", ids, "minutes", -1}},
			{"43201 minutes", "input.minutes", "max", []any{"userIds", ids, "minutes", 43_201}},
			{"a reason of 256 characters", "input.reason", "max", []any{"userIds", ids, "minutes", 1, "reason", strings.Repeat("林", 256)}},
			{"a reason with a control character", "input.reason", "nocontrol", []any{"userIds", ids, "minutes", 1, "reason", "a\nb"}},
		} {
			w.Run(graphtest.Scenario{Name: c.name, As: graphtest.AppServer, Query: banMany, Variables: input(c.pairs...),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks(c.field, c.rule)})
		}
		for name, minutes := range map[string]any{"half a minute": 1.5, "more than an Int": 1 << 31, "words": "1"} {
			r := w.Do(w.Bearer(graphtest.AppServer), banMany, input("userIds", ids, "minutes", minutes))
			if len(r.Errors) == 0 {
				w.T.Errorf("%s: %s", name, r.Body)
			}
		}
		w.Run(
			graphtest.Scenario{Name: "no user was banned", As: graphtest.AppServer, Query: bannedList, WantData: `{"bannedUsers":{"totalCount":0,"nodes":[]}}`},
			graphtest.Scenario{Name: "a reason of 255 characters", As: graphtest.AppServer, Query: banMany, Variables: input("userIds", ids, "minutes", 1, "reason", strings.Repeat("林", 255))},
			graphtest.Scenario{Name: "stored as given", As: graphtest.AppServer, Query: `{ user(id: "ann") { ban { reason } } }`,
				WantData: `{"user":{"ban":{"reason":"` + strings.Repeat("林", 255) + `"}}}`},
		)
	})
}

// TestBan_Permanent: a ban without an end lasts until it is lifted, and is listed before all others.
func TestBan_Permanent(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		ann := w.Bearer("ann")
		w.Register(w.App, "bob")
		socket := w.Socket(ann)
		w.Run(
			graphtest.Scenario{Name: "a ban of 30 days", As: graphtest.AppServer, Query: banMany, Variables: input("userIds", []string{"bob"}, "minutes", 43_200)},
			graphtest.Scenario{Name: "a permanent ban", As: graphtest.AppServer,
				Query:     `mutation($input: BanUsersInput!) { banUsers(input: $input) { results { user { state ban { since until reason } } } } }`,
				Variables: input("userIds", []string{"ann"}, "permanent", true, "minutes", 0, "reason", "spam"),
				WantData:  `{"banUsers":{"results":[{"user":{"state":"BANNED","ban":{"since":"2026-11-20T08:15:30.123Z","until":null,"reason":"spam"}}}]}}`},
		)
		if code, reason := socket.CloseReason(); code != 4401 || reason != "USER_BANNED" {
			t.Errorf("closed with %d %q", code, reason)
		}
		w.Clock.Pass(24 * 365 * time.Hour)
		for _, authorization := range []string{ann, w.Bearer("ann")} {
			r := w.Do(authorization, `{ me { id } }`, nil)
			until, given := r.Errors[0].Extensions["until"]
			if r.Status != http.StatusForbidden || r.Code() != "USER_BANNED" || !given || until != nil || r.Errors[0].Message != "the user is banned" {
				t.Errorf("after a year: %d %s", r.Status, r.Body)
			}
		}
		w.Run(
			graphtest.Scenario{Name: "a further ban of a day", As: graphtest.AppServer, Query: banMany, Variables: input("userIds", []string{"bob"}, "minutes", 1440)},
			graphtest.Scenario{Name: "the order", As: graphtest.AppServer, Query: `{ bannedUsers { nodes { id ban { until } } } }`,
				WantData: `{"bannedUsers":{"nodes":[{"id":"ann","ban":{"until":null}},{"id":"bob","ban":{"until":"2027-11-21T08:15:30.123Z"}}]}}`},
			graphtest.Scenario{Name: "a ban with an end replaces it", As: graphtest.AppServer, Query: banMany, Variables: input("userIds", []string{"ann"}, "minutes", 1)},
			graphtest.Scenario{Name: "with the same beginning", As: graphtest.AppServer, Query: `{ user(id: "ann") { ban { since until } } }`,
				WantData: `{"user":{"ban":{"since":"2026-11-20T08:15:30.123Z","until":"2027-11-20T08:16:30.123Z"}}}`},
			graphtest.Scenario{Name: "permanent again", As: graphtest.AppServer, Query: banMany, Variables: input("userIds", []string{"ann"}, "permanent", true)},
			graphtest.Scenario{Name: "lifted", As: graphtest.AppServer, Query: unban, Variables: inIDs([]string{"ann"}),
				WantData: results("unbanUsers", result{"ann", "DONE", ""})},
			graphtest.Scenario{Name: "and the user is back", As: "ann", Query: `{ me { state ban { until } } }`, WantData: `{"me":{"state":"ACTIVE","ban":null}}`},
		)
	})
}

// TestBan_OpenStream: an open SSE stream ends with the error that requests get.
func TestBan_OpenStream(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Register(w.App, "ann")
		stream := w.Live("sse", w.Bearer("ann"), `subscription { statusChanged { userId } }`, nil)
		defer stream.Close()
		w.Run(step("ban", server, banMany, input("userIds", []string{"ann"}, "minutes", 2), ""))
		for {
			r := stream.Next()
			if r.Code() == "" && r.Data != nil {
				continue // its own status
			}
			if r.Code() != "USER_BANNED" || r.Errors[0].Extensions["until"] != "2026-11-20T08:17:30.123Z" {
				w.T.Errorf("the stream ended with %+v", r)
			}
			return
		}
	})
}

func TestBanHistory_IsForTheAppServer(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Bearer("ann")
		const history = `{ user(id: "ann") { bans(first: 1) { totalCount pageInfo { hasNextPage } nodes { bannedAt bannedBy until reason state endedAt endedBy } } } }`
		ban := func(name string, args ...any) graphtest.Scenario {
			return graphtest.Scenario{Name: name, As: graphtest.AppServer, Query: banMany, Variables: input(append([]any{"userIds", []string{"ann"}}, args...)...)}
		}
		sees := func(name, data string) graphtest.Scenario {
			return graphtest.Scenario{Name: name, As: graphtest.AppServer, Query: history, WantData: data}
		}
		w.Run(
			sees("never banned", `{"user":{"bans":{"totalCount":0,"pageInfo":{"hasNextPage":false},"nodes":[]}}}`),
			ban("for a minute", "minutes", 1, "reason", "spam"),
			sees("in force", `{"user":{"bans":{"totalCount":1,"pageInfo":{"hasNextPage":false},"nodes":[{"bannedAt":"2026-11-20T08:15:30.123Z","bannedBy":"App Server",
				"until":"2026-11-20T08:16:30.123Z","reason":"spam","state":"IN_FORCE","endedAt":null,"endedBy":null}]}}}`),
		)
		w.Clock.Pass(time.Minute)
		w.Run(
			sees("expired", `{"user":{"bans":{"totalCount":1,"pageInfo":{"hasNextPage":false},"nodes":[{"bannedAt":"2026-11-20T08:15:30.123Z","bannedBy":"App Server",
				"until":"2026-11-20T08:16:30.123Z","reason":"spam","state":"EXPIRED","endedAt":"2026-11-20T08:16:30.123Z","endedBy":null}]}}}`),
			ban("until lifted", "permanent", true),
			graphtest.Scenario{Name: "unban", As: graphtest.AppServer, Query: unban, Variables: inIDs([]string{"ann"})},
			sees("lifted", `{"user":{"bans":{"totalCount":2,"pageInfo":{"hasNextPage":true},"nodes":[{"bannedAt":"2026-11-20T08:16:30.123Z","bannedBy":"App Server",
				"until":null,"reason":null,"state":"LIFTED","endedAt":"2026-11-20T08:16:30.123Z","endedBy":"App Server"}]}}}`),
			graphtest.Scenario{Name: "the user itself", As: "ann", Query: `{ me { bans { totalCount } } }`, WantCode: "FORBIDDEN"},
		)
	})
}
