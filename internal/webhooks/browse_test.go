package webhooks

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/internal/outbox"
	"rollcall/internal/page"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// fill adds n deliveries of one event to an endpoint in a state, the first attempt of each a
// millisecond after that of the one before.
func (w *world) fill(e *models.WebhookEndpoint, state models.DeliveryState, n int) {
	w.t.Helper()
	w.must(w.db.Tx(ctx, func(tx *gorm.DB) error {
		row, err := outbox.NewRow(w.app.ID, outbox.Event{Type: outbox.UserUnbanned, Subject: "ann", At: w.webhooks.now()}, w.webhooks.now())
		if err != nil {
			return err
		}
		if err := tx.Create(row).Error; err != nil {
			return err
		}
		list := make([]*models.Delivery, n)
		for i := range list {
			list[i] = &models.Delivery{EndpointID: e.ID, EventID: row.ID, State: state, NextAttemptAt: w.webhooks.now() + models.Time(i)}
		}
		return tx.CreateInBatches(list, 500).Error
	}))
}

func TestBrowse(t *testing.T) {
	each(t, func(w *world) {
		e, _ := w.endpoint("https://example.org")
		other, _ := w.endpoint("https://example.com")
		w.fill(e, models.DeliveryPending, 3)
		w.fill(e, models.DeliveryDelivered, 2)
		w.fill(e, models.DeliveryFailed, 2)
		w.fill(other, models.DeliveryFailed, 1)
		walk := func(state models.DeliveryState) (seen []string) {
			r := page.Request{First: 2}
			for {
				p, err := w.webhooks.Browse(ctx, e, state, r)
				w.must(err)
				for _, d := range p.Nodes() {
					if d.Type != "user.unbanned" || d.Subject != "ann" || d.UID == "" || d.OccurredAt != w.webhooks.now() {
						w.t.Errorf("the event of %+v", d)
					}
					seen = append(seen, fmt.Sprintf("%s+%d", d.State[:1], d.NextAttemptAt-w.webhooks.now()))
				}
				info := p.PageInfo()
				if !info.HasNextPage {
					return seen
				}
				r.After = info.EndCursor
			}
		}
		for state, want := range map[models.DeliveryState][]string{
			"":                       {"P+2", "F+1", "D+1", "P+1", "F+0", "D+0", "P+0"},
			models.DeliveryPending:   {"P+2", "P+1", "P+0"},
			models.DeliveryDelivered: {"D+1", "D+0"},
			models.DeliveryFailed:    {"F+1", "F+0"},
		} {
			if got := walk(state); !slices.Equal(got, want) {
				w.t.Errorf("%q: %q, want %q", state, got, want)
			}
		}
		p, err := w.webhooks.Browse(ctx, e, "", page.Request{First: 2})
		w.must(err)
		if _, err := w.webhooks.Browse(ctx, other, "", page.Request{First: 2, After: p.PageInfo().EndCursor}); fault.CodeOf(err) != fault.InvalidArgument {
			w.t.Errorf("the cursor of another endpoint: %v", err)
		}

		got, err := w.webhooks.Backlogs(ctx, e, other)
		w.must(err)
		if got[e.ID] != (Backlog{Pending: 3, Failed: 2}) || got[other.ID] != (Backlog{Failed: 1}) {
			w.t.Errorf("the backlogs: %v", got)
		}
		if found, err := w.webhooks.Endpoint(ctx, w.app, e.ID); err != nil || found.URL != e.URL {
			w.t.Errorf("the endpoint: %+v, %v", found, err)
		}
		if _, err := w.webhooks.Endpoint(ctx, &models.App{ID: w.app.ID + 1}, e.ID); !errors.Is(err, ErrNoEndpoint) {
			w.t.Errorf("the endpoint of another app: %v", err)
		}
	})
}

// TestBrowse_LongQueue checks that pages and counts do not read a long queue.
func TestBrowse_LongQueue(t *testing.T) {
	each(t, func(w *world) {
		e, _ := w.endpoint("https://example.org")
		w.fill(e, models.DeliveryPending, 1500)
		w.fill(e, models.DeliveryFailed, 1500)
		for _, analysed := range []bool{false, true} {
			if analysed {
				testenv.Analyse(w.t, w.db, "deliveries", "events", "webhook_endpoints")
			}
			for _, s := range testenv.Statements(w.t, w.db, func() {
				first, err := w.webhooks.Browse(ctx, e, "", page.Request{First: 20})
				w.must(err)
				_, err = w.webhooks.Browse(ctx, e, "", page.Request{First: 20, After: first.PageInfo().EndCursor})
				w.must(err)
			}) {
				if strings.Contains(s.SQL, "events") {
					continue // by their keys
				}
				plan := testenv.Explain(w.t, w.db, s)
				if len(plan) != 1 || plan[0].Index != "deliveries_due" || plan[0].Scans || plan[0].Sorts {
					w.t.Errorf("%s%s", s.SQL, plan)
				}
				if n, ok := testenv.RowsRead(w.t, w.db, s); ok && n > 100 {
					w.t.Errorf("%s reads %d rows", s.SQL, n)
				}
			}
			for _, s := range testenv.Statements(w.t, w.db, func() {
				got, err := w.webhooks.Backlogs(ctx, e)
				w.must(err)
				if want := (Backlog{CountLimit + 1, CountLimit + 1}); got[e.ID] != want {
					w.t.Errorf("the backlog is %+v, want %+v", got[e.ID], want)
				}
			}) {
				if plan := testenv.Explain(w.t, w.db, s); !strings.Contains(plan.String(), "deliveries_due") {
					w.t.Errorf("%s%s", s.SQL, plan)
				}
				if n, ok := testenv.RowsRead(w.t, w.db, s); ok && n > 5*CountLimit {
					w.t.Errorf("%s reads %d rows", s.SQL, n)
				}
			}
		}
	})
}

func TestExchange(t *testing.T) {
	each(t, func(w *world) {
		r := newReceiver(w.t)
		e, first := w.endpoint(r.URL, outbox.UserRegistered)
		other, _ := w.endpoint(r.URL+"/other", outbox.UserBanned)
		_, second, err := w.webhooks.RotateSecret(ctx, w.app, e.ID, time.Hour, by)
		w.must(err)
		w.register("ann")
		id := w.deliveries(e.ID)[0].ID
		// The endpoint is read again, because it has another secret now.
		exchange := func() *Exchange {
			x, err := w.webhooks.Exchange(ctx, w.app, w.row(e.ID), id)
			w.must(err)
			return x
		}
		before := exchange()
		w.must(w.webhooks.deliverAll(w))
		got, after := r.got()[0], exchange()
		for _, x := range []*Exchange{before, after} {
			if string(x.Body) != string(got.body) {
				w.t.Errorf("body %s, but received %s", x.Body, got.body)
			}
			for name := range x.Header {
				if name != "Webhook-Timestamp" && name != "Webhook-Signature" && x.Header.Get(name) != got.header.Get(name) {
					w.t.Errorf("%s: %q, but received %q", name, x.Header.Get(name), got.header.Get(name))
				}
			}
			shown := &received{header: x.Header, body: x.Body}
			if err := errors.Join(shown.verify(first), shown.verify(second)); err != nil {
				w.t.Errorf("the signature %q: %v", x.Header, err)
			}
		}
		if after.State != models.DeliveryDelivered || after.Attempts != 1 || after.LastStatus != http.StatusOK || after.Subject != "ann" {
			w.t.Errorf("the delivery: %+v", after.Sent)
		}
		_, err = w.users.Deactivate(ctx, w.app, []string{"ann"}, by)
		w.must(err)
		if x := exchange(); strings.Contains(string(x.Body), "Name of ann") {
			w.t.Errorf("erased values are in %s", x.Body)
		}
		unreadable := w.row(e.ID)
		unreadable.Secret = []byte("no secret")
		if x, err := w.webhooks.Exchange(ctx, w.app, unreadable, id); err != nil || x.Header.Get("Webhook-Signature") != "" || len(x.Body) == 0 {
			w.t.Errorf("without the secret: %+v, %v", x, err)
		}
		if x, err := w.webhooks.Exchange(ctx, w.app, other, id); x != nil || err != nil {
			w.t.Errorf("by another endpoint: %+v, %v", x, err)
		}
	})
}
