package relations

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"rollcall/internal/bus"
	"rollcall/internal/users"

	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// decides checks a decision, both alone and in a batch. "" means allowed.
func (w *world) decides(from, to string, want DenialReason) {
	w.t.Helper()
	alone, err := w.relations.Permission(ctx, w.app, Pair{from, to})
	w.ok(err)
	many, err := w.relations.Permissions(ctx, w.app, []Pair{{"nobody", "x"}, {from, to}, {to, from}, {from, to}})
	w.ok(err)
	for _, got := range []*Permission{alone, many[1], many[3]} {
		var reason DenialReason
		if got.Reason != nil {
			reason = *got.Reason
		}
		if got.From != from || got.To != to || reason != want || got.Allowed != (want == "") {
			w.t.Errorf("%s to %s: %v %q, want %q", from, to, got.Allowed, reason, want)
		}
	}
}

// TestPermission_Reasons checks each reason alone, and each together with all later ones.
func TestPermission_Reasons(t *testing.T) {
	each(t, func(w *world) {
		ban := func(id string) {
			results, err := w.users.Ban(ctx, w.app, []string{id}, users.Sentence{Length: time.Hour}, audit.AppServer)
			w.batch(results, err)("DONE")
		}
		w.deactivate("dead", "dead2")
		ban("banned")
		ban("banned2")

		// The checks of the sender come first, then those of the recipient.
		w.decides("nobody", "ann", SenderNotFound)
		w.decides("nobody", "nobody", SenderNotFound)
		w.decides("nobody", "dead", SenderNotFound)
		w.decides("dead", "ann", SenderDeactivated)
		w.decides("dead", "dead", SenderDeactivated)
		w.decides("dead", "nobody", SenderDeactivated)
		w.decides("dead", "dead2", SenderDeactivated)
		w.decides("banned", "ann", SenderBanned)
		w.decides("banned", "banned", SenderBanned)
		w.decides("banned", "nobody", SenderBanned)
		w.decides("banned", "dead", SenderBanned)
		w.decides("ann", "nobody", RecipientNotFound)
		w.decides("ann", "dead", RecipientDeactivated)
		w.decides("ann", "banned", "")
		w.decides("ann", "bob", "")
		w.decides("ann", "Bob", RecipientNotFound)
		w.decides("ann ", "bob", SenderNotFound)
		w.decides("ann", "bob ", RecipientNotFound)
		w.decides("安", "鮑", SenderNotFound)
		w.decides("", "", SenderNotFound)

		// The recipient's lists. The sender's lists have no effect.
		w.block("bob", "ann")
		w.decides("ann", "bob", BlockedByRecipient)
		w.decides("bob", "ann", "") // a user's own blocklist does not stop its own messages
		w.whitelist(true, "bob")
		w.decides("ann", "bob", NotInWhitelist)
		w.decides("bob", "ann", "")
		w.allow("ann", "bob") // the sender's own list, which is off
		w.decides("ann", "bob", NotInWhitelist)
		w.allow("bob", "ann")
		w.decides("ann", "bob", "") // the blocklist has no effect while the whitelist is on
		w.whitelist(false, "bob")
		w.decides("ann", "bob", BlockedByRecipient) // and is still there afterwards
		results, err := w.relations.RemoveFromBlocklist(ctx, w.app, "bob", []string{"ann"})
		w.batch(results, err)("DONE")
		w.decides("ann", "bob", "")
		w.whitelist(true, "bob")
		w.decides("cid", "bob", NotInWhitelist)
		w.befriend("cid", "bob")
		w.decides("cid", "bob", NotInWhitelist) // friends are not on it automatically
		results, err = w.relations.RemoveFromWhitelist(ctx, w.app, "bob", []string{"ann"})
		w.batch(results, err)("DONE")
		w.decides("ann", "bob", NotInWhitelist)

		// OnlyFriendsCanMessage is checked last.
		w.app.Settings.OnlyFriendsCanMessage = true
		w.decides("ann", "bob", NotInWhitelist)
		w.allow("bob", "ann")
		w.decides("ann", "bob", NotFriends) // the whitelist does not replace friendship
		w.whitelist(false, "bob")
		w.decides("ann", "bob", NotFriends)
		w.decides("bob", "ann", NotFriends)
		w.block("bob", "ann")
		w.decides("ann", "bob", BlockedByRecipient)
		w.befriend("bob", "ann")
		w.decides("ann", "bob", BlockedByRecipient)
		w.decides("bob", "ann", "")
		w.decides("cid", "bob", "")

		// A message to oneself is allowed whenever the user may send at all.
		w.whitelist(true, "ann")
		w.decides("ann", "ann", "")

		// A ban expires by the clock.
		w.app.Settings.OnlyFriendsCanMessage = false
		w.pass(time.Hour)
		w.decides("banned", "cid", "")
	}, "ann", "bob", "cid", "dead", "dead2", "banned", "banned2")
}

func TestPermissions_OfAnotherApp(t *testing.T) {
	each(t, func(w *world) {
		other := *w.app
		other.ID++
		got, err := w.relations.Permission(ctx, &other, Pair{"ann", "bob"})
		w.ok(err)
		if got.Allowed || *got.Reason != SenderNotFound {
			w.t.Errorf("%+v", got)
		}
	}, "ann", "bob")
}

func TestPermissions_OneQuery(t *testing.T) {
	ids := names("u", 40)
	each(t, func(w *world) {
		w.app.Settings.OnlyFriendsCanMessage = true
		w.whitelist(true, ids[:10]...)
		w.allow("u0", ids[1:20]...)
		w.block("u20", ids[21:]...)
		w.befriend("u1", ids[2:30]...)
		var pairs []Pair
		for i := range MaxPairs {
			pairs = append(pairs, Pair{ids[i%40], ids[i*7%40]})
		}
		queries := testenv.Queries(w.t, w.db)
		got, err := w.relations.Permissions(ctx, w.app, pairs)
		w.ok(err)
		if n := queries.Swap(0); n != 1 {
			w.t.Errorf("%d pairs took %d queries", len(pairs), n)
		}
		for i, pair := range pairs {
			alone, err := w.relations.Permission(ctx, w.app, pair)
			w.ok(err)
			if n := queries.Swap(0); n != 1 {
				w.t.Errorf("a decision took %d queries", n)
			}
			if got[i].From != pair.From || got[i].To != pair.To || fmt.Sprint(alone.Allowed, text((*string)(alone.Reason))) != fmt.Sprint(got[i].Allowed, text((*string)(got[i].Reason))) {
				w.t.Fatalf("%v: alone %+v, in the batch %+v", pair, alone, got[i])
			}
		}
		none, err := w.relations.Permissions(ctx, w.app, nil)
		if n := queries.Load(); n != 0 || len(none) != 0 || err != nil {
			w.t.Errorf("no pairs: %d queries, %v, %v", n, none, err)
		}
	}, ids...)
}

// TestPermission_SeesCompletedChanges checks that a decision sees every change made before. The
// change uses one connection to the database and the decision another, as on two nodes, while other
// decisions run.
func TestPermission_SeesCompletedChanges(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		w := newWorld(t, testenv.Open(t, url))
		w.register("ann", "bob", "cid")
		second, err := database.Open(ctx, url)
		w.ok(err)
		defer second.Close()
		gateway := New(second, &bus.Bus{}, w.secret, w.clock)
		expect := func(what string, want bool) {
			t.Helper()
			got, err := gateway.Permission(ctx, w.app, Pair{"ann", "bob"})
			if err != nil || got.Allowed != want {
				t.Fatalf("after %s: %+v, %v", what, got, err)
			}
			batch, err := gateway.Permissions(ctx, w.app, []Pair{{"ann", "bob"}})
			if err != nil || batch[0].Allowed != want {
				t.Fatalf("after %s: %+v, %v", what, batch[0], err)
			}
		}
		stop := make(chan struct{})
		var company sync.WaitGroup
		for range 4 { // other decisions that run at the same time
			company.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						if _, err := gateway.Permission(ctx, w.app, Pair{"ann", "bob"}); err != nil {
							t.Error(err)
							return
						}
					}
				}
			})
		}
		for range 20 {
			w.block("bob", "ann")
			expect("blocking", false)
			_, err := w.relations.RemoveFromBlocklist(ctx, w.app, "bob", []string{"ann"})
			w.ok(err)
			expect("removing from the blocklist", true)
			w.whitelist(true, "bob")
			expect("turning the whitelist on", false)
			w.allow("bob", "ann")
			expect("whitelisting", true)
			_, err = w.relations.RemoveFromWhitelist(ctx, w.app, "bob", []string{"ann"})
			w.ok(err)
			expect("removing from the whitelist", false)
			w.whitelist(false, "bob")
			expect("turning the whitelist off", true)
		}
		close(stop)
		company.Wait()
		w.app.Settings.OnlyFriendsCanMessage = true
		for range 10 {
			w.befriend("ann", "bob")
			expect("becoming friends", true)
			_, err := w.relations.RemoveFriend(ctx, w.app, "bob", "ann")
			w.ok(err)
			expect("removing the friend", false)
		}
	})
}

// TestPermission_SeesNoHalfChange checks that a decision sees the rows either before or after a
// change.
func TestPermission_SeesNoHalfChange(t *testing.T) {
	each(t, func(w *world) {
		w.allow("bob", "ann")
		w.block("bob", "ann")
		// Turning the whitelist on and off switches between "blocked" and "allowed".
		// NOT_IN_WHITELIST is true in neither state.
		var asking sync.WaitGroup
		stop := make(chan struct{})
		for range 4 {
			asking.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					got, err := w.relations.Permission(ctx, w.app, Pair{"ann", "bob"})
					if err != nil || !got.Allowed && *got.Reason != BlockedByRecipient {
						w.t.Errorf("%+v, %v", got, err)
						return
					}
				}
			})
		}
		for i := range 50 {
			w.whitelist(i%2 == 0, "bob")
		}
		close(stop)
		asking.Wait()
	}, "ann", "bob")
}

func TestPermission_AfterTheEndOfAUser(t *testing.T) {
	each(t, func(w *world) {
		w.block("bob", "ann")
		w.deactivate("ann")
		w.decides("ann", "bob", SenderDeactivated)
		results, err := w.users.Reactivate(ctx, w.app, []string{"ann"}, audit.AppServer)
		w.batch(results, err)("DONE")
		w.decides("ann", "bob", "") // the block was deleted with the account
		results, err = w.users.Delete(ctx, w.app, []string{"ann"}, models.Actor{Name: "op"})
		w.batch(results, err)("DONE")
		w.decides("ann", "bob", SenderNotFound)
		w.decides("bob", "ann", RecipientNotFound)
	}, "ann", "bob")
}
