package webhooks

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/outbox"
	"rollcall/internal/page"
	"rollcall/internal/users"
	"rollcall/models"
)

// feed turns the feed of the app on, before the rules have read that it is off.
func (w *world) feed() {
	w.t.Helper()
	w.must(w.db.Exec(ctx, "UPDATE apps SET event_feed_enabled = TRUE WHERE id = ?", w.app.ID))
	w.app.Settings.EventFeedEnabled = true
}

// poll returns the next page of the feed and the cursor after it.
func (w *world) poll(first int, after *string) ([]*FeedEvent, *string, error) {
	c, err := w.webhooks.Events(ctx, w.app, page.Request{First: first, After: after})
	if err != nil {
		return nil, after, err
	}
	if end := c.PageInfo().EndCursor; end != nil {
		after = end
	}
	return c.Nodes(), after, nil
}

// texts returns the types and users of events.
func texts(list []*FeedEvent) string {
	var out []string
	for _, e := range list {
		out = append(out, e.Type+" "+e.Subject)
	}
	return strings.Join(out, ", ")
}

// isKept reports whether err says that events after the cursor are no longer kept.
func isKept(err error) bool {
	refusal, ok := fault.As(err)
	return ok && refusal.Code == fault.InvalidArgument && *refusal.Field() == "after" && *refusal.Rule() == "kept"
}

func TestEvents_AreThoseOfWebhooks(t *testing.T) {
	each(t, func(w *world) {
		w.feed()
		r := newReceiver(w.t)
		w.endpoint(r.URL, outbox.UserBanned)
		w.register("ann", "bo")
		reason := "spam"
		_, err := w.users.Ban(ctx, w.app, []string{"ann"}, users.Sentence{Length: time.Hour, Reason: &reason}, by)
		w.must(err)
		w.must(w.webhooks.deliverAll(w))
		all, cursor, err := w.poll(10, nil)
		w.must(err)
		if got := texts(all); got != "user.registered ann, user.registered bo, user.banned ann" {
			w.t.Fatalf("the feed has %s", got)
		}
		sent := r.got()
		banned := all[2]
		if len(sent) != 1 || banned.Body != string(sent[0].body) || banned.UID != sent[0].id || !strings.Contains(banned.Body, `"data":`+banned.Data+"}") || !strings.Contains(banned.Data, "spam") {
			w.t.Errorf("the feed has %s and %s, the receiver %d", banned.Body, banned.Data, len(sent))
		}
		if none, same, err := w.poll(10, cursor); err != nil || len(none) != 0 || same != cursor {
			w.t.Errorf("after the last event: %s, %v", texts(none), err)
		}
		_, err = w.users.Deactivate(ctx, w.app, []string{"ann"}, by)
		w.must(err)
		all, _, err = w.poll(10, nil)
		w.must(err)
		if got := texts(all[3:]); got != "user.deactivated ann" || strings.Contains(all[2].Body, "spam") || strings.Contains(all[0].Data, "Name of") {
			w.t.Errorf("after the deactivation: %s; %s", got, all[2].Body)
		}
		if next, _, err := w.poll(10, cursor); err != nil || texts(next) != "user.deactivated ann" {
			w.t.Errorf("after the cursor: %s, %v", texts(next), err)
		}
	})
}

func TestEvents_OnlyWithTheSwitch(t *testing.T) {
	each(t, func(w *world) {
		if _, _, err := w.poll(1, nil); fault.CodeOf(err) != fault.FeatureDisabled {
			w.t.Errorf("without the switch: %v", err)
		}
		w.endpoint("http://127.0.0.1:1")
		w.register("ann")
		w.app.Settings.EventFeedEnabled = true
		if list, _, err := w.poll(1, nil); err != nil || len(list) != 0 {
			w.t.Errorf("the feed has %s, %v, which was recorded only for an endpoint", texts(list), err)
		}
	})
}

// TestEvents_OfALateCommit: the event of a transaction that began earlier than one that was read, and
// commits later, comes after it.
func TestEvents_OfALateCommit(t *testing.T) {
	each(t, func(w *world) {
		if w.db.Dialect() == database.SQLite {
			w.t.Skip("transactions are executed one after the other")
		}
		w.feed()
		box := outbox.New(w.db)
		write := func(subject string, before func()) error {
			return w.db.Tx(ctx, func(tx *gorm.DB) error {
				_, err := box.Write(tx, w.app.ID, func() ([]outbox.Event, error) {
					return []outbox.Event{{Type: outbox.UserUnbanned, Subject: subject, At: w.webhooks.now()}}, nil
				})
				before()
				return err
			})
		}
		written, commit, done := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			done <- write("early", func() { close(written); <-commit })
		}()
		<-written
		w.must(write("late", func() {}))
		first, cursor, err := w.poll(10, nil)
		close(commit)
		w.must(err)
		w.must(<-done)
		next, _, err := w.poll(10, cursor)
		w.must(err)
		if texts(first) != "user.unbanned late" || texts(next) != "user.unbanned early" {
			w.t.Errorf("first %q, then %q", texts(first), texts(next))
		}
	})
}

// TestEvents_ConcurrentWriters: readers that follow the feed while it is written get each event once,
// all in the same order, which is that of the versions for each user.
func TestEvents_ConcurrentWriters(t *testing.T) {
	const writers, events, readers = 6, 20, 3
	each(t, func(w *world) {
		w.feed()
		var ids []string
		for i := range writers {
			ids = append(ids, fmt.Sprintf("user%d", i))
		}
		w.register(ids...)
		var running sync.WaitGroup
		for _, id := range ids {
			running.Go(func() {
				for i := range events {
					if _, err := w.users.Update(ctx, w.app, id, users.Change{Name: fmt.Sprint("Name ", i)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		const total = writers * (events + 1)
		read := make([][]*FeedEvent, readers)
		for i := range readers {
			running.Go(func() {
				var cursor *string
				for end := time.Now().Add(30 * time.Second); len(read[i]) < total && time.Now().Before(end); {
					list, next, err := w.poll(7, cursor)
					if err != nil {
						t.Error(err)
						return
					}
					read[i], cursor = append(read[i], list...), next
				}
			})
		}
		running.Wait()
		order := func(list []*FeedEvent) (uids []string) {
			for _, e := range list {
				uids = append(uids, e.UID)
			}
			return uids
		}
		versions := make(map[string]string)
		for _, e := range read[0] {
			_, version, _ := strings.Cut(e.Data, `"version":`)
			if version = version[:13]; version <= versions[e.Subject] {
				w.t.Errorf("%s comes after version %s", e.Data, versions[e.Subject])
			}
			versions[e.Subject] = version
		}
		for i := range read {
			if len(read[i]) != total || !slices.Equal(order(read[i]), order(read[0])) {
				w.t.Errorf("reader %d got %d events, want %d in the order of the first reader", i, len(read[i]), total)
			}
		}
	})
}

// TestEvents_NoLongerKept: a reader that was away for too long receives an error.
func TestEvents_NoLongerKept(t *testing.T) {
	each(t, func(w *world) {
		w.feed()
		w.register("ann", "bo")
		_, cursor, err := w.poll(1, nil)
		w.must(err)
		last, end, err := w.poll(1, cursor)
		w.must(err)
		w.pass(feedKept)
		w.register("cy") // is not numbered yet
		w.sweep()
		if _, _, err := w.poll(1, cursor); !isKept(err) {
			w.t.Errorf("after a deleted event: %v", err)
		}
		next, latest, err := w.poll(2, end)
		if err != nil || texts(last) != "user.registered bo" || texts(next) != "user.registered cy" {
			w.t.Errorf("after the last event that was read: %s, %v", texts(next), err)
		}
		w.register("di")
		w.pass(feedKept)
		w.sweep() // di has no number, so it stays
		if _, _, err := w.poll(1, latest); !isKept(err) {
			w.t.Errorf("after an event that no reader has got: %v", err)
		}
		w.must(w.webhooks.tidy(ctx))
		w.sweep()
		var n int64
		w.must(w.db.Read(ctx).Model(&models.Event{}).Count(&n).Error)
		if all, _, err := w.poll(1, nil); err != nil || len(all) != 0 || n != 0 {
			w.t.Errorf("without a cursor: %s, %v, %d rows", texts(all), err, n)
		}
		w.must(w.db.Exec(ctx, "DELETE FROM event_feeds"))
		if _, _, err := w.poll(1, latest); !isKept(err) {
			w.t.Errorf("a cursor that a restored database has not made: %v", err)
		}
	})
}
