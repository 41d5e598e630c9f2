package audit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/page"
	"rollcall/models"
)

// Log is the audit of a database.
type Log struct {
	db    *database.DB
	clock func() time.Time
	// failures is held while a failed login is written down.
	failures sync.Mutex
}

// New returns the audit of db; clock is time.Now outside tests.
func New(db *database.DB, clock func() time.Time) *Log { return &Log{db: db, clock: clock} }

// Filter keeps some of the audit's entries; its zero value keeps all.
type Filter struct {
	// App keeps what was done in that app.
	App *models.App
	// Actor, Action and Target keep the entries that have exactly this.
	Actor, Action, Target string
	// From and Until keep the entries of that time, From included and Until not;
	// 0: from the beginning, and up to now.
	From, Until models.Time
}

// List returns a page of the audit, the newest first. Errors: INVALID_ARGUMENT
// for a cursor that is none of this list.
func (l *Log) List(ctx context.Context, f Filter, r page.Request) (*page.Connection[*models.AuditEntry], error) {
	order := page.Order{List: "audit", At: "at", ID: "id"}
	if f.App != nil {
		order.Owner = f.App.ID
	}
	rows, err := order.Limit(l.entries(ctx, f, r.After != nil), r)
	if err != nil {
		return nil, err
	}
	var entries []*models.AuditEntry
	if err := rows.Find(&entries).Error; err != nil {
		return nil, fmt.Errorf("listing the audit: %w", err)
	}
	keys := make([]page.Key, len(entries))
	for i, e := range entries {
		keys[i] = page.Key{At: e.At, ID: e.ID}
	}
	return page.Of(order, r, entries, keys, func(ctx context.Context) (int, error) {
		var n int64
		err := l.entries(ctx, f, false).Count(&n).Error
		return int(n), err
	}), nil
}

// revokedMost is how many users RevokedSince returns at most.
const revokedMost = 1000

// RevokedSince returns the users of all apps that were banned, deactivated or deleted since the
// time, as the audit has them. complete reports whether these are all: at most 1000 are returned.
func (l *Log) RevokedSince(ctx context.Context, since models.Time) (users []bus.RevokedUser, complete bool, err error) {
	err = l.db.Read(ctx).Table(l.db.Using("audit_entries", "audit_entries_action")).
		Select("app_id", "target AS external_id").
		Where("action IN ? AND at >= ?", []string{ActionUserBan, ActionUserDeactivate, ActionUserDelete}, since).
		Limit(revokedMost + 1).Find(&users).Error
	if err != nil {
		return nil, false, fmt.Errorf("reading whose access was revoked: %w", err)
	}
	return users, len(users) <= revokedMost, nil
}

// entries returns the entries that f keeps. later is for a page behind a cursor.
func (l *Log) entries(ctx context.Context, f Filter, later bool) *gorm.DB {
	query := l.db.Read(ctx).Model(&models.AuditEntry{}).Table(l.db.Using("audit_entries", f.index()))
	if f.App != nil {
		query = query.Where("app_id = ?", f.App.ID)
	}
	for column, value := range map[string]string{"actor": f.Actor, "action": f.Action, "target": f.Target} {
		if value != "" {
			query = query.Where(column+" = ?", value)
		}
	}
	if f.From != 0 {
		query = query.Where("at >= ?", f.From)
	}
	switch {
	case f.Until == 0:
	case later:
		// The sign leaves the index's range to the cursor, which is the narrower
		// bound: SQLite takes one of the two.
		query = query.Where("+at < ?", f.Until)
	default:
		query = query.Where("at < ?", f.Until)
	}
	return query
}

// index is the one that finds f's entries in their order. Of several conditions
// it serves the one that usually keeps the fewest, and the others are looked at
// row by row; all of its indexes end in the order of the list.
func (f Filter) index() string {
	switch {
	case f.App != nil && f.Target != "":
		return "audit_entries_app_target"
	case f.Target != "":
		return "audit_entries_target"
	case f.Actor != "":
		return "audit_entries_actor"
	case f.Action != "":
		return "audit_entries_action"
	case f.App != nil:
		return "audit_entries_app_at"
	}
	return "audit_entries_at"
}
