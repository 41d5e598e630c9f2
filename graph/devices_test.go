package graph_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"rollcall/graph/graphtest"
)

// devices returns the IDs of a user's devices, as the App Server sees them.
func devices(w *graphtest.World, id string) []string {
	w.T.Helper()
	r := w.Do(w.Bearer(graphtest.AppServer), `query($id: ID!) { user(id: $id) { devices { id platform connectedAt } } }`, map[string]any{"id": id})
	var data struct {
		User struct {
			Devices []struct{ ID, Platform, ConnectedAt string }
		}
	}
	if err := json.Unmarshal(r.Data, &data); err != nil || r.Code() != "" {
		w.T.Fatalf("%v: %s", err, r.Body)
	}
	ids := []string{}
	for _, d := range data.User.Devices {
		if d.Platform != "WEB" || d.ConnectedAt != "2026-11-20T08:15:30.123Z" {
			w.T.Errorf("device %+v", d)
		}
		ids = append(ids, d.ID)
	}
	return ids
}

func TestDisconnectUser(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		w.Register(w.Other, "eve")
		ann := w.Bearer("ann")
		if got := devices(w, "ann"); len(got) != 0 {
			t.Errorf("devices before the first connect: %q", got)
		}
		first, second, third := w.Socket(ann), w.Socket(ann), w.Socket(ann)
		ids := devices(w, "ann")
		if len(ids) != 3 {
			t.Fatalf("devices %q", ids)
		}
		const presence = `{ user(id: "ann") { status { presence } } }`
		some := func(ids ...string) map[string]any {
			return input("userId", "ann", "deviceIds", append([]string{}, ids...))
		}
		w.Run(refusals("disconnecting", disconnect, some(ids[0]), "bob")...)
		w.Run(
			graphtest.Scenario{Name: "by another app's App Server", As: graphtest.OtherServer, Query: disconnect, Variables: some(ids[0]), WantCode: "USER_NOT_FOUND"},
			graphtest.Scenario{Name: "nobody", As: graphtest.AppServer, Query: disconnect, Variables: input("userId", "nobody", "allDevices", true), WantCode: "USER_NOT_FOUND"},
			graphtest.Scenario{Name: "another app's user", As: graphtest.AppServer, Query: disconnect, Variables: input("userId", "eve", "allDevices", true), WantCode: "USER_NOT_FOUND"},
			graphtest.Scenario{Name: "an ill-formed user ID", As: graphtest.AppServer, Query: disconnect, Variables: input("userId", "a b", "allDevices", true),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.userId", "userid")},
			graphtest.Scenario{Name: "no device IDs", As: graphtest.AppServer, Query: disconnect, Variables: some(),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.deviceIds", "either")},
			graphtest.Scenario{Name: "neither device IDs nor all", As: graphtest.AppServer, Query: disconnect, Variables: input("userId", "ann", "deviceIds", nil, "allDevices", false),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.deviceIds", "either"), WantData: `{"disconnectUser":null}`},
			graphtest.Scenario{Name: "device IDs and all", As: graphtest.AppServer, Query: disconnect, Variables: input("userId", "ann", "deviceIds", ids, "allDevices", true),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.deviceIds", "either"), WantData: `{"disconnectUser":null}`},
			graphtest.Scenario{Name: "too many device IDs", As: graphtest.AppServer, Query: disconnect, Variables: some(many(101)...),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.deviceIds", "max")},
			graphtest.Scenario{Name: "unknown device IDs", As: graphtest.AppServer, Query: disconnect, Variables: some("device:ann:", "device:ann:nothing", "device:ann:丽"), WantData: `{"disconnectUser":{"disconnectedCount":0}}`},
			graphtest.Scenario{Name: "another's device", As: graphtest.AppServer, Query: disconnect, Variables: input("userId", "bob", "deviceIds", ids),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.deviceIds.0", "device")},
			graphtest.Scenario{Name: "an ID of another kind", As: graphtest.AppServer, Query: disconnect, Variables: some(ids[0], "status:ann"),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.deviceIds.1", "device")},
			graphtest.Scenario{Name: "a user ID", As: graphtest.AppServer, Query: disconnect, Variables: some("ann"),
				WantCode: "INVALID_ARGUMENT", WantExtensions: breaks("input.deviceIds.0", "device")},
			graphtest.Scenario{Name: "still there", As: graphtest.AppServer, Query: presence, WantData: `{"user":{"status":{"presence":"ONLINE"}}}`},
			graphtest.Scenario{Name: "one, given twice", As: graphtest.AppServer, Query: disconnect, Variables: some(ids[1], ids[1], "device:ann:nothing"), WantData: `{"disconnectUser":{"disconnectedCount":1}}`},
		)
		if code := second.CloseCode(); code != 4403 {
			t.Errorf("the second device was closed with %d", code)
		}
		if left := devices(w, "ann"); fmt.Sprint(left) != fmt.Sprint([]string{ids[0], ids[2]}) {
			t.Errorf("devices left %q of %q", left, ids)
		}
		w.Run(
			graphtest.Scenario{Name: "others remain", As: graphtest.AppServer, Query: presence, WantData: `{"user":{"status":{"presence":"ONLINE"}}}`},
			graphtest.Scenario{Name: "all", As: graphtest.AppServer, Query: disconnect, Variables: input("userId", "ann", "deviceIds", []string{}, "allDevices", true), WantData: `{"disconnectUser":{"disconnectedCount":2}}`},
			graphtest.Scenario{Name: "none remains", As: graphtest.AppServer, Query: presence, WantData: `{"user":{"status":{"presence":"OFFLINE"}}}`},
			graphtest.Scenario{Name: "all of none", As: graphtest.AppServer, Query: disconnect, Variables: input("userId", "ann", "allDevices", true), WantData: `{"disconnectUser":{"disconnectedCount":0}}`},
		)
		for _, s := range []*graphtest.Socket{first, third} {
			if code := s.CloseCode(); code != 4403 {
				t.Errorf("closed with %d", code)
			}
		}
		w.Socket(ann).Close() // the token is still valid
	})
}

// TestUser_PrivateFields: which callers see which fields of a User.
func TestUser_PrivateFields(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		ann := w.Socket(w.Bearer("ann"))
		defer ann.Close()
		const private = `{ user(id: "ann") { id devices { id } ban { reason } } }`
		w.Run(
			graphtest.Scenario{Name: "the App Server", As: graphtest.AppServer, Query: private, WantData: `{"user":{"id":"ann","devices":[{"id":"*"}],"ban":null}}`},
			graphtest.Scenario{Name: "the user itself", As: "ann", Query: private, WantData: `{"user":{"id":"ann","devices":[{"id":"*"}],"ban":null}}`},
			graphtest.Scenario{Name: "the user itself as me", As: "ann", Query: `{ me { devices { id } } }`, WantData: `{"me":{"devices":[{"id":"*"}]}}`},
			graphtest.Scenario{Name: "another user", As: "bob", Query: private, WantCode: "FORBIDDEN", WantData: `{"user":{"id":"ann","devices":null,"ban":null}}`},
			graphtest.Scenario{Name: "another user, in a list", As: "bob", Query: `{ users(ids: ["ann", "bob"]) { id devices { id } } }`, WantCode: "FORBIDDEN", WantData: `{"users":[{"id":"ann","devices":null},{"id":"bob","devices":[]}]}`},
			graphtest.Scenario{Name: "another app's App Server", As: graphtest.OtherServer, Query: private, WantData: `{"user":null}`},
			graphtest.Scenario{Name: "a guest", Query: private, WantCode: "UNAUTHENTICATED", WantData: `{"user":null}`},
			graphtest.Scenario{Name: "a ban", As: graphtest.AppServer, Query: banMany, Variables: input("userIds", []string{"ann"}, "minutes", 1, "reason", "private")},
			graphtest.Scenario{Name: "for the App Server", As: graphtest.AppServer, Query: private, WantData: `{"user":{"id":"ann","devices":[],"ban":{"reason":"private"}}}`},
			graphtest.Scenario{Name: "for another user", As: "bob", Query: `{ user(id: "ann") { state ban { reason } } }`, WantData: `{"user":{"state":"BANNED","ban":null}}`},
		)
	})
}
