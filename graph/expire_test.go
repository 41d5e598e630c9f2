package graph_test

import (
	"testing"
	"time"

	"rollcall/graph/graphtest"
)

func TestExpireTokens(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		good := func(bearer string, want bool) {
			w.T.Helper()
			r := w.Do(bearer, `{ me { id } }`, nil)
			if want != (r.Code() == "") || !want && (r.Code() != "UNAUTHENTICATED" || r.Status != 401) {
				w.T.Errorf("the token should be valid: %t: %s", want, r.Body)
			}
		}
		expireBefore := func(name, at string, outcome string) {
			w.T.Helper()
			w.Run(graphtest.Scenario{Name: name, As: graphtest.AppServer, Query: expire, Variables: input("userIds", []string{"ann"}, "issuedBefore", at),
				WantData: results("expireTokens", result{"ann", outcome, ""})})
		}
		first := w.Bearer("ann") // at 08:15:30.123
		w.Clock.Pass(time.Millisecond)
		second := w.Bearer("ann") // at 08:15:30.124
		socket := w.Socket(first)
		good(first, true)

		expireBefore("no token is as old", "2026-11-20T08:15:30.123Z", "DONE")
		good(first, true)
		expireBefore("the first, in another zone", "2026-11-20T16:15:30.123999999+08:00", "ALREADY")
		expireBefore("the first", "2026-11-20T08:15:30.124Z", "DONE")
		good(first, false)
		good(second, true)
		if _, code := w.Connect(first); code != 4401 {
			w.T.Errorf("the first token connects: closed with %d", code)
		}
		refuses := func(s *graphtest.Socket) {
			w.T.Helper()
			if r := s.Do(`{ me { id } }`, nil); r.Code() != "UNAUTHENTICATED" {
				w.T.Errorf("an operation on the live connection of an ended token: %s", r.Body)
			}
		}
		refuses(socket)
		refuses(socket) // the first refusal did not close the connection
		expireBefore("again", "2026-11-20T08:15:30.124Z", "ALREADY")
		expireBefore("an older moment", "1969-12-31T23:59:59Z", "ALREADY")
		good(second, true)

		expireBefore("a moment in the future", soon, "DONE")
		good(second, false)
		third := w.Bearer("ann") // in the same millisecond, and later
		good(third, true)
		w.Clock.Pass(time.Second)
		fourth := w.Bearer("ann")
		good(third, true)
		good(fourth, true)
		socket.Close()
		w.Restart()
		good(second, false)
		good(third, true)
		good(fourth, true)
	})
}

func TestExpireTokens_BadInputs(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		ann := w.Bearer("ann")
		for name, at := range map[string]any{"a word": "yesterday", "nothing": "", "a number": 1_790_000_000, "no zone": "2026-11-20T08:15:30", "a month too many": "2026-13-20T08:15:30Z"} {
			rule := "datetime"
			if _, isText := at.(string); !isText {
				rule = "type"
			}
			w.Run(graphtest.Scenario{Name: name, As: graphtest.AppServer, Query: expire, Variables: input("userIds", []string{"ann"}, "issuedBefore", at),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.issuedBefore", rule)})
		}
		w.Run(graphtest.Scenario{Name: "a word in the document", As: graphtest.AppServer,
			Query:    `mutation { expireTokens(input: {userIds: ["ann"], issuedBefore: "yesterday"}) { results { userId } } }`,
			WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.issuedBefore", "datetime")})
		if r := w.Do(w.Bearer(graphtest.AppServer), expire, input("userIds", []string{"ann"}, "issuedBefore", nil)); len(r.Errors) == 0 {
			w.T.Errorf("null: %s", r.Body)
		}
		if r := w.Do(ann, `{ me { id } }`, nil); r.Code() != "" {
			w.T.Errorf("the token has expired: %s", r.Body)
		}
	})
}
