package graph_test

import (
	"net/http"
	"testing"

	"rollcall/graph/graphtest"
)

const setPolicy = `mutation($input: SetFriendRequestPolicyInput!) { setFriendRequestPolicy(input: $input) { user { id friendRequestPolicy } } }`

// TestSetFriendRequestPolicy: who may set whose policy, what the user then shows, and what a request
// to it does.
func TestSetFriendRequestPolicy(t *testing.T) {
	const own = `{ me { friendRequestPolicy } }`
	policy := func(id, policy string) string {
		return `{"setFriendRequestPolicy":{"user":{"id":"` + id + `","friendRequestPolicy":"` + policy + `"}}}`
	}
	mine := func(policy string) string { return `{"me":{"friendRequestPolicy":"` + policy + `"}}` }
	invalid := func(name, policy string) graphtest.Scenario {
		s := refusal(name, "ann", setPolicy, input("policy", policy), "GRAPHQL_VALIDATION_FAILED", "field", "input.policy", "rule", "type")
		s.WantStatus = http.StatusBadRequest
		return s
	}
	const made = `{"sendFriendRequest":{"result":{"__typename":"Friendship","user":{"id":"ann"}}}}`
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "cid", "gone")
		do(w, server, `mutation { deactivateUsers(input: {userIds: ["gone"]}) { results { outcome } } }`, nil)
		w.Run(
			step("the app's", "ann", own, nil, mine("APPROVAL")),
			step("by the user", "ann", setPolicy, input("policy", "NOBODY"), policy("ann", "NOBODY")),
			step("read later", "ann", own, nil, mine("NOBODY")),
			refusal("a request", "bob", sendRequest, input("targetId", "ann"), "REQUESTS_NOT_ACCEPTED"),
			refusal("a request by the App Server", server, sendRequest, input("userId", "bob", "targetId", "ann"), "REQUESTS_NOT_ACCEPTED"),
			step("by the user that names itself", "ann", setPolicy, input("userId", "ann", "policy", "APPROVAL"), policy("ann", "APPROVAL")),
			step("by the App Server", server, setPolicy, input("userId", "ann", "policy", "ANYONE"), policy("ann", "ANYONE")),
			step("read by the App Server", server, `{ user(id: "ann") { friendRequestPolicy } }`, nil, `{"user":{"friendRequestPolicy":"ANYONE"}}`),
			step("a request makes friends", "bob", sendRequest, input("targetId", "ann", "message", "Hello"), made),
			step("both see that", "ann", `{ me { friendIds friendRequests(direction: INCOMING) { totalCount } } }`, nil, `{"me":{"friendIds":["bob"],"friendRequests":{"totalCount":0}}}`),

			refusal("by another user", "bob", setPolicy, input("userId", "ann", "policy", "NOBODY"), "FORBIDDEN"),
			refusal("for an unknown user", server, setPolicy, input("userId", "nobody", "policy", "NOBODY"), "USER_NOT_FOUND", "userId", "nobody"),
			refusal("for a user of another app", graphtest.OtherServer, setPolicy, input("userId", "ann", "policy", "NOBODY"), "USER_NOT_FOUND"),
			refusal("for a deactivated user", server, setPolicy, input("userId", "gone", "policy", "NOBODY"), "USER_DEACTIVATED", "userId", "gone"),
			invalid("an unknown policy", "FRIENDS"),
			invalid("a policy in lower case", "nobody"),
			step("nothing has changed", "ann", own, nil, mine("ANYONE")),

			step("the app's again, by null", "ann", setPolicy, input("policy", nil), policy("ann", "APPROVAL")),
			step("an own one", "ann", setPolicy, input("policy", "ANYONE"), policy("ann", "ANYONE")),
			step("the app's again, by leaving it out", server, setPolicy, input("userId", "ann"), policy("ann", "APPROVAL")),
			step("of a deactivated user", server, `{ user(id: "gone") { friendRequestPolicy } }`, nil, `{"user":{"friendRequestPolicy":"APPROVAL"}}`),
		)
		// The app's policy applies from the next request on, to users that have none of their own.
		do(w, "cid", setPolicy, input("policy", "APPROVAL"))
		device := w.Socket(w.Bearer("ann"))
		w.Set(map[string]string{"friendRequestPolicy": "NOBODY"})
		device.Want(own, mine("NOBODY"))
		w.Run(
			step("the app's new one", "ann", own, nil, mine("NOBODY")),
			step("an own one stays", "cid", own, nil, mine("APPROVAL")),
			refusal("a request under the app's", "cid", sendRequest, input("targetId", "ann"), "REQUESTS_NOT_ACCEPTED"),
		)
		sends(w, "ann", "cid")
		w.Run(step("a request that crosses one of a user that accepts none", "cid", sendRequest, input("targetId", "ann"), made))
	})
}
