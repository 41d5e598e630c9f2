package graph_test

import (
	"testing"
	"time"

	"rollcall/graph/graphtest"
	"rollcall/graph/transport"
)

// presenceOf returns a user's status as the App Server sees it, such as "ONLINE busy".
func presenceOf(w *graphtest.World, id string) string {
	w.T.Helper()
	one := w.Live("websocket", w.Bearer(graphtest.AppServer), userStatus, vars("ids", []string{id}))
	defer one.Close()
	return one.Status()[len(id)+1:]
}

// A user is UNLOGINED if it never logged in, or if its last device called logout; it is OFFLINE if
// its last device only disconnected.
func TestStatus_Unlogined(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, transport string) {
		ann := w.Bearer("ann")
		all := everyone(w)
		w.Run(graphtest.Scenario{Name: "never", As: graphtest.AppServer, Query: `{ user(id: "ann") { status { presence changedAt } } }`,
			WantData: `{"user":{"status":{"presence":"UNLOGINED","changedAt":null}}}`})
		do := func(query string) {
			w.T.Helper()
			if r := w.Do(ann, query, nil); r.Code() != "" {
				w.T.Fatalf("%s: %s", query, r.Body)
			}
		}
		do(`mutation { logout(input: {}) { loggedOutCount } }`) // changes nothing
		first := w.Live(transport, ann, changed, nil)
		all.Want("ann ONLINE")
		first.Close()
		all.Want("ann OFFLINE")
		do(`mutation { logout(input: {}) { loggedOutCount } }`) // with none connected
		all.Want("ann UNLOGINED")
		do(`mutation { logout(input: {allDevices: true}) { loggedOutCount } }`) // already logged out
		// The token is still valid.
		again := w.Live(transport, ann, changed, nil)
		all.Want("ann ONLINE")
		w.Run(graphtest.Scenario{Name: "since", As: graphtest.AppServer, Query: `{ user(id: "ann") { status { presence changedAt } } }`,
			WantData: `{"user":{"status":{"presence":"ONLINE","changedAt":"*"}}}`})

		// If one device logs out and another disconnects, the last one decides.
		phone := w.Socket(ann)
		again.Close()
		eventually(w, func() bool { return len(devices(w, "ann")) == 1 })
		phone.Want(`mutation { logout(input: {allDevices: false}) { loggedOutCount } }`, `{"logout":{"loggedOutCount":1}}`)
		if code := phone.CloseCode(); code != 4401 {
			w.T.Errorf("closed with %d, want 4401", code)
		}
		all.Want("ann UNLOGINED")
		again, phone = w.Live(transport, ann, changed, nil), w.Socket(ann)
		all.Want("ann ONLINE")
		phone.Want(`mutation { logout(input: {}) { loggedOutCount } }`, `{"logout":{"loggedOutCount":1}}`)
		again.Close()
		all.Want("ann OFFLINE")
		all.Quiet()
	})
}

// A restart turns ONLINE into OFFLINE, and changes nothing else.
func TestStatus_AfterRestart(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, transport string) {
		tokens := map[string]string{}
		for _, id := range []string{"online", "offline", "unlogined", "never"} {
			tokens[id] = w.Bearer(id)
		}
		all := everyone(w)
		w.Live(transport, tokens["online"], changed, nil)
		all.Want("online ONLINE")
		do(w, "online", setStatus, vars("text", "busy"))
		all.Want("online ONLINE busy")
		leaves := w.Live(transport, tokens["offline"], changed, nil)
		all.Want("offline ONLINE")
		leaves.Close()
		all.Want("offline OFFLINE")
		w.Live(transport, tokens["unlogined"], changed, nil)
		all.Want("unlogined ONLINE")
		do(w, "unlogined", `mutation { logout(input: {}) { loggedOutCount } }`, nil)
		all.Want("unlogined UNLOGINED")

		for range 2 {
			w.Restart()
			w.Run(graphtest.Scenario{Name: "after a restart", As: graphtest.AppServer, Query: statuses, Variables: vars("ids", []string{"online", "offline", "unlogined", "never"}),
				WantData: `{"userStatuses":[
					{"userId":"online","presence":"OFFLINE","customStatus":""},{"userId":"offline","presence":"OFFLINE","customStatus":""},
					{"userId":"unlogined","presence":"UNLOGINED","customStatus":""},{"userId":"never","presence":"UNLOGINED","customStatus":""}]}`})
		}
		all = everyone(w)
		w.Live(transport, tokens["online"], changed, nil)
		all.Want("online ONLINE")
	})
}

// A WebSocket whose client stays silent counts as disconnected. (An SSE stream carries data in one
// direction only: it is disconnected when it breaks.)
func TestStatus_SilentDeviceIsDisconnected(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Adjust = func(c *transport.Config) { c.HeartbeatTimeout = 500 * time.Millisecond }
		w.Restart()
		ann := watching(w, "websocket", "ann")
		resume := ann.Pause()
		defer resume()
		do(w, "ann", setStatus, vars("text", "asleep")) // the message that the client waited for
		eventually(w, func() bool { return presenceOf(w, "ann") == "OFFLINE" })
		resume()
		if code := ann.Socket.CloseCode(); code != 1001 {
			w.T.Errorf("closed with %d, want 1001", code)
		}
	})
}

// All devices share one custom status. It is cleared with the last device, in one event.
func TestStatus_CustomStatusEndsWithTheLastDevice(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, transport string) {
		all := everyone(w)
		first := watching(w, transport, "ann")
		all.Want("ann ONLINE")
		do(w, "ann", setStatus, vars("text", "busy"))
		all.Want("ann ONLINE busy")
		second := watching(w, transport, "ann")
		first.Close()
		eventually(w, func() bool { return len(devices(w, "ann")) == 1 })
		if got := presenceOf(w, "ann"); got != "ONLINE busy" {
			w.T.Errorf("with one device left: %s", got)
		}
		second.Close()
		all.Want("ann OFFLINE")
		w.Run(graphtest.Scenario{Name: "with none left", As: "ann", Query: setStatus, Variables: vars("text", "x"), WantCode: "NOT_ONLINE"})
		watching(w, transport, "ann")
		all.Want("ann ONLINE")
		do(w, "ann", setStatus, vars("text", "back"))
		all.Want("ann ONLINE back")
		do(w, "ann", `mutation { logout(input: {}) { loggedOutCount } }`, nil)
		all.Want("ann UNLOGINED")
		w.Run(graphtest.Scenario{Name: "logged out", As: "ann", Query: setStatus, Variables: vars("text", "x"), WantCode: "NOT_ONLINE"})
	})
}

// A user that reconnects before or after its loss is noticed is ONLINE in the end.
func TestStatus_QuickReconnect(t *testing.T) {
	eachTransport(t, func(w *graphtest.World, transport string) {
		all := everyone(w)
		ann := watching(w, transport, "ann")
		for range 10 {
			ann.Close()
			ann = watching(w, transport, "ann")
		}
		eventually(w, func() bool { return len(devices(w, "ann")) == 1 })
		do(w, "ann", setStatus, vars("text", "back"))
		// If the loss was noticed before the reconnect, there may or may not be an event of it.
		for got := ""; got != "ann ONLINE back"; {
			if got = all.Status(); got == "" || got == "ann UNLOGINED" {
				w.T.Fatalf("told %q", got)
			}
		}
		do(w, "ann", setStatus, vars("text", "still there"))
		all.Want("ann ONLINE still there")
	})
}
