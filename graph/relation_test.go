package graph_test

import (
	"testing"

	"rollcall/graph/graphtest"
	"rollcall/internal/testenv"
)

const (
	addFriend      = `mutation($input: AddFriendInput!) { addFriend(input: $input) { created friendship { user { id } remark createdAt blocked } } }`
	removeFriend   = `mutation($input: RemoveFriendInput!) { removeFriend(input: $input) { outcome friendId } }`
	setRemark      = `mutation($input: SetFriendRemarkInput!) { setFriendRemark(input: $input) { friendship { user { id } remark blocked } } }`
	block          = `mutation($input: BlocklistInput!) { addToBlocklist(input: $input) { results { userId outcome error { code } } } }`
	unblock        = `mutation($input: BlocklistInput!) { removeFromBlocklist(input: $input) { results { userId outcome error { code } } } }`
	allow          = `mutation($input: WhitelistInput!) { addToWhitelist(input: $input) { results { userId outcome error { code } } } }`
	disallow       = `mutation($input: WhitelistInput!) { removeFromWhitelist(input: $input) { results { userId outcome error { code } } } }`
	setWhitelist   = `mutation($input: SetWhitelistEnabledInput!) { setWhitelistEnabled(input: $input) { results { userId outcome error { code } } } }`
	friendIDsOfAnn = `{ user(id: "ann") { friendIds } }`
)

// step returns a scenario that must succeed.
func step(name, as, query string, variables map[string]any, data string) graphtest.Scenario {
	return graphtest.Scenario{Name: name, As: as, Query: query, Variables: variables, WantData: data}
}

// refusal returns a scenario that must end with an error.
func refusal(name, as, query string, variables map[string]any, code string, extensions ...any) graphtest.Scenario {
	s := graphtest.Scenario{Name: name, As: as, Query: query, Variables: variables, WantCode: code}
	if len(extensions) > 0 {
		s.WantExtensions = make(map[string]any)
	}
	for i := 0; i < len(extensions); i += 2 {
		s.WantExtensions[extensions[i].(string)] = extensions[i+1]
	}
	return s
}

// items returns the result of a batch: pairs are the id, the outcome or code, and so on.
func items(field string, pairs ...string) string {
	out := `{"` + field + `":{"results":[`
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			out += ","
		}
		out += item(pairs[i], pairs[i+1])
	}
	return out + `]}}`
}

func item(id, outcome string) string {
	switch outcome {
	case "DONE", "ALREADY":
		return `{"userId":"` + id + `","outcome":"` + outcome + `","error":null}`
	case "USER_NOT_FOUND":
		return `{"userId":"` + id + `","outcome":"NOT_FOUND","error":{"code":"USER_NOT_FOUND"}}`
	}
	return `{"userId":"` + id + `","outcome":"REFUSED","error":{"code":"` + outcome + `"}}`
}

// people registers users of App, and one of Other.
func people(w *graphtest.World, ids ...string) {
	w.T.Helper()
	for _, id := range ids {
		w.Register(w.App, id)
	}
	w.Register(w.Other, "eve")
}

const server = graphtest.AppServer

func TestFriends(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "cid", "dan", "dead")
		w.Set(map[string]string{"friendLimit": "2"})
		w.Run(
			step("deactivating one", server, `mutation { deactivateUsers(input: {userIds: ["dead"]}) { results { outcome } } }`, nil, ""),
			step("addFriend is direct and two-way", server, addFriend, input("userId", "ann", "friendId", "bob", "remark", "Bobby"),
				`{"addFriend":{"created":true,"friendship":{"user":{"id":"bob"},"remark":"Bobby","createdAt":"2026-11-20T08:15:30.123Z","blocked":false}}}`),
			step("the other direction, without the remark", "bob", `{ me { friendIds friendship(with: "ann") { user { id } remark blocked } } }`, nil,
				`{"me":{"friendIds":["ann"],"friendship":{"user":{"id":"ann"},"remark":null,"blocked":false}}}`),
			step("again changes nothing", server, addFriend, input("userId", "ann", "friendId", "bob"),
				`{"addFriend":{"created":false,"friendship":{"user":{"id":"bob"},"remark":"Bobby","createdAt":"2026-11-20T08:15:30.123Z","blocked":false}}}`),
			step("nor with an empty remark, which is as if it were not given", server, addFriend, input("userId", "ann", "friendId", "bob", "remark", ""),
				`{"addFriend":{"created":false,"friendship":{"user":{"id":"bob"},"remark":"Bobby","createdAt":"2026-11-20T08:15:30.123Z","blocked":false}}}`),
			step("again from the other side with a remark", server, addFriend, input("userId", "bob", "friendId", "ann", "remark", "Annie"),
				`{"addFriend":{"created":false,"friendship":{"user":{"id":"ann"},"remark":"Annie","createdAt":"2026-11-20T08:15:30.123Z","blocked":false}}}`),
			step("a remark belongs to one side", "ann", `{ me { friendship(with: "bob") { remark } } }`, nil, `{"me":{"friendship":{"remark":"Bobby"}}}`),
			refusal("with oneself", server, addFriend, input("userId", "ann", "friendId", "ann"), "SELF_REFERENCE"),
			refusal("with nobody", server, addFriend, input("userId", "ann", "friendId", "nobody"), "USER_NOT_FOUND", "userId", "nobody"),
			refusal("with a user of another app", server, addFriend, input("userId", "ann", "friendId", "eve"), "USER_NOT_FOUND", "userId", "eve"),
			refusal("with a deactivated user", server, addFriend, input("userId", "ann", "friendId", "dead"), "USER_DEACTIVATED", "userId", "dead"),
			step("up to the limit", server,
				`mutation($input: AddFriendInput!) { addFriend(input: $input) { friendship { user { id friends { totalCount nodes { user { id } } } } } } }`,
				input("userId", "ann", "friendId", "cid"),
				`{"addFriend":{"friendship":{"user":{"id":"cid","friends":{"totalCount":1,"nodes":[{"user":{"id":"ann"}}]}}}}}`),
			refusal("past the limit", server, addFriend, input("userId", "ann", "friendId", "dan"), "FRIEND_LIMIT_REACHED", "userId", "ann", "limit", 2),
			refusal("past the limit of the other", server, addFriend, input("userId", "dan", "friendId", "ann"), "FRIEND_LIMIT_REACHED", "userId", "ann", "limit", 2),
			step("newest first", server, friendIDsOfAnn, nil, `{"user":{"friendIds":["cid","bob"]}}`),

			step("a remark", "ann", setRemark, input("friendId", "bob", "remark", "B."), `{"setFriendRemark":{"friendship":{"user":{"id":"bob"},"remark":"B.","blocked":false}}}`),
			step("a remark by the App Server", server, setRemark, input("userId", "ann", "friendId", "bob", "remark", ""),
				`{"setFriendRemark":{"friendship":{"user":{"id":"bob"},"remark":null,"blocked":false}}}`),
			refusal("a remark on a user that is not a friend", "ann", setRemark, input("friendId", "dan", "remark", "D."), "NOT_FRIENDS"),
			refusal("a remark on an unknown user", "ann", setRemark, input("friendId", "nobody", "remark", "N."), "USER_NOT_FOUND"),

			step("removing a user that is not a friend", "ann", removeFriend, input("friendId", "dan"), `{"removeFriend":{"outcome":"ALREADY","friendId":"dan"}}`),
			step("removing nobody", "ann", removeFriend, input("friendId", "nobody"), `{"removeFriend":{"outcome":"NOT_FOUND","friendId":"nobody"}}`),
			step("removing a user of another app", "ann", removeFriend, input("friendId", "eve"), `{"removeFriend":{"outcome":"NOT_FOUND","friendId":"eve"}}`),
			step("removing ends both directions", "bob", removeFriend, input("userId", "bob", "friendId", "ann"), `{"removeFriend":{"outcome":"DONE","friendId":"ann"}}`),
			step("for the other too", server, friendIDsOfAnn, nil, `{"user":{"friendIds":["cid"]}}`),
			step("and makes room", server, addFriend, input("userId", "ann", "friendId", "dan"), `{"addFriend":{"created":true,"friendship":{"user":{"id":"dan"},"remark":null,"createdAt":"*","blocked":false}}}`),
			step("deactivation ends them", server, `mutation { deactivateUsers(input: {userIds: ["dan"]}) { results { outcome } } }`, nil, `{"deactivateUsers":{"results":[{"outcome":"DONE"}]}}`),
			step("for the friend", "ann", `{ me { friendIds friends { totalCount } friendship(with: "dan") { remark } } }`, nil,
				`{"me":{"friendIds":["cid"],"friends":{"totalCount":1},"friendship":null}}`),
		)
	})
}

func TestBlocklist(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "cid", "dan", "dead")
		w.Set(map[string]string{"blocklistLimit": "2"})
		w.Run(
			step("deactivating one", server, `mutation { deactivateUsers(input: {userIds: ["dead"]}) { results { outcome } } }`, nil, ""),
			step("bob is a friend", server, addFriend, input("userId", "ann", "friendId", "bob"), ""),
			step("item by item", "ann", block, input("targetIds", []string{"bob", "ann", "nobody", "eve", "dead", "no ID!", "bob"}),
				items("addToBlocklist", "bob", "DONE", "ann", "SELF_REFERENCE", "nobody", "USER_NOT_FOUND", "eve", "USER_NOT_FOUND",
					"dead", "USER_DEACTIVATED", "no ID!", "USER_NOT_FOUND", "bob", "ALREADY")),
			step("a blocked friend stays a friend", "ann", `{ me { friends { nodes { user { id } blocked } } friendship(with: "bob") { blocked } hasBlocked(id: "bob") } }`, nil,
				`{"me":{"friends":{"nodes":[{"user":{"id":"bob"},"blocked":true}]},"friendship":{"blocked":true},"hasBlocked":true}}`),
			step("and does not see it", "bob", `{ me { friends { nodes { user { id } blocked } } hasBlocked(id: "ann") blocklist { totalCount } } }`, nil,
				`{"me":{"friends":{"nodes":[{"user":{"id":"ann"},"blocked":false}]},"hasBlocked":false,"blocklist":{"totalCount":0}}}`),
			step("it cannot message", "bob", `{ messagePermission(from: "bob", to: "ann") { allowed reason } }`, nil, `{"messagePermission":{"allowed":false,"reason":"BLOCKED_BY_RECIPIENT"}}`),
			step("but can be messaged", "ann", `{ messagePermission(from: "ann", to: "bob") { from to allowed reason } }`, nil,
				`{"messagePermission":{"from":"ann","to":"bob","allowed":true,"reason":null}}`),
			step("by the App Server, up to the limit", server, block, input("userId", "ann", "targetIds", []string{"cid", "dan"}),
				items("addToBlocklist", "cid", "DONE", "dan", "BLOCKLIST_LIMIT_REACHED")),
			step("with the users as they are now", server, `mutation($input: BlocklistInput!) { addToBlocklist(input: $input) { results { outcome user { id blocklist { totalCount } } error { limit } } } }`,
				input("userId", "bob", "targetIds", []string{"cid", "bob", "dead", "nobody", "ann", "dan"}),
				`{"addToBlocklist":{"results":[{"outcome":"DONE","user":{"id":"cid","blocklist":{"totalCount":0}},"error":null},{"outcome":"REFUSED","user":{"id":"bob","blocklist":{"totalCount":2}},"error":{"limit":null}},
					{"outcome":"REFUSED","user":{"id":"dead","blocklist":{"totalCount":0}},"error":{"limit":null}},{"outcome":"NOT_FOUND","user":null,"error":{"limit":null}},
					{"outcome":"DONE","user":{"id":"ann","blocklist":{"totalCount":2}},"error":null},{"outcome":"REFUSED","user":{"id":"dan","blocklist":{"totalCount":0}},"error":{"limit":2}}]}}`),
			step("and without the entries", server, unblock, input("userId", "bob", "targetIds", []string{"cid", "ann"}), items("removeFromBlocklist", "cid", "DONE", "ann", "DONE")),
			step("newest first", "ann", `{ me { blockedIds blocklist { totalCount nodes { user { id } } } } }`, nil,
				`{"me":{"blockedIds":["cid","bob"],"blocklist":{"totalCount":2,"nodes":[{"user":{"id":"cid"}},{"user":{"id":"bob"}}]}}}`),
			step("removal", "ann", unblock, input("targetIds", []string{"bob", "dan", "nobody", "bob"}),
				items("removeFromBlocklist", "bob", "DONE", "dan", "ALREADY", "nobody", "USER_NOT_FOUND", "bob", "ALREADY")),
			step("restores things as they were", "bob", `{ messagePermission(from: "bob", to: "ann") { allowed } me { friendIds } }`, nil,
				`{"messagePermission":{"allowed":true},"me":{"friendIds":["ann"]}}`),
			refusal("of nobody", server, block, input("userId", "nobody", "targetIds", []string{"ann"}), "USER_NOT_FOUND"),
			refusal("of a deactivated user", server, block, input("userId", "dead", "targetIds", []string{"ann"}), "USER_DEACTIVATED"),
			step("deactivation removes the entry", server, `mutation { deactivateUsers(input: {userIds: ["cid"]}) { results { outcome } } }`, nil, ""),
			step("from others' lists", "ann", `{ me { blockedIds blocklist { totalCount } } }`, nil, `{"me":{"blockedIds":[],"blocklist":{"totalCount":0}}}`),
		)
	})
}

func TestWhitelist(t *testing.T) {
	const asked = `{ messagePermission(from: "bob", to: "ann") { allowed reason } }`
	const yes = `{"messagePermission":{"allowed":true,"reason":null}}`
	no := func(reason string) string { return `{"messagePermission":{"allowed":false,"reason":"` + reason + `"}}` }
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "cid", "dan", "dead")
		w.Set(map[string]string{"whitelistLimit": "2"})
		w.Run(
			step("deactivating one", server, `mutation { deactivateUsers(input: {userIds: ["dead"]}) { results { outcome } } }`, nil, ""),
			step("bob is a friend", server, addFriend, input("userId", "ann", "friendId", "bob"), ""),
			step("off at first", server, `{ user(id: "ann") { whitelist { enabled entries { totalCount } } } }`, nil,
				`{"user":{"whitelist":{"enabled":false,"entries":{"totalCount":0}}}}`),
			step("it can be edited while it is off", server, allow, input("userId", "ann", "targetIds", []string{"cid", "ann", "dead", "nobody", "cid"}),
				items("addToWhitelist", "cid", "DONE", "ann", "SELF_REFERENCE", "dead", "USER_DEACTIVATED", "nobody", "USER_NOT_FOUND", "cid", "ALREADY")),
			step("and decides nothing", server, asked, nil, yes),
			step("the switch", server, setWhitelist, input("userIds", []string{"ann", "nobody", "dead", "eve", "ann"}, "enabled", true),
				items("setWhitelistEnabled", "ann", "DONE", "nobody", "USER_NOT_FOUND", "dead", "USER_DEACTIVATED", "eve", "USER_NOT_FOUND", "ann", "ALREADY")),
			step("a friend is not on it automatically", server, asked, nil, no("NOT_IN_WHITELIST")),
			step("blocking bob", "ann", block, input("targetIds", []string{"bob"}), ""),
			step("whitelisting bob, up to the limit", server, allow, input("userId", "ann", "targetIds", []string{"bob", "dan"}),
				items("addToWhitelist", "bob", "DONE", "dan", "WHITELIST_LIMIT_REACHED")),
			step("the blocklist has no effect", server, asked, nil, yes),
			step("newest first", server, `{ user(id: "ann") { whitelist { enabled entries(first: 5) { totalCount nodes { user { id } createdAt } } } } }`, nil,
				`{"user":{"whitelist":{"enabled":true,"entries":{"totalCount":2,"nodes":[{"user":{"id":"bob"},"createdAt":"*"},{"user":{"id":"cid"},"createdAt":"*"}]}}}}`),
			step("with the owners as they are now", server, `mutation($input: SetWhitelistEnabledInput!) { setWhitelistEnabled(input: $input) { results { user { id whitelist { enabled } } } } }`,
				input("userIds", []string{"dan", "nobody"}, "enabled", true), `{"setWhitelistEnabled":{"results":[{"user":{"id":"dan","whitelist":{"enabled":true}}},{"user":null}]}}`),
			step("turned off", server, setWhitelist, input("userIds", []string{"ann"}, "enabled", false), items("setWhitelistEnabled", "ann", "DONE")),
			step("the blocklist has its effect again", server, asked, nil, no("BLOCKED_BY_RECIPIENT")),
			step("removal", server, disallow, input("userId", "ann", "targetIds", []string{"cid", "dan"}),
				items("removeFromWhitelist", "cid", "DONE", "dan", "ALREADY")),
			refusal("of nobody", server, allow, input("userId", "nobody", "targetIds", []string{"ann"}), "USER_NOT_FOUND"),
			refusal("as a user", "ann", allow, input("userId", "ann", "targetIds", []string{"bob"}), "FORBIDDEN"),
			refusal("removal as a user", "ann", disallow, input("userId", "ann", "targetIds", []string{"bob"}), "FORBIDDEN"),
			refusal("the switch as a user", "ann", setWhitelist, input("userIds", []string{"ann"}, "enabled", true), "FORBIDDEN"),
			refusal("reading it as the owner", "ann", `{ me { whitelist { enabled } } }`, nil, "FORBIDDEN"),
		)
	})
}

// TestFriends_PageCostsTwoQueries: one for the caller, one for the page. For the App Server there
// is one more, for the user with the given ID.
func TestFriends_PageCostsTwoQueries(t *testing.T) {
	const page = `{ totalCount pageInfo { hasNextPage endCursor } nodes { remark createdAt blocked user { id name avatarUrl state createdAt status { presence customStatus changedAt } } } }`
	graphtest.Each(t, func(w *graphtest.World) {
		ann := w.Bearer("ann")
		app := w.Bearer(server)
		for i := range 60 {
			id := "friend" + string(rune('A'+i/26)) + string(rune('a'+i%26))
			w.Register(w.App, id)
			if _, err := w.Relations.AddFriend(t.Context(), w.App.App, "ann", id, nil); err != nil {
				w.T.Fatal(err)
			}
		}
		queries := testenv.Queries(w.T, w.DB)
		for _, size := range []int{1, 10, 50} {
			variables := map[string]any{"n": size}
			queries.Store(0)
			if r := w.Do(ann, `query($n: Int!) { me { friends(first: $n) `+page+` } }`, variables); r.Code() != "" {
				w.T.Fatalf("%s", r.Body)
			}
			if n := queries.Load(); n > 2 {
				w.T.Errorf("a page of %d took %d queries", size, n)
			}
			queries.Store(0)
			if r := w.Do(app, `query($n: Int!) { user(id: "ann") { friends(first: $n) `+page+` } }`, variables); r.Code() != "" {
				w.T.Fatalf("%s", r.Body)
			}
			if n := queries.Load(); n > 3 { // including the one for the token
				w.T.Errorf("a page of %d took the App Server %d queries", size, n)
			}
		}
	})
}
