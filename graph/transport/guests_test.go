package transport

import (
	"strings"
	"testing"
	"time"
)

// TestGuests_WaitForPlaces has guests of one site with large documents: as many are executed as a
// site may, and neither small requests nor other callers wait.
func TestGuests_WaitForPlaces(t *testing.T) {
	for _, accept := range []string{mediaJSON, mediaStream} {
		t.Run(accept, func(t *testing.T) {
			w := newWorld(t, worldOptions{})
			large := "{wait}" + strings.Repeat(" ", freeBytes)
			responses := make(chan answered, largeGuestsEach+1)
			for range cap(responses) {
				go func() { responses <- w.post("", accept, large) }()
			}
			for range largeGuestsEach {
				<-w.schema.waiting
			}
			for _, token := range []string{"", "u0"} {
				if resp := w.post(token, mediaJSON, `{who}`); resp.status != 200 {
					t.Errorf("token %q: %d, %s", token, resp.status, resp.body)
				}
			}
			select {
			case <-w.schema.waiting:
				t.Error("a further guest's operation is executed")
			case <-time.After(50 * time.Millisecond):
			}
			w.schema.proceed <- struct{}{}
			<-w.schema.waiting // the further one
			for range largeGuestsEach {
				w.schema.proceed <- struct{}{}
			}
			for range cap(responses) {
				if resp := <-responses; resp.status != 200 {
					t.Errorf("a guest's response: %d, %s", resp.status, resp.body)
				}
			}
			until(t, "all room to be released", func() bool {
				return w.server.guests.responses.total == 0 && w.freePlaces(largeGuestsEach, 2*freeBytes)
			})
		})
	}
}

// freePlaces reports whether guests of this machine's site can have so many places.
func (w *world) freePlaces(places, bytes int) bool {
	for range places {
		leave, err := w.server.guests.enter(w.t.Context(), "127.0.0.0/24", bytes)
		if err != nil {
			return false
		}
		defer leave()
	}
	return true
}

// TestGuests_NoPlaceInTime asks the guest to try again, and no guest of another site.
func TestGuests_NoPlaceInTime(t *testing.T) {
	w := newWorld(t, worldOptions{limits: Limits{AuthTimeout: 100 * time.Millisecond}})
	var leaves []func()
	for range smallGuestsEach {
		leave, err := w.server.guests.enter(t.Context(), "127.0.0.0/24", 100)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	for _, accept := range []string{mediaJSON, mediaResponse, mediaStream} {
		w.post("", accept, `{who}`).wantUnavailable(t)
	}
	if resp := w.post("u0", mediaJSON, `{who}`); resp.status != 200 {
		t.Errorf("a user's request: %d, %s", resp.status, resp.body)
	}
	if leave, err := w.server.guests.enter(t.Context(), "10.0.0.0/24", 100); err != nil {
		t.Errorf("a guest of another site: %v", err)
	} else {
		leave()
	}
	for _, leave := range leaves {
		leave()
	}
	if resp := w.post("", mediaJSON, `{who}`); resp.status != 200 {
		t.Errorf("then: %d, %s", resp.status, resp.body)
	}
}

// TestGuests_ResponsesAreBounded: the responses that are being sent to guests of a site have a
// quarter of the budget.
func TestGuests_ResponsesAreBounded(t *testing.T) {
	w := newWorld(t, worldOptions{limits: Limits{GuestResponseBytes: 256 << 10}})
	for _, accept := range []string{mediaJSON, mediaStream} {
		w.post("", accept, `{text(kilobytes: 40)}`).wantUnavailable(t)
		for token, kilobytes := range map[string]string{"": "20", "u0": "40"} {
			if resp := w.post(token, accept, `{text(kilobytes: `+kilobytes+`)}`); resp.status != 200 || len(resp.body) < 20<<10 {
				t.Errorf("token %q, %s: %d, %d bytes", token, accept, resp.status, len(resp.body))
			}
		}
	}
	until(t, "all room to be released", func() bool { return w.server.guests.responses.total == 0 })
}
