package webhooks

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/outbox"
	"rollcall/models"
)

// await waits until a condition is true.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s has not come true", what)
		}
	}
}

// TestRun_FailingEndpointsLeaveRoom: however many endpoints do not respond, one that works gets its
// events at once.
func TestRun_FailingEndpointsLeaveRoom(t *testing.T) {
	each(t, func(w *world) {
		fast := newReceiver(w.t)
		working, _ := w.endpoint(fast.URL, outbox.UserRegistered)
		var waiting atomic.Int64
		end := make(chan struct{})
		silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			waiting.Add(1)
			<-end
		}))
		defer silent.Close()
		defer close(end)
		w.must(w.db.Tx(ctx, func(tx *gorm.DB) error {
			event, err := outbox.NewRow(w.app.ID, outbox.Event{Type: outbox.EndpointTest, At: w.webhooks.now()}, w.webhooks.now())
			if err == nil {
				err = tx.Create(event).Error
			}
			var list []*models.WebhookEndpoint
			for range endpointsAtOnce + 8 {
				list = append(list, &models.WebhookEndpoint{AppID: w.app.ID, URL: silent.URL, EventTypes: "user.banned",
					Secret: newSecret(), State: models.EndpointEnabled, FailingSince: 1})
			}
			if err == nil {
				err = tx.Create(&list).Error
			}
			for _, e := range list {
				if err == nil {
					err = tx.Create(&models.Delivery{EndpointID: e.ID, EventID: event.ID, State: models.DeliveryPending}).Error
				}
			}
			return err
		}))
		w.run(w.webhooks)
		await(w.t, "that many silent endpoints are called", func() bool { return waiting.Load() >= failingAtOnce })
		w.register("ann")
		w.pass(time.Second)
		fast.await(w.t, 1)
		if n := waiting.Load(); n != failingAtOnce {
			w.t.Errorf("%d silent endpoints were called, want %d", n, failingAtOnce)
		}
		await(w.t, "the result", func() bool { return w.deliveries(working.ID)[0].State == models.DeliveryDelivered })
	})
}

// TestDeliver_PausesIfOnlySomeAreAccepted: a receiver that asks for time gets it, although it has
// accepted others of the batch, but not for longer than a pause.
func TestDeliver_PausesIfOnlySomeAreAccepted(t *testing.T) {
	each(t, func(w *world) {
		r := newReceiver(w.t)
		e, _ := w.endpoint(r.URL, outbox.UserRegistered)
		retryAfter, accepted := "", make(chan struct{}, 1)
		r.respond = func(rw http.ResponseWriter, one *received) {
			if strings.HasPrefix(one.event.Data.User.ID, "accepted") {
				accepted <- struct{}{}
			} else {
				<-accepted // otherwise the batch might end before the other one is sent
				rw.Header().Set("Retry-After", retryAfter)
				rw.WriteHeader(http.StatusTooManyRequests)
			}
		}
		for i, test := range []struct {
			retryAfter string
			pause      time.Duration
		}{{"", minPause}, {"90", 90 * time.Second}, {"86400", maxPause}} {
			retryAfter = test.retryAfter
			w.register(fmt.Sprint("accepted-", i), fmt.Sprint("refused-", i))
			w.pass(10 * time.Millisecond)
			w.distribute()
			now := w.webhooks.now()
			_, err := w.webhooks.deliver(ctx, e.ID)
			w.must(err)
			if row := w.row(e.ID); row.ResumeAt != now.Add(test.pause) || row.FailingSince != 0 {
				w.t.Errorf("Retry-After %q: a pause of %d ms, failing since %d", test.retryAfter, row.ResumeAt-now, row.FailingSince)
			}
			w.pass(25 * time.Hour)
			w.must(w.db.Exec(ctx, "DELETE FROM deliveries"))
		}
	})
}

// TestDeliver_ClosedIdleConnection: a receiver that closes an idle connection when a request is sent
// on it has not failed.
func TestDeliver_ClosedIdleConnection(t *testing.T) {
	each(t, func(w *world) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		w.must(err)
		defer listener.Close()
		var connections atomic.Int64
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				connections.Add(1)
				go func() {
					defer conn.Close()
					buffer := make([]byte, 64<<10)
					if _, err := conn.Read(buffer); err != nil {
						return
					}
					_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
					_, _ = conn.Read(buffer) // and close
				}()
			}
		}()
		e, _ := w.endpoint("http://"+listener.Addr().String(), outbox.UserRegistered)
		for i := range 3 {
			w.register(fmt.Sprint("user-", i))
			w.must(w.webhooks.deliverAll(w))
		}
		for _, d := range w.deliveries(e.ID) {
			if d.State != models.DeliveryDelivered {
				w.t.Errorf("the delivery: %+v", d.Delivery)
			}
		}
		if n := connections.Load(); n != 3 {
			w.t.Errorf("%d connections, want one for each event", n)
		}
	})
}

// TestTidy_KeepsDeliveriesOfEnabledEndpoint: an endpoint that is enabled while its deliveries are
// ended keeps those that are left, and those that were recorded since.
func TestTidy_KeepsDeliveriesOfEnabledEndpoint(t *testing.T) {
	each(t, func(w *world) {
		r := newReceiver(w.t)
		e, _ := w.endpoint(r.URL, outbox.UserRegistered)
		w.register("ann")
		w.must(w.db.Exec(ctx, "UPDATE webhook_endpoints SET state = 'DISABLED'"))
		read := w.row(e.ID) // as tidy does
		_, err := w.webhooks.Enable(ctx, w.app, e.ID, by)
		w.must(err)
		if n, err := w.webhooks.tidyEndpoint(ctx, read); n != 0 || err != nil {
			w.t.Errorf("%d are ended, %v", n, err)
		}
		w.must(w.webhooks.deliverAll(w))
		if got := r.got(); len(got) != 1 {
			w.t.Errorf("received %d", len(got))
		}
	})
}

// TestFinish_WritesEachResult: deliveries that succeed share a statement, but each gets its own status
// and duration, and one that was replayed while it was sent stays due.
func TestFinish_WritesEachResult(t *testing.T) {
	each(t, func(w *world) {
		e, _ := w.endpoint("http://127.0.0.1:1", outbox.UserRegistered)
		w.register("a", "b", "c", "d", "e")
		w.distribute()
		w.must(w.db.Exec(ctx, "UPDATE deliveries SET attempts = 2"))
		w.pass(time.Second)
		to, err := w.webhooks.claim(ctx, e.ID, 7)
		w.must(err)
		list, err := w.webhooks.batch(ctx, e.ID)
		w.must(err)
		list[3].Attempts = 1 // as it was when the batch was read
		_, err = w.webhooks.Replay(ctx, w.app, []int64{list[4].ID}, Filter{EndpointID: e.ID, Limit: 1}, by)
		w.must(err)
		var results []*result
		for i, d := range list {
			results = append(results, &result{delivery: d, status: []int{200, 200, 204, 200, 200}[i], took: time.Duration(10+i) * time.Millisecond})
		}
		w.must(w.webhooks.finish(ctx, to.endpoint, 7, results))
		for i, d := range w.deliveries(e.ID) {
			want := []string{"DELIVERED 3 200 10", "DELIVERED 3 200 11", "DELIVERED 3 204 12", "PENDING 2 0 0", "PENDING 0 0 0"}[i]
			if got := fmt.Sprint(d.State, " ", d.Attempts, " ", d.LastStatus, " ", d.LastMs); got != want || (d.ExpiresAt != nil) != (i < 3) {
				w.t.Errorf("delivery %d: %s, want %s; expires at %v", i, got, want, d.ExpiresAt)
			}
		}
	})
}
