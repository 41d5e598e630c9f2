package users

import (
	"context"
	"slices"

	"gorm.io/gorm"

	"rollcall/internal/fault"
	"rollcall/internal/headcount"
	"rollcall/internal/outbox"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// Item is the result of one registration of a batch: Registered or an error.
type Item struct {
	*Registered
	Err *fault.Error
}

// RegisterMany registers users in the given order, with the same result as one Register after the
// other: invalid ones are INVALID_ARGUMENT, users that the app has no room for are
// USER_LIMIT_REACHED, deactivated users are USER_DEACTIVATED, and the others are registered. It runs
// as many statements for a hundred users as for two.
func (s *Service) RegisterMany(ctx context.Context, app *models.App, in []Registration) ([]Item, error) {
	results := make([]Item, len(in))
	var valid []Registration
	var places []int // in results, of the valid ones
	for i, r := range in {
		if refusal, ok := fault.As(r.Validate()); ok {
			results[i].Err = refusal
			continue
		}
		valid, places = append(valid, r), append(places, i)
	}
	if len(valid) == 0 {
		return results, nil
	}
	var items []Item
	var recorded bool
	err := s.register(ctx, func(tx *gorm.DB) (err error) {
		items, recorded, err = s.registerAll(tx, app, valid)
		return err
	})
	if err != nil {
		return nil, fault.Wrap(err, "registering users")
	}
	s.bus.PublishEventsRecorded(ctx, recorded)
	var again []int64
	for _, item := range items {
		if item.Err == nil && !item.Created && !slices.Contains(again, item.User.ID) {
			again = append(again, item.User.ID)
		}
	}
	s.announce(ctx, again...)
	for i, item := range items {
		if item.Err == nil {
			if item.Issued, err = s.issue(app, item.User, valid[i].TokenTTL); err != nil {
				return nil, err
			}
		}
		results[places[i]] = item
	}
	return results, nil
}

// registerAll registers users in tx and reports whether it recorded events: one for each user, as
// the last registration of the user left it.
func (s *Service) registerAll(tx *gorm.DB, app *models.App, in []Registration) (items []Item, recorded bool, err error) {
	ids := make([]string, len(in))
	for i, r := range in {
		ids[i] = r.ID
	}
	users, err := userlock.Lock(tx, app, ids)
	if err != nil {
		return nil, false, err
	}
	tally := s.counts.In(tx, app)
	var room *headcount.Room // nil if no user is new
	if slices.ContainsFunc(ids, func(id string) bool { return users[id] == nil }) {
		if room, err = tally.Room(); err != nil {
			return nil, false, err
		}
	}
	items = make([]Item, len(in))
	var created, changed []*models.User
	for i, r := range in {
		u := users[r.ID]
		if u == nil {
			if e := room.Take(1); e != nil {
				items[i].Err = full(e)
				continue
			}
			u = s.newUser(app, r)
			// Lists have the users of a batch in its order, so each has a millisecond of its own.
			u.CreatedAt -= models.Time(len(in) - 1 - i)
			users[r.ID] = u
			created = append(created, u)
			items[i].Registered = &Registered{Created: true}
		} else {
			if items[i].Err = s.alter(u, r.profile()); items[i].Err != nil {
				continue
			}
			if !slices.Contains(created, u) && !slices.Contains(changed, u) {
				changed = append(changed, u)
			}
			items[i].Registered = &Registered{}
		}
		was := *u // as this item left it; a later item may overwrite it
		items[i].User = &was
	}
	if err := writeAll(tx, tally, created, changed); err != nil {
		return nil, false, err
	}
	registered, updated := s.profileEvent(outbox.UserRegistered), s.profileEvent(outbox.UserUpdated)
	recorded, err = s.record(tx, app, slices.Concat(created, changed), func(u *models.User) outbox.Event {
		if slices.Contains(changed, u) {
			return updated(u)
		}
		return registered(u)
	})
	return items, recorded, err
}

func writeAll(tx *gorm.DB, tally *headcount.Tally, created, changed []*models.User) error {
	if len(created) > 0 {
		if err := tx.Create(&created).Error; err != nil {
			return err
		}
		if err := tally.Add(models.UserCounts{Registered: len(created)}); err != nil {
			return err
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return overwriteAll(tx, changed)
}

// overwriteAll writes the profiles of locked rows by one statement.
func overwriteAll(tx *gorm.DB, users []*models.User) error {
	var set string
	var args []any
	for _, column := range []struct {
		name  string
		value func(*models.User) any
	}{
		{"name", func(u *models.User) any { return u.Name }},
		{"search_name", func(u *models.User) any { return u.SearchName }},
		{"avatar_url", func(u *models.User) any { return u.AvatarURL }},
		{"updated_at", func(u *models.User) any { return u.UpdatedAt }},
	} {
		if set != "" {
			set += ", "
		}
		set += column.name + " = CASE id"
		for _, u := range users {
			set += " WHEN ? THEN ?"
			args = append(args, u.ID, column.value(u))
		}
		set += " END"
	}
	return tx.Exec("UPDATE users SET "+set+" WHERE id IN ?", append(args, userlock.Keys(users))...).Error
}
