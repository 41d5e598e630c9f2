package graph_test

import (
	"strings"
	"testing"

	"rollcall/graph/graphtest"
	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// TestClosings ends a user's devices in each way, by a call to one node, and checks how the
// WebSocket and the event stream at the other end, and what a WebSocket that connects afterwards is
// refused with.
func TestClosings(t *testing.T) {
	ways := []struct {
		name string
		do   func(w *graphtest.World, id string)
		// code and reason close the WebSocket, and streamCode and message end the stream.
		code                int
		reason              string
		streamCode, message string
		// refusal is the reason with which 4401 then refuses the token; "" if it is accepted.
		refusal string
	}{
		{"ban", func(w *graphtest.World, id string) { call(w, banMany, input("userIds", []string{id}, "minutes", 2)) },
			4401, "USER_BANNED until 2026-11-20T08:17:30.123Z", "USER_BANNED", "the user is banned until 2026-11-20T08:17:30.123Z",
			"USER_BANNED until 2026-11-20T08:17:30.123Z"},
		{"deactivation", func(w *graphtest.World, id string) { call(w, deactivate, inIDs([]string{id})) },
			4401, "USER_DEACTIVATED", "USER_DEACTIVATED", "the user is deactivated", "UNAUTHENTICATED"},
		{"deletion", func(w *graphtest.World, id string) {
			if _, err := w.Users.Delete(w.T.Context(), w.App.App, []string{id}, models.Actor{Name: "operator"}); err != nil {
				w.T.Error(err)
			}
		}, 4401, "UNAUTHENTICATED (the user no longer exists)", "UNAUTHENTICATED", "the user no longer exists", "UNAUTHENTICATED"},
		{"disconnectUser", func(w *graphtest.World, id string) { call(w, cutOff, vars("id", id)) },
			4403, "Disconnected", "FORBIDDEN", "disconnected by the App Server or an operator", ""},
		{"logout over HTTP", func(w *graphtest.World, id string) {
			do(w, id, `mutation { logout(input: {}) { loggedOutCount } }`, nil)
		},
			4401, "LOGGED_OUT", "UNAUTHENTICATED", "LOGGED_OUT: the user has logged out", ""},
	}
	test := func(t *testing.T, nodes []*graphtest.World) {
		w, other := nodes[0], nodes[len(nodes)-1]
		for _, way := range ways {
			id := strings.ReplaceAll(way.name, " ", "-")
			bearer := w.Bearer(id)
			socket := other.Socket(bearer)
			stream := other.Live("sse", bearer, changed, nil)
			way.do(w, id)
			if code, reason := socket.CloseReason(); code != way.code || reason != way.reason {
				t.Errorf("%s: closed with %d %q", way.name, code, reason)
			}
			last := stream.Next()
			for last.Code() == "" && last.Data != nil {
				last = stream.Next() // the user's own status
			}
			if last.Code() != way.streamCode || last.Errors[0].Message != way.message {
				t.Errorf("%s: the stream ended with %s", way.name, last.Body)
			}
			if way.refusal == "" {
				other.Socket(bearer).Close()
			} else if code, reason := other.Refusal(bearer); code != 4401 || reason != way.refusal {
				t.Errorf("%s: refused with %d %q", way.name, code, reason)
			}
		}
	}
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		t.Run("one node", func(t *testing.T) { test(t, []*graphtest.World{graphtest.New(t, db)}) })
	})
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		t.Run("two nodes", func(t *testing.T) { test(t, graphtest.NewNodes(t, db, 2)) })
	})
}
