package transport

import (
	"strings"
	"testing"
	"time"
)

// TestGuests_WaitForRoom has guests with large documents: as many are executed as there is room
// for, and other callers are not affected.
func TestGuests_WaitForRoom(t *testing.T) {
	w := newWorld(t, worldOptions{limits: Limits{GuestWorkBytes: 2 * maxParsed}})
	large := "{wait}" + strings.Repeat(" ", maxParsed/parsedBytes)
	responses := make(chan answered, 3)
	for range cap(responses) {
		go func() { responses <- w.post("", mediaJSON, large) }()
	}
	<-w.schema.waiting
	<-w.schema.waiting
	if resp := w.post("u0", mediaJSON, `{who}`); resp.status != 200 {
		t.Errorf("a user's request: %d, %s", resp.status, resp.body)
	}
	select {
	case <-w.schema.waiting:
		t.Error("a third guest's operation is executed")
	case <-time.After(50 * time.Millisecond):
	}
	w.schema.proceed <- struct{}{}
	<-w.schema.waiting // the third one
	w.schema.proceed <- struct{}{}
	w.schema.proceed <- struct{}{}
	for range cap(responses) {
		if resp := <-responses; resp.status != 200 {
			t.Errorf("a guest's response: %d, %s", resp.status, resp.body)
		}
	}
	if !w.server.guests.room.TryAcquire(2 * maxParsed) {
		t.Error("the room was not released")
	}
}

// TestGuests_NoRoomInTime: the guest is asked to try again.
func TestGuests_NoRoomInTime(t *testing.T) {
	w := newWorld(t, worldOptions{limits: Limits{GuestWorkBytes: maxParsed, AuthTimeout: 100 * time.Millisecond}})
	if !w.server.guests.room.TryAcquire(maxParsed) {
		t.Fatal("there is no room")
	}
	for _, accept := range []string{mediaJSON, mediaResponse} {
		w.post("", accept, `{who}`).wantUnavailable(t)
	}
	if resp := w.post("u0", mediaJSON, `{who}`); resp.status != 200 {
		t.Errorf("a user's request: %d, %s", resp.status, resp.body)
	}
	w.server.guests.room.Release(maxParsed)
	if resp := w.post("", mediaJSON, `{who}`); resp.status != 200 {
		t.Errorf("then: %d, %s", resp.status, resp.body)
	}
}
