package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"rollcall/graph/graphtest"
)

const nodeQuery = `query($id: ID!) { node(id: $id) { id __typename
	... on User { name } ... on App { key } ... on Device { platform } ... on UserStatus { presence }
	... on Friendship { user { id } remark } ... on FriendRequest { from { id } to { id } } ... on Block { user { id } }
	... on WhitelistEntry { user { id } } ... on StatusSubscription { user { id } } } }`

// TestNode_ForEachCaller asks for each kind of node as the App Server, its owner, another user and
// another app, by node and by nodes.
func TestNode_ForEachCaller(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "cid")
		ctx, app := context.Background(), w.App.App
		_, err := w.Relations.AddFriend(ctx, app, "ann", "bob", nil)
		ok(t, err)
		_, err = w.Relations.AddToBlocklist(ctx, app, "ann", []string{"bob"})
		ok(t, err)
		_, err = w.Relations.AddToWhitelist(ctx, app, "ann", []string{"bob"})
		ok(t, err)
		sent, err := w.Relations.SendFriendRequest(ctx, app, "cid", "ann", nil)
		ok(t, err)
		socket := w.Socket(w.Bearer("ann"))
		defer socket.Close()
		subscribed := w.Do(w.Bearer("ann"), subscribeToBob, nil)
		if subscribed.Code() != "" {
			t.Fatalf("subscribing: %s", subscribed.Body)
		}
		device := devices(w, "ann")[0]

		for _, c := range []struct {
			id, data string
			// also are the callers who may see the node, besides the App Server.
			also []string
		}{
			{"ann", `"__typename":"User","name":"*"`, []string{"ann", "bob", "cid"}},
			{"app:" + app.Key, `"__typename":"App","key":"*"`, nil},
			{"status:ann", `"__typename":"UserStatus","presence":"ONLINE"`, []string{"ann", "bob", "cid"}},
			{device, `"__typename":"Device","platform":"*"`, []string{"ann"}},
			{"friendship:ann:bob", `"__typename":"Friendship","user":{"id":"bob"},"remark":null`, []string{"ann"}},
			{"friendship:bob:ann", `"__typename":"Friendship","user":{"id":"ann"},"remark":null`, []string{"bob"}},
			{sent.Request.ID, `"__typename":"FriendRequest","from":{"id":"cid"},"to":{"id":"ann"}`, []string{"ann", "cid"}},
			{"block:ann:bob", `"__typename":"Block","user":{"id":"bob"}`, []string{"ann"}},
			{"whitelist:ann:bob", `"__typename":"WhitelistEntry","user":{"id":"bob"}`, nil},
			{"subscription:ann:bob", `"__typename":"StatusSubscription","user":{"id":"bob"}`, []string{"ann"}},
		} {
			for _, caller := range []string{server, graphtest.OtherServer, "ann", "bob", "cid"} {
				sees := caller == server
				for _, name := range c.also {
					sees = sees || caller == name
				}
				want := "null"
				if sees {
					want = fmt.Sprintf(`{"id":%q,%s}`, c.id, c.data)
				}
				w.Run(
					graphtest.Scenario{Name: fmt.Sprintf("%s as %s", c.id, caller), As: caller, Query: nodeQuery,
						Variables: map[string]any{"id": c.id}, WantData: `{"node":` + want + `}`},
					graphtest.Scenario{Name: fmt.Sprintf("%s twice as %s", c.id, caller), As: caller,
						Query:     strings.NewReplacer("$id: ID!", "$ids: [ID!]!", "node(id: $id)", "nodes(ids: $ids)").Replace(nodeQuery),
						Variables: map[string]any{"ids": []string{"nobody", c.id, "x:y", c.id}},
						WantData:  `{"nodes":[null,` + want + `,null,` + want + `]}`},
				)
			}
		}
	})
}

const subscribeToBob = `mutation { subscribeStatus(input: {targetIds: ["bob"]}) { statuses { userId } } }`

// TestNode_Unknown: an ID that no node has is null, not an error.
func TestNode_Unknown(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob")
		w.Set(map[string]string{"statusQueryEnabled": "false"})
		for _, id := range []string{
			"", ":", "::", "nobody", "eve2", "a b", "Ann", "ann ", "app:", "app:nothing", "status:ann:bob", "status",
			"friendship:ann", "friendship:ann:", "friendship::", "friendship:ann:bob", "friendship:ann:nobody", "friendship:nobody:ann",
			"friendship:ann:bob:cid", "block:ann:bob", "whitelist:ann:bob", "subscription:ann:bob", "device:ann:", "device:ann:nothing",
			"device:nobody:nothing", "request:", "request:nothing", "request:\x00", "user:ann", "USER:ann", "丽:丽", "friendship:ann:\xff",
		} {
			for _, caller := range []string{server, "ann"} {
				w.Run(graphtest.Scenario{Name: fmt.Sprintf("%q as %s", id, caller), As: caller, Query: nodeQuery,
					Variables: map[string]any{"id": id}, WantData: `{"node":null}`})
			}
		}
		w.Run(
			refusal("a long ID", server, nodeQuery, map[string]any{"id": strings.Repeat("a", 1025)}, "INVALID_ARGUMENT", "field", "id", "rule", "max"),
			refusal("a long ID of several", server, `query($ids: [ID!]!) { nodes(ids: $ids) { id } }`,
				map[string]any{"ids": []string{"ann", strings.Repeat("a", 1025)}}, "INVALID_ARGUMENT", "field", "ids.1", "rule", "max"),
			refusal("too many", server, `query($ids: [ID!]!) { nodes(ids: $ids) { id } }`, map[string]any{"ids": many(101)}, "INVALID_ARGUMENT", "field", "ids", "rule", "max"),
			step("none", server, `{ nodes(ids: []) { id } }`, nil, `{"nodes":[]}`),
			step("without the switch, the own status", "ann", `{ node(id: "status:ann") { id } }`, nil, `{"node":{"id":"status:ann"}}`),
			refusal("without the switch, another's", "ann", `{ node(id: "status:bob") { id } }`, nil, "FEATURE_DISABLED", "number", json.Number("72001")),
			refusal("without the switch, an unknown user's", "ann", `{ node(id: "status:nobody") { id } }`, nil, "FEATURE_DISABLED"),
			step("an unknown user's status", server, `{ node(id: "status:nobody") { id } }`, nil, `{"node":null}`),
			step("without the switch, another's by the App Server", server, `{ node(id: "status:bob") { id } }`, nil, `{"node":{"id":"status:bob"}}`),
			step("an interface's fragment below an object", "ann", `{ me { ... on Node { id } name } }`, nil, `{"me":{"id":"ann","name":"*"}}`),
		)
	})
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
