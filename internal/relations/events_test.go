package relations

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/models"
)

// TestEvents is the complete table of changes and the events that each user receives. Devices of
// ann, bob and cid subscribe; each must never receive events of the other two.
func TestEvents(t *testing.T) {
	var id string // ID of the request that `given` has sent
	remark := func(s string) *string { return &s }
	type scenario struct {
		name  string
		given func(w *world)
		do    func(w *world) error
		told  []string
	}
	each(t, func(w *world) {
		w.watch("ann", "bob", "cid")
		s, app := w.relations, w.app
		add := func(r *string) func(*world) error {
			return func(*world) error { _, err := s.AddFriend(ctx, app, "ann", "bob", r); return err }
		}
		friends := func(w *world) { w.befriend("ann", "bob") }
		asked := func(w *world) { id = w.request("ann", "bob") }
		expired := func(w *world) { asked(w); w.pass(RequestLifetime) }
		blocked := func(w *world) { w.block("ann", "bob") }
		remove := func(*world) error { _, err := s.RemoveFriend(ctx, app, "ann", "bob"); return err }
		block := func(owner, other string) func(*world) error {
			return func(*world) error { _, err := s.AddToBlocklist(ctx, app, owner, []string{other}); return err }
		}
		unblock := func(*world) error { _, err := s.RemoveFromBlocklist(ctx, app, "ann", []string{"bob"}); return err }
		send := func(from, to string) func(*world) error {
			return func(*world) error { _, err := s.SendFriendRequest(ctx, app, from, to, nil); return err }
		}
		say := func(text string) func(*world) error {
			return func(*world) error { _, err := s.SetFriendRemark(ctx, app, "ann", "bob", text); return err }
		}
		accept := func(who string) func(*world) error {
			return func(*world) error { _, err := s.AcceptFriendRequest(ctx, app, who, id); return err }
		}
		decline := func(who string) func(*world) error {
			return func(*world) error { _, err := s.DeclineFriendRequest(ctx, app, who, id); return err }
		}
		cancel := func(who string) func(*world) error {
			return func(*world) error { _, err := s.CancelFriendRequest(ctx, app, who, id); return err }
		}
		nothing := func(*world) {}
		both := []string{"ann: FRIEND_ADDED bob", "bob: FRIEND_ADDED ann"}
		for _, c := range []scenario{
			{"adding a friend", nothing, add(nil), both},
			{"adding a friend with a remark, which has no event of its own", nothing, add(remark("Bobby")), both},
			{"adding a friend again", friends, add(nil), nil},
			{"adding a friend again with a remark", friends, add(remark("Bobby")), []string{"ann: FRIEND_REMARK_CHANGED bob"}},
			{"adding a friend again with the same remark", func(w *world) { friends(w); w.ok(say("Bobby")(w)) }, add(remark("Bobby")), nil},
			{"adding a friend with a request sent: it counts as accepted", asked, add(nil), append([]string{"ann: FRIEND_REQUEST_ACCEPTED bob"}, both...)},
			{"adding a friend with a request received: it counts as accepted", func(w *world) { id = w.request("bob", "ann") }, add(nil),
				append([]string{"bob: FRIEND_REQUEST_ACCEPTED ann"}, both...)},
			{"adding a friend whose request has expired", expired, add(nil), both},
			{"adding a friend beyond the limit", func(w *world) { app.Settings.FriendLimit = 0 }, add(nil), nil},

			{"removing a friend", friends, remove, []string{"ann: FRIEND_REMOVED bob", "bob: FRIEND_REMOVED ann"}},
			{"removing a user that is not a friend", nothing, remove, nil},

			{"a remark", friends, say("Bobby"), []string{"ann: FRIEND_REMARK_CHANGED bob"}},
			{"the same remark", func(w *world) { friends(w); w.ok(say("Bobby")(w)) }, say("Bobby"), nil},
			{"clearing a remark", func(w *world) { friends(w); w.ok(say("Bobby")(w)) }, say(""), []string{"ann: FRIEND_REMARK_CHANGED bob"}},
			{"clearing a missing remark", friends, say(""), nil},
			{"a remark on a user that is not a friend", nothing, say("Bobby"), nil},

			{"a request", nothing, send("ann", "bob"), []string{"bob: FRIEND_REQUEST_RECEIVED ann"}},
			{"a request again within an hour", asked, send("ann", "bob"), nil},
			{"a request that crosses another, which counts as accepted", asked, send("bob", "ann"),
				[]string{"ann: FRIEND_REQUEST_ACCEPTED bob", "bob: FRIEND_ADDED ann", "ann: FRIEND_ADDED bob"}},
			{"a request that crosses an expired one", expired, send("bob", "ann"), []string{"ann: FRIEND_REQUEST_RECEIVED bob"}},
			{"a request to a friend", friends, send("ann", "bob"), nil},
			{"a request to a user that the sender has blocked", blocked, send("ann", "bob"), nil},
			{"a request to a user that has blocked the sender", blocked, send("bob", "ann"), nil},

			{"accepting", asked, accept("bob"), []string{"ann: FRIEND_REQUEST_ACCEPTED bob", "bob: FRIEND_ADDED ann", "ann: FRIEND_ADDED bob"}},
			{"accepting one's own request", asked, accept("ann"), nil},
			{"accepting too late", expired, accept("bob"), nil},
			{"declining", asked, decline("bob"), []string{"ann: FRIEND_REQUEST_DECLINED bob"}},
			{"declining one's own request", asked, decline("ann"), nil},
			{"declining too late", expired, decline("bob"), nil},
			{"cancelling", asked, cancel("ann"), []string{"bob: FRIEND_REQUEST_CANCELLED ann"}},
			{"cancelling another's request", asked, cancel("bob"), nil},
			{"cancelling too late", expired, cancel("ann"), nil},

			{"blocking, with an event for the owner only", nothing, block("ann", "bob"), []string{"ann: BLOCK_ADDED bob"}},
			{"blocking a friend", friends, block("ann", "bob"), []string{"ann: BLOCK_ADDED bob"}},
			{"blocking again", blocked, block("ann", "bob"), nil},
			{"blocking back", blocked, block("bob", "ann"), []string{"bob: BLOCK_ADDED ann"}},
			{"blocking oneself", nothing, block("ann", "ann"), nil},
			{"blocking the sender of a request, which counts as declined", asked, block("bob", "ann"), []string{"bob: BLOCK_ADDED ann", "ann: FRIEND_REQUEST_DECLINED bob"}},
			{"blocking the recipient of a request, which counts as cancelled", asked, block("ann", "bob"), []string{"ann: BLOCK_ADDED bob", "bob: FRIEND_REQUEST_CANCELLED ann"}},
			{"blocking the sender of an expired request", expired, block("bob", "ann"), []string{"bob: BLOCK_ADDED ann"}},
			{"unblocking", blocked, unblock, []string{"ann: BLOCK_REMOVED bob"}},
			{"unblocking a user that is not blocked", nothing, unblock, nil},

			{"changing the whitelist, which has no events", nothing, func(w *world) error { w.allow("ann", "bob"); w.whitelist(true, "ann"); return nil }, nil},
		} {
			c.given(w)
			w.journal.take()
			_ = c.do(w) // other tests check its result
			if got := w.journal.take(); !slices.Equal(got, c.told) {
				t.Errorf("%s: %s: events %q\nwant %q", w.db.Dialect(), c.name, got, c.told)
			}
			w.clear()
		}
	}, "ann", "bob", "cid")
}

// clear deletes everything between users.
func (w *world) clear() {
	w.t.Helper()
	w.app.Settings = models.DefaultAppSettings()
	for _, table := range []string{"friendships", "friend_requests", "sent_friend_requests", "blocks", "whitelist_entries", "friend_request_counts"} {
		w.ok(w.db.Exec(ctx, "DELETE FROM "+table))
	}
	w.ok(w.db.Exec(ctx, "UPDATE users SET friend_count = 0, block_count = 0, whitelist_count = 0, whitelist_enabled = FALSE, friend_request_policy = NULL"))
	w.journal.take()
}

func TestEvents_OncePerDevice(t *testing.T) {
	each(t, func(w *world) {
		w.watch("ann", "ann")
		stop := w.relations.Watch(ctx, w.user("ann").ID, &device{&w.journal, "gone"})
		stop()
		w.block("ann", "bob")
		w.told("ann: BLOCK_ADDED bob", "ann: BLOCK_ADDED bob")
	}, "ann", "bob")
}

// TestEvents_Batch checks that a batch sends an event for each item that changed, and none for the
// others.
func TestEvents_Batch(t *testing.T) {
	each(t, func(w *world) {
		w.request("bob", "ann")
		w.block("ann", "cid")
		w.watch("ann", "bob", "cid", "dan")
		results, err := w.relations.AddToBlocklist(ctx, w.app, "ann", []string{"dan", "cid", "ann", "nobody", "bob", "dan"})
		w.batch(results, err)("DONE", "ALREADY", "SELF_REFERENCE", "USER_NOT_FOUND", "DONE", "ALREADY")
		w.told("ann: BLOCK_ADDED dan", "ann: BLOCK_ADDED bob", "bob: FRIEND_REQUEST_DECLINED ann")
		results, err = w.relations.RemoveFromBlocklist(ctx, w.app, "ann", []string{"bob", "bob", "nobody", "dan"})
		w.batch(results, err)("DONE", "ALREADY", "USER_NOT_FOUND", "DONE")
		w.told("ann: BLOCK_REMOVED bob", "ann: BLOCK_REMOVED dan")
	}, "ann", "bob", "cid", "dan")
}

// entangle gives x a relation of each kind with others, in both directions.
func (w *world) entangle(x string) {
	w.befriend(x, "friend")
	w.block("blocker", x)
	w.block(x, "blocked")
	w.allow("allower", x)
	w.allow(x, "allowed")
	w.request(x, "asked")
	w.request("asker", x)
}

var entangled = []string{"friend", "blocker", "blocked", "allower", "allowed", "asked", "asker"}

// TestEvents_EndOfAUser checks the events for the end of a user. No user learns from them that the
// user had blocked it, and they contain only the ended user's ID and times.
func TestEvents_EndOfAUser(t *testing.T) {
	ends := map[string]func(w *world){
		"deactivated": func(w *world) { w.deactivate("x") },
		"deleted": func(w *world) {
			results, err := w.users.Delete(ctx, w.app, []string{"x"}, models.Actor{Name: "op"})
			w.batch(results, err)("DONE")
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				w.entangle("x")
				w.befriend("friend", "blocker") // this friendship stays
				w.watch(append(entangled, "x")...)
				end(w)
				for _, event := range w.journal.events {
					u := *event.User
					u.ID, u.AppID, u.CreatedAt = 0, 0, 0
					now := models.TimeOf(w.clock())
					if *u.DeactivatedAt != now || u.UpdatedAt != now || event.OccurredAt != now {
						w.t.Errorf("deactivated at %v, updated at %v, event at %v, want %v", *u.DeactivatedAt, u.UpdatedAt, event.OccurredAt, now)
					}
					u.DeactivatedAt, u.UpdatedAt = nil, 0
					if u != (models.User{ExternalID: "x", Presence: models.PresenceUnlogined}) {
						w.t.Errorf("the event has %+v", u)
					}
				}
				got := w.journal.take()
				slices.Sort(got)
				want := []string{
					"asked: FRIEND_REQUEST_CANCELLED x", "asker: FRIEND_REQUEST_DECLINED x",
					"blocker: BLOCK_REMOVED x", "friend: FRIEND_REMOVED x",
				}
				if !slices.Equal(got, want) {
					w.t.Errorf("events %q\nwant %q", got, want)
				}
				w.consistent()
				if got := w.friends("friend"); !slices.Equal(got, []string{"blocker"}) {
					w.t.Errorf("the friend has the friends %q", got)
				}
			}, append(entangled, "x")...)
		})
	}
}

// TestEvents_EndOfManyUsers checks that users related to several of the ended users lose each
// relation.
func TestEvents_EndOfManyUsers(t *testing.T) {
	gone := names("gone", 5)
	each(t, func(w *world) {
		for i, id := range gone {
			w.befriend(id, "ann")
			w.block("ann", id)
			w.allow("bob", id)
			if i > 1 {
				w.befriend(id, "bob")
			}
		}
		w.befriend("gone0", "gone1")
		w.request("gone2", "gone3")
		w.watch("ann", "bob")
		w.watch(gone...)
		w.deactivate(gone...)
		got := w.journal.take()
		slices.Sort(got)
		var want []string
		for i, id := range gone {
			want = append(want, "ann: FRIEND_REMOVED "+id, "ann: BLOCK_REMOVED "+id)
			if i > 1 {
				want = append(want, "bob: FRIEND_REMOVED "+id)
			}
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			w.t.Errorf("events %q\nwant %q", got, want)
		}
		w.consistent()
		results, err := w.users.Reactivate(ctx, w.app, gone[:1], audit.AppServer)
		w.batch(results, err)("DONE")
		if u := w.user("gone0"); u.FriendCount+u.BlockCount+u.WhitelistCount != 0 || u.WhitelistEnabled {
			w.t.Errorf("the reactivated account is not empty: %+v", u)
		}
	}, append(gone, "ann", "bob")...)
}

// TestEvents_AtOtherNodes checks that an event that arrives from another node has the friendship or
// the request that it had there.
func TestEvents_AtOtherNodes(t *testing.T) {
	each(t, func(w *world) {
		w.watch("ann", "bob")
		id := w.request("ann", "bob")
		_, err := w.relations.AcceptFriendRequest(ctx, w.app, "bob", id)
		w.ok(err)
		events := slices.Clone(w.journal.events)
		want := w.journal.take()
		b := new(bus.Bus)
		other := New(w.db, b, w.secret, w.clock)
		for _, who := range []string{"ann", "bob"} {
			other.Watch(ctx, w.user(who).ID, &device{&w.journal, who})
		}
		for i, event := range events {
			owner, _, _ := strings.Cut(want[i], ":")
			body, err := json.Marshal(userEvent{w.user(owner).ID, event})
			w.ok(err)
			b.Receive(ctx, string(eventMessage), body)
		}
		w.told(want...)
	}, "ann", "bob")
}
