package presence

import (
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/presence/memory"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestEntriesLinger(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, 3)
		remembered := func() int { return w.stats().entries }
		gone, _ := w.connect(0)
		w.connect(1)
		back, _ := w.connect(2)
		gone.Gone()
		back.Gone()
		w.written()
		w.clock.Advance(memory.Linger / 2)
		back, _ = w.connect(2)
		w.memory().Sweep()
		if n := remembered(); n != 3 {
			t.Fatalf("%d entries are in memory before the time, want 3", n)
		}
		w.clock.Advance(memory.Linger/2 + time.Second)
		w.memory().Sweep()
		if n := remembered(); n != 2 {
			t.Fatalf("%d entries are in memory, want those of two users online", n)
		}
		w.wantPresence(0, models.PresenceOffline)

		release := w.hold(2)
		defer release()
		back.Gone()
		w.clock.Advance(2 * memory.Linger)
		w.memory().Sweep()
		if n := remembered(); n != 2 {
			t.Fatalf("%d entries are in memory, want the one not yet written too", n)
		}
		release()
		w.written()
		w.clock.Advance(2 * memory.Linger)
		w.memory().Sweep()
		if n := remembered(); n != 1 {
			t.Fatalf("%d entries are in memory, want 1", n)
		}
		w.wantPresence(2, models.PresenceOffline)
	})
}
