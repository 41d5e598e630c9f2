package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
	// failures is locked while a failed login is recorded.
	failures sync.Mutex
	// behind is how long entries wait to be chained, and stalled whether that is too long.
	behind  prometheus.Gauge
	stalled atomic.Bool
	// searchNewest is SearchNewest except in tests.
	searchNewest int
}

// New returns the audit of db; clock is time.Now outside tests.
func New(db *database.DB, clock func() time.Time) *Log {
	return &Log{db: db, clock: clock, behind: newBehind(), searchNewest: SearchNewest}
}

// Filter selects entries of the audit. Its zero value selects all.
type Filter struct {
	// App selects what was done in that app.
	App *models.App
	// Within selects what was done in the apps with these apps.id, unless App is set. If it is nil,
	// all entries are selected, also those that concern no app.
	Within []int64
	// Actor, Action and Target select the entries with exactly these values.
	Actor, Action, Target string
	// Kind selects the entries whose target is of that kind, such as KindUser. Without it, Target also
	// selects what has another kind of target with the same text: the ID of a user may be a number,
	// which endpoints have too, or the key of an app.
	Kind string
	// Text selects the entries that have it in any part of the actor, its API key, the target, the
	// detail or the address, with letters in any case. Of the entries that the rest of the filter
	// selects, the newest SearchNewest are searched, and of each app if Within names apps.
	Text string
	// From and Until select a range of time that includes From and excludes Until. If they are 0,
	// it has no beginning or no end.
	From, Until models.Time
}

// KindUser is the kind of the targets that are users. The action of an entry begins with the kind of
// its target.
const KindUser = "user"

// Connection is a page of the audit, and Edge an entry in it.
type (
	Connection = page.Connection[*models.AuditEntry]
	Edge       = page.Edge[*models.AuditEntry]
)

// SearchNewest is how many entries a search for a text examines. No index finds a part of a value.
const SearchNewest = 50_000

// List returns a page of the audit, newest first. Returns INVALID_ARGUMENT for a cursor of another
// list.
func (l *Log) List(ctx context.Context, f Filter, r page.Request) (*Connection, error) {
	order := page.Order{List: "audit", At: "at", ID: "id"}
	if f.App != nil {
		order.Owner = f.App.ID
	}
	parts, _, err := l.searched(ctx, f)
	if err != nil {
		return nil, err
	}
	var entries []*models.AuditEntry
	for _, part := range parts {
		rows, err := order.Limit(l.entries(ctx, part, r), r)
		if err != nil {
			return nil, err
		}
		var found []*models.AuditEntry
		if err := rows.Find(&found).Error; err != nil {
			return nil, fmt.Errorf("listing the audit: %w", err)
		}
		entries = append(entries, found...)
	}
	slices.SortFunc(entries, func(a, b *models.AuditEntry) int {
		if r.Before != nil {
			a, b = b, a // read backwards
		}
		return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(b.ID, a.ID))
	})
	entries = entries[:min(len(entries), r.First+1)]
	keys := make([]page.Key, len(entries))
	for i, e := range entries {
		keys[i] = page.Key{At: e.At, ID: e.ID}
	}
	return page.Of(order, r, entries, keys, func(ctx context.Context) (int, error) {
		total := 0
		for _, part := range parts {
			var n int64
			if err := l.entries(ctx, part, page.Request{}).Count(&n).Error; err != nil {
				return 0, err
			}
			total += int(n)
		}
		return total, nil
	}), nil
}

// parts returns filters that together select what f does. Each reads a range of an index in the
// list's order, which one filter of several apps could not.
func (f Filter) parts() []Filter {
	if f.App != nil || f.Within == nil {
		return []Filter{f}
	}
	parts := make([]Filter, len(f.Within))
	for i, id := range f.Within {
		parts[i] = f
		parts[i].App = &models.App{ID: id}
	}
	return parts
}

// SearchedSince returns since when the entries have been searched for f.Text, or 0 if all that the rest
// of the filter selects are.
func (l *Log) SearchedSince(ctx context.Context, f Filter) (models.Time, error) {
	_, since, err := l.searched(ctx, f)
	return since, err
}

// searched returns the parts of f, each limited to the entries that a search for its text examines, and
// the latest beginning of these, or 0 if none is limited.
func (l *Log) searched(ctx context.Context, f Filter) (parts []Filter, since models.Time, err error) {
	parts = f.parts()
	if f.Text == "" {
		return parts, 0, nil
	}
	for i, part := range parts {
		part.Text = ""
		var beyond []models.Time
		err := l.entries(ctx, part, page.Request{}).Order("at DESC, id DESC").Offset(l.searchNewest).Limit(1).Pluck("at", &beyond).Error
		if err != nil {
			return nil, 0, fmt.Errorf("searching the audit: %w", err)
		}
		if len(beyond) > 0 {
			parts[i].From = beyond[0] + 1 // so that those of one time are in or out together
			since = max(since, parts[i].From)
		}
	}
	return parts, since, nil
}

// containing returns the query with the condition that a column contains the text.
func (l *Log) containing(query *gorm.DB, text string) *gorm.DB {
	lower := strings.ToLower(text)
	if l.db.Dialect() == database.SQLite {
		lower = lowerASCII(text) // as its LOWER
	}
	var conditions []string
	var args []any
	for _, column := range []string{"target", "actor", "actor_key", "detail", "address"} {
		conditions, args = append(conditions, "INSTR(LOWER("+column+"), ?) > 0"), append(args, lower)
	}
	return query.Where("("+strings.Join(conditions, " OR ")+")", args...)
}

func lowerASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}

// AppDeletions returns the entries about the deletion of the apps with these apps.id or keys. There is
// none of an app that exists, or was deleted before the audit's retention.
func (l *Log) AppDeletions(ctx context.Context, ids []int64, keys []string) ([]*models.AuditEntry, error) {
	var entries []*models.AuditEntry
	err := l.appDeletions(ctx, ids, keys).Find(&entries).Error
	if err != nil {
		return nil, fmt.Errorf("reading deletions of apps: %w", err)
	}
	return entries, nil
}

// LastAppDeletions returns the entries about the last deletions of apps, the newest first.
func (l *Log) LastAppDeletions(ctx context.Context, limit int) ([]*models.AuditEntry, error) {
	var entries []*models.AuditEntry
	if err := l.lastAppDeletions(ctx, limit).Find(&entries).Error; err != nil {
		return nil, fmt.Errorf("reading the last deletions of apps: %w", err)
	}
	return entries, nil
}

func (l *Log) lastAppDeletions(ctx context.Context, limit int) *gorm.DB {
	return l.db.Read(ctx).Model(&models.AuditEntry{}).Table(l.db.Using("audit_entries", "audit_entries_action")).
		Where("action = ?", ActionAppDelete).Order("at DESC, id DESC").Limit(limit)
}

func (l *Log) appDeletions(ctx context.Context, ids []int64, keys []string) *gorm.DB {
	return l.db.Read(ctx).Model(&models.AuditEntry{}).Table(l.db.Using("audit_entries", "audit_entries_action")).
		Where("action = ? AND (app_id IN ? OR target IN ?)", ActionAppDelete, ids, keys)
}

// revokedMost is the maximum number of users that RevokedSince returns.
const revokedMost = 1000

// RevokedSince returns the users of all apps that were banned, signed out, deactivated or deleted since
// the given time according to the audit. It returns at most 1000; complete reports whether these are
// all.
func (l *Log) RevokedSince(ctx context.Context, since models.Time) (users []bus.RevokedUser, complete bool, err error) {
	err = l.db.Read(ctx).Table(l.db.Using("audit_entries", "audit_entries_action")).
		Select("app_id", "target AS external_id").
		Where("action IN ? AND at >= ?", []string{ActionUserBan, ActionUserSignOut, ActionUserDeactivate, ActionUserDelete}, since).
		Limit(revokedMost + 1).Find(&users).Error
	if err != nil {
		return nil, false, fmt.Errorf("reading revoked users: %w", err)
	}
	return users, len(users) <= revokedMost, nil
}

// entries returns the entries that f selects, for the page r of them.
func (l *Log) entries(ctx context.Context, f Filter, r page.Request) *gorm.DB {
	query := l.db.Read(ctx).Model(&models.AuditEntry{}).Table(l.db.Using("audit_entries", f.index()))
	if f.App != nil {
		query = query.Where("app_id = ?", f.App.ID)
	}
	for column, value := range map[string]string{"actor": f.Actor, "action": f.Action, "target": f.Target} {
		if value != "" {
			query = query.Where(column+" = ?", value)
		}
	}
	if f.Kind != "" {
		query = query.Where("action LIKE ?", f.Kind+".%")
	}
	if f.Text != "" {
		query = l.containing(query, f.Text)
	}
	// A plus sign leaves the index's range to the cursor, which is the narrower bound on its side:
	// SQLite uses only one of the two.
	from, until := "at >= ?", "at < ?"
	if r.Before != nil {
		from = "+" + from
	}
	if r.After != nil {
		until = "+" + until
	}
	if f.From != 0 {
		query = query.Where(from, f.From)
	}
	if f.Until != 0 {
		query = query.Where(until, f.Until)
	}
	return query
}

// index returns the name of the index that finds f's entries in their order. Of several conditions,
// the index serves the one that usually selects the fewest entries; the others are checked row by
// row. All these indexes end with the columns of the list's order.
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
