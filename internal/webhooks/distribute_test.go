package webhooks

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/outbox"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// TestChange_StatementsAreIndependentOfEndpoints: a change runs as many statements for many endpoints
// as for one.
func TestChange_StatementsAreIndependentOfEndpoints(t *testing.T) {
	each(t, func(w *world) {
		w.register("ann", "bo", "cy")
		befriend := func(other string) int {
			return len(testenv.Statements(w.t, w.db, func() {
				_, err := w.relations.AddFriend(ctx, w.app, "ann", other, nil)
				w.must(err)
			}))
		}
		w.endpoint("http://127.0.0.1:1")
		w.must(outbox.AwaitFresh(ctx))
		w.register("dee") // reads the endpoints
		one := befriend("bo")
		var last *models.WebhookEndpoint
		for range outbox.MaxEndpoints - 1 {
			last, _ = w.endpoint("http://127.0.0.1:1")
		}
		w.must(outbox.AwaitFresh(ctx))
		w.register("ed")
		if many := befriend("cy"); many != one {
			w.t.Errorf("%d statements with %d endpoints, %d with one", many, outbox.MaxEndpoints, one)
		}
		if n := len(w.deliveries(last.ID)); n != 3 {
			w.t.Errorf("%d deliveries to the last endpoint, want those of ed and of two friends", n)
		}
	})
}

// TestDistribute_OnceByManyNodes: nodes that distribute at the same time make each delivery once.
func TestDistribute_OnceByManyNodes(t *testing.T) {
	each(t, func(w *world) {
		const events = distributeChunk + 500
		e, _ := w.endpoint("http://127.0.0.1:1")
		w.feed()
		w.addEvents(events, func(i int) string { return fmt.Sprint("user-", i%7) })
		var nodes sync.WaitGroup
		for range 3 {
			node := w.node()
			nodes.Go(func() {
				for more := true; more; {
					var err error
					if more, err = node.distributeAll(ctx); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		nodes.Wait()
		var ids, numbers []int64
		w.must(w.db.Read(ctx).Model(&models.Delivery{}).Where("endpoint_id = ?", e.ID).Order("event_id").Pluck("event_id", &ids).Error)
		if distinct := len(slices.Compact(slices.Clone(ids))); len(ids) != events || distinct != events {
			w.t.Errorf("%d deliveries of %d events, want %d of each", len(ids), distinct, events)
		}
		w.must(w.db.Read(ctx).Model(&models.Event{}).Order("feed_number").Pluck("feed_number", &numbers).Error)
		for i, n := range numbers {
			if n != int64(i)+1 {
				w.t.Fatalf("the event %d of the feed has the number %d", i+1, n)
			}
		}
	})
}

// TestDistribute_EndpointsThatChanged: events that were recorded for an endpoint before it was deleted
// are not delivered, and those for one that was disabled fail, so that they can be sent again.
func TestDistribute_EndpointsThatChanged(t *testing.T) {
	each(t, func(w *world) {
		deleted, _ := w.endpoint("http://127.0.0.1:1/deleted")
		disabled, _ := w.endpoint("http://127.0.0.1:1/disabled")
		w.register("ann")
		_, err := w.webhooks.Delete(ctx, w.app, deleted.ID, by)
		w.must(err)
		w.stateOf(disabled, models.EndpointDisabled)
		w.distribute()
		var n int64
		w.must(w.db.Read(ctx).Model(&models.Delivery{}).Where("endpoint_id = ?", deleted.ID).Count(&n).Error)
		if n != 0 {
			w.t.Errorf("%d deliveries to the deleted endpoint", n)
		}
		w.must(w.webhooks.tidy(ctx))
		if list := w.deliveries(disabled.ID); len(list) != 1 || list[0].State != models.DeliveryFailed {
			w.t.Errorf("deliveries to the disabled endpoint: %+v", list)
		}
	})
}

// TestExpiring_KeepsEventsThatAreNotDistributed: an event is not deleted before its deliveries are made,
// however long no node ran, and it is deleted after them, also if the feed has been read.
func TestExpiring_KeepsEventsThatAreNotDistributed(t *testing.T) {
	each(t, func(w *world) {
		e, _ := w.endpoint("http://127.0.0.1:1")
		w.feed()
		_, _, err := w.poll(1, nil)
		w.must(err)
		w.must(w.db.Exec(ctx, "UPDATE apps SET event_feed_enabled = FALSE WHERE id = ?", w.app.ID))
		w.register("ann")
		w.pass(2 * deliveredKept)
		w.sweep()
		if list := w.deliveries(e.ID); len(list) != 1 || list[0].Subject != "ann" {
			w.t.Fatalf("deliveries: %+v", list)
		}
		w.must(w.db.Exec(ctx, "DELETE FROM deliveries"))
		w.expire()
	})
}

// TestRun_PacesItsRounds: changes that come one after the other share rounds, and an event that comes
// alone is sent at once.
func TestRun_PacesItsRounds(t *testing.T) {
	each(t, func(w *world) {
		r := newReceiver(w.t)
		w.endpoint(r.URL)
		node := w.node()
		node.timing.poll, node.timing.pace = time.Hour, 300*time.Millisecond
		const changes = 100
		begin := time.Now()
		var rounds atomic.Int64
		defer w.db.Watch(func(text string, _ []any) {
			if strings.Contains(text, "event_feeds) a") {
				rounds.Add(1)
			}
		})()
		w.run(node)
		for i := range changes {
			w.register(fmt.Sprint("user-", i))
			w.pass(time.Millisecond)
		}
		r.await(w.t, changes)
		// The first one, and one for each pace that has begun.
		if n, most := rounds.Load(), int64(time.Since(begin)/node.timing.pace)+2; n > most {
			w.t.Errorf("%d rounds for %d changes within %s, want at most %d", n, changes, time.Since(begin), most)
		}
	})
}
