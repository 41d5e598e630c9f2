package webhooks

import (
	"context"
	"errors"
	"strings"
	"testing"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/outbox"
	"rollcall/models"
)

func TestUpdate(t *testing.T) {
	each(t, func(w *world) {
		waits := 0
		w.webhooks.awaitFresh = func(context.Context) error { waits++; return nil }
		e, _, err := w.webhooks.Create(ctx, w.app, NewEndpoint{URL: "http://127.0.0.1:1/a", Description: "old"}, by)
		w.must(err)
		w.must(w.db.Exec(ctx, "UPDATE webhook_endpoints SET failing_since = 5, resume_at = 7 WHERE id = ?", e.ID))
		url, empty := "http://127.0.0.1:1/b", ""
		text := func(e *models.WebhookEndpoint) string {
			return strings.Join([]string{e.URL, e.Description, e.EventTypes, string(e.State), e.StateReason}, "|")
		}
		for i, step := range []struct {
			change  EndpointChange
			want    string
			waits   int
			failing bool
		}{
			{EndpointChange{}, "http://127.0.0.1:1/a|old||ENABLED|", 0, true},
			{EndpointChange{Types: []outbox.Type{outbox.UserBanned, outbox.FriendAdded, outbox.UserBanned}}, "http://127.0.0.1:1/a|old|user.banned,friend.added|ENABLED|", 1, true},
			{EndpointChange{Description: &empty}, "http://127.0.0.1:1/a||user.banned,friend.added|ENABLED|", 0, true},
			{EndpointChange{URL: &url}, "http://127.0.0.1:1/b||user.banned,friend.added|ENABLED|", 0, false},
			{EndpointChange{State: models.EndpointDisabled}, "http://127.0.0.1:1/b||user.banned,friend.added|DISABLED|requested", 0, false},
			{EndpointChange{State: models.EndpointEnabled, Types: []outbox.Type{}}, "http://127.0.0.1:1/b|||ENABLED|", 1, false},
			{EndpointChange{State: models.EndpointEnabled}, "http://127.0.0.1:1/b|||ENABLED|", 0, false},
		} {
			waits = 0
			got, err := w.webhooks.Update(ctx, w.app, e.ID, step.change, by)
			w.must(err)
			stored := w.row(e.ID)
			if text(got) != step.want || text(stored) != step.want || waits != step.waits || (stored.FailingSince != 0) != step.failing {
				w.t.Errorf("step %d: %s, stored %s, want %s; %d waits, failing since %d", i, text(got), text(stored), step.want, waits, stored.FailingSince)
			}
		}
		for detail, want := range map[string]int64{
			"": 2, "changed=eventTypes": 1, "changed=description": 1, "changed=url": 1, "state=DISABLED": 1, "changed=eventTypes state=ENABLED": 1,
		} {
			if n := w.audited(audit.ActionWebhookUpdate, detail); n != want {
				w.t.Errorf("%d audit entries with the detail %q, want %d", n, detail, want)
			}
		}
	})
}

func TestUpdate_Refuses(t *testing.T) {
	each(t, func(w *world) {
		e, _ := w.endpoint("https://example.org")
		strict := New(w.db, w.bus, Options{Clock: w.clock})
		plain, empty, long := "http://example.org", "", strings.Repeat("a", 129)
		for field, c := range map[string]EndpointChange{
			"url https":          {URL: &plain},
			"url http_url":       {URL: &empty},
			"description max":    {Description: &long},
			"eventTypes.1 oneof": {Types: []outbox.Type{outbox.UserBanned, outbox.EndpointTest}},
			"state oneof":        {State: models.EndpointDeleted},
		} {
			_, err := strict.Update(ctx, w.app, e.ID, c, by)
			refusal, ok := fault.As(err)
			if !ok || refusal.Code != fault.InvalidArgument || *refusal.Field()+" "+*refusal.Rule() != field {
				w.t.Errorf("%s: %v", field, err)
			}
		}
		if _, err := strict.Update(ctx, &models.App{ID: w.app.ID + 1}, e.ID, EndpointChange{}, by); !errors.Is(err, ErrNoEndpoint) {
			w.t.Errorf("the endpoint of another app: %v", err)
		}
	})
}

func TestReplayOne(t *testing.T) {
	each(t, func(w *world) {
		r := newReceiver(w.t)
		e, _ := w.endpoint(r.URL)
		other, _ := w.endpoint(r.URL + "/other")
		w.register("ann")
		w.must(w.webhooks.deliverAll(w))
		d := w.deliveries(e.ID)[0]
		again, err := w.webhooks.ReplayOne(ctx, w.app, e.ID, d.ID, by)
		w.must(err)
		if again.ID != d.ID || again.State != models.DeliveryPending || again.Attempts != 0 || again.UID != d.UID || again.Subject != "ann" {
			w.t.Errorf("replayed as %+v", again)
		}
		w.must(w.webhooks.deliverAll(w))
		if got := r.got(); len(got) != 3 || got[2].header.Get("Webhook-Id") != d.UID {
			w.t.Errorf("%d requests", len(got))
		}
		if _, err := w.webhooks.ReplayOne(ctx, w.app, other.ID, d.ID, by); !errors.Is(err, ErrNoDelivery) {
			w.t.Errorf("the delivery to another endpoint: %v", err)
		}
	})
}
