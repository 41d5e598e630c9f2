package presence

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/database"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
)

// TestWorkGrowsWithWatchers checks that a change is delivered only to the watchers of its user,
// without a query, however many users are online and watch each other.
func TestWorkGrowsWithWatchers(t *testing.T) {
	for _, online := range []int{10, 300} {
		t.Run(fmt.Sprint(online, " online"), func(t *testing.T) {
			testenv.Each(t, func(t *testing.T, db *database.DB) {
				queries := queryCount(t, db)
				w := newWorld(t, db, online)
				w.turn(true, true)
				const watchers = 4 // of u0: itself, two friends and a subscriber
				w.befriend(0, 1)
				w.befriend(0, 2)
				w.subscribe(3, 0)
				for i := range w.users {
					if i > 2 {
						w.befriend(i, i-1)
					}
					w.connect(i)
					w.circle(i, new(recorder))
				}
				w.delivered()
				before := testutil.ToFloat64(w.metrics.deliveries)
				const changes = 5
				asked := queries.Load()
				for n := range changes {
					if _, err := w.SetStatus(status.AccountOf(w.users[0]), fmt.Sprint("text ", n)); err != nil {
						t.Fatal(err)
					}
				}
				w.delivered()
				if n := testutil.ToFloat64(w.metrics.deliveries) - before; n != changes*watchers {
					t.Errorf("%d changes were delivered %v times, want %d", changes, n, changes*watchers)
				}
				if n := queries.Load() - asked; n > 0 {
					t.Errorf("%d changes took %d queries", changes, n)
				}
			})
		})
	}
}
