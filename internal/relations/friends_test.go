package relations

import (
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/models"
)

// friendship returns a's view of its friendship with b, or nil.
func (w *world) friendship(a, b string) *Friendship {
	w.t.Helper()
	f, err := w.relations.Friendship(ctx, w.app, w.user(a), b)
	w.ok(err)
	return f
}

func TestAddFriend_BothWays(t *testing.T) {
	each(t, func(w *world) {
		bobby := "Bobby"
		added, err := w.relations.AddFriend(ctx, w.app, "ann", "bob", &bobby)
		w.ok(err)
		f := added.Friendship
		if !added.Created {
			w.t.Error("the friendship is not reported as created")
		}
		if f.User.ExternalID != "bob" || text(f.Remark) != "Bobby" || f.Blocked || f.CreatedAt != models.TimeOf(w.clock()) {
			w.t.Errorf("%+v", f)
		}
		if other := w.friendship("bob", "ann"); other == nil || other.User.ExternalID != "ann" || other.Remark != nil {
			w.t.Errorf("the other direction is %+v: a remark belongs to one side", other)
		}
		if f.User.FriendCount != 1 {
			w.t.Errorf("the returned friend has %d friends", f.User.FriendCount)
		}
		w.consistent()
	}, "ann", "bob")
}

func TestAddFriend_IgnoresLists(t *testing.T) {
	each(t, func(w *world) {
		w.block("ann", "bob")
		w.block("bob", "ann")
		w.whitelist(true, "ann", "bob")
		w.befriend("ann", "bob")
		if f := w.friendship("ann", "bob"); f == nil || !f.Blocked {
			w.t.Errorf("%+v", f)
		}
	}, "ann", "bob")
}

func TestAddFriend_AgainChangesOnlyAGivenRemark(t *testing.T) {
	each(t, func(w *world) {
		bobby, none, rob := "Bobby", "", "Rob"
		_, err := w.relations.AddFriend(ctx, w.app, "ann", "bob", &bobby)
		w.ok(err)
		before := *w.friendship("ann", "bob")
		w.pass(time.Hour)
		w.app.Settings.FriendLimit = 1 // reached, but friends need no room
		for _, c := range []struct {
			given *string
			want  string
		}{{nil, "Bobby"}, {&bobby, "Bobby"}, {&none, "Bobby"}, {&rob, "Rob"}} {
			added, err := w.relations.AddFriend(ctx, w.app, "ann", "bob", c.given)
			w.ok(err)
			if added.Created {
				w.t.Error("the friendship is reported as created again")
			}
			f := w.friendship("ann", "bob")
			if text(f.Remark) != c.want || f.CreatedAt != before.CreatedAt {
				w.t.Errorf("%+v, want the remark %q and the same friendship", f, c.want)
			}
		}
		w.consistent()
	}, "ann", "bob")
}

func TestAddFriend_Refuses(t *testing.T) {
	each(t, func(w *world) {
		w.deactivate("dead")
		w.befriend("full", "friend")
		w.app.Settings.FriendLimit = 1
		for _, c := range []struct {
			name, a, b string
			code       fault.Code
			whose      any
		}{
			{"oneself", "ann", "ann", fault.SelfReference, nil},
			{"an unknown user", "ann", "nobody", fault.UserNotFound, "nobody"},
			{"for an unknown user", "nobody", "ann", fault.UserNotFound, "nobody"},
			{"in another case", "ann", "Bob", fault.UserNotFound, "Bob"},
			{"an ID with a trailing space", "ann", "bob ", fault.UserNotFound, "bob "},
			{"an ID that is not ASCII", "ann", "ボブ", fault.UserNotFound, "ボブ"},
			{"a deactivated user", "ann", "dead", fault.UserDeactivated, "dead"},
			{"for a deactivated user", "dead", "ann", fault.UserDeactivated, "dead"},
			{"a user that has the maximum", "ann", "full", fault.FriendLimitReached, "full"},
			{"for a user that has the maximum", "full", "ann", fault.FriendLimitReached, "full"},
		} {
			_, err := w.relations.AddFriend(ctx, w.app, c.a, c.b, nil)
			if refusal := w.refused(err, c.code); refusal.Extensions["userId"] != c.whose {
				w.t.Errorf("%s: userId is %v, want %v", c.name, refusal.Extensions["userId"], c.whose)
			} else if c.code == fault.FriendLimitReached && refusal.Extensions["limit"] != 1 {
				w.t.Errorf("%s: the limit is %v", c.name, refusal.Extensions["limit"])
			}
		}
		w.consistent()
	}, "ann", "bob", "dead", "full", "friend")
}

func TestAddFriend_UsersOfAnotherApp(t *testing.T) {
	each(t, func(w *world) {
		other := *w.app
		other.ID++
		_, err := w.relations.AddFriend(ctx, &other, "ann", "bob", nil)
		w.refused(err, fault.UserNotFound)
		results, err := w.relations.SetWhitelistEnabled(ctx, &other, []string{"ann"}, true, audit.AppServer)
		w.batch(results, err)("USER_NOT_FOUND")
	}, "ann", "bob")
}

func TestSetFriendRemark(t *testing.T) {
	each(t, func(w *world) {
		w.befriend("ann", "bob")
		long := strings.Repeat("丽", 100) // characters, not bytes
		for _, remark := range []string{"Bobby", long, " spaces ", "🧑‍🚀", ""} {
			f, err := w.relations.SetFriendRemark(ctx, w.app, "ann", "bob", remark)
			w.ok(err)
			if text(f.Remark) != remark || text(w.friendship("ann", "bob").Remark) != remark || (remark == "") != (f.Remark == nil) {
				w.t.Errorf("the remark %q was returned as %q", remark, text(f.Remark))
			}
		}
		if f := w.friendship("bob", "ann"); f.Remark != nil {
			w.t.Errorf("the other side has the remark %q", *f.Remark)
		}
		w.deactivate("dead")
		for id, code := range map[string]fault.Code{
			"cid": fault.NotFriends, "dead": fault.NotFriends, "ann": fault.NotFriends, "nobody": fault.UserNotFound,
		} {
			_, err := w.relations.SetFriendRemark(ctx, w.app, "ann", id, "x")
			w.refused(err, code)
		}
		_, err := w.relations.SetFriendRemark(ctx, w.app, "nobody", "ann", "x")
		w.refused(err, fault.UserNotFound)
		_, err = w.relations.SetFriendRemark(ctx, w.app, "dead", "ann", "x")
		w.refused(err, fault.UserDeactivated)
	}, "ann", "bob", "cid", "dead")
}

func TestRemoveFriend_BothDirectionsAndRemarks(t *testing.T) {
	each(t, func(w *world) {
		w.befriend("ann", "bob")
		for _, pair := range [][2]string{{"ann", "bob"}, {"bob", "ann"}} {
			_, err := w.relations.SetFriendRemark(ctx, w.app, pair[0], pair[1], "remark")
			w.ok(err)
		}
		remove := func(owner, friend string) func(models.Outcome) {
			got, err := w.relations.RemoveFriend(ctx, w.app, owner, friend)
			w.ok(err)
			return func(want models.Outcome) {
				w.t.Helper()
				if got != want {
					w.t.Errorf("%s removes %s: %s, want %s", owner, friend, got, want)
				}
			}
		}
		remove("bob", "ann")("DONE")
		if w.friendship("ann", "bob") != nil || w.friendship("bob", "ann") != nil {
			w.t.Error("one direction is left")
		}
		remove("bob", "ann")("ALREADY")
		remove("ann", "ann")("ALREADY")
		remove("ann", "nobody")("NOT_FOUND")
		w.befriend("ann", "bob")
		if w.friendship("ann", "bob").Remark != nil || w.friendship("bob", "ann").Remark != nil {
			w.t.Error("a remark is left after the friendship")
		}
		_, err := w.relations.RemoveFriend(ctx, w.app, "nobody", "ann")
		w.refused(err, fault.UserNotFound)
		w.deactivate("dead")
		remove("ann", "dead")("ALREADY")
		_, err = w.relations.RemoveFriend(ctx, w.app, "dead", "ann")
		w.refused(err, fault.UserDeactivated)
		w.consistent()
	}, "ann", "bob", "dead")
}

func TestFriendship_OfOthers(t *testing.T) {
	each(t, func(w *world) {
		w.befriend("ann", "bob")
		for _, id := range []string{"cid", "nobody", "ann", "bob "} {
			if f := w.friendship("ann", id); f != nil {
				w.t.Errorf("with %q: %+v", id, f)
			}
		}
	}, "ann", "bob", "cid")
}

// TestLists_NewestFirst checks the order even if everything happens in one millisecond, and
// independently of the order in which the users were registered.
func TestLists_NewestFirst(t *testing.T) {
	order := []string{"cid", "ann", "eve", "bob", "dan"}
	want := slices.Clone(order)
	slices.Reverse(want)
	each(t, func(w *world) {
		for _, id := range order {
			w.befriend("x", id)
		}
		w.block("x", order[:3]...)
		w.block("x", order[3:]...)
		w.allow("x", order...)
		for _, id := range order {
			w.request("y", id)
		}
		x, y := w.user("x"), w.user("y")
		friends, err := w.relations.Friends(ctx, x, first(10))
		w.ok(err)
		blocked, err := w.relations.Blocklist(ctx, x, first(10))
		w.ok(err)
		allowed, err := w.relations.Whitelist(ctx, x, first(10))
		w.ok(err)
		asked, err := w.relations.Requests(ctx, y, false, first(10))
		w.ok(err)
		friendIDs, err := w.relations.FriendIDs(ctx, x)
		w.ok(err)
		blockedIDs, err := w.relations.BlockedIDs(ctx, x)
		w.ok(err)
		for name, got := range map[string][]string{
			"friends":     collect(friends.Nodes(), func(f *Friendship) string { return f.User.ExternalID }),
			"blocklist":   collect(blocked.Nodes(), func(b *Block) string { return b.User.ExternalID }),
			"whitelist":   collect(allowed.Nodes(), func(e *WhitelistEntry) string { return e.User.ExternalID }),
			"requests":    collect(asked.Nodes(), func(r *FriendRequest) string { return r.To.ExternalID }),
			"friend IDs":  friendIDs,
			"blocked IDs": blockedIDs,
		} {
			if !slices.Equal(got, want) {
				w.t.Errorf("%s are %q, want %q", name, got, want)
			}
		}
	}, "ann", "bob", "cid", "dan", "eve", "x", "y")
}

func collect[T any](list []T, of func(T) string) []string {
	out := make([]string, len(list))
	for i, item := range list {
		out[i] = of(item)
	}
	return out
}
