package node

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"rollcall/internal/database"
)

const (
	// defaultScrubInterval is the default of Config.ScrubInterval.
	defaultScrubInterval = 5 * time.Second
	// scrubRetry is the pause after an attempt that other connections prevented.
	scrubRetry = time.Second
	// scrubWarning is how long attempts may fail before that is logged as a warning.
	scrubWarning = time.Minute
)

// keepScrubbed removes what was deleted or overwritten from SQLite's files regularly, until ctx ends.
func keepScrubbed(ctx context.Context, db *database.DB, interval time.Duration, log *slog.Logger) {
	var failing time.Time // since when; zero if the last attempt succeeded
	warned := false
	for {
		err := db.Scrub(ctx)
		next := interval
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
			next = scrubRetry
		}
		if !pause(ctx, next) {
			return
		}
	}
}
