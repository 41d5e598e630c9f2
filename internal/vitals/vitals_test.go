package vitals_test

import (
	"context"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/internal/vitals"
	"rollcall/models"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func TestReport(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		now := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
		clock := func() time.Time {
			now = now.Add(3 * time.Millisecond)
			return now
		}
		n := vitals.New(db, func() int { return 7 }, "1.2.3", clock)
		started := models.TimeOf(now)
		now = now.Add(time.Hour)
		r, err := n.Report(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if r.RoundTrip != 3*time.Millisecond || r.Started != started || r.Devices != 7 || r.Version != "1.2.3" || r.Dialect != db.Dialect() {
			t.Errorf("%+v", r)
		}
		if r.Schema.Current == 0 || r.Schema.Current != r.Schema.Latest {
			t.Errorf("schema %+v", r.Schema)
		}
		if r.Goroutines < 2 || r.Memory < 1<<20 || r.Memory > 1<<40 || r.Go == "" {
			t.Errorf("%+v", r)
		}
	})
}

func TestReport_FailsWithoutTheDatabase(t *testing.T) {
	url := testenv.SQLiteURL(t)
	db, err := database.Open(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	n := vitals.New(db, func() int { return 0 }, "1.2.3", time.Now)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := n.Report(context.Background()); err == nil {
		t.Errorf("%+v", r)
	}
}
