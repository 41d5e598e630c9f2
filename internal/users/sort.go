package users

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"rollcall/internal/page"
	"rollcall/models"
)

// Sort is what a list of users is ordered by.
type Sort string

// The orders. Each is read from an index, so that a page costs the same at any depth.
const (
	// ByRegistration is the order of the registrations.
	ByRegistration Sort = "registration"
	// ByName is the order of the names in the form of models.SearchForm.
	ByName Sort = "name"
	// ByID is the order of the IDs, of which capital letters are before small ones.
	ByID Sort = "id"
	// BySeen is the order of the times when users were last online. Descending, it begins with those
	// that are online, the latest to come first, and ends with those that never were.
	BySeen Sort = "seen"
)

// Sortable reports whether the users that the filter selects can be listed in each order: it has no
// search, and selects most users of an app, so that an index of all users can be read.
func (f Filter) Sortable() bool {
	return f.Search == "" && len(f.Presences) == 0 && (len(f.States) == 0 || slices.Contains(f.States, models.UserActive))
}

// list is a list of users.
type list struct {
	// order has no columns; the parts have them.
	order page.Order
	// parts are the parts of the list, in its order if that is descending.
	parts []part
	// key returns a user's position.
	key   func(*models.User) page.Key
	total page.Total
}

// query returns a new query for users.
type query func(context.Context) *gorm.DB

// part is a part of a list.
type part struct {
	// at and id are the columns of the order. If at is "", the position of each user has the time
	// base.
	at, id string
	// base is what the times in positions are greater by than those in the column at.
	base models.Time
	// queries select the users, each in the order of an index.
	queries []query
}

const (
	// onlineBase is added to the time of users that are online, so that they are after all others in
	// the order BySeen.
	onlineBase models.Time = 1 << 52
	// neverSeen is the time of users that were never online in the order BySeen.
	neverSeen models.Time = -1
)

// sorted returns the list of the users that a filter selects, without a total.
func (s *Service) sorted(app *models.App, f Filter, by Sort) list {
	l := list{order: page.Order{List: "users", Owner: app.ID, Secret: s.keys.Secret()}}
	of := func(index, condition string, args ...any) query {
		return func(ctx context.Context) *gorm.DB {
			return s.only(ctx, f, s.readBy(ctx, index).Where("users.app_id = ?"+condition, append([]any{app.ID}, args...)...))
		}
	}
	switch by {
	case ByName:
		l.order.List, l.order.Text = "users by name", true
		l.parts = []part{{at: "users.search_name", id: "users.id", queries: []query{of("users_app_name", "")}}}
		l.key = func(u *models.User) page.Key { return page.Key{Text: u.SearchName, ID: u.ID} }
	case ByID:
		l.order.List, l.order.Text = "users by ID", true
		l.parts = []part{{at: "users.external_id", queries: []query{of("users_app_external", "")}}}
		l.key = func(u *models.User) page.Key { return page.Key{Text: u.ExternalID, ID: u.ID} }
	case BySeen:
		const index, seen = "users_app_active", " AND users.presence = ? AND users.presence_at IS NOT NULL"
		l.order.List = "users by last seen"
		l.parts = []part{
			{at: "users.presence_at", id: "users.id", base: onlineBase, queries: []query{of(index, seen, models.PresenceOnline)}},
			{at: "users.presence_at", id: "users.id", queries: []query{
				of(index, seen, models.PresenceOffline), of(index, seen, models.PresenceUnlogined),
			}},
			{id: "users.id", base: neverSeen, queries: []query{
				of(index, " AND users.presence = ? AND users.presence_at IS NULL", models.PresenceUnlogined),
			}},
		}
		l.key = seenKey
	default:
		l.parts = []part{{at: "users.created_at", id: "users.id", queries: []query{
			func(ctx context.Context) *gorm.DB { return s.filter(ctx, app, f) },
		}}}
		l.key = func(u *models.User) page.Key { return page.Key{At: u.CreatedAt, ID: u.ID} }
	}
	return l
}

// seenKey returns a user's position in the order BySeen.
func seenKey(u *models.User) page.Key {
	switch {
	case u.PresenceAt == nil:
		return page.Key{At: neverSeen, ID: u.ID}
	case u.Presence == models.PresenceOnline:
		return page.Key{At: onlineBase + *u.PresenceAt, ID: u.ID}
	}
	return page.Key{At: *u.PresenceAt, ID: u.ID}
}

// list reads a page of a list. Its time is limited, as for all lists.
func (s *Service) list(ctx context.Context, l list, r page.Request) (*Connection, error) {
	ctx, cancel := s.db.Bounded(ctx)
	defer cancel()
	from, err := l.order.Position(r)
	if err != nil {
		return nil, err
	}
	reading := l.order.Reading(r)
	parts := slices.Clone(l.parts)
	if reading.OldestFirst {
		slices.Reverse(parts)
	}
	users := []*models.User{}
	for _, part := range parts {
		found, err := l.read(ctx, part, reading, from, r.First+1-len(users))
		if err != nil {
			return nil, fmt.Errorf("listing users: %w", err)
		}
		if users = append(users, found...); len(users) > r.First {
			break
		}
	}
	keys := make([]page.Key, len(users))
	for i, u := range users {
		keys[i] = l.key(u)
	}
	if from == nil && len(users) <= r.First { // this page is the whole list
		l.total = func(context.Context) (int, error) { return len(users), nil }
	}
	return page.Of(l.order, r, users, keys, l.total), nil
}

// read reads the first n users of a part behind a position.
func (l list) read(ctx context.Context, p part, reading page.Order, from *page.Key, n int) (users []*models.User, err error) {
	reading.At, reading.ID = p.at, p.id
	switch {
	case from == nil:
	case p.at != "":
		from = &page.Key{At: from.At - p.base, Text: from.Text, ID: from.ID}
	case from.At != p.base: // the position is in another part: all users are behind it, or none
		if reading.OldestFirst {
			return nil, nil
		}
		from = nil
	}
	for _, query := range p.queries {
		var found []*models.User
		if err := reading.Read(query(ctx), from, n).Select("users.*").Find(&found).Error; err != nil {
			return nil, err
		}
		users = append(users, found...)
	}
	if len(p.queries) > 1 {
		slices.SortFunc(users, func(a, b *models.User) int {
			order := cmp.Or(cmp.Compare(l.key(a).At, l.key(b).At), cmp.Compare(a.ID, b.ID))
			if !reading.OldestFirst {
				return -order
			}
			return order
		})
	}
	return users[:min(n, len(users))], nil
}
