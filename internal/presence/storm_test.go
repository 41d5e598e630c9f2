package presence

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/fanout"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// TestReconnectStorm has 5000 devices, each of a user with friends, lose their connections and
// connect again concurrently. No device may be refused, every circle must be complete, and no
// goroutine may be left.
func TestReconnectStorm(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		const count, friends = 5000, 4 // the next ones in a ring, and the previous ones
		w := newWorld(t, db, count)
		w.turn(true, true)
		rows := make([]*models.Friendship, 0, 2*count*friends)
		for i, u := range w.users {
			for n := 1; n <= friends; n++ {
				other := w.users[(i+n)%count]
				rows = append(rows,
					&models.Friendship{UserID: u.ID, FriendID: other.ID, CreatedAt: 1},
					&models.Friendship{UserID: other.ID, FriendID: u.ID, CreatedAt: 1})
			}
		}
		err := db.Tx(context.Background(), func(tx *gorm.DB) error { return tx.CreateInBatches(rows, 1000).Error })
		if err != nil {
			t.Fatal(err)
		}
		app := w.appNow()
		before := runtime.NumGoroutine()
		devices, stops := make([]*status.Device, count), make([]func(), count)
		seen := make([]*recorder, count)
		storm := func() {
			var all sync.WaitGroup
			for i, u := range w.users {
				all.Go(func() {
					if devices[i] != nil {
						devices[i].Gone()
						stops[i]()
					}
					seen[i] = new(recorder)
					acc := status.AccountOf(u) // an old row is enough: users that are back are in memory
					d, err := w.Connect(context.Background(), acc, models.PlatformWeb, new(link), allowed)
					if err != nil {
						t.Error(err)
						return
					}
					stop, err := w.WatchCircle(context.Background(), app, acc, seen[i])
					if err != nil {
						t.Error(err)
						return
					}
					devices[i], stops[i] = d, stop
				})
			}
			all.Wait()
		}
		storm()
		storm()
		if t.Failed() {
			return
		}
		w.delivered()
		w.written()
		if n := w.OnlineCount(w.app.ID); n != count {
			t.Fatalf("%d users are ONLINE, want %d", n, count)
		}
		var rowsOnline int64
		err = db.Read(context.Background()).Model(&models.User{}).Where("presence = ?", models.PresenceOnline).Count(&rowsOnline).Error
		if err != nil || rowsOnline != count {
			t.Fatalf("%d rows are ONLINE, %v", rowsOnline, err)
		}
		for _, r := range seen {
			r.events = nil
		}
		for i := range w.users {
			if _, err := w.SetStatus(status.AccountOf(w.users[i]), "back"); err != nil {
				t.Fatal(err)
			}
		}
		w.delivered()
		for i := range seen {
			if n := len(seen[i].events); n != 1+2*friends {
				t.Fatalf("u%d received %d changes, want its own and those of %d friends", i, n, 2*friends)
			}
		}
		if n := runtime.NumGoroutine(); n > before+fanout.Queues {
			t.Fatalf("%d goroutines run, want the %d from before the devices connected", n, before)
		}
	})
}
