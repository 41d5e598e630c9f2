package graph_test

import (
	"strings"
	"testing"

	"rollcall/graph/graphtest"
	"rollcall/internal/testenv"
)

const (
	permission  = `query($from: ID!, $to: ID!) { messagePermission(from: $from, to: $to) { from to allowed reason } }`
	permissions = `query($pairs: [MessagePair!]!) { messagePermissions(pairs: $pairs) { from to allowed reason } }`
)

func fromTo(from, to string) map[string]any { return map[string]any{"from": from, "to": to} }

func pairs(list ...map[string]any) map[string]any {
	return map[string]any{"pairs": append([]map[string]any{}, list...)} // never null
}

// decision returns one result; an empty reason means allowed.
func decision(from, to, reason string) string {
	head := `{"from":"` + from + `","to":"` + to + `","allowed":`
	if reason == "" {
		return head + `true,"reason":null}`
	}
	return head + `false,"reason":"` + reason + `"}`
}

// TestMessagePermission: each reason over the API, in the order of precedence; combinations of the
// rules are tested in internal/relations.
func TestMessagePermission(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob", "dead", "banned")
		ask := func(name, from, to, reason string) graphtest.Scenario {
			return step(name, server, permission, fromTo(from, to), `{"messagePermission":`+decision(from, to, reason)+`}`)
		}
		w.Run(
			step("deactivating one", server, `mutation { deactivateUsers(input: {userIds: ["dead"]}) { results { outcome } } }`, nil, ""),
			step("banning one", server, `mutation { banUsers(input: {userIds: ["banned"], minutes: 5}) { results { outcome } } }`, nil, ""),
			ask("sender unknown", "nobody", "ann", "SENDER_NOT_FOUND"),
			ask("sender of another app", "eve", "ann", "SENDER_NOT_FOUND"),
			ask("sender ill-formed", "no ID!", "ann", "SENDER_NOT_FOUND"),
			ask("sender deactivated", "dead", "nobody", "SENDER_DEACTIVATED"),
			ask("sender banned", "banned", "dead", "SENDER_BANNED"),
			ask("recipient unknown", "ann", "nobody", "RECIPIENT_NOT_FOUND"),
			ask("recipient of another app", "ann", "eve", "RECIPIENT_NOT_FOUND"),
			ask("recipient deactivated", "ann", "dead", "RECIPIENT_DEACTIVATED"),
			ask("to a banned user", "ann", "banned", ""),
			ask("to oneself", "ann", "ann", ""),
			ask("no objection", "ann", "bob", ""),
		)
		w.Set(map[string]string{"onlyFriendsCanMessage": "true"})
		w.Run(
			ask("no friends", "ann", "bob", "NOT_FRIENDS"),
			ask("to oneself whatever the switch", "ann", "ann", ""),
			step("bob blocks ann", "bob", block, input("targetIds", []string{"ann"}), ""),
			ask("blocked, and no friends", "ann", "bob", "BLOCKED_BY_RECIPIENT"),
			step("bob's whitelist is on", server, setWhitelist, input("userIds", []string{"bob"}, "enabled", true), ""),
			ask("not on the whitelist, blocked, and no friends", "ann", "bob", "NOT_IN_WHITELIST"),
			ask("the other direction", "bob", "ann", "NOT_FRIENDS"),
			step("whitelisting", server, allow, input("userId", "bob", "targetIds", []string{"ann"}), ""),
			ask("on the whitelist, and no friends", "ann", "bob", "NOT_FRIENDS"),
			step("becoming friends", server, addFriend, input("userId", "bob", "friendId", "ann"), ""),
			ask("on the whitelist, and friends", "ann", "bob", ""),

			step("many, in the order asked", server, permissions,
				pairs(fromTo("nobody", "ann"), fromTo("ann", "bob"), fromTo("banned", "ann"), fromTo("bob", "banned"), fromTo("ann", "bob")),
				`{"messagePermissions":[`+decision("nobody", "ann", "SENDER_NOT_FOUND")+`,`+decision("ann", "bob", "")+`,`+
					decision("banned", "ann", "SENDER_BANNED")+`,`+decision("bob", "banned", "NOT_FRIENDS")+`,`+decision("ann", "bob", "")+`]}`),
			step("of no pairs", server, permissions, pairs(), `{"messagePermissions":[]}`),

			step("a user for itself", "ann", permission, fromTo("ann", "bob"), `{"messagePermission":`+decision("ann", "bob", "")+`}`),
			refusal("a user for another", "ann", permission, fromTo("bob", "ann"), "FORBIDDEN"),
			refusal("a user for an unknown sender", "ann", permission, fromTo("nobody", "ann"), "FORBIDDEN"),
			refusal("a user for many", "ann", permissions, pairs(fromTo("ann", "bob")), "FORBIDDEN"),
			refusal("a guest", graphtest.Guest, permission, fromTo("ann", "bob"), "UNAUTHENTICATED"),
			step("another app's App Server", graphtest.OtherServer, permission, fromTo("ann", "bob"), `{"messagePermission":`+decision("ann", "bob", "SENDER_NOT_FOUND")+`}`),
		)
	})
}

// TestMessagePermission_CostsTwoQueries: one for the token and one for the decision.
func TestMessagePermission_CostsTwoQueries(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob")
		app := w.Bearer(server)
		many := make([]map[string]any, 500)
		for i := range many {
			many[i] = fromTo("ann", "bob")
		}
		queries := testenv.Queries(w.T, w.DB)
		for name, ask := range map[string]func() *graphtest.Response{
			"one": func() *graphtest.Response { return w.Do(app, permission, fromTo("ann", "bob")) },
			"500": func() *graphtest.Response { return w.Do(app, permissions, pairs(many...)) },
		} {
			queries.Store(0)
			if r := ask(); r.Code() != "" {
				w.T.Fatalf("%s: %s", name, r.Body)
			}
			if n := queries.Load(); n > 2 {
				w.T.Errorf("%s took %d queries", name, n)
			}
		}
		r := w.Do(app, permissions, pairs(append(many, fromTo("ann", "bob"))...))
		if r.Code() != "INVALID_ARGUMENT" || r.Errors[0].Extensions["field"] != "pairs" {
			w.T.Errorf("501: %s", r.Body)
		}
		r = w.Do(app, permission, fromTo(strings.Repeat("x", 1025), "bob"))
		if r.Code() != "INVALID_ARGUMENT" {
			w.T.Errorf("an overlong ID: %s", r.Body)
		}
	})
}
