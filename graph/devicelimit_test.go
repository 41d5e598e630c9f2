package graph_test

import (
	"strings"
	"testing"

	"rollcall/graph/graphtest"
	"rollcall/internal/database"
	"rollcall/internal/testenv"
)

// TestDeviceLimit opens more devices of a user than the app allows, alternating between the nodes.
func TestDeviceLimit(t *testing.T) {
	test := func(t *testing.T, nodes []*graphtest.World) {
		w, other := nodes[0], nodes[len(nodes)-1]
		w.Set(map[string]string{"deviceLimit": "2"})
		people(w, "ann", "bob")
		ann := w.Bearer("ann")
		told := w.Live("websocket", w.Bearer("bob"), userStatus, vars("ids", []string{"ann"}))
		told.Want("ann UNLOGINED")
		socket := w.Socket(ann)
		stream := other.Live("sse", ann, changed, nil)
		closed := func(s *graphtest.Socket) {
			t.Helper()
			if code, reason := s.CloseReason(); code != 4401 || !strings.HasPrefix(reason, "DEVICE_LIMIT") {
				t.Errorf("the oldest device was closed with %d %q", code, reason)
			}
		}
		third := w.Socket(ann)
		closed(socket)
		fourth := other.Socket(ann)
		for {
			r := stream.Next()
			if r.Code() == "" && r.Data != nil {
				continue // ann's own status
			}
			if r.Code() != "FORBIDDEN" || !strings.HasPrefix(r.Errors[0].Message, "DEVICE_LIMIT") {
				t.Errorf("the oldest event stream ended with %s", r.Body)
			}
			break
		}
		third.Want(`{ me { status { presence } } }`, `{"me":{"status":{"presence":"ONLINE"}}}`)
		fourth.Want(`{ me { status { presence } } }`, `{"me":{"status":{"presence":"ONLINE"}}}`)
		if r := third.Do(`{ me { devices { id } } }`, nil); strings.Count(string(r.Data), `"id"`) != 2 {
			t.Errorf("the devices are %s", r.Data)
		}
		// A running server applies changes of the setting.
		w.Set(map[string]string{"deviceLimit": "3"})
		fifth := w.Socket(ann)
		third.Want(`{ me { id } }`, `{"me":{"id":"ann"}}`)
		w.Set(map[string]string{"deviceLimit": "1"})
		last := other.Socket(ann)
		for _, s := range []*graphtest.Socket{third, fourth, fifth} {
			closed(s)
		}
		last.Close()
		told.Want("ann ONLINE", "ann OFFLINE")
	}
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		t.Run("one node", func(t *testing.T) { test(t, []*graphtest.World{graphtest.New(t, db)}) })
	})
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		t.Run("two nodes", func(t *testing.T) { test(t, graphtest.NewNodes(t, db, 2)) })
	})
}
