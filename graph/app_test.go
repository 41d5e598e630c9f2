package graph_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/graph/graphtest"
	"rollcall/graph/transport"
)

func TestIssueAppToken(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		const issue = `mutation($input: IssueAppTokenInput!) { issueAppToken(input: $input) { token expiresAt } }`
		w.Run(
			graphtest.Scenario{Name: "a day by default", Query: issue, Variables: input("appKey", w.App.Key, "appSecret", w.App.Secret),
				WantData: `{"issueAppToken":{"token":"*","expiresAt":"2026-11-21T08:15:30.123Z"}}`},
			graphtest.Scenario{Name: "30 days", Query: issue, Variables: input("appKey", w.App.Key, "appSecret", w.App.Secret, "ttlSeconds", 2_592_000),
				WantData: `{"issueAppToken":{"token":"*","expiresAt":"2026-12-20T08:15:30.123Z"}}`},
			graphtest.Scenario{Name: "more than 30 days", Query: issue, Variables: input("appKey", w.App.Key, "appSecret", w.App.Secret, "ttlSeconds", 2_592_001),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.ttlSeconds", "max")},
			graphtest.Scenario{Name: "0 seconds, which is not given", Query: issue, Variables: input("appKey", w.App.Key, "appSecret", w.App.Secret, "ttlSeconds", 0),
				WantData: `{"issueAppToken":{"token":"*","expiresAt":"2026-11-21T08:15:30.123Z"}}`},
			graphtest.Scenario{Name: "a negative time", Query: issue, Variables: input("appKey", w.App.Key, "appSecret", w.App.Secret, "ttlSeconds", -1),
				WantData: `{"issueAppToken":null}`, WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.ttlSeconds", "min")},
			graphtest.Scenario{Name: "wrong secret", Query: issue, Variables: input("appKey", w.App.Key, "appSecret", w.Other.Secret), WantCode: "UNAUTHENTICATED"},
			graphtest.Scenario{Name: "wrong key", Query: issue, Variables: input("appKey", "键", "appSecret", w.App.Secret), WantCode: "UNAUTHENTICATED"},
			graphtest.Scenario{Name: "no secret", Query: issue, Variables: input("appKey", w.App.Key, "appSecret", ""),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.appSecret", "required")},
		)
		if strings.Contains(w.Log.String(), w.App.Secret) {
			w.T.Error("the log has a secret")
		}
	})
}

// TestIssueAppToken_Guesses: wrong secrets are limited for a key and an address, over every
// transport; the right secret never is.
func TestIssueAppToken_Guesses(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		address := "192.0.2.1"
		w.Adjust = func(c *transport.Config) { c.ClientAddress = func(*http.Request) string { return address } }
		w.Restart()
		const issue = `mutation($input: IssueAppTokenInput!) { issueAppToken(input: $input) { token } }`
		wrong, right := input("appKey", w.App.Key, "appSecret", w.Other.Secret), input("appKey", w.App.Key, "appSecret", w.App.Secret)
		socket := w.Socket(w.Bearer(graphtest.AppServer))
		for i := range 5 {
			send := socket.Do
			if i%2 == 0 {
				send = func(query string, variables map[string]any) graphtest.Response { return *w.Do("", query, variables) }
			}
			if got := send(issue, wrong); got.Code() != "UNAUTHENTICATED" {
				w.T.Fatalf("guess %d: %s", i+1, got.Code())
			}
		}
		limited := graphtest.Scenario{Name: "one guess too many", Query: issue, Variables: wrong, WantCode: "RATE_LIMITED",
			WantExtensions: map[string]any{"retryAfterMs": 1000.0}}
		accepted := graphtest.Scenario{Name: "the right secret from the same address", Query: issue, Variables: right,
			WantData: `{"issueAppToken":{"token":"*"}}`}
		w.Run(limited, accepted, limited)
		if r := socket.Do(issue, wrong); r.Code() != "RATE_LIMITED" {
			w.T.Errorf("over the WebSocket: %s", r.Code())
		}
		w.Run(graphtest.Scenario{Name: "a guess for another key", Query: issue,
			Variables: input("appKey", w.Other.Key, "appSecret", w.App.Secret), WantCode: "UNAUTHENTICATED"})
		address = "192.0.2.2"
		w.Run(graphtest.Scenario{Name: "a guess from another address", Query: issue, Variables: wrong, WantCode: "UNAUTHENTICATED"})
		address = "192.0.2.1"
		w.Clock.Pass(time.Second)
		w.Run(graphtest.Scenario{Name: "a second later", Query: issue, Variables: wrong, WantCode: "UNAUTHENTICATED"})
	})
}

func TestApp(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Register(w.App, "ann")
		const app = `{ app { name environment edition registeredUserCount registeredUserLimit onlineUserCount createdAt
			settings { statusQueryEnabled friendStatusNotifyEnabled onlyFriendsCanMessage profileEditEnabled eventFeedEnabled presenceFeedEnabled friendRequestPolicy friendLimit blocklistLimit whitelistLimit statusSubscriptionLimit deviceLimit friendRequestDailyLimit } } }`
		const want = `{"app":{"name":"NAME","environment":"DEVELOPMENT","edition":"FLAGSHIP","registeredUserCount":COUNT,"registeredUserLimit":100,"onlineUserCount":0,
			"createdAt":"2026-11-20T08:15:30.123Z","settings":{"statusQueryEnabled":true,"friendStatusNotifyEnabled":true,"onlyFriendsCanMessage":false,"profileEditEnabled":false,"eventFeedEnabled":false,"presenceFeedEnabled":false,"friendRequestPolicy":"APPROVAL",
			"friendLimit":1000,"blocklistLimit":500,"whitelistLimit":3000,"statusSubscriptionLimit":200,"deviceLimit":20,"friendRequestDailyLimit":200}}}`
		w.Run(
			graphtest.Scenario{Name: "one's own", As: graphtest.AppServer, Query: app,
				WantData: strings.NewReplacer("NAME", "app", "COUNT", "1").Replace(want)},
			graphtest.Scenario{Name: "the other app's own", As: graphtest.OtherServer, Query: app,
				WantData: strings.NewReplacer("NAME", "other", "COUNT", "0").Replace(want)},
			graphtest.Scenario{Name: "a user", As: "ann", Query: app, WantCode: "FORBIDDEN"},
		)
		// An operator's change takes effect in the next request.
		w.Set(map[string]string{"friendLimit": "7"})
		w.Run(graphtest.Scenario{Name: "after a change", As: graphtest.AppServer, Query: `{ app { settings { friendLimit } } }`,
			WantData: `{"app":{"settings":{"friendLimit":7}}}`})
	})
}

func TestIssueAppToken_Expires(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		bearer := w.Bearer(graphtest.AppServer)
		w.Clock.Pass(time.Hour)
		if r := w.Do(bearer, `{ app { key } }`, nil); r.Status != 401 || r.Code() != "UNAUTHENTICATED" {
			w.T.Errorf("%d %s", r.Status, r.Body)
		}
	})
}
