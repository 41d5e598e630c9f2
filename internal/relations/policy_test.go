package relations

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"rollcall/internal/bus"
	"rollcall/internal/fault"
	"rollcall/models"
)

// policy sets the user's policy; "" means that the app's applies.
func (w *world) policy(id string, policy models.FriendRequestPolicy) {
	w.t.Helper()
	u, err := w.relations.SetFriendRequestPolicy(ctx, w.app, id, policy)
	w.ok(err)
	if got := u.FriendRequestPolicy; (got == nil) != (policy == "") || got != nil && *got != policy {
		w.t.Errorf("the policy of %s is %v, want %q", id, got, policy)
	}
}

// outcome is the result of a request: REQUEST, FRIENDS, or the code of the refusal and the user that
// it is about.
func outcome(sent *Sent, err error) string {
	refusal, _ := fault.As(err)
	switch {
	case refusal != nil:
		user, _ := refusal.Extensions["userId"].(string)
		return string(refusal.Code) + user
	case err != nil:
		return err.Error()
	case sent.Friendship != nil:
		return "FRIENDS"
	}
	return "REQUEST"
}

// TestAsking_OwnPolicyElseTheApps: a policy of the recipient's own replaces the app's.
func TestAsking_OwnPolicyElseTheApps(t *testing.T) {
	for _, apps := range models.FriendRequestPolicies {
		for _, own := range append([]models.FriendRequestPolicy{""}, models.FriendRequestPolicies...) {
			settings := models.DefaultAppSettings()
			settings.FriendRequestPolicy = apps
			a := &asking{settings: &settings, sender: &party{}, recipient: &party{}}
			applies := apps
			if own != "" {
				a.recipient.user.FriendRequestPolicy, applies = &own, own
			}
			befriends, err := a.decide()
			refused := fault.CodeOf(err) == fault.RequestsNotAccepted
			if befriends != (applies == models.PolicyAnyone) || refused != (applies == models.PolicyNobody) || err != nil && !refused {
				t.Errorf("the app's is %s and the user's %q: %t, %v", apps, own, befriends, err)
			}
		}
	}
}

// TestSendFriendRequest_Policy has for each policy that applies to bob, be it his own or the app's,
// what a request from ann does, and all events of that.
func TestSendFriendRequest_Policy(t *testing.T) {
	const (
		request, friends, refused = "REQUEST", "FRIENDS", "REQUESTS_NOT_ACCEPTED"
		blocked, unlisted, known  = "BLOCKED", "NOT_IN_WHITELIST", "ALREADY_FRIENDS"
	)
	received := []string{"bob: FRIEND_REQUEST_RECEIVED ann"}
	added := []string{"bus: ann follows bob", "bus: bob follows ann", "ann: FRIEND_ADDED bob", "bob: FRIEND_ADDED ann"}
	accepted := func(whose, by string) []string {
		return slices.Insert(slices.Clone(added), 2, whose+": FRIEND_REQUEST_ACCEPTED "+by)
	}
	expire := func(w *world) { w.pass(RequestLifetime) }
	situations := []struct {
		name  string
		given func(w *world)
		// want are the outcomes with ANYONE, APPROVAL and NOBODY. An outcome of request has the
		// event received or, if pending, none.
		want [3]string
		// befriended are the events of the outcome friends.
		befriended []string
		pending    bool
	}{
		{"nothing", func(*world) {}, [3]string{friends, request, refused}, added, false},
		{"ann's request is pending", func(w *world) { w.request("ann", "bob") }, [3]string{friends, request, refused}, accepted("ann", "bob"), true},
		{"ann's request has expired", func(w *world) { w.request("ann", "bob"); expire(w) }, [3]string{friends, request, refused}, added, false},
		{"bob's request is pending", func(w *world) { w.request("bob", "ann") }, [3]string{friends, friends, friends}, accepted("bob", "ann"), false},
		{"bob's request has expired", func(w *world) { w.request("bob", "ann"); expire(w) }, [3]string{friends, request, refused}, added, false},
		{"ann has blocked bob", func(w *world) { w.block("ann", "bob") }, [3]string{blocked, blocked, blocked}, nil, false},
		{"bob has blocked ann", func(w *world) { w.block("bob", "ann") }, [3]string{blocked, blocked, blocked}, nil, false},
		{"bob's whitelist is on", func(w *world) { w.whitelist(true, "bob") }, [3]string{unlisted, unlisted, unlisted}, nil, false},
		{"it is on and bob's request is pending", func(w *world) { w.request("bob", "ann"); w.whitelist(true, "bob") },
			[3]string{unlisted, unlisted, unlisted}, nil, false},
		{"bob's whitelist has ann", func(w *world) { w.whitelist(true, "bob"); w.allow("bob", "ann") }, [3]string{friends, request, refused}, added, false},
		{"ann's whitelist is on", func(w *world) { w.whitelist(true, "ann") }, [3]string{friends, request, refused}, added, false},
		{"they are friends", func(w *world) { w.befriend("ann", "bob") }, [3]string{known, known, known}, nil, false},
		{"they are friends, and bob has blocked ann", func(w *world) { w.befriend("ann", "bob"); w.block("bob", "ann") }, [3]string{blocked, blocked, blocked}, nil, false},
		{"ann has no room", func(w *world) { w.befriend("ann", "cid"); w.app.Settings.FriendLimit = 1 },
			[3]string{"FRIEND_LIMIT_REACHEDann", "FRIEND_LIMIT_REACHEDann", refused}, nil, false},
		{"bob has no room", func(w *world) { w.befriend("bob", "cid"); w.app.Settings.FriendLimit = 1 },
			[3]string{"FRIEND_LIMIT_REACHEDbob", request, refused}, nil, false},
		{"ann's day is used up", func(w *world) { w.app.Settings.FriendRequestDailyLimit = 0 }, [3]string{"RATE_LIMITED", "RATE_LIMITED", refused}, nil, false},
		{"ann has 1000 pending requests", func(w *world) { w.pending("ann", maxPendingRequests, RequestLifetime, RequestLifetime) },
			[3]string{friends, "RATE_LIMITED", refused}, added, false},
	}
	each(t, func(w *world) {
		events := new(bus.Bus)
		names := make(map[int64]string)
		w.relations = New(w.db, events, w.secret, w.clock)
		for _, id := range []string{"ann", "bob", "cid"} {
			names[w.user(id).ID] = id
		}
		events.OnFriendshipChanged(func(_ context.Context, ev bus.FriendshipChanged) {
			w.journal.mu.Lock()
			defer w.journal.mu.Unlock()
			verb := "leaves"
			if ev.Friends {
				verb = "follows"
			}
			w.journal.lines = append(w.journal.lines, fmt.Sprintf("bus: %s %s %s", names[ev.UserID], verb, names[ev.FriendID]))
		})
		w.watch("ann", "bob", "cid")
		for i, s := range situations {
			for j, policy := range models.FriendRequestPolicies {
				w.clear()
				s.given(w)
				if (i+j)%2 == 0 {
					w.app.Settings.FriendRequestPolicy = policy
				} else {
					w.policy("bob", policy)
				}
				w.policy("ann", models.PolicyNobody) // the sender's own policy has no effect
				w.journal.take()
				before := w.user("ann").FriendCount
				got := outcome(w.relations.SendFriendRequest(ctx, w.app, "ann", "bob", nil))
				told, want := w.journal.take(), []string(nil)
				switch {
				case s.want[j] == friends:
					want = s.befriended
				case s.want[j] == request && !s.pending:
					want = received
				}
				if got != s.want[j] || !slices.Equal(told, want) {
					w.t.Errorf("%s, %s: %s with the events %q\nwant %s with %q", s.name, policy, got, told, s.want[j], want)
				}
				ann, bob := w.user("ann"), w.user("bob")
				between := w.count("SELECT COUNT(*) FROM friend_requests WHERE from_id = ? AND to_id = ? OR from_id = ? AND to_id = ?", ann.ID, bob.ID, bob.ID, ann.ID)
				if befriended := s.want[j] == friends; befriended != (ann.FriendCount > before) || befriended && between != 0 {
					w.t.Errorf("%s, %s: ann has %d friends, before %d; %d requests are left", s.name, policy, ann.FriendCount, before, between)
				}
			}
		}
		w.clear()
		w.consistent()
	}, "ann", "bob", "cid")
}

// TestSendFriendRequest_AnyoneCountsTowardsTheDay: what makes friends at once is a request of the day, too.
func TestSendFriendRequest_AnyoneCountsTowardsTheDay(t *testing.T) {
	each(t, func(w *world) {
		w.app.Settings.FriendRequestPolicy, w.app.Settings.FriendRequestDailyLimit = models.PolicyAnyone, 2
		for i, want := range []string{"FRIENDS", "FRIENDS", "RATE_LIMITED"} {
			if got := outcome(w.relations.SendFriendRequest(ctx, w.app, "ann", fmt.Sprint("u", i), nil)); got != want {
				w.t.Errorf("request %d: %s, want %s", i, got, want)
			}
		}
		w.consistent()
	}, "ann", "u0", "u1", "u2")
}

// TestSetFriendRequestPolicy_KeepsPendingRequests: a request from before NOBODY can be accepted.
func TestSetFriendRequestPolicy_KeepsPendingRequests(t *testing.T) {
	each(t, func(w *world) {
		id := w.request("ann", "bob")
		w.policy("bob", models.PolicyNobody)
		w.refused(w.send("ann", "bob"), fault.RequestsNotAccepted)
		w.listed("bob", true, "ann>bob")
		_, err := w.relations.AcceptFriendRequest(ctx, w.app, "bob", id)
		w.ok(err)
		w.consistent()
	}, "ann", "bob")
}

func TestSetFriendRequestPolicy(t *testing.T) {
	each(t, func(w *world) {
		w.watch("ann")
		before := w.user("ann").UpdatedAt
		w.pass(1)
		for _, policy := range append(slices.Clone(models.FriendRequestPolicies), "", "") {
			w.policy("ann", policy)
			want := policy
			if policy == "" {
				want = models.PolicyApproval
			}
			if u := w.user("ann"); u.PolicyIn(&w.app.Settings) != want || u.UpdatedAt != before {
				w.t.Errorf("after %q: %+v", policy, u)
			}
		}
		w.told()
		w.policy("ann", models.PolicyAnyone)
		set := func(id string, policy models.FriendRequestPolicy) error {
			_, err := w.relations.SetFriendRequestPolicy(ctx, w.app, id, policy)
			return err
		}
		for _, policy := range []models.FriendRequestPolicy{"FRIENDS", "anyone", " "} {
			w.refused(set("ann", policy), fault.InvalidArgument)
		}
		w.refused(set("nobody", models.PolicyNobody), fault.UserNotFound)
		w.deactivate("gone")
		w.refused(set("gone", models.PolicyNobody), fault.UserDeactivated)
		if own := w.user("ann").FriendRequestPolicy; own == nil || *own != models.PolicyAnyone {
			w.t.Errorf("the policy is %v after refused changes", own)
		}
		if w.user("gone").FriendRequestPolicy != nil {
			w.t.Error("a deactivated user has a policy")
		}
	}, "ann", "gone")
}

// TestSetFriendRequestPolicy_Erased: a deactivated user has no policy of its own, nor after it is
// reactivated.
func TestSetFriendRequestPolicy_Erased(t *testing.T) {
	each(t, func(w *world) {
		w.policy("ann", models.PolicyNobody)
		results, err := w.users.Deactivate(ctx, w.app, []string{"ann"}, models.Actor{Name: "op"})
		w.batch(results, err)("DONE")
		if results[0].User.FriendRequestPolicy != nil || w.user("ann").FriendRequestPolicy != nil {
			w.t.Error("the policy is still there")
		}
		results, err = w.users.Reactivate(ctx, w.app, []string{"ann"}, models.Actor{Name: "op"})
		w.batch(results, err)("DONE")
		w.request("bob", "ann")
	}, "ann", "bob")
}

// TestSetFriendRequestPolicy_SerialisedWithRequests: once NOBODY has been acknowledged, no request is
// stored, not even one that another node has begun before.
func TestSetFriendRequestPolicy_SerialisedWithRequests(t *testing.T) {
	others := names("u", 12)
	each(t, func(w *world) {
		node := New(w.db, &bus.Bus{}, w.secret, w.clock)
		bad := &surprises{w: w}
		for range 5 {
			stored := func() int { return w.count("SELECT COUNT(*) FROM friend_requests") }
			acknowledged := 0
			together(len(others), func(i int) {
				if i == 0 {
					_, err := w.relations.SetFriendRequestPolicy(ctx, w.app, "ann", models.PolicyNobody)
					bad.check(err)
					acknowledged = stored()
				}
				_, err := node.SendFriendRequest(ctx, w.app, others[i], "ann", nil)
				if fault.CodeOf(err) != fault.RequestsNotAccepted {
					bad.check(err)
				}
			})
			if n := stored(); n != acknowledged {
				w.t.Errorf("%d requests were stored after the policy", n-acknowledged)
			}
			w.clear()
		}
	}, append(others, "ann")...)
}
