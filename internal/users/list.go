package users

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/page"
	"rollcall/models"
)

// What a search looks at, so that it costs the same in an app of a hundred
// million users.
const (
	// SearchIDs is how many of the IDs that begin with the text are looked at, in
	// the order of the IDs.
	SearchIDs = 10_000
	// SearchNames is of how many users, the newest, the names are looked at.
	SearchNames = 50_000
)

// Filter keeps some of an app's users; its zero value keeps all.
type Filter struct {
	// Search keeps users whose ID begins with it, or whose name has it in it
	// without regard to case. See SearchIDs and SearchNames.
	Search string
	// States keeps users in one of these states; none: in any.
	States []models.UserState
	// Online keeps those who are online, or those who are not; nil: both.
	Online *bool
}

// Connection is one page of users.
type Connection = page.Connection[*models.User]

// Edge is a user in a page.
type Edge = page.Edge[*models.User]

// List answers a page of the app's users, newest first. Errors: INVALID_ARGUMENT
// for a cursor that is none of this list.
func (s *Service) List(ctx context.Context, app *models.App, f Filter, r page.Request) (*Connection, error) {
	query := func(ctx context.Context) *gorm.DB { return s.filter(ctx, app, f) }
	order := page.Order{List: "users", Owner: app.ID, At: "created_at", ID: "id"}
	total := func(ctx context.Context) (int, error) { return s.total(ctx, app, f) }
	return list(ctx, query, order, r, func(u *models.User) models.Time { return u.CreatedAt }, total)
}

// total answers how many users a filter keeps. Where those could be nearly all
// of an app, it reckons with counters instead of counting them.
func (s *Service) total(ctx context.Context, app *models.App, f Filter) (int, error) {
	countable := func(f Filter) (int, error) {
		return counting(func(ctx context.Context) *gorm.DB { return s.filter(ctx, app, f) })(ctx)
	}
	if f.Search != "" || f.Online != nil && *f.Online {
		return countable(f)
	}
	if f.Online != nil {
		all, err := s.total(ctx, app, Filter{States: f.States})
		if err != nil {
			return 0, err
		}
		online := true
		there, err := countable(Filter{States: f.States, Online: &online})
		return all - there, err
	}
	sum := 0
	has := func(state models.UserState) bool { return len(f.States) == 0 || slices.Contains(f.States, state) }
	if has(models.UserDeactivated) {
		sum += app.DeactivatedUserCount
	}
	if has(models.UserActive) {
		sum += app.RegisteredUserCount
	}
	if has(models.UserActive) != has(models.UserBanned) {
		banned, err := countable(Filter{States: []models.UserState{models.UserBanned}})
		if err != nil {
			return 0, err
		}
		if has(models.UserActive) {
			banned = -banned
		}
		sum += banned
	}
	return sum, nil
}

// Banned answers a page of those whose ban runs, the latest end first.
func (s *Service) Banned(ctx context.Context, app *models.App, r page.Request) (*Connection, error) {
	query := func(ctx context.Context) *gorm.DB {
		return s.db.Read(ctx).Model(&models.User{}).Where("app_id = ? AND banned_until > ?", app.ID, s.now())
	}
	order := page.Order{List: "banned", Owner: app.ID, At: "banned_until", ID: "id"}
	return list(ctx, query, order, r, func(u *models.User) models.Time { return *u.BannedUntil }, counting(query))
}

// Deactivated answers a page of those deactivated, the latest first.
func (s *Service) Deactivated(ctx context.Context, app *models.App, r page.Request) (*Connection, error) {
	query := func(ctx context.Context) *gorm.DB {
		return s.db.Read(ctx).Model(&models.User{}).Where("app_id = ? AND deactivated_at IS NOT NULL", app.ID)
	}
	order := page.Order{List: "deactivated", Owner: app.ID, At: "deactivated_at", ID: "id"}
	total := func(context.Context) (int, error) { return app.DeactivatedUserCount, nil }
	return list(ctx, query, order, r, func(u *models.User) models.Time { return *u.DeactivatedAt }, total)
}

func list(ctx context.Context, query func(context.Context) *gorm.DB, order page.Order, r page.Request,
	at func(*models.User) models.Time, total func(context.Context) (int, error)) (*Connection, error) {
	rows, err := order.Limit(query(ctx), r)
	if err != nil {
		return nil, err
	}
	var users []*models.User
	if err := rows.Find(&users).Error; err != nil {
		return nil, fmt.Errorf("listing users: %w", err)
	}
	keys := make([]page.Key, len(users))
	for i, u := range users {
		keys[i] = page.Key{At: at(u), ID: u.ID}
	}
	return page.Of(order, r, users, keys, total), nil
}

// counting answers a count of what query keeps.
func counting(query func(context.Context) *gorm.DB) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		var n int64
		if err := query(ctx).Count(&n).Error; err != nil {
			return 0, fmt.Errorf("counting users: %w", err)
		}
		return int(n), nil
	}
}

func (s *Service) filter(ctx context.Context, app *models.App, f Filter) *gorm.DB {
	query := s.db.Read(ctx).Model(&models.User{}).Where("app_id = ?", app.ID)
	if f.Search != "" {
		query = query.Where("id IN (?)", s.search(ctx, app, f.Search))
	}
	if len(f.States) > 0 {
		query = query.Where(s.inStates(ctx, f.States))
	}
	if f.Online != nil {
		// The column follows who is online by a moment.
		if *f.Online {
			query = query.Where("presence = ?", models.PresenceOnline)
		} else {
			query = query.Where("presence <> ?", models.PresenceOnline)
		}
	}
	return query
}

// inStates is the condition of being in one of states now.
func (s *Service) inStates(ctx context.Context, states []models.UserState) *gorm.DB {
	now := s.now()
	either := s.db.Read(ctx)
	if slices.Contains(states, models.UserDeactivated) {
		either = either.Or("deactivated_at IS NOT NULL")
	}
	if slices.Contains(states, models.UserBanned) {
		either = either.Or("banned_until > ?", now) // nobody deactivated is banned
	}
	if slices.Contains(states, models.UserActive) {
		either = either.Or("deactivated_at IS NULL AND (banned_until IS NULL OR banned_until <= ?)", now)
	}
	return either
}

// search answers the keys of the users that match. Two selects of bounded size
// united, because an OR of both conditions would make the database look at
// everybody; each in one more select, because MySQL allows a LIMIT neither in a
// united select without parentheses nor in an IN.
func (s *Service) search(ctx context.Context, app *models.App, text string) *gorm.DB {
	// Who is in the names' reach first, then who of them matches: the limit is on
	// the looking.
	names := s.db.Read(ctx).Table("(?) AS newest", s.db.Read(ctx).Model(&models.User{}).Select("id", "search_name").
		Where("app_id = ?", app.ID).Order("created_at DESC, id DESC").Limit(SearchNames)).
		Select("id").Where("search_name LIKE ? ESCAPE '!'", "%"+escapeLike(models.SearchForm(text))+"%")
	if !database.IsASCII(text) {
		return names
	}
	ids := s.db.Read(ctx).Table("(?) AS prefixed", s.db.Read(ctx).Model(&models.User{}).Select("id").
		Where("app_id = ? AND external_id >= ? AND external_id < ?", app.ID, text, text+afterID).
		Order("external_id").Limit(SearchIDs)).Select("id")
	return s.db.Read(ctx).Table("(? UNION ?) AS found", ids, names).Select("id")
}

// afterID sorts after every character of an ID, so that the IDs with a prefix are
// the range from it to it + afterID: unlike LIKE, the same on every database.
const afterID = "~"

// escapeLike makes text stand for itself in a LIKE … ESCAPE '!'.
func escapeLike(text string) string {
	return strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(text)
}
