package users

import (
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/internal/headcount"
	"rollcall/internal/page"
	"rollcall/models"
)

// Filter selects some of an app's users. Its zero value selects all.
type Filter struct {
	// Search selects users whose ID or name contains it, ignoring case, accents and width; see
	// models.SearchForm. Of users that are older than the SearchNames newest, it finds only those whose
	// ID begins with it, in its exact case; see SearchIDs.
	Search string
	// States selects users in one of these states. If it is empty, it selects users in any state.
	States []models.UserState
	// Presences selects users with one of these presences. If it is empty, it selects users with any.
	Presences []models.Presence
}

// Connection is one page of users.
type Connection = page.Connection[*models.User]

// Edge is a user in a page.
type Edge = page.Edge[*models.User]

// isAll reports whether the filter selects all users.
func (f Filter) isAll() bool { return f.Search == "" && len(f.States) == 0 && len(f.Presences) == 0 }

// List returns a page of the app's users, newest first or, if r says so, oldest first. Returns
// INVALID_ARGUMENT for a cursor of another list, and RATE_LIMITED if too many filtered lists and
// counts of the app are being read.
func (s *Service) List(ctx context.Context, app *models.App, f Filter, r page.Request) (*Connection, error) {
	return s.ListBy(ctx, app, f, ByRegistration, r)
}

// ListBy is List in another order, descending or, with r.OldestFirst, ascending. The filter must be
// Sortable, except for ByRegistration.
func (s *Service) ListBy(ctx context.Context, app *models.App, f Filter, by Sort, r page.Request) (*Connection, error) {
	if by != ByRegistration && !f.Sortable() {
		return nil, fault.Invalid("orderBy", "without", "a search, and a filter that selects few users, have no other order than that of the registration")
	}
	l := s.sorted(app, f, by)
	l.order.OldestFirst = r.OldestFirst
	l.total = func(ctx context.Context) (int, error) { return s.total(ctx, app, f) }
	if f.isAll() {
		return s.list(ctx, l, r)
	}
	var out *Connection
	err := s.slowly(ctx, app, func(ctx context.Context) (err error) {
		if f.Search != "" {
			if err := s.search(ctx, app, f, &l); err != nil {
				return err
			}
		}
		out, err = s.list(ctx, l, r)
		return err
	})
	return out, err
}

// total returns how many users a filter without a search selects. If these could be nearly all users
// of an app, it computes the number from counters instead of counting rows.
func (s *Service) total(ctx context.Context, app *models.App, f Filter) (int, error) {
	countable := func(f Filter) (int, error) {
		return s.count(ctx, app, func(ctx context.Context) *gorm.DB { return s.filter(ctx, app, f) })
	}
	has := func(p models.Presence) bool { return slices.Contains(f.Presences, p) }
	offline := has(models.PresenceOffline) && has(models.PresenceUnlogined) && !has(models.PresenceOnline)
	if len(f.Presences) > 0 && !offline {
		return countable(f)
	}
	if offline {
		all, err := s.total(ctx, app, Filter{States: f.States})
		if err != nil {
			return 0, err
		}
		online, err := countable(Filter{States: f.States, Presences: []models.Presence{models.PresenceOnline}})
		return all - online, err
	}
	sum := 0
	in := func(state models.UserState) bool { return len(f.States) == 0 || slices.Contains(f.States, state) }
	var counts models.UserCounts
	if in(models.UserDeactivated) || in(models.UserActive) {
		var err error
		if counts, err = s.Counts(ctx, app); err != nil {
			return 0, err
		}
	}
	if in(models.UserDeactivated) {
		sum += counts.Deactivated
	}
	if in(models.UserActive) {
		sum += counts.Registered
	}
	if in(models.UserActive) != in(models.UserBanned) {
		banned, err := countable(Filter{States: []models.UserState{models.UserBanned}})
		if err != nil {
			return 0, err
		}
		if in(models.UserActive) {
			banned = -banned
		}
		sum += banned
	}
	return sum, nil
}

// Counts returns how many users the app has.
func (s *Service) Counts(ctx context.Context, app *models.App) (models.UserCounts, error) {
	counts, err := headcount.Read(ctx, s.db, app.ID)
	return counts[app.ID], err
}

// Banned returns a page of the users whose ban is in force, the latest end first.
func (s *Service) Banned(ctx context.Context, app *models.App, r page.Request) (*Connection, error) {
	return s.list(ctx, list{
		order: page.Order{List: "banned", Owner: app.ID, Secret: s.keys.Secret()},
		parts: []part{{at: "users.banned_until", id: "users.id", queries: []query{
			func(ctx context.Context) *gorm.DB { return s.banned(ctx, app) },
		}}},
		key:   func(u *models.User) page.Key { return page.Key{At: *u.BannedUntil, ID: u.ID} },
		total: func(ctx context.Context) (int, error) { return s.BannedCount(ctx, app) },
	}, r)
}

// BannedCount returns the number of bans in force. It reads these users and no others.
func (s *Service) BannedCount(ctx context.Context, app *models.App) (int, error) {
	return s.count(ctx, app, func(ctx context.Context) *gorm.DB { return s.banned(ctx, app) })
}

func (s *Service) banned(ctx context.Context, app *models.App) *gorm.DB {
	return s.readBy(ctx, "users_app_banned").Where("users.app_id = ? AND banned_until > ?", app.ID, s.now())
}

// Deactivated returns a page of the deactivated users, the latest first.
func (s *Service) Deactivated(ctx context.Context, app *models.App, r page.Request) (*Connection, error) {
	return s.list(ctx, list{
		order: page.Order{List: "deactivated", Owner: app.ID, Secret: s.keys.Secret()},
		parts: []part{{at: "users.deactivated_at", id: "users.id", queries: []query{func(ctx context.Context) *gorm.DB {
			return s.readBy(ctx, "users_app_deactivated").Where("users.app_id = ? AND deactivated_at IS NOT NULL", app.ID)
		}}}},
		key: func(u *models.User) page.Key { return page.Key{At: *u.DeactivatedAt, ID: u.ID} },
		total: func(ctx context.Context) (int, error) {
			counts, err := s.Counts(ctx, app)
			return counts.Deactivated, err
		},
	}, r)
}

// count returns how many users query selects. Returns RATE_LIMITED, as List does.
func (s *Service) count(ctx context.Context, app *models.App, query func(context.Context) *gorm.DB) (int, error) {
	var n int64
	err := s.slowly(ctx, app, func(ctx context.Context) error { return query(ctx).Count(&n).Error })
	if err != nil {
		return 0, fmt.Errorf("counting users: %w", err)
	}
	return int(n), nil
}

// filter returns the users that a filter without a search selects.
func (s *Service) filter(ctx context.Context, app *models.App, f Filter) *gorm.DB {
	return s.only(ctx, f, s.among(ctx, app, f).Where("users.app_id = ?", app.ID))
}

// only returns those users of a query that are in the states and presences of a filter.
func (s *Service) only(ctx context.Context, f Filter, query *gorm.DB) *gorm.DB {
	if len(f.States) > 0 {
		query = query.Where(s.inStates(ctx, f.States))
	}
	if len(f.Presences) > 0 {
		// The column presence may lag behind the connections by a moment.
		query = query.Where("users.presence IN ?", f.Presences)
	}
	return query
}

// among returns the users to which f must be applied: the smallest set that contains f's users and
// that an index can provide.
func (s *Service) among(ctx context.Context, app *models.App, f Filter) *gorm.DB {
	has := func(state models.UserState) bool { return slices.Contains(f.States, state) }
	few := len(f.States) > 0 && !has(models.UserActive)
	switch {
	case len(f.Presences) == 1:
		return s.readBy(ctx, "users_app_presence")
	case few && has(models.UserBanned) && has(models.UserDeactivated):
		// By a union, because SQLite would read all users for a condition with OR.
		return s.withKeys(ctx, union(s.db.Read(ctx),
			s.filter(ctx, app, Filter{States: []models.UserState{models.UserBanned}}),
			s.filter(ctx, app, Filter{States: []models.UserState{models.UserDeactivated}})))
	case few && has(models.UserBanned):
		return s.readBy(ctx, "users_app_banned")
	case few:
		return s.readBy(ctx, "users_app_deactivated")
	}
	return s.readBy(ctx, "users_app_created")
}

// readBy returns the users, which the database reads by that index.
func (s *Service) readBy(ctx context.Context, index string) *gorm.DB {
	return s.db.Read(ctx).Model(&models.User{}).Table(s.db.Using("users", index))
}

// withKeys returns the users whose keys a query returns.
func (s *Service) withKeys(ctx context.Context, keys *gorm.DB) *gorm.DB {
	return s.db.Read(ctx).Model(&models.User{}).
		Table("(?) AS these "+s.db.Then()+" users ON users.id = these.these_id", keys)
}

// union returns the keys of the users of both queries, each once. Each query is nested in one more
// SELECT: MySQL allows LIMIT within a UNION only in parentheses, which SQLite does not allow.
func union(db *gorm.DB, a, b *gorm.DB) *gorm.DB {
	return db.Table("(SELECT id AS these_id FROM (?) AS a UNION SELECT id FROM (?) AS b) AS united", a.Select("id"), b.Select("id"))
}

// inStates returns the condition that a user is in one of states now.
func (s *Service) inStates(ctx context.Context, states []models.UserState) *gorm.DB {
	now := s.now()
	either := s.db.Read(ctx)
	if slices.Contains(states, models.UserDeactivated) {
		either = either.Or("users.deactivated_at IS NOT NULL")
	}
	if slices.Contains(states, models.UserBanned) {
		either = either.Or("users.banned_until > ?", now) // a deactivated user is never banned
	}
	if slices.Contains(states, models.UserActive) {
		either = either.Or("users.deactivated_at IS NULL AND (users.banned_until IS NULL OR users.banned_until <= ?)", now)
	}
	return either
}
