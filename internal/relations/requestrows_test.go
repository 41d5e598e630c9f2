package relations

import (
	"strings"
	"testing"
	"time"

	"rollcall/internal/testenv"
	"rollcall/models"
)

// earlier changes requests as a node of an earlier release does, which knows only the rows of
// the recipients.
func (w *world) earlier(statement string, args ...any) {
	w.t.Helper()
	w.ok(w.db.Exec(ctx, statement, args...))
}

// earlierSends sends a request from a user to another one.
func (w *world) earlierSends(from, to string) {
	w.t.Helper()
	at := models.TimeOf(w.clock())
	w.earlier("INSERT INTO friend_requests (from_id, to_id, message, created_at, expires_at, announced_at) VALUES (?, ?, 'hello', ?, ?, ?)",
		w.user(from).ID, w.user(to).ID, at, at.Add(RequestLifetime), at)
}

// earlierEnds ends it.
func (w *world) earlierEnds(from, to string) {
	w.t.Helper()
	w.earlier("DELETE FROM friend_requests WHERE from_id = ? AND to_id = ?", w.user(from).ID, w.user(to).ID)
}

// TestRequests_BesideAnEarlierRelease: requests that a node of an earlier release has sent or ended have
// no row of the sender, or one too many. All but the sender's list works as if they had.
func TestRequests_BesideAnEarlierRelease(t *testing.T) {
	each(t, func(w *world) {
		id := func(owner string) string {
			w.t.Helper()
			c, err := w.relations.Requests(ctx, w.user(owner), true, first(1))
			w.ok(err)
			if len(c.Nodes()) == 0 {
				w.t.Fatalf("%s has no request", owner)
			}
			return c.Nodes()[0].ID
		}
		w.earlierSends("ann", "bob")
		w.listed("bob", true, "ann>bob")
		_, err := w.relations.CancelFriendRequest(ctx, w.app, "ann", id("bob"))
		w.ok(err)

		w.earlierSends("ann", "bob")
		_, err = w.relations.AcceptFriendRequest(ctx, w.app, "bob", id("bob"))
		w.ok(err)

		w.earlierSends("ann", "cid") // crosses
		sent, err := w.relations.SendFriendRequest(ctx, w.app, "cid", "ann", nil)
		w.ok(err)
		if sent.Friendship == nil {
			w.t.Error("a request that crosses one of an earlier release makes no friends")
		}

		w.earlierSends("ann", "dan")
		w.pass(time.Hour)
		w.request("ann", "dan") // sent again
		w.listed("ann", false, "ann>dan")

		w.earlierEnds("ann", "dan")
		w.pass(time.Hour)
		w.request("ann", "dan") // a new one
		w.listed("ann", false, "ann>dan")

		w.request("ann", "eve")
		w.earlierEnds("ann", "eve")
		w.deactivate("eve")
		w.listed("ann", false, "ann>dan")

		w.earlierSends("ann", "fay")
		w.block("fay", "ann")
		w.listed("fay", true)
		w.consistent()
	}, "ann", "bob", "cid", "dan", "eve", "fay")
}

// TestMendSent brings the senders' lists up to date after a node of an earlier release has sent, ended
// and prolonged requests.
func TestMendSent(t *testing.T) {
	each(t, func(w *world) {
		mends := func(want int) {
			w.t.Helper()
			n, err := w.relations.MendSent(ctx)
			w.ok(err)
			if n != want {
				w.t.Errorf("%d requests were mended, want %d", n, want)
			}
			w.consistent()
		}
		mends(0)
		w.request("ann", "bob")
		w.request("bob", "cid")
		w.request("cid", "dan")
		mends(0)
		w.pass(time.Hour)
		w.earlierSends("ann", "dan")
		w.earlierEnds("bob", "cid")
		w.earlier("UPDATE friend_requests SET message = 'again', expires_at = expires_at + 3600000 WHERE from_id = ?", w.user("cid").ID)
		w.earlierEnds("ann", "bob") // and sent again
		w.earlierSends("ann", "bob")
		mends(4)
		w.listed("ann", false, "ann>bob", "ann>dan")
		w.listed("bob", false)
		c, err := w.relations.Requests(ctx, w.user("cid"), false, first(1))
		w.ok(err)
		if got := c.Nodes()[0]; text(got.Message) != "again" || got.ExpiresAt != models.TimeOf(w.clock()).Add(RequestLifetime) {
			w.t.Errorf("cid's request is %+v", got)
		}
		mends(0)
	}, "ann", "bob", "cid", "dan")
}

// TestMendSent_Many has more requests than one statement compares.
func TestMendSent_Many(t *testing.T) {
	each(t, func(w *world) {
		const n = 2*mendChunk + 10
		w.pending("ann", n, time.Hour, time.Hour)
		ann := w.user("ann").ID
		w.earlier("DELETE FROM sent_friend_requests WHERE id % 2 = 0")
		w.earlier("DELETE FROM friend_requests WHERE id % 3 = 0")
		w.analyse()
		mended := 0
		statements := w.statements(func() (err error) { mended, err = w.relations.MendSent(ctx); return err })
		if mended < n/2 {
			w.t.Errorf("%d of %d", mended, n)
		}
		kept := w.count("SELECT COUNT(*) FROM friend_requests WHERE from_id = ?", ann)
		_, total := w.requests("ann", false)
		if total != kept || kept < n/2 {
			w.t.Errorf("%d requests are listed of %d", total, kept)
		}
		for _, s := range statements {
			if !strings.Contains(s.SQL, "BETWEEN") && !strings.Contains(s.SQL, "LIMIT") {
				continue // MariaDB rather scans so few rows than looks up half of them
			}
			for _, step := range testenv.Explain(w.t, w.db, s) {
				if step.Scans || step.Sorts {
					w.t.Errorf("%s\n%.300s", step.Text, s.SQL)
				}
			}
		}
	}, "ann")
}
