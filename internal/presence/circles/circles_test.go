package circles

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fanout"
	"rollcall/internal/presence/status"
	"rollcall/internal/relations"
	"rollcall/internal/subscriptions"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// registry is a Registry in which no status ever changes.
type registry struct{}

func (registry) Follow(int64)                                                    {}
func (registry) Unfollow(int64)                                                  {}
func (registry) Settle(context.Context, ...int64) error                          { return nil }
func (registry) Receive(context.Context, ...int64) error                         { return nil }
func (registry) Moment() status.Moment                                           { return status.Moment{} }
func (registry) MomentOf(int64) status.Moment                                    { return status.Moment{} }
func (registry) Missed([]*fanout.Watch, *status.Absence) []*fanout.Event         { return nil }
func (registry) CatchUp(context.Context, *fanout.Watcher, *status.Absence) error { return nil }

// newCircles returns Circles that do not run, on a board of their own.
func newCircles(tb testing.TB, db *database.DB) *Circles {
	board := fanout.NewBoard(func(int) {})
	tb.Cleanup(func() {
		board.Close()
		board.Wait()
	})
	return New(Config{
		DB: db, Bus: new(bus.Bus), Board: board, Registry: registry{},
		Interests: Interests{Friends: relations.Friends, Subscriptions: subscriptions.Lists},
		Log:       slog.New(slog.DiscardHandler), Closing: tb.Context(), Life: tb.Context(),
	})
}

// TestPlans: each statement finds its rows by an index, so that it costs as much with a million users
// as with a thousand.
func TestPlans(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		const population, listed = 2000, 30
		app := models.App{
			Key: "key", Name: "app", Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship,
			SecretHash: []byte("hash"), Settings: models.DefaultAppSettings(), CreatedAt: 1,
		}
		users := make([]*models.User, population)
		err := db.Tx(t.Context(), func(tx *gorm.DB) error {
			if err := tx.Create(&app).Error; err != nil {
				return err
			}
			for i := range users {
				users[i] = &models.User{AppID: app.ID, ExternalID: fmt.Sprint("u", i), Name: "name", CreatedAt: 1, UpdatedAt: 1}
			}
			if err := tx.CreateInBatches(users, 500).Error; err != nil {
				return err
			}
			var friends []models.Friendship
			var targets []models.StatusSubscription
			for i, u := range users {
				for n := 1; n <= listed; n++ {
					other := users[(i+n)%population].ID
					friends = append(friends, models.Friendship{UserID: u.ID, CreatedAt: models.Time(n), FriendID: other})
					targets = append(targets, models.StatusSubscription{UserID: u.ID, Position: int64(n), TargetID: other, SubscribedAt: 1})
				}
			}
			if err := tx.CreateInBatches(friends, 1000).Error; err != nil {
				return err
			}
			return tx.CreateInBatches(targets, 1000).Error
		})
		if err != nil {
			t.Fatal(err)
		}
		cs, owner := newCircles(t, db), users[0].ID
		others := []int64{users[1].ID, users[100].ID}
		single := func(i int) func() error {
			return func() error {
				ids, _, err := cs.readers.single[i].Get(t.Context(), owner)
				if len(ids) != listed {
					t.Errorf("list %d has %d users, want %d", i, len(ids), listed)
				}
				return err
			}
		}
		among := func(i int) func() error {
			return func() error {
				found, err := cs.among(t.Context(), i, owner, others)
				if len(found) != 1 || found[0] != others[0] {
					t.Errorf("list %d has %v of %v", i, found, others)
				}
				return err
			}
		}
		for _, test := range []struct {
			name string
			do   func() error
		}{
			{"the friends", single(0)},
			{"the subscriptions", single(1)},
			{"all lists", func() error {
				all, _, err := cs.readers.together.Get(t.Context(), owner)
				if err == nil && (len(all[0]) != listed || len(all[1]) != listed) {
					t.Errorf("the lists have %d and %d users, want %d", len(all[0]), len(all[1]), listed)
				}
				return err
			}},
			{"some friends", among(0)},
			{"some subscriptions", among(1)},
			{"changes in an absence", func() error {
				_, err := cs.absence(t.Context(), status.Moment{}, 0, others)
				return err
			}},
		} {
			statements := testenv.Statements(t, db, func() {
				if err := test.do(); err != nil {
					t.Fatal(err)
				}
			})
			if len(statements) == 0 {
				t.Fatalf("%s: no statement was seen", test.name)
			}
			for _, s := range statements {
				plan := testenv.Explain(t, db, s)
				if slices.ContainsFunc(plan, func(step testenv.Step) bool { return step.Scans || step.Sorts }) {
					t.Errorf("%s: %s\n%.300s", test.name, plan, s.SQL)
				}
			}
		}
	})
}

// BenchmarkCircleMemory measures the memory of a watch: 1000 accounts with 200 of 2000 users each on
// their lists.
func BenchmarkCircleMemory(b *testing.B) {
	const accounts, users, each = 1000, 2000, 200
	cs := newCircles(b, nil)
	delivered := func() {
		for cs.Board.Stats().Delivering > 0 {
			runtime.Gosched()
		}
	}
	for b.Loop() {
		before := heap()
		all := make([]*circle, accounts)
		for i := range all {
			all[i] = newCircle(cs, status.Account{ID: int64(users + i + 1), AppID: 1}, friendship)
			ids := make([]int64, each)
			for n := range ids {
				ids[n] = int64(1 + (i*37+n)%users)
			}
			all[i].add(ids, friendship, nil)
		}
		delivered()
		b.ReportMetric(float64(heap()-before)/(accounts*each), "B/watch")
		for _, c := range all {
			c.close()
		}
		delivered()
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
