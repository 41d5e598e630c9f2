package relations

import (
	"fmt"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/testenv"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// addition returns the addition of AddFriend for the two users, without their locks.
func (w *world) addition(owner, friend string) *addition {
	w.t.Helper()
	return &addition{
		limit: w.app.Settings.FriendLimit, owner: w.user(owner).ID, friend: w.user(friend).ID,
		ownerID: owner, friendID: friend,
		held: &heldUsers{Held: new(userlock.Held), times: w.relations.times}, // no concurrent change
	}
}

// TestFriendshipsShareATransaction checks that the rule decides each of several additions in one
// transaction separately.
func TestFriendshipsShareATransaction(t *testing.T) {
	people := names("u", 2*addBatch)
	each(t, func(w *world) {
		w.app.Settings.FriendLimit = 2
		w.befriend("u0", "u1")
		w.befriend("u2", "ann", "bob")
		w.request("u4", "u5")
		w.request("u7", "u6")
		w.batch(w.users.Deactivate(ctx, w.app, []string{"u9"}, audit.AppServer))("DONE")
		_, err := w.relations.AddToBlocklist(ctx, w.app, "u10", []string{"u11"})
		w.ok(err)

		var wanted []*addition
		for i := 0; i < len(people); i += 2 {
			wanted = append(wanted, w.addition(people[i], people[i+1]))
		}
		wanted[6].friend = 1 << 40 // no user has this ID
		wanted[7].remark = new("Fifteen")
		done, err := w.relations.adder.addAll(ctx, wanted)
		w.ok(err)

		refusals := map[int]fault.Code{1: fault.FriendLimitReached, 4: fault.UserDeactivated, 6: fault.UserNotFound}
		for i, one := range wanted {
			made := done[one]
			if made == nil {
				w.t.Errorf("%s and %s: no result", people[2*i], people[2*i+1])
				continue
			}
			switch code := fault.CodeOf(made.err); {
			case code != refusals[i]:
				w.t.Errorf("%s and %s: the error is %v, want %q", people[2*i], people[2*i+1], made.err, refusals[i])
			case i == 0: // friends already
				if made.begins || made.remarked || len(made.notes.list) > 0 || made.friendship.User.FriendCount != 1 {
					w.t.Errorf("friends that are added again: %+v", made)
				}
			case code == "":
				f := made.friendship
				if f.User.ExternalID != people[2*i+1] || f.User.FriendCount != 1 || f.Blocked != (i == 5) || text(f.Remark) != map[int]string{7: "Fifteen"}[i] {
					w.t.Errorf("%s and %s: %+v", people[2*i], people[2*i+1], f)
				}
				var events []string
				for _, n := range made.notes.list {
					events = append(events, string(n.event.Kind)+" "+n.event.User.ExternalID)
				}
				want := fmt.Sprintf("[FRIEND_ADDED %s FRIEND_ADDED %s]", people[2*i+1], people[2*i])
				switch i {
				case 2:
					want = "[FRIEND_REQUEST_ACCEPTED u5 FRIEND_ADDED u5 FRIEND_ADDED u4]"
				case 3:
					want = "[FRIEND_REQUEST_ACCEPTED u6 FRIEND_ADDED u7 FRIEND_ADDED u6]"
				}
				if got := fmt.Sprint(events); got != want {
					w.t.Errorf("the events are %s, want %s", got, want)
				}
			}
		}
		var requests int64
		w.ok(w.db.Read(ctx).Model(&models.FriendRequest{}).Count(&requests).Error)
		if requests != 0 {
			w.t.Errorf("%d requests are left between friends", requests)
		}
		w.consistent()
	}, append(people, "ann", "bob")...)
}

// TestFriendshipsWaitForNoOthers: a user whose row another transaction has locked delays only its
// own additions.
func TestFriendshipsWaitForNoOthers(t *testing.T) {
	w := newWorld(t, testenv.Open(t, testenv.MySQLURL(t))) // SQLite's transactions wait for each other anyway
	w.register("ann", "bob", "cid", "dan", "eve")
	ann, cid := w.addition("ann", "bob"), w.addition("cid", "dan")
	var added chan error
	w.ok(w.db.Tx(ctx, func(tx *gorm.DB) error {
		if _, err := userlock.LockKeys(tx, []int64{ann.owner}); err != nil {
			return err
		}
		done, err := w.relations.adder.addAll(ctx, []*addition{cid, ann})
		if err != nil || done[cid] == nil || done[cid].err != nil || done[ann] != nil {
			return fmt.Errorf("beside a locked user: %v, %v", done, err)
		}
		added = make(chan error, 1)
		go func() {
			_, err := w.relations.AddFriend(ctx, w.app, "ann", "bob", nil)
			added <- err
		}()
		_, err = w.relations.AddFriend(ctx, w.app, "cid", "eve", nil)
		return err
	}))
	w.ok(<-added)
	w.consistent()
}
