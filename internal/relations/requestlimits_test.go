package relations

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/bus"
	"rollcall/internal/fault"
	"rollcall/internal/retention"
	"rollcall/models"
)

// limited checks that a request was refused because of limit, with the delay wait.
func (w *world) limited(err error, limit int, wait time.Duration) {
	w.t.Helper()
	refusal := w.refused(err, fault.RateLimited)
	if refusal.Extensions["limit"] != limit || refusal.Extensions["retryAfterMs"] != wait.Milliseconds() {
		w.t.Errorf("%+v, want limit %d and retryAfterMs %d", refusal.Extensions, limit, wait.Milliseconds())
	}
}

func (w *world) send(from, to string) error {
	_, err := w.relations.SendFriendRequest(ctx, w.app, from, to, nil)
	return err
}

// TestSendFriendRequest_DailyLimit checks that the day begins with the first request, that a
// restart does not reset it, and that refused requests do not count.
func TestSendFriendRequest_DailyLimit(t *testing.T) {
	others := names("u", 6)
	each(t, func(w *world) {
		w.app.Settings.FriendRequestDailyLimit = 4
		w.block("u5", "ann")
		w.request("ann", "u0")
		w.pass(time.Hour)
		w.request("ann", "u0") // sending again counts too
		w.refused(w.send("ann", "u5"), fault.Blocked)
		w.refused(w.send("ann", "nobody"), fault.UserNotFound)
		w.request("u1", "ann")
		w.ok(w.send("ann", "u1")) // makes friends
		id := w.request("ann", "u2")
		w.limited(w.send("ann", "u3"), 4, 23*time.Hour)
		w.limited(w.send("ann", "u2"), 4, 23*time.Hour)
		_, err := w.relations.CancelFriendRequest(ctx, w.app, "ann", id)
		w.ok(err)
		w.relations = New(w.db, &bus.Bus{}, w.secret, w.clock)
		w.pass(23*time.Hour - time.Millisecond)
		w.limited(w.send("ann", "u3"), 4, time.Millisecond)
		w.request("u3", "u4") // other users are not affected
		w.app.Settings.FriendRequestDailyLimit = 5
		w.request("ann", "u3")
		w.limited(w.send("ann", "u4"), 5, time.Millisecond)
		w.pass(time.Millisecond)
		for range 5 {
			w.request("ann", "u4")
		}
		w.limited(w.send("ann", "u2"), 5, 24*time.Hour)
		w.app.Settings.FriendRequestDailyLimit = 0
		w.limited(w.send("u2", "u4"), 0, 24*time.Hour)
	}, append(others, "ann")...)
}

// TestSendFriendRequest_DailyLimitUnderConcurrency sends from two services concurrently.
func TestSendFriendRequest_DailyLimitUnderConcurrency(t *testing.T) {
	const limit, callers = 7, 24
	others := names("u", callers)
	each(t, func(w *world) {
		w.app.Settings.FriendRequestDailyLimit = limit
		services := []*Service{w.relations, New(w.db, &bus.Bus{}, w.secret, w.clock)}
		var mu sync.Mutex
		sent := 0
		together(callers, func(i int) {
			_, err := services[i%2].SendFriendRequest(ctx, w.app, "ann", others[i], nil)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				sent++
			case fault.CodeOf(err) != fault.RateLimited:
				w.t.Error(err)
			}
		})
		if sent != limit {
			w.t.Errorf("%d requests were sent, want %d", sent, limit)
		}
		w.consistent()
	}, append(others, "ann")...)
}

// pending creates n requests from a user to users that need not exist. The first expires after the
// duration first, and the others after others.
func (w *world) pending(from string, n int, first, others time.Duration) {
	w.t.Helper()
	at := models.TimeOf(w.clock())
	rows := make([]*models.FriendRequest, n)
	for i := range rows {
		rows[i] = &models.FriendRequest{FromID: w.user(from).ID, ToID: int64(1_000_000 + i), CreatedAt: at, ExpiresAt: at.Add(others)}
	}
	rows[0].ExpiresAt = at.Add(first)
	w.ok(w.db.Tx(ctx, func(tx *gorm.DB) error { return createRequests(tx, rows) }))
}

// createRequests writes requests with the rows of both users.
func createRequests(tx *gorm.DB, rows []*models.FriendRequest) error {
	if err := tx.CreateInBatches(rows, 500).Error; err != nil {
		return err
	}
	sent := make([]models.SentFriendRequest, len(rows))
	for i, row := range rows {
		sent[i] = sentRow(row)
	}
	return tx.CreateInBatches(sent, 500).Error
}

// TestSendFriendRequest_Pending checks the limit of 1000 pending requests, for which expired ones
// do not count.
func TestSendFriendRequest_Pending(t *testing.T) {
	each(t, func(w *world) {
		w.request("ann", "bob")
		w.pending("ann", maxPendingRequests-1, time.Minute, time.Hour)
		w.limited(w.send("ann", "cid"), maxPendingRequests, time.Minute)
		w.request("ann", "bob") // this request already exists
		w.request("bob", "cid")
		w.request("cid", "ann") // to ann
		w.ok(w.send("ann", "cid"))
		w.limited(w.send("ann", "dan"), maxPendingRequests, time.Minute)
		w.pass(time.Minute)
		w.request("ann", "dan")
		w.limited(w.send("ann", "eve"), maxPendingRequests, time.Hour-time.Minute)
	}, "ann", "bob", "cid", "dan", "eve")
}

// TestSendFriendRequest_AnnouncedOnceAnHour checks that a request that is sent again changes
// immediately, and that the recipient is notified at most once an hour.
func TestSendFriendRequest_AnnouncedOnceAnHour(t *testing.T) {
	each(t, func(w *world) {
		w.watch("ann", "bob")
		const received = "bob: FRIEND_REQUEST_RECEIVED ann"
		id := w.request("ann", "bob")
		w.told(received)
		for i := range 3 {
			text := fmt.Sprint("message ", i)
			sent, err := w.relations.SendFriendRequest(ctx, w.app, "ann", "bob", &text)
			w.ok(err)
			if sent.Request.ID != id || *sent.Request.Message != text {
				w.t.Errorf("%+v", sent.Request)
			}
		}
		w.told()
		w.pass(time.Hour - time.Millisecond)
		w.request("ann", "bob")
		w.told()
		w.pass(time.Millisecond)
		w.request("ann", "bob")
		w.told(received)
		w.relations = New(w.db, &bus.Bus{}, w.secret, w.clock) // a restart does not reset it
		w.watch("bob")
		w.request("ann", "bob")
		w.told()
		w.request("cid", "bob")
		w.told("bob: FRIEND_REQUEST_RECEIVED cid")
		// A later request is a new one.
		w.pass(time.Minute)
		_, err := w.relations.DeclineFriendRequest(ctx, w.app, "bob", id)
		w.ok(err)
		w.journal.take()
		w.request("ann", "bob")
		w.told(received)
		w.pass(RequestLifetime)
		w.request("ann", "bob")
		w.told(received)
	}, "ann", "bob", "cid")
}

// manyRows is more than the number of rows that one transaction of a sweep deletes.
const manyRows = 600

// TestExpiring checks that rows that still have an effect stay.
func TestExpiring(t *testing.T) {
	each(t, func(w *world) {
		w.pending("dan", 2*manyRows+10, time.Minute, time.Minute)
		w.request("ann", "bob")
		w.request("bob", "cid")
		deleted := func(want int) {
			w.t.Helper()
			n, err := retention.New(w.db, w.clock, slog.Default(), Expiring()...).Sweep(ctx)
			w.ok(err)
			if n != want {
				w.t.Errorf("%d rows were deleted, want %d", n, want)
			}
		}
		w.pass(time.Minute - time.Millisecond)
		deleted(0)
		w.pass(time.Millisecond)
		deleted(2 * (2*manyRows + 10)) // rows of both users
		w.listed("ann", false, "ann>bob")
		w.pass(24*time.Hour - time.Minute - time.Millisecond)
		deleted(0)
		w.pass(time.Millisecond)
		deleted(2) // the counts of the day
		w.request("ann", "bob")
		w.pass(6 * 24 * time.Hour)
		deleted(3) // bob's request with two rows, and ann's count
		w.listed("ann", false, "ann>bob")
		w.pass(24 * time.Hour)
		deleted(2)
		w.listed("dan", false)
		for _, table := range []string{"friend_requests", "sent_friend_requests"} {
			if n := w.count("SELECT COUNT(*) FROM " + table); n != 0 {
				w.t.Errorf("%d rows are left in %s", n, table)
			}
		}
	}, "ann", "bob", "cid", "dan")
}
