package presence

import (
	"context"
	"errors"
	"testing"

	"rollcall/internal/bus"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// still returns a shard whose writer never runs, for exact interleavings.
func still() *shard {
	return New(nil, new(bus.Bus), Options{Clock: newClock().Now}).store.(*memory).shard(1)
}

var account = status.Account{ID: 1, AppID: 1, ExternalID: "a"}

func (s *shard) mustRegister(t *testing.T) *Device {
	t.Helper()
	d, err := s.arrive(account, models.PlatformWeb, new(link))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.letIn(d); err != nil {
		t.Fatal(err)
	}
	return d
}

// After a failed write, no later write may record the login that was reported as failed.
func TestFailedWriteEndsItsLogins(t *testing.T) {
	s := still()
	first := s.mustRegister(t)
	e := first.entry
	w, _ := s.beginWrite(e)
	second := s.mustRegister(t) // connects during the write, waits for the next
	s.endWrite(w, errors.New("no answer"))
	if e.has(first) || !e.has(second) || e.online() {
		t.Fatalf("devices %v, %+v", e.devices, e.State)
	}
	if w, ok := s.beginWrite(e); !ok || w.state.Presence != models.PresenceOnline || len(w.waiters) != 1 {
		t.Fatalf("the next write is %+v", w)
	}
}

// What the columns held before a write does not count while it is under way.
func TestLogoutDuringLoginWaits(t *testing.T) {
	s := still()
	d := s.mustRegister(t)
	e := d.entry
	w, _ := s.beginWrite(e)
	s.end(e, every, models.PresenceUnlogined)
	s.endWrite(w, nil)
	w, _ = s.beginWrite(e)
	s.endWrite(w, nil)
	if want := (status.State{Presence: models.PresenceUnlogined}); e.durable != want {
		t.Fatalf("the columns hold %+v", e.durable)
	}

	s.mustRegister(t)
	w, _ = s.beginWrite(e)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.memory.Logout(ctx, account, nil, true); !errors.Is(err, context.Canceled) {
		t.Fatalf("Logout returned %v while ONLINE was being written", err)
	}
	s.endWrite(w, nil)
	if w, ok := s.beginWrite(e); !ok || w.state.Presence != models.PresenceUnlogined {
		t.Fatalf("the last write is %+v", w)
	}
}
