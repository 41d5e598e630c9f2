package webhooks

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/page"
	"rollcall/internal/retention"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// fillAll records n undelivered events of 1000 users for an endpoint, and as many that have been
// delivered and have failed.
func (w *world) fillAll(e *models.WebhookEndpoint, n int) {
	w.t.Helper()
	at := w.webhooks.now()
	for chunk := range slices.Chunk(slices.Collect(upTo(n)), 2000) {
		var events []*models.Event
		var deliveries []*models.Delivery
		for _, i := range chunk {
			moment := at.Add(time.Duration(i-n) * time.Millisecond)
			events = append(events, &models.Event{
				UID: fmt.Sprintf("%036d", i), AppID: w.app.ID, Type: "user.banned", Subject: fmt.Sprint("user-", i%1000),
				Version: moment, OccurredAt: moment, Data: `{"user":{}}`,
			})
		}
		w.must(w.db.Tx(ctx, func(tx *gorm.DB) error {
			if err := tx.CreateInBatches(events, 1000).Error; err != nil {
				return err
			}
			ends := at.Add(time.Hour)
			for _, event := range events {
				for _, state := range []models.DeliveryState{models.DeliveryPending, models.DeliveryDelivered, models.DeliveryFailed} {
					d := &models.Delivery{EndpointID: e.ID, EventID: event.ID, State: state, NextAttemptAt: event.OccurredAt}
					if state != models.DeliveryPending {
						d.ExpiresAt = &ends
					}
					deliveries = append(deliveries, d)
				}
			}
			return tx.CreateInBatches(deliveries, 1000).Error
		}))
	}
}

func upTo(n int) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// TestPlans checks that no statement about events scans or sorts the events and deliveries, however
// many have not been delivered: neither those of changes, nor those of the sender, nor those of lists.
func TestPlans(t *testing.T) {
	const n = 3000 // of which a statement may read a fifth
	each(t, func(w *world) {
		w.register("ann", "bo", "cy", "dee")
		e, _ := w.endpoint("http://127.0.0.1:1")
		other, _ := w.endpoint("http://127.0.0.1:1/other")
		w.fillAll(e, n)
		first := page.Request{First: 50}
		names := []string{"ann", "bo", "cy", "dee"}
		friends := 0
		filter := func(state models.DeliveryState, since models.Time) Filter {
			return Filter{EndpointID: e.ID, State: state, Since: since, Limit: 100}
		}
		recent := w.webhooks.now().Add(-time.Second)
		steps := map[string]func() error{
			"a change": func() error {
				friends++
				_, err := w.relations.AddFriend(ctx, w.app, names[friends%4], names[(friends+1)%4], nil)
				return err
			},
			"an erasure": func() error {
				_, err := w.users.Deactivate(ctx, w.app, names[3:], by)
				if err == nil {
					_, err = w.users.Reactivate(ctx, w.app, names[3:], by)
				}
				return err
			},
			"a batch":     func() error { return w.webhooks.deliverAll(w) },
			"the metrics": func() error { return w.webhooks.measure(ctx) },
			"tidying":     func() error { return w.webhooks.tidy(ctx) },
			"ending": func() error {
				_, err := w.webhooks.tidyEndpoint(ctx, w.stateOf(other, models.EndpointDisabled))
				return err
			},
			"deleting": func() error {
				_, err := w.webhooks.tidyEndpoint(ctx, w.stateOf(other, models.EndpointDeleted))
				return err
			},
			"deliveries": func() error { _, err := w.webhooks.Deliveries(ctx, w.app, filter("", 0)); return err },
			"failed": func() error {
				_, err := w.webhooks.Deliveries(ctx, w.app, filter(models.DeliveryFailed, 0))
				return err
			},
			"recent":       func() error { _, err := w.webhooks.Deliveries(ctx, w.app, filter("", recent)); return err },
			"pages":        func() error { _, err := w.webhooks.Browse(ctx, e, "", first); return err },
			"failed pages": func() error { _, err := w.webhooks.Browse(ctx, e, models.DeliveryFailed, first); return err },
			"replay": func() error {
				_, err := w.webhooks.Replay(ctx, w.app, nil, filter(models.DeliveryFailed, 0), by)
				return err
			},
			"replay since": func() error { _, err := w.webhooks.Replay(ctx, w.app, nil, filter("", recent), by); return err },
			"the events about a user": func() error {
				return w.webhooks.EventsAbout(ctx, w.app, "user-7", func([]*FeedEvent) error { return nil })
			},
			"expired": func() error {
				_, err := retention.New(w.db, w.clock, slog.New(slog.DiscardHandler), Expiring()...).Sweep(ctx)
				return err
			},
		}
		check := func(statistics string) {
			for name, step := range steps {
				w.must(w.db.Exec(ctx, "UPDATE webhook_endpoints SET resume_at = 0, failing_since = 0, state = 'ENABLED'"))
				for _, s := range testenv.Statements(w.t, w.db, func() { w.must(step()) }) {
					if strings.Contains(s.SQL, "deliveries") || strings.Contains(s.SQL, "events") {
						w.usesIndexes(statistics+", "+name, s, n/5)
					}
				}
			}
		}
		check("unanalysed")
		testenv.Analyse(t, w.db, "webhook_endpoints", "events", "deliveries")
		check("analysed")
	})
}

// stateOf stores the state of an endpoint and returns it.
func (w *world) stateOf(e *models.WebhookEndpoint, state models.EndpointState) *models.WebhookEndpoint {
	w.t.Helper()
	w.must(w.db.Exec(ctx, "UPDATE webhook_endpoints SET state = ?, resume_at = ? WHERE id = ?", state, w.webhooks.now(), e.ID))
	return w.row(e.ID)
}

// usesIndexes checks that a statement scans and sorts neither events nor deliveries, and on MariaDB
// that it reads at most so many rows.
func (w *world) usesIndexes(name string, s testenv.Statement, most int) {
	w.t.Helper()
	if strings.HasPrefix(s.SQL, "INSERT ") && !strings.Contains(s.SQL, "SELECT") {
		return // of rows that are given
	}
	for _, step := range testenv.Explain(w.t, w.db, s) {
		big := slices.Contains([]string{"deliveries", "d", "events"}, step.Table)
		if big && step.Scans || strings.Contains(step.Text, "AUTOMATIC") {
			w.t.Errorf("%s: %s\n%.500s", name, step.Text, s.SQL)
		}
	}
	if strings.HasPrefix(s.SQL, "SELECT") && !strings.HasSuffix(s.SQL, "FOR UPDATE") {
		if rows, ok := testenv.RowsRead(w.t, w.db, s); ok && rows > most {
			w.t.Errorf("%s: %d rows are read\n%.500s", name, rows, s.SQL)
		}
	}
}
