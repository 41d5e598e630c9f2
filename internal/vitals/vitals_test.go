package vitals_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/internal/vitals"
	"rollcall/models"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// config returns the configuration of a node without Redis.
func config(db *database.DB) vitals.Config {
	return vitals.Config{
		DB: db, Name: "host/1", Version: "1.2.3", Devices: func() int { return 7 },
		Logger: slog.New(slog.DiscardHandler), Clock: time.Now,
	}
}

func TestReport(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		n := vitals.New(config(db))
		r, err := n.Report(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if r.Started == 0 || r.Devices != 7 || r.Version != "1.2.3" {
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
	n := vitals.New(config(db))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := n.Report(context.Background()); err == nil {
		t.Errorf("%+v", r)
	}
}

// TestHealth_OfTheOnlyNode: it names the database's product, and writes nothing.
func TestHealth_OfTheOnlyNode(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		n := vitals.New(config(db))
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			n.Run(ctx, "127.0.0.1:1")
		}()
		for n.Health().Database.Since == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
		<-done
		h := n.Health()
		if d := h.Database; d.Away || d.Seen == 0 || d.RoundTrip <= 0 || len(d.Product) < len("SQLite 3") || h.Redis != nil || len(h.Others) > 0 {
			t.Errorf("%+v", h)
		}
		if h.Self.State != vitals.Running || h.Self.Devices != 7 || h.Self.Since() != h.Self.Started {
			t.Errorf("%+v", h.Self)
		}
		var rows int64
		if err := db.Read(context.Background()).Model(&models.ServiceNode{}).Count(&rows).Error; err != nil || rows != 0 {
			t.Errorf("%d rows, %v", rows, err)
		}
	})
}
