package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"rollcall/graph/graphtest"
)

// TestRelations_Privacy: each private field, and each change, as every kind of caller.
func TestRelations_Privacy(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "cid")
		w.Run(
			step("ann and bob are friends", server, addFriend, input("userId", "ann", "friendId", "bob"), ""),
			step("ann blocks bob", "ann", block, input("targetIds", []string{"bob"}), ""),
			step("cid asks ann", "cid", sendRequest, input("targetId", "ann"), ""),
		)
		private := []string{
			`friends { totalCount }`, `friendIds`, `friendship(with: "bob") { remark }`, `friendRequests(direction: INCOMING) { totalCount }`,
			`friendships(with: ["bob", "cid"]) { remark }`, `friendRequest(with: "cid") { message }`,
			`friendRequests(direction: OUTGOING) { totalCount }`, `blocklist { totalCount }`, `blockedIds`, `hasBlocked(id: "bob")`,
			`friendRequestPolicy`,
		}
		for _, field := range private {
			ofAnn := `{ user(id: "ann") { ` + field + ` } }`
			w.Run(
				step(field+" of oneself", "ann", ofAnn, nil, ""),
				step(field+" as me", "ann", `{ me { `+field+` } }`, nil, ""),
				step(field+" as the App Server", server, ofAnn, nil, ""),
				refusal(field+" as a friend whom it blocks", "bob", ofAnn, nil, "FORBIDDEN"),
				refusal(field+" as another user", "cid", ofAnn, nil, "FORBIDDEN"),
				refusal(field+" through users", "cid", `{ users(ids: ["ann"]) { `+field+` } }`, nil, "FORBIDDEN"),
				refusal(field+" through a friendship", "bob", `{ me { friends(first: 10) { nodes { user { `+field+` } } } } }`, nil, "FORBIDDEN"),
				refusal(field+" through a request", "cid", `{ me { friendRequests(direction: OUTGOING, first: 10) { nodes { to { `+field+` } } } } }`, nil, "FORBIDDEN"),
				step(field+" as another app's App Server", graphtest.OtherServer, ofAnn, nil, `{"user":null}`),
				refusal(field+" as a guest", graphtest.Guest, ofAnn, nil, "UNAUTHENTICATED"),
			)
		}
		const whitelist = `{ user(id: "ann") { whitelist { enabled entries { totalCount } } } }`
		w.Run(
			step("the whitelist as the App Server", server, whitelist, nil, `{"user":{"whitelist":{"enabled":false,"entries":{"totalCount":0}}}}`),
			refusal("the whitelist as its owner", "ann", whitelist, nil, "FORBIDDEN"),
			refusal("the whitelist as another user", "bob", whitelist, nil, "FORBIDDEN"),
			step("the whitelist as another app's App Server", graphtest.OtherServer, whitelist, nil, `{"user":null}`),
			refusal("the whitelist as a guest", graphtest.Guest, whitelist, nil, "UNAUTHENTICATED"),
		)

		for query, variables := range map[string]map[string]any{
			removeFriend: input("userId", "ann", "friendId", "bob"),
			setRemark:    input("userId", "ann", "friendId", "bob", "remark", "x"),
			setPolicy:    input("userId", "ann", "policy", "NOBODY"),
			block:        input("userId", "ann", "targetIds", []string{"cid"}),
			unblock:      input("userId", "ann", "targetIds", []string{"bob"}),
		} {
			name := strings.Fields(query)[3]
			w.Run(
				refusal(name+" for another user", "bob", query, variables, "FORBIDDEN"),
				refusal(name+" as another app's App Server", graphtest.OtherServer, query, variables, "USER_NOT_FOUND"),
				refusal(name+" as a guest", graphtest.Guest, query, variables, "UNAUTHENTICATED"),
			)
		}
		for query, variables := range map[string]map[string]any{
			addFriend:    input("userId", "ann", "friendId", "cid"),
			allow:        input("userId", "ann", "targetIds", []string{"cid"}),
			disallow:     input("userId", "ann", "targetIds", []string{"cid"}),
			setWhitelist: input("userIds", []string{"ann"}, "enabled", true),
		} {
			name := strings.Fields(query)[3]
			w.Run(refusal(name+" as a user", "ann", query, variables, "FORBIDDEN"), refusal(name+" as a guest", graphtest.Guest, query, variables, "UNAUTHENTICATED"))
		}
		w.Run(
			refusal("addFriend as another app's App Server", graphtest.OtherServer, addFriend, input("userId", "ann", "friendId", "cid"), "USER_NOT_FOUND"),
			refusal("addToWhitelist as another app's App Server", graphtest.OtherServer, allow, input("userId", "ann", "targetIds", []string{"cid"}), "USER_NOT_FOUND"),
			step("setWhitelistEnabled as another app's App Server", graphtest.OtherServer, setWhitelist, input("userIds", []string{"ann"}, "enabled", true),
				items("setWhitelistEnabled", "ann", "USER_NOT_FOUND")),
			step("nothing has changed", server, `{ user(id: "ann") { friendIds blockedIds friendship(with: "bob") { remark } friendRequestPolicy whitelist { enabled } } }`, nil,
				`{"user":{"friendIds":["bob"],"blockedIds":["bob"],"friendship":{"remark":null},"friendRequestPolicy":"APPROVAL","whitelist":{"enabled":false}}}`),
		)
	})
}

func TestRelations_BadInputs(t *testing.T) {
	long := strings.Repeat("丽", 100)
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprint("u", i)
	}
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "cid")
		w.Run(
			step("a remark of 100 characters", server, addFriend, input("userId", "ann", "friendId", "bob", "remark", long),
				`{"addFriend":{"created":true,"friendship":{"user":{"id":"bob"},"remark":"`+long+`","createdAt":"*","blocked":false}}}`),
			step("again as a change", "ann", setRemark, input("friendId", "bob", "remark", strings.Repeat("🧑", 100)), ""),
			step("a message of 100 characters", "ann", sendRequest, input("targetId", "cid", "message", long), ""),
			step("100 IDs", "ann", block, input("targetIds", many[:100]), ""),
		)
		bad := func(name, as, query string, variables map[string]any, field, rule string) {
			w.Run(refusal(name, as, query, variables, "INVALID_ARGUMENT", "field", field, "rule", rule))
		}
		bad("a remark of 101", server, addFriend, input("userId", "ann", "friendId", "bob", "remark", long+"x"), "input.remark", "max")
		bad("a remark of 101 as a change", "ann", setRemark, input("friendId", "bob", "remark", long+"x"), "input.remark", "max")
		bad("a message of 101", "ann", sendRequest, input("targetId", "bob", "message", long+"x"), "input.message", "max")
		bad("an ill-formed friend", server, addFriend, input("userId", "ann", "friendId", "no ID!"), "input.friendId", "userid")
		bad("an ill-formed user", server, addFriend, input("userId", "ann ", "friendId", "bob"), "input.userId", "userid")
		bad("an empty ID", server, addFriend, input("userId", "", "friendId", "bob"), "input.userId", "required")
		bad("an ID of 65 bytes", "ann", removeFriend, input("friendId", strings.Repeat("x", 65)), "input.friendId", "max")
		bad("a request to an ill-formed ID", "ann", sendRequest, input("targetId", "丽"), "input.targetId", "userid")
		bad("friendship with an ill-formed ID", "ann", `{ me { friendship(with: "no ID!") { remark } } }`, nil, "with", "userid")
		bad("friendRequest with an ill-formed ID", "ann", `{ me { friendRequest(with: "no ID!") { message } } }`, nil, "with", "userid")
		w.Run(refusal("friendships with 501 IDs", "ann", `query($ids: [ID!]!) { me { friendships(with: $ids) { remark } } }`, vars("ids", strangers(501)), "INVALID_ARGUMENT", "field", "with", "rule", "max"))
		bad("hasBlocked of an ill-formed ID", "ann", `{ me { hasBlocked(id: "no ID!") } }`, nil, "id", "userid")
		for name, query := range map[string]string{"blocking": block, "unblocking": unblock, "whitelisting": allow, "removing from the whitelist": disallow} {
			bad(name+" 101 IDs", server, query, input("userId", "ann", "targetIds", many), "input.targetIds", "max")
			bad(name+" nobody", server, query, input("userId", "ann", "targetIds", []string{}), "input.targetIds", "min")
		}
		bad("21 switches", server, setWhitelist, input("userIds", many[:21], "enabled", true), "input.userIds", "max")
		bad("no switches", server, setWhitelist, input("userIds", []string{}, "enabled", true), "input.userIds", "min")
		for _, userID := range [][]any{nil, {"userId", nil}, {"userId", ""}} { // left out, null, and empty
			bad("setFriendRequestPolicy without userId", server, setPolicy, input(append(userID, "policy", "NOBODY")...), "input.userId", "required")
			bad("removeFriend without userId", server, removeFriend, input(append(userID, "friendId", "bob")...), "input.userId", "required")
			bad("setFriendRemark without userId", server, setRemark, input(append(userID, "friendId", "bob", "remark", "x")...), "input.userId", "required")
			bad("addToBlocklist without userId", server, block, input(append(userID, "targetIds", []string{"bob"})...), "input.userId", "required")
			bad("removeFromBlocklist without userId", server, unblock, input(append(userID, "targetIds", []string{"bob"})...), "input.userId", "required")
		}
		for _, list := range []string{"friends(%s) { totalCount }", "blocklist(%s) { totalCount }", "friendRequests(direction: INCOMING, %s) { totalCount }", "whitelist { entries(%s) { totalCount } }"} {
			ask := func(args string) string { return `{ user(id: "ann") { ` + fmt.Sprintf(list, args) + ` } }` }
			bad(list+" of less", server, ask("first: -1"), nil, "first", "min")
			bad(list+" of 101", server, ask("first: 101"), nil, "first", "max")
			bad(list+" behind garbage", server, ask(`after: "garbage"`), nil, "after", "cursor")
			w.Run(step(list+" of the default size", server, ask("first: null"), nil, ""), step(list+" of zero values", server, ask(`first: 0, after: ""`), nil, ""), step(list+" of 100", server, ask("first: 100"), nil, ""))
		}
		w.Run(step("nothing was done", server, `{ user(id: "ann") { friendIds blockedIds friendRequests(direction: OUTGOING) { totalCount } whitelist { enabled } } }`, nil,
			`{"user":{"friendIds":["bob"],"blockedIds":[],"friendRequests":{"totalCount":1},"whitelist":{"enabled":false}}}`))
	})
}

// TestFriends_Pages: Relay's fields over the API, and a cursor of another list.
func TestFriends_Pages(t *testing.T) {
	const page = `query($after: String) { me { friends(first: 2, after: $after) { edges { cursor node { user { id } } } nodes { user { id } } totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }`
	after := func(cursor string) map[string]any { return map[string]any{"after": cursor} }
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "cid", "dan")
		for _, id := range []string{"cid", "bob", "dan"} {
			w.Run(step("adding "+id, server, addFriend, input("userId", "ann", "friendId", id), ""))
		}
		cursor := func(as, query string, variables map[string]any) string {
			w.T.Helper()
			body := string(w.Do(w.Bearer(as), query, variables).Body)
			_, rest, _ := strings.Cut(body, `"endCursor":"`)
			end, _, ok := strings.Cut(rest, `"`)
			if !ok {
				w.T.Fatalf("no cursor in %s", body)
			}
			return end
		}
		end := cursor("ann", page, nil)
		w.Run(
			step("the first page", "ann", page, nil, `{"me":{"friends":{"edges":[{"cursor":"*","node":{"user":{"id":"dan"}}},{"cursor":"`+end+`","node":{"user":{"id":"bob"}}}],
				"nodes":[{"user":{"id":"dan"}},{"user":{"id":"bob"}}],"totalCount":3,"pageInfo":{"hasNextPage":true,"hasPreviousPage":false,"startCursor":"*","endCursor":"`+end+`"}}}}`),
			step("the second page", "ann", page, after(end), `{"me":{"friends":{"edges":[{"cursor":"*","node":{"user":{"id":"cid"}}}],
				"nodes":[{"user":{"id":"cid"}}],"totalCount":3,"pageInfo":{"hasNextPage":false,"hasPreviousPage":true,"startCursor":"*","endCursor":"*"}}}}`),
			step("oldest first", "ann", `{ me { friends(first: 2, orderBy: OLDEST_FIRST) { nodes { user { id } } } friendships(with: ["dan", "x", "cid"]) { user { id } } } }`, nil,
				`{"me":{"friends":{"nodes":[{"user":{"id":"cid"}},{"user":{"id":"bob"}}]},"friendships":[{"user":{"id":"dan"}},null,{"user":{"id":"cid"}}]}}`),
			refusal("the cursor of another order", "ann", `query($after: String) { me { friends(after: $after, orderBy: OLDEST_FIRST) { totalCount } } }`, after(end), "INVALID_ARGUMENT", "field", "after"),
			refusal("another owner's cursor", "bob", page, after(end), "INVALID_ARGUMENT", "field", "after"),
			refusal("another list's cursor", "ann", `query($after: String) { me { blocklist(after: $after) { totalCount } } }`, after(end), "INVALID_ARGUMENT", "field", "after"),
		)
	})
}

// TestRelations_PrivateFieldsAreNull: a refused field is null, with an error at its path, and its
// neighbours are answered.
func TestRelations_PrivateFieldsAreNull(t *testing.T) {
	const query = `query($id: ID!) { user(id: $id) { name friends { totalCount } friendIds friendship(with: "bob") { remark } friendships(with: ["bob"]) { remark }
		friendRequests(direction: INCOMING) { totalCount } friendRequest(with: "cid") { message } blocklist { totalCount } blockedIds hasBlocked(id: "bob") friendRequestPolicy
		whitelist { enabled } state } messagePermission(from: "ann", to: "bob") { allowed } me { id } }`
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "cid")
		r := w.Do(w.Bearer("bob"), query, vars("id", "ann"))
		if !graphtest.Match(w.T, `{"user":{"name":"*","friends":null,"friendIds":null,"friendship":null,"friendships":null,"friendRequests":null,"friendRequest":null,
			"blocklist":null,"blockedIds":null,"hasBlocked":null,"friendRequestPolicy":null,"whitelist":null,"state":"ACTIVE"},"messagePermission":null,"me":{"id":"bob"}}`, r.Data) {
			w.T.Errorf("%s", r.Body)
		}
		paths := make(map[string]bool)
		for _, e := range r.Errors {
			if e.Extensions["code"] != "FORBIDDEN" {
				w.T.Errorf("%+v", e)
			}
			paths[fmt.Sprint(e.Path)] = true
		}
		if len(paths) != 12 || !paths["[user friendIds]"] || !paths["[messagePermission]"] {
			w.T.Errorf("the errors are at %v", paths)
		}
	})
}

// TestRefusedMutation_LeavesItsNeighbours: each mutation of a document keeps its own result.
func TestRefusedMutation_LeavesItsNeighbours(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "cid")
		r := w.Do(w.Bearer("ann"), `mutation {
			first: sendFriendRequest(input: {targetId: "bob"}) { result { __typename } }
			refused: sendFriendRequest(input: {targetId: "ann"}) { result { __typename } }
			last: sendFriendRequest(input: {targetId: "cid"}) { result { __typename } }
		}`, nil)
		want := `{"first":{"result":{"__typename":"FriendRequest"}},"refused":null,"last":{"result":{"__typename":"FriendRequest"}}}`
		if r.Code() != "SELF_REFERENCE" || len(r.Errors) != 1 || fmt.Sprint(r.Errors[0].Path) != "[refused]" || !graphtest.Match(w.T, want, r.Data) {
			w.T.Errorf("%s", r.Body)
		}
	})
}
