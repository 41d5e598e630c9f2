package webhooks

import (
	"testing"
	"time"

	"rollcall/internal/outbox"
	"rollcall/models"
)

// TestHealth_CountsAttemptsByHour: successes and failures are counted in their hours, for a day, and
// are deleted with the endpoint.
func TestHealth_CountsAttemptsByHour(t *testing.T) {
	each(t, func(w *world) {
		r := newReceiver(w.t)
		e, _ := w.endpoint(r.URL, outbox.UserRegistered)
		other, _ := w.endpoint("http://127.0.0.1:1", outbox.UserBanned)
		w.pass(time.Duration(hourOf(w.webhooks.now()).Add(time.Hour)-w.webhooks.now()) * time.Millisecond)
		send := func(users ...string) {
			w.register(users...)
			w.must(w.webhooks.deliverAll(w))
		}
		health := func() *Health {
			found, err := w.webhooks.Health(ctx, e, other)
			w.must(err)
			if *found[other.ID] != (Health{}) {
				w.t.Errorf("the other endpoint: %+v", found[other.ID])
			}
			return found[e.ID]
		}
		send("ann", "bo")
		send("cy")
		w.pass(2 * time.Hour)
		r.answer(500)
		send("dee")
		got := health()
		if got[HealthHours-3] != (Attempts{3, 0}) || got[HealthHours-1] != (Attempts{0, 1}) || got.Sum() != (Attempts{3, 1}) {
			w.t.Errorf("after two hours: %+v", got)
		}
		w.pass((HealthHours - 2) * time.Hour)
		r.answer(200)
		send("ed")
		// The retry of dee's event is due as well.
		if got := health(); got[1] != (Attempts{0, 1}) || got[HealthHours-1] != (Attempts{2, 0}) || got.Sum() != (Attempts{2, 1}) {
			w.t.Errorf("after a day: %+v", got)
		}
		rows := func() (n int64) {
			w.must(w.db.Read(ctx).Model(&models.WebhookHour{}).Count(&n).Error)
			return n
		}
		if n := rows(); n != 2 {
			w.t.Errorf("%d hours are stored", n)
		}
		_, err := w.webhooks.Delete(ctx, w.app, e.ID, by)
		w.must(err)
		w.pass(2 * deletedKept)
		w.must(w.webhooks.tidy(ctx))
		w.must(w.webhooks.tidy(ctx))
		if n := rows(); n != 0 {
			w.t.Errorf("%d hours of a deleted endpoint are stored", n)
		}
	})
}
