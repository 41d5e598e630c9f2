package presence

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/presence/mirror"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// isSearch reports whether a statement looks for users that are ONLINE in the database.
func isSearch(sql string) bool {
	return strings.Contains(sql, "presence_at") && strings.Contains(sql, "app_id = ? AND presence = ?")
}

// searched waits until no node has a search to make.
func (n nodes) searched() {
	for _, w := range n {
		w.t.Helper()
		w.eventually(func() bool { return !w.node().Stats().Searching }, "the searches for users without devices to end")
	}
}

// leaveOnline makes the users' rows ONLINE as a process that was killed leaves them.
func (w *world) leaveOnline(users ...int) {
	w.t.Helper()
	for _, i := range users {
		err := w.db.Exec(context.Background(), "UPDATE users SET presence = ?, presence_at = ? WHERE id = ?",
			models.PresenceOnline, w.now(), w.users[i].ID)
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// loseData deletes all keys of the service in Redis.
func (w *world) loseData() { w.deleteKeys("") }

// forget deletes what Redis has of the user.
func (w *world) forget(i int) { w.deleteKeys(fmt.Sprint(":user:", w.users[i].ID)) }

// deleteKeys deletes the keys of the service in Redis that end so.
func (w *world) deleteKeys(end string) {
	w.t.Helper()
	for _, key := range w.keys() {
		if !strings.HasSuffix(key, end) {
			continue
		}
		if err := w.redis.Do(context.Background(), w.redis.B().Del().Key(key).Build()).Error(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestEmptyRedis_OneNodeSearches: after Redis has lost its data, one node looks for users that are ONLINE
// in the database and have no device, for all nodes.
func TestEmptyRedis_OneNodeSearches(t *testing.T) {
	t.Parallel() // mostly waits
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		searches := countWhere(t, db, isSearch)
		n := newNodes(t, db, 3, 3)
		n[1].connect(2)
		n.searched()
		n[0].leaveOnline(0, 1)
		earlier := searches.Load()
		before := n[0].node().Stats().Born
		n[0].loseData()
		for _, w := range n {
			w.eventually(func() bool {
				for i, born := range w.node().Stats().Born {
					if born == before[i] {
						return false
					}
				}
				return true
			}, "the loss to be noticed")
		}
		n.searched()
		n[0].wantRow(0, models.PresenceOffline)
		n[0].wantRow(1, models.PresenceOffline)
		n[0].wantPresence(0, models.PresenceOffline)
		n[0].wantPresence(2, models.PresenceOnline)
		if got := searches.Load() - earlier; got < 1 || got > 1 && len(before) == 1 || got > 2 {
			t.Errorf("3 nodes searched %d times for %d buckets", got, len(before))
		}
	})
}

// TestEmptyRedis_OtherNodeTakesTheSearchOver: the node that searches may die.
func TestEmptyRedis_OtherNodeTakesTheSearchOver(t *testing.T) {
	t.Parallel() // mostly waits
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		n := newNodes(t, db, 2, 2)
		n.searched()
		n[0].leaveOnline(0)
		n[0].loseData()
		// A node that has died in the search leaves this.
		redis := n[0].redis
		err := redis.Do(context.Background(), redis.B().Set().Key(redis.Key("once:lapse")).Value("dead").PxMilliseconds(10_000).Build()).Error()
		if err != nil {
			t.Fatal(err)
		}
		n[1].crash()
		n[0].wantRow(0, models.PresenceOffline)
	})
}

// TestNewNode_SearchesAgain: rows that a process left behind which was killed are corrected by the next
// node that starts, although the data in Redis has been searched before.
func TestNewNode_SearchesAgain(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		n := newNodes(t, db, 2, 2)
		n.searched()
		n[0].leaveOnline(0)
		n[1].closeHub(n[1].Hub)
		n[1].start()
		n[0].wantRow(0, models.PresenceOffline)
	})
}

// TestReconnectedNode_ExaminesOnlyWhatItWatches: a node whose connection was lost looks at the rows of
// the users watched there that Redis does not know, and at no others.
func TestReconnectedNode_ExaminesOnlyWhatItWatches(t *testing.T) {
	t.Parallel() // mostly waits
	onMySQL(t, func(db *database.DB) {
		searches := countWhere(t, db, isSearch)
		r := newRemoteNodes(t, db, 2, 3)
		a, b := r.nodes[0], r.nodes[1]
		r.searched()
		seen, elsewhere := new(recorder), new(recorder)
		a.WatchUsers([]status.Account{a.account(0), a.account(1)}, seen, false)
		b.WatchUsers([]status.Account{b.account(0), b.account(1)}, elsewhere, false)
		a.followed()
		b.followed()
		d, _ := b.connect(1)
		b.logout(1, d, false)
		changes := func(seen *recorder, user int) int { return len(seen.statuses()[a.users[user].ID]) }
		a.eventually(func() bool { return changes(seen, 1) == 2 && changes(elsewhere, 1) == 2 }, "the session of u1")
		b.written()
		earlier := searches.Load()
		r.links[0].Cut()
		// Redis forgets u1 after some time, and this node misses another session.
		b.forget(1)
		a.leaveOnline(0, 2)
		if err := db.Exec(t.Context(), "UPDATE users SET presence = ?, presence_at = ? WHERE id = ?",
			models.PresenceOffline, models.TimeOf(time.Now()), a.users[1].ID); err != nil {
			t.Fatal(err)
		}
		r.links[0].Heal()
		// u0 goes OFFLINE for all, and what the node missed of u1 is published there only.
		a.eventually(func() bool { return changes(seen, 0) == 1 && changes(seen, 1) == 3 }, "the statuses; received %s", seen)
		b.eventually(func() bool { return changes(elsewhere, 0) == 1 }, "the other node to hear of u0; it received %s", elsewhere)
		if n := changes(elsewhere, 1); n != 2 {
			t.Errorf("the other node received %d changes of u1: %s", n, elsewhere)
		}
		a.wantRow(0, models.PresenceOffline)
		r.repaired()
		r.searched()
		if got := a.row(2).Presence; got != models.PresenceOnline || searches.Load() != earlier {
			t.Errorf("the row of a user that is not watched holds %s after %d searches", got, searches.Load()-earlier)
		}
	})
}

// TestSearch_ReadsPagesByIndex has more users than one statement reads.
func TestSearch_ReadsPagesByIndex(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		const users = 2*mirror.RestartChunk + 5
		n := newNodes(t, db, 1, users)
		n.searched()
		w := n[0]
		err := db.Exec(t.Context(), "UPDATE users SET presence = ?, presence_at = ?", models.PresenceOnline, w.now())
		if err != nil {
			t.Fatal(err)
		}
		w.closeHub(w.Hub)
		began := time.Now()
		statements := testenv.Statements(t, db, func() {
			w.start()
			n.searched()
		})
		t.Logf("%d users in %s", users, time.Since(began))
		pages := 0
		for _, s := range statements {
			if !isSearch(s.SQL) {
				continue
			}
			pages++
			w.byIndex("searching", s)
		}
		if pages != 3 {
			t.Errorf("%d pages were read, want 3", pages)
		}
		left := int64(0)
		err = db.Read(t.Context()).Model(&models.User{}).Where("presence = ?", models.PresenceOnline).Count(&left).Error
		if left > 0 || err != nil {
			t.Errorf("%d users are still ONLINE, %v", left, err)
		}
	})
}
