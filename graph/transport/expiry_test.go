package transport

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/models"
)

// expiringLink notes whether it was ended because its token has expired.
type expiringLink struct{ ended atomic.Bool }

func (l *expiringLink) endLink(why linkEnding) { l.ended.Store(why == tokenEnded) }

// TestExpiries_EndsWhatHasExpired adds the links of 10 000 devices and removes a third of them, as
// if they had disconnected.
func TestExpiries_EndsWhatHasExpired(t *testing.T) {
	now := time.UnixMilli(0)
	e := &expiries{clock: func() time.Time { return now }}
	const hours, links = 24, 10_000
	byHour := make(map[*expiringLink]int)
	var removed []*expiringLink
	for i := range links {
		hour, l := 1+rand.IntN(hours), new(expiringLink)
		x := e.add(l, models.TimeOf(now.Add(time.Duration(hour)*time.Hour)))
		if i%3 == 0 {
			e.remove(x)
			e.remove(x)
			removed = append(removed, l)
		} else {
			byHour[l] = hour
		}
	}
	if never := e.add(new(expiringLink), 0); never != nil {
		t.Error("a token that does not expire is in the heap")
	}
	e.remove(nil)
	began := now
	for hour := range hours + 1 {
		now = began.Add(time.Duration(hour) * time.Hour)
		e.endExpired()
		for l, expires := range byHour {
			if l.ended.Load() != (expires <= hour) {
				t.Fatalf("after %d h a link that expires after %d h has ended: %t", hour, expires, l.ended.Load())
			}
		}
	}
	for _, l := range removed {
		if l.ended.Load() {
			t.Fatal("a removed link was ended")
		}
	}
	if len(e.heap) != 0 {
		t.Errorf("%d links remain", len(e.heap))
	}
}

// TestExpiries_OneTimer: the timer follows the link that expires first, in whichever order links
// come and go.
func TestExpiries_OneTimer(t *testing.T) {
	e := &expiries{clock: time.Now}
	late, soon, gone, later := new(expiringLink), new(expiringLink), new(expiringLink), new(expiringLink)
	in := func(d time.Duration) models.Time { return models.TimeOf(time.Now().Add(d)) }
	e.add(late, in(time.Hour))
	e.add(soon, in(50*time.Millisecond))
	e.remove(e.add(gone, in(20*time.Millisecond)))
	until(t, "the first link to end", soon.ended.Load)
	e.add(later, in(50*time.Millisecond))
	until(t, "the second link to end", later.ended.Load)
	expired := new(expiringLink)
	e.add(expired, in(-time.Hour))
	until(t, "a link with an expired token to end", expired.ended.Load)
	if late.ended.Load() || gone.ended.Load() {
		t.Error("a link ended before its token expired, or after it was removed")
	}
}
