package webhooks

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/outbox"
	"rollcall/internal/retention"
	"rollcall/models"
)

func TestIsPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true, "172.32.0.1": true, "100.128.0.1": true,
		"127.0.0.1": false, "127.8.8.8": false, "::1": false, "0.0.0.0": false, "::": false, "0.1.2.3": false,
		"10.0.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "fd00::1": false, "fd00:ec2::254": false,
		"169.254.169.254": false, "fe80::1": false, "fe80::1%eth0": false, "100.64.0.1": false, "224.0.0.1": false, "ff02::1": false,
		"255.255.255.255": false, "240.0.0.1": false, "198.18.0.1": false, "192.0.2.1": false,
		"::ffff:127.0.0.1": false, "::ffff:8.8.8.8": true, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "::7f00:1": false, "::ffff:0:7f00:1": false, "2001:0:1::": false,
	} {
		if got := isPublic(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

// TestDeliver_Failures shows the failures of receivers, and what becomes of the delivery and the
// endpoint.
func TestDeliver_Failures(t *testing.T) {
	for _, test := range []struct {
		name    string
		respond func(r *receiver)
		strict  bool // private addresses are refused
		// wantStatus and wantError are of the delivery, and wantWait is the least time until the next
		// attempt.
		wantStatus int
		wantError  string
		wantWait   time.Duration
		// wantReason is why the endpoint is disabled, and wantRequests how many the receiver gets.
		wantReason   string
		wantRequests int
	}{
		{name: "error", respond: func(r *receiver) { r.answer(500) }, wantStatus: 500, wantError: "a response  of the receiver", wantWait: 4 * time.Second, wantRequests: 1},
		{name: "Retry-After", respond: func(r *receiver) { r.answer(503, "Retry-After", "7200") }, wantStatus: 503, wantError: "a response  of the receiver", wantWait: 2 * time.Hour, wantRequests: 1},
		{name: "long Retry-After", respond: func(r *receiver) { r.answer(429, "Retry-After", "99999999") }, wantStatus: 429, wantError: "a response  of the receiver", wantWait: 24 * time.Hour, wantRequests: 1},
		{name: "gone", respond: func(r *receiver) { r.answer(410) }, wantStatus: 410, wantError: "a response  of the receiver", wantReason: "gone", wantRequests: 1},
		{name: "redirect", respond: func(r *receiver) { r.answer(302, "Location", r.URL+"/elsewhere") }, wantStatus: 302, wantError: "a response  of the receiver", wantWait: 4 * time.Second, wantRequests: 1},
		{name: "private address", strict: true, respond: func(*receiver) {}, wantError: "the address 127.0.0.1 is not public", wantWait: 4 * time.Second},
		{name: "unreachable", respond: func(r *receiver) { r.Close() }, wantError: "connection refused", wantWait: 4 * time.Second},
		{name: "silent", respond: func(r *receiver) {
			r.respond = func(w http.ResponseWriter, _ *received) { time.Sleep(200 * time.Millisecond) }
		}, wantError: "no response within 100ms", wantWait: 4 * time.Second, wantRequests: 1},
		{name: "endless", respond: func(r *receiver) {
			r.respond = func(w http.ResponseWriter, _ *received) {
				w.WriteHeader(400)
				for range 100 {
					if _, err := w.Write([]byte(strings.Repeat("é", 1<<14))); err != nil {
						return
					}
				}
			}
		}, wantStatus: 400, wantError: strings.Repeat("é", 200), wantWait: 4 * time.Second, wantRequests: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			each(t, func(w *world) {
				r := newReceiver(w.t)
				e, _ := w.endpoint(r.URL, outbox.UserRegistered)
				w.register("ann")
				test.respond(r)
				s := w.webhooks
				if test.strict {
					s = New(w.db, w.bus, Options{Clock: w.clock, Logger: slog.New(slog.DiscardHandler)})
				}
				if test.name == "silent" {
					s.timing.attempt = 100 * time.Millisecond
				}
				w.must(s.deliverAll(w))
				now := s.now()
				d := w.deliveries(e.ID)[0]
				text := ""
				if d.LastError != nil {
					text = *d.LastError
				}
				if d.State != models.DeliveryPending || d.Attempts != 1 || d.LastStatus != test.wantStatus || !strings.Contains(text, test.wantError) {
					w.t.Errorf("the delivery: %+v %q", d.Delivery, text)
				}
				if d.NextAttemptAt < now.Add(test.wantWait) || d.NextAttemptAt > now.Add(test.wantWait+6*time.Second) && test.wantReason == "" {
					w.t.Errorf("the next attempt is in %d ms", d.NextAttemptAt-now)
				}
				row := w.row(e.ID)
				state, audited := models.EndpointEnabled, int64(0)
				if test.wantReason != "" {
					state, audited = models.EndpointDisabled, 1
				}
				if row.State != state || row.StateReason != test.wantReason || row.FailingSince != now || w.audited(audit.ActionWebhookDisable, "reason="+test.wantReason) != audited {
					w.t.Errorf("the endpoint: %+v", row)
				}
				if test.wantReason == "" && row.ResumeAt < now.Add(minPause) {
					w.t.Errorf("the endpoint is called again in %d ms", row.ResumeAt-now)
				}
				if n := len(r.got()); n != test.wantRequests {
					w.t.Errorf("%d requests", n)
				}
			})
		})
	}
}

// TestDeliver_UntilReceiverRecovers passes an hour of failures, and then everything is delivered.
func TestDeliver_UntilReceiverRecovers(t *testing.T) {
	each(t, func(w *world) {
		r := newReceiver(w.t)
		e, secret := w.endpoint(r.URL, outbox.UserRegistered)
		r.answer(500)
		for i := range 20 {
			if i%2 == 0 {
				w.register(fmt.Sprint("user-", i))
			}
			w.must(w.webhooks.deliverAll(w))
			w.pass(3 * time.Minute)
		}
		if row := w.row(e.ID); row.FailingSince == 0 {
			w.t.Error("the endpoint does not count as failing")
		}
		failures := len(r.got())
		r.answer(204)
		for range 12 * 6 {
			w.pass(10 * time.Minute)
			w.must(w.webhooks.deliverAll(w))
		}
		ids := map[string]bool{}
		for _, one := range r.got()[failures:] {
			if err := one.verify(secret); err != nil {
				w.t.Error(err)
			}
			ids[one.event.Data.User.ID] = true
		}
		if len(ids) != 10 || len(r.got())-failures != 10 {
			w.t.Errorf("%d users in %d deliveries", len(ids), len(r.got())-failures)
		}
		for _, d := range w.deliveries(e.ID) {
			if d.State != models.DeliveryDelivered || d.LastError != nil || d.ExpiresAt == nil {
				w.t.Errorf("the delivery: %+v", d.Delivery)
			}
		}
		if row := w.row(e.ID); row.FailingSince != 0 {
			w.t.Errorf("the endpoint fails since %s", row.FailingSince)
		}
	})
}

// TestDeliver_GivesUp fails all attempts of a delivery, replays it, and disables the endpoint.
func TestDeliver_GivesUp(t *testing.T) {
	each(t, func(w *world) {
		r := newReceiver(w.t)
		e, _ := w.endpoint(r.URL, outbox.UserRegistered, outbox.UserBanned)
		r.answer(500)
		w.register("ann")
		begin := w.webhooks.now()
		for range len(schedule) + 1 {
			w.must(w.webhooks.deliverAll(w))
			w.pass(30 * time.Hour) // longer than any pause
			if w.row(e.ID).State == models.EndpointDisabled {
				break
			}
		}
		row := w.row(e.ID)
		if failing := time.Duration(w.webhooks.now()-begin) * time.Millisecond; row.State != models.EndpointDisabled || row.StateReason != "failing" ||
			failing < disableAfter || w.audited(audit.ActionWebhookDisable, "reason=failing") != 1 {
			w.t.Errorf("after %s: %+v", failing, row)
		}
		w.must(w.webhooks.tidy(ctx))
		d := w.deliveries(e.ID)[0]
		if d.State != models.DeliveryFailed || d.ExpiresAt == nil || *d.ExpiresAt != w.webhooks.now().Add(failedKept) {
			w.t.Errorf("the delivery: %+v", d.Delivery)
		}
		failed := Filter{EndpointID: e.ID, State: models.DeliveryFailed, Limit: 10}
		if _, err := w.webhooks.Replay(ctx, w.app, nil, failed, by); fault.CodeOf(err) != fault.InvalidArgument {
			w.t.Errorf("replaying for a disabled endpoint: %v", err)
		}
		_, err := w.webhooks.Enable(ctx, w.app, e.ID, by)
		w.must(err)
		if n, err := w.webhooks.Replay(ctx, w.app, nil, failed, by); n != 1 || err != nil {
			w.t.Errorf("%d are replayed, %v", n, err)
		}
		before := r.got()[0]
		r.answer(200)
		w.must(w.webhooks.deliverAll(w))
		got := r.got()
		if last := got[len(got)-1]; last.id != before.id || w.deliveries(e.ID)[0].State != models.DeliveryDelivered {
			w.t.Errorf("the replay is %s, want the ID %s", last.body, before.id)
		}
		// All attempts of one delivery, while others succeed.
		r.respond = func(rw http.ResponseWriter, one *received) {
			if one.event.Data.User.ID == "bo" {
				rw.WriteHeader(400)
			}
		}
		w.register("bo")
		for i := range len(schedule) + 1 {
			w.register(fmt.Sprint("other-", i))
			w.must(w.webhooks.deliverAll(w))
			w.pass(30 * time.Hour)
		}
		list := w.deliveries(e.ID)
		if at := slices.IndexFunc(list, func(d *Sent) bool { return d.Subject == "bo" }); list[at].State != models.DeliveryFailed || list[at].Attempts != len(schedule)+1 {
			w.t.Errorf("the delivery: %+v", list[at].Delivery)
		}
		if row := w.row(e.ID); row.State != models.EndpointEnabled || row.FailingSince != 0 {
			w.t.Errorf("the endpoint: %+v", row)
		}
		w.expire()
	})
}

// sweep deletes what is old.
func (w *world) sweep() {
	w.t.Helper()
	_, err := retention.New(w.db, w.clock, slog.New(slog.DiscardHandler), Expiring()...).Sweep(ctx)
	w.must(err)
}

// expire checks that everything is deleted when it is old.
func (w *world) expire() {
	w.t.Helper()
	w.pass(failedKept + deliveredKept)
	w.sweep()
	var deliveries, events int64
	w.must(w.db.Read(ctx).Model(&models.Delivery{}).Count(&deliveries).Error)
	w.must(w.db.Read(ctx).Model(&models.Event{}).Count(&events).Error)
	if deliveries != 0 || events != 0 {
		w.t.Errorf("%d deliveries and %d events are left", deliveries, events)
	}
}

// TestExpiring_KeepsEventsOfDeliveries: an event stays as long as a delivery of it.
func TestExpiring_KeepsEventsOfDeliveries(t *testing.T) {
	each(t, func(w *world) {
		w.endpoint("http://127.0.0.1:1")
		w.register("ann")
		w.distribute()
		w.pass(100 * 24 * time.Hour)
		sweeper := retention.New(w.db, w.clock, slog.New(slog.DiscardHandler), Expiring()...)
		if n, err := sweeper.Sweep(ctx); n != 0 || err != nil {
			w.t.Errorf("%d rows are deleted, %v", n, err)
		}
	})
}

// TestRun_TwoNodesSendEachEventOnce: no attempt is made twice, and a user's events are in order.
func TestRun_TwoNodesSendEachEventOnce(t *testing.T) {
	const events, subjects = 400, 23
	each(t, func(w *world) {
		r := newReceiver(w.t)
		var mu sync.Mutex
		open, most := map[string]bool{}, 0
		r.respond = func(rw http.ResponseWriter, one *received) {
			user := one.event.Data.User.ID
			mu.Lock()
			if open[user] {
				w.t.Errorf("two requests about %s at the same time", user)
			}
			open[user] = true
			most = max(most, len(open))
			mu.Unlock()
			time.Sleep(2 * time.Millisecond)
			mu.Lock()
			delete(open, user)
			mu.Unlock()
		}
		w.endpoint(r.URL)
		w.addEvents(events, func(i int) string { return fmt.Sprint("user-", i%subjects) })
		w.pass(time.Minute)
		for range 2 {
			w.run(w.node())
		}
		got := r.await(w.t, events)
		mu.Lock()
		defer mu.Unlock()
		versions, ids := map[string]int64{}, map[string]bool{}
		for _, one := range got {
			user := one.event.Data.User
			if user.Version <= versions[user.ID] || ids[one.id] {
				w.t.Errorf("%s after version %d", one.body, versions[user.ID])
			}
			versions[user.ID], ids[one.id] = user.Version, true
		}
		if len(got) != events || most < 2 || most > concurrency {
			w.t.Errorf("%d requests, %d at the same time", len(got), most)
		}
	})
}

// TestRun_SlowEndpointHoldsUpNoOther: an endpoint that does not respond does not delay another.
func TestRun_SlowEndpointHoldsUpNoOther(t *testing.T) {
	each(t, func(w *world) {
		slow, fast := newReceiver(w.t), newReceiver(w.t)
		end := make(chan struct{})
		slow.respond = func(http.ResponseWriter, *received) { <-end }
		defer close(end)
		w.endpoint(slow.URL)
		w.endpoint(fast.URL)
		w.webhooks.timing.attempt = 5 * time.Second
		w.run(w.webhooks)
		begin := time.Now()
		for i := range 20 {
			w.register(fmt.Sprint("user-", i))
			w.pass(time.Millisecond)
		}
		fast.await(w.t, 20)
		if took := time.Since(begin); took > 4*time.Second {
			w.t.Errorf("the fast endpoint had everything after %s", took)
		}
		if n := len(slow.got()); n == 0 || n > concurrency {
			w.t.Errorf("%d requests to the slow endpoint", n)
		}
	})
}

// TestRun_AfterKill: a node that is killed between sending and recording has sent the events of
// acknowledged changes at least once: another node sends them again when the lease has ended.
func TestRun_AfterKill(t *testing.T) {
	each(t, func(w *world) {
		r := newReceiver(w.t)
		e, _ := w.endpoint(r.URL)
		w.register("ann", "bo")
		w.pass(time.Second)
		killed := w.node()
		killed.timing.lease, killed.timing.margin = 2*time.Second, 0
		to, err := killed.claim(ctx, e.ID, 7)
		w.must(err)
		w.distribute()
		list, err := killed.batch(ctx, e.ID)
		w.must(err)
		killed.timing.attempt = time.Second
		if results := killed.send(ctx, to, list[:1], time.Now().Add(2*time.Second)); len(results) != 1 {
			w.t.Fatalf("%d results", len(results))
		}
		// Nothing is recorded: the node is dead.
		begin := time.Now()
		other := w.node()
		if to, err := other.claim(ctx, e.ID, 8); to != nil || err != nil {
			w.t.Fatalf("another node has the lease: %v, %v", to, err)
		}
		stop := w.run(other)
		got := r.await(w.t, 3)
		if took := time.Since(begin); took < time.Second {
			w.t.Errorf("another node has sent after %s, within the lease", took)
		}
		if got[0].id != list[0].UID || got[1].id != list[0].UID && got[2].id != list[0].UID {
			w.t.Error("the event that was sent is not sent again with its ID")
		}
		// What the killed node would record now changes nothing.
		w.must(killed.finish(ctx, to.endpoint, 7, []*result{{delivery: list[0], status: 500}}))
		stop()
		for _, d := range w.deliveries(e.ID) {
			if d.State != models.DeliveryDelivered {
				w.t.Errorf("the delivery: %+v", d.Delivery)
			}
		}
	})
}

// TestRun_Drains: when a node stops, attempts end and are recorded; those that last longer are cut
// and sent again.
func TestRun_Drains(t *testing.T) {
	each(t, func(w *world) {
		r := newReceiver(w.t)
		e, _ := w.endpoint(r.URL)
		arrived, end := make(chan struct{}, 2), make(chan struct{})
		r.respond = func(_ http.ResponseWriter, one *received) {
			arrived <- struct{}{}
			if one.event.Data.User.ID == "ann" {
				time.Sleep(100 * time.Millisecond)
			} else {
				<-end
			}
		}
		w.register("ann", "bo")
		w.pass(time.Second)
		running, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); w.node().Run(running, 500*time.Millisecond) }()
		<-arrived
		<-arrived
		cancel()
		<-done
		close(end)
		for _, d := range w.deliveries(e.ID) {
			want, attempts := models.DeliveryDelivered, 1
			if d.Subject == "bo" {
				want, attempts = models.DeliveryPending, 0
			}
			if d.State != want || d.Attempts != attempts {
				w.t.Errorf("the delivery about %s: %+v", d.Subject, d.Delivery)
			}
		}
		if row := w.row(e.ID); row.LeaseID != 0 || row.FailingSince != 0 {
			w.t.Errorf("the endpoint: %+v", row)
		}
	})
}

// TestTest sends a test event to one of two endpoints, which pauses after failures.
func TestTest(t *testing.T) {
	each(t, func(w *world) {
		r := newReceiver(w.t)
		e, secret := w.endpoint(r.URL, outbox.UserBanned)
		w.endpoint(r.URL + "/other")
		w.must(w.db.Exec(ctx, "UPDATE webhook_endpoints SET resume_at = ? WHERE id = ?", w.webhooks.now().Add(time.Hour), e.ID))
		_, err := w.webhooks.Test(ctx, w.app, e.ID, by)
		w.must(err)
		w.must(w.webhooks.deliverAll(w))
		got := r.got()
		if len(got) != 1 || got[0].kind != "endpoint.test" || !strings.HasSuffix(string(got[0].body), `"data":{}}`) || got[0].verify(secret) != nil {
			w.t.Errorf("received %d: %s", len(got), got[0].body)
		}
	})
}

// TestErase_ReachesUndeliveredEvents: a receiver learns nothing personal after the erasure, and a
// response that repeats it is not stored.
func TestErase_ReachesUndeliveredEvents(t *testing.T) {
	each(t, func(w *world) {
		r := newReceiver(w.t)
		e, _ := w.endpoint(r.URL, outbox.UserRegistered)
		w.register("ann")
		r.respond = func(rw http.ResponseWriter, one *received) {
			// The user is erased while the receiver responds with what it got.
			_, err := w.users.Deactivate(ctx, w.app, []string{"ann"}, by)
			if err != nil {
				w.t.Error(err)
			}
			rw.WriteHeader(500)
			_, _ = rw.Write(one.body)
		}
		w.must(w.webhooks.deliverAll(w))
		if d := w.deliveries(e.ID)[0]; d.LastError != nil || d.LastStatus != 500 {
			w.t.Errorf("the delivery: %+v %s", d.Delivery, *d.LastError)
		}
		r.answer(200)
		w.pass(time.Minute)
		w.must(w.webhooks.deliverAll(w))
		got := r.got()
		if len(got) != 2 || !strings.Contains(string(got[0].body), "Name of ann") || strings.Contains(string(got[1].body), "Name") || got[0].id != got[1].id {
			w.t.Errorf("received %d", len(got))
		}
	})
}

// TestDeliver_WaitsWhileAppIsDisabled: deliveries of a disabled app are sent once it is enabled.
func TestDeliver_WaitsWhileAppIsDisabled(t *testing.T) {
	each(t, func(w *world) {
		r := newReceiver(t)
		e, _ := w.endpoint(r.URL)
		w.register("ann")
		w.distribute()
		if _, _, err := w.apps.Disable(ctx, w.app.Key, models.Actor{}); err != nil {
			t.Fatal(err)
		}
		due, err := w.webhooks.dueEndpoints(ctx)
		w.must(err)
		if len(due) != 0 {
			t.Errorf("due while disabled: %v", due)
		}
		// The app was disabled after the endpoint was found.
		if _, err := w.webhooks.deliver(ctx, e.ID); err != nil || len(r.got()) != 0 || w.row(e.ID).LeaseID != 0 {
			t.Errorf("delivered while disabled: %v, %d requests", err, len(r.got()))
		}
		if _, _, err := w.apps.Enable(ctx, w.app.Key, models.Actor{}); err != nil {
			t.Fatal(err)
		}
		if due, err = w.webhooks.dueEndpoints(ctx); len(due) != 1 || err != nil {
			t.Errorf("due once enabled: %v, %v", due, err)
		}
		if _, err := w.webhooks.deliver(ctx, e.ID); err != nil || len(r.kinds("ann")) != 1 {
			t.Errorf("once enabled: %v, %d requests", err, len(r.got()))
		}
	})
}
