package relations

import (
	"testing"

	"rollcall/internal/audit"
	"rollcall/internal/batch"
	"rollcall/internal/fault"
	"rollcall/models"
)

// TestLists_Edit checks what blocklist and whitelist have in common, item by item.
func TestLists_Edit(t *testing.T) {
	type call func(w *world, owner string, ids ...string) ([]*batch.Result, error)
	each(t, func(w *world) {
		w.deactivate("dead")
		for name, list := range map[string]struct {
			add, remove call
			limit       *int
			full        string
			count       func(*models.User) int
		}{
			"blocklist": {
				func(w *world, owner string, ids ...string) ([]*batch.Result, error) {
					return w.relations.AddToBlocklist(ctx, w.app, owner, ids)
				},
				func(w *world, owner string, ids ...string) ([]*batch.Result, error) {
					return w.relations.RemoveFromBlocklist(ctx, w.app, owner, ids)
				},
				&w.app.Settings.BlocklistLimit, "BLOCKLIST_LIMIT_REACHED",
				func(u *models.User) int { return u.BlockCount },
			},
			"whitelist": {
				func(w *world, owner string, ids ...string) ([]*batch.Result, error) {
					return w.relations.AddToWhitelist(ctx, w.app, owner, ids)
				},
				func(w *world, owner string, ids ...string) ([]*batch.Result, error) {
					return w.relations.RemoveFromWhitelist(ctx, w.app, owner, ids)
				},
				&w.app.Settings.WhitelistLimit, "WHITELIST_LIMIT_REACHED",
				func(u *models.User) int { return u.WhitelistCount },
			},
		} {
			counts := func(want int) {
				w.t.Helper()
				if got := list.count(w.user("ann")); got != want {
					w.t.Errorf("%s: the count is %d, want %d", name, got, want)
				}
			}
			add := func(ids ...string) func(...string) { return w.batch(list.add(w, "ann", ids...)) }
			remove := func(ids ...string) func(...string) { return w.batch(list.remove(w, "ann", ids...)) }
			*list.limit = 3
			add("bob", "nobody", "ann", "dead", "bob", "Bob", "bob ", "ボブ")(
				"DONE", "USER_NOT_FOUND", "SELF_REFERENCE", "USER_DEACTIVATED", "ALREADY", "USER_NOT_FOUND", "USER_NOT_FOUND", "USER_NOT_FOUND")
			counts(1)
			add("bob", "cid", "dan", "eve", "nobody", "cid")("ALREADY", "DONE", "DONE", list.full, "USER_NOT_FOUND", "ALREADY")
			counts(3)
			remove("cid", "eve", "nobody", "cid", "ann", "dead")("DONE", "ALREADY", "USER_NOT_FOUND", "ALREADY", "ALREADY", "ALREADY")
			counts(2)
			add("eve")("DONE")
			*list.limit = 1 // fewer than the entries: none is lost, and none can be added
			add("cid", "bob")(list.full, "ALREADY")
			counts(3)
			remove("bob", "dan", "eve")("DONE", "DONE", "DONE")
			counts(0)

			for _, change := range []call{list.add, list.remove} {
				_, err := change(w, "nobody", "bob")
				w.refused(err, fault.UserNotFound)
				_, err = change(w, "dead", "bob")
				w.refused(err, fault.UserDeactivated)
			}
		}
		w.consistent()
	}, "ann", "bob", "cid", "dan", "eve", "dead")
}

func TestDefaultLimits(t *testing.T) {
	if s := models.DefaultAppSettings(); s.FriendLimit != 1000 || s.BlocklistLimit != 500 || s.WhitelistLimit != 3000 || s.OnlyFriendsCanMessage {
		t.Errorf("%+v", s)
	}
}

func TestAddToBlocklist_FriendStaysAFriend(t *testing.T) {
	each(t, func(w *world) {
		w.befriend("ann", "bob")
		w.block("ann", "bob")
		if f := w.friendship("ann", "bob"); f == nil || !f.Blocked {
			w.t.Errorf("the owner sees %+v", f)
		}
		if f := w.friendship("bob", "ann"); f == nil || f.Blocked {
			w.t.Errorf("the blocked friend sees %+v, which reveals the block", f)
		}
		for who, want := range map[string]bool{"ann": true, "bob": false} {
			c, err := w.relations.Friends(ctx, w.user(who), first(10))
			w.ok(err)
			if got := c.Nodes()[0].Blocked; got != want {
				w.t.Errorf("in the list of %s: blocked is %v", who, got)
			}
		}
		w.decides("bob", "ann", BlockedByRecipient)
		results, err := w.relations.RemoveFromBlocklist(ctx, w.app, "ann", []string{"bob"})
		w.batch(results, err)("DONE")
		if f := w.friendship("ann", "bob"); f == nil || f.Blocked {
			w.t.Errorf("after unblocking: %+v", f)
		}
		w.decides("bob", "ann", "")
	}, "ann", "bob")
}

func TestHasBlocked(t *testing.T) {
	each(t, func(w *world) {
		w.block("ann", "bob")
		for _, c := range []struct {
			owner, id string
			want      bool
		}{{"ann", "bob", true}, {"bob", "ann", false}, {"ann", "Bob", false}, {"ann", "ann", false}, {"ann", "nobody", false}} {
			if got, err := w.relations.HasBlocked(ctx, w.app, w.user(c.owner), c.id); got != c.want || err != nil {
				w.t.Errorf("%s of %s: %v, %v", c.owner, c.id, got, err)
			}
		}
	}, "ann", "bob")
}

func TestBlockedIDs_Latest500(t *testing.T) {
	ids := names("u", 510)
	each(t, func(w *world) {
		w.register("ann")
		w.populate(len(ids))
		w.app.Settings.BlocklistLimit = 1000
		for start := 0; start < len(ids); start += 100 {
			w.block("ann", ids[start:min(start+100, len(ids))]...)
		}
		got, err := w.relations.BlockedIDs(ctx, w.user("ann"))
		w.ok(err)
		if len(got) != 500 || got[0] != "u509" || got[499] != "u10" {
			w.t.Errorf("%d IDs, from %s to %s", len(got), got[0], got[len(got)-1])
		}
	})
}

func TestSetWhitelistEnabled(t *testing.T) {
	each(t, func(w *world) {
		w.deactivate("dead")
		set := func(on bool, ids ...string) func(...string) {
			return w.batch(w.relations.SetWhitelistEnabled(ctx, w.app, ids, on, audit.AppServer))
		}
		if w.user("ann").WhitelistEnabled {
			w.t.Error("the whitelist is on by default")
		}
		set(false, "ann")("ALREADY")
		set(true, "ann", "nobody", "dead", "bob", "ann")("DONE", "USER_NOT_FOUND", "USER_DEACTIVATED", "DONE", "ALREADY")
		if !w.user("ann").WhitelistEnabled || !w.user("bob").WhitelistEnabled || w.user("cid").WhitelistEnabled {
			w.t.Error("the whitelists are not in the state that was set")
		}
		set(false, "bob", "cid")("DONE", "ALREADY")
		if w.user("bob").WhitelistEnabled {
			w.t.Error("the whitelist cannot be turned off")
		}
	}, "ann", "bob", "cid", "dead")
}
