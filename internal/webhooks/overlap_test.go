package webhooks

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"rollcall/models"
)

// inFlight is the transport of several nodes. It notes when a request begins while another one with
// the same webhook-id has not ended.
type inFlight struct {
	http.RoundTripper
	mu       sync.Mutex
	open     map[string]bool
	overlaps int
}

// RoundTrip implements http.RoundTripper.
func (f *inFlight) RoundTrip(r *http.Request) (*http.Response, error) {
	id := r.Header.Get("webhook-id")
	f.mu.Lock()
	if f.open[id] {
		f.overlaps++
	}
	f.open[id] = true
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.open, id)
	}()
	return f.RoundTripper.RoundTrip(r)
}

// TestRun_SlowReceiverOfTwoNodes: two nodes never send one event at the same time, although the
// receiver is so slow that a batch takes longer than a lease, and does not respond to some requests in
// time. Everything arrives.
func TestRun_SlowReceiverOfTwoNodes(t *testing.T) {
	const events = 60
	each(t, func(w *world) {
		r := newReceiver(w.t)
		r.respond = func(http.ResponseWriter, *received) { time.Sleep(rand.N(120 * time.Millisecond)) }
		e, _ := w.endpoint(r.URL)
		w.addEvents(events, func(i int) string { return fmt.Sprint("user-", i) })
		w.pass(time.Minute)
		flight := &inFlight{open: map[string]bool{}}
		for range 2 {
			s := w.node()
			s.timing.attempt, s.timing.lease, s.timing.margin = 100*time.Millisecond, 600*time.Millisecond, 300*time.Millisecond
			s.client = newClient(true)
			flight.RoundTripper = s.client.Transport
			s.client.Transport = flight
			w.run(s)
		}
		left := int64(events)
		for end := time.Now().Add(20 * time.Second); left > 0 && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			w.must(w.db.Read(ctx).Model(&models.Delivery{}).Where("endpoint_id = ? AND state = ?", e.ID, models.DeliveryPending).Count(&left).Error)
			w.pass(30 * time.Minute / 50) // for the retries
		}
		flight.mu.Lock()
		defer flight.mu.Unlock()
		if left > 0 || flight.overlaps > 0 {
			w.t.Errorf("%d events are left, %d were sent while they were sent; %d requests", left, flight.overlaps, len(r.got()))
		}
	})
}
