package graph_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2/ast"

	"rollcall/graph/graphtest"
	"rollcall/internal/ratelimit"
	"rollcall/internal/testenv"
)

// rateDecisions has, for each root field that users may call and each field that takes IDs, the
// rules that count a call about another user. A field that reads or changes data of others needs a
// rule; a comment states why a field has none.
var rateDecisions = map[string][]string{
	"Query.me":                {}, // the user itself
	"Query.user":              {"profiles"},
	"Query.node":              {"profiles"}, // a status is counted like one in Query.userStatuses
	"Query.nodes":             {"profiles"},
	"Query.users":             {"profiles"},
	"Query._entities":         {"profiles"},
	"Query._service":          {}, // no data of users
	"Query.userStatuses":      {"statuses"},
	"Query.messagePermission": {"profiles"},

	"Mutation.issueAppToken":          {}, // no data of users; failures are throttled
	"Mutation.logout":                 {}, // the user's own devices; connecting again is counted
	"Mutation.updateMe":               {"profile-edits"},
	"Mutation.setStatus":              {"set-status"},
	"Mutation.subscribeStatus":        {"subscribe", "profiles"},
	"Mutation.unsubscribeStatus":      {"unsubscribe"},
	"Mutation.sendFriendRequest":      {"requests"},
	"Mutation.acceptFriendRequest":    {"relations"},
	"Mutation.declineFriendRequest":   {"relations"},
	"Mutation.cancelFriendRequest":    {"relations"},
	"Mutation.setFriendRequestPolicy": {"relations"},
	"Mutation.removeFriend":           {"relations"},
	"Mutation.setFriendRemark":        {"relations"},
	"Mutation.addToBlocklist":         {"relations", "profiles"},
	"Mutation.removeFromBlocklist":    {"relations", "profiles"},

	"Subscription.statusChanged":       {}, // its events are not requested
	"Subscription.relationshipChanged": {}, // its events are not requested
	"Subscription.userStatus":          {"statuses"},
	"Subscription.userChanged":         {"profiles"},

	"User.friendship":    {}, // the user's own list
	"User.friendships":   {}, // the user's own list
	"User.friendRequest": {}, // the user's own requests
	"User.hasBlocked":    {}, // the user's own list
}

// recorder allows everything and records the rules.
type recorder struct {
	mu    sync.Mutex
	rules []string
}

// Allow implements ratelimit.Limiter.
func (r *recorder) Allow(_ context.Context, rule ratelimit.Rule, _ int64, _ int) (time.Duration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rules = append(r.rules, rule.Name)
	return 0, nil
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.rules = nil }()
	return r.rules
}

// TestRates_EveryFieldHasADecision calls each field that users may call about another user, and
// compares the rules that count the call with rateDecisions.
func TestRates_EveryFieldHasADecision(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	people(w, "ann", "bob")
	rates := new(recorder)
	w.Rates = rates
	w.Restart()
	s := schema()
	decided := maps.Clone(rateDecisions)
	for name, def := range s.Types {
		if def.Kind != ast.Object || def.BuiltIn { // such as those that only the generated code uses
			continue
		}
		root := def == s.Query || def == s.Mutation || def == s.Subscription
		for _, field := range def.Fields {
			if strings.HasPrefix(field.Name, "__") || !forUsers(field) || !root && !takesIDs(s, field) {
				continue
			}
			full := name + "." + field.Name
			want, ok := decided[full]
			delete(decided, full)
			if !ok {
				t.Errorf("%s has no decision: decide whether it needs a rate limit", full)
				continue
			}
			of, wrap := def, func(query string) string { return query }
			if !root {
				of, wrap = s.Query, func(query string) string {
					at := strings.Index(query, "{")
					return query[:at] + "{ me " + query[at:] + " }"
				}
			}
			query, variables := example(s, of, field)
			about(variables)
			device := w.Socket(w.Bearer("ann")) // one for each field: logout ends its device
			rates.take()
			if def == s.Subscription {
				w.Live("websocket", w.Bearer("ann"), query, variables).Close()
			} else {
				device.Do(wrap(query), variables)
			}
			got := slices.DeleteFunc(rates.take(), func(rule string) bool { return rule == "connect" })
			slices.Sort(got)
			if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
				t.Errorf("%s: the rules %q count it, want %q", full, got, want)
			}
		}
	}
	for full := range decided {
		t.Errorf("%s is not a field that users may call", full)
	}
}

// forUsers reports whether users may call the field.
func forUsers(field *ast.FieldDefinition) bool {
	auth := field.Directives.ForName("auth")
	return auth == nil || strings.Contains(auth.Arguments.ForName("to").Value.String(), "USER")
}

// takesIDs reports whether the field has an argument with an ID in it.
func takesIDs(s *ast.Schema, field *ast.FieldDefinition) bool {
	return slices.ContainsFunc(field.Arguments, func(arg *ast.ArgumentDefinition) bool {
		def := s.Types[arg.Type.Name()]
		return def.Name == "ID" || def.Kind == ast.InputObject && slices.ContainsFunc(def.Fields, func(f *ast.FieldDefinition) bool { return f.Type.Name() == "ID" })
	})
}

// about sets bob as the target of the arguments, and ann as the sender.
func about(variables map[string]any) {
	for name, value := range variables {
		switch value := value.(type) {
		case map[string]any:
			about(value)
		case []any:
			switch first := value[0].(type) {
			case map[string]any:
				about(first)
			case string:
				if first == "x" {
					value[0] = "bob"
				}
			}
		case string:
			if name == "from" {
				variables[name] = "ann"
			} else if value == "x" {
				variables[name] = "bob"
			}
		}
	}
}
