package cli

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"rollcall/internal/database"
)

// scrubInterval is how often what was deleted is removed from SQLite's files.
var scrubInterval = 5 * time.Second

const (
	// scrubRetry is the pause after an attempt that others were in the way of.
	scrubRetry = time.Second
	// scrubWarning is how long they may be in the way before the log says so.
	scrubWarning = time.Minute
)

// scrub keeps what was deleted or overwritten from staying in SQLite's files, until end is
// called.
func scrub(ctx context.Context, db *database.DB, log *slog.Logger) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		keepScrubbed(ctx, db, log)
	}()
	return func() {
		cancel()
		<-done
	}
}

func keepScrubbed(ctx context.Context, db *database.DB, log *slog.Logger) {
	var failing time.Time // since when; zero: the last attempt succeeded
	warned := false
	for {
		err := db.Scrub(ctx)
		interval := scrubInterval
		switch {
		case err == nil:
			failing, warned = time.Time{}, false
		case ctx.Err() != nil:
			return
		case failing.IsZero():
			failing = time.Now()
		case !warned && time.Since(failing) >= scrubWarning:
			warned = true
			log.Warn("deleted data stays in the database's files until they can be cleaned", "since", failing, "error", err)
		}
		if errors.Is(err, database.ErrScrubBusy) {
			interval = scrubRetry
		}
		if !pause(ctx, interval) {
			return
		}
	}
}
