package users

import (
	"context"
	"maps"
	"slices"

	"gorm.io/gorm"

	"rollcall/internal/audit"
	"rollcall/internal/batch"
	"rollcall/internal/bus"
	"rollcall/internal/outbox"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// Eraser erases what another rule stores about users that are deactivated or deleted.
type Eraser interface {
	// Hold is called before the transaction, and release after everything about it has been
	// announced. So events about concurrent changes of the app's users with these IDs come either
	// entirely before or entirely after. Returns an error if the concurrent changes do not end in
	// time; release must not be called then.
	Hold(ctx context.Context, app *models.App, ids []string) (release func(), err error)
	// Count adds to counts how much Erase will erase of the users with these users.id, in the
	// transaction.
	Count(tx *gorm.DB, users []int64, counts audit.Erasures) error
	// Erase erases the data in the transaction. announce publishes the events of that, and is
	// called after the commit.
	Erase(tx *gorm.DB, gone []*models.User) (announce func(), err error)
}

// Erasers is a list of erasers that are called one after the other.
type Erasers []Eraser

// Hold calls Hold of each eraser in the order of the list, which is the same for all callers.
func (es Erasers) Hold(ctx context.Context, app *models.App, ids []string) (release func(), err error) {
	var releases []func()
	release = func() {
		for _, release := range releases {
			release()
		}
	}
	for _, e := range es {
		one, err := e.Hold(ctx, app, ids)
		if err != nil {
			release()
			return nil, err
		}
		releases = append(releases, one)
	}
	return release, nil
}

// Count calls Count of each eraser.
func (es Erasers) Count(tx *gorm.DB, users []int64, counts audit.Erasures) error {
	for _, e := range es {
		if err := e.Count(tx, users, counts); err != nil {
			return err
		}
	}
	return nil
}

// Erase calls Erase of each eraser. announce calls all their announce functions.
func (es Erasers) Erase(tx *gorm.DB, gone []*models.User) (announce func(), err error) {
	announcements := make([]func(), len(es))
	for i, e := range es {
		if announcements[i], err = e.Erase(tx, gone); err != nil {
			return nil, err
		}
	}
	return func() {
		for _, announce := range announcements {
			announce()
		}
	}, nil
}

// erase performs op, which deactivates or deletes users. What other rules store about the changed
// users is erased first, in the same transaction. After it, the users' devices are disconnected for
// the given reason, and then the events are published. The audit records how much was erased of each.
func (s *Service) erase(ctx context.Context, app *models.App, ids []string, reason bus.Reason, op operation) ([]*batch.Result, error) {
	release, err := s.eraser.Hold(ctx, app, ids)
	if err != nil {
		return nil, err
	}
	defer release()
	var announce func()
	var counts audit.Erasures
	write := op.write
	op.detailOf = func(u *models.User) string { return counts[u.ID].String() }
	op.write = func(tx *gorm.DB, changed []*models.User) (err error) {
		if counts, err = s.countErased(tx, app, changed); err != nil {
			return err
		}
		if announce, err = s.eraser.Erase(tx, changed); err != nil {
			return err
		}
		if err := s.eraseEvents(tx, app, changed); err != nil {
			return err
		}
		if err := eraseBans(tx, changed); err != nil {
			return err
		}
		if err := eraseNotes(tx, changed); err != nil {
			return err
		}
		return write(tx, changed)
	}
	results, before, err := s.batch(ctx, app, ids, op)
	if err != nil || len(before) == 0 {
		return results, err
	}
	s.revoke(ctx, before, reason, nil)
	announce()
	return results, nil
}

// countErased returns how much erase will erase of each user, before it does.
func (s *Service) countErased(tx *gorm.DB, app *models.App, gone []*models.User) (audit.Erasures, error) {
	counts, keys := make(audit.Erasures), userlock.Keys(gone)
	if err := s.eraser.Count(tx, keys, counts); err != nil {
		return nil, err
	}
	if err := counts.Add(tx, audit.ErasedBans, &models.BanRecord{}, "user_id", keys); err != nil {
		return nil, err
	}
	if err := counts.Add(tx, audit.ErasedNotes, &models.UserNote{}, "user_id", keys); err != nil {
		return nil, err
	}
	// The rows as they are: gone is as they will be.
	named := tx.Where("name <> '' OR avatar_url IS NOT NULL")
	if err := counts.Add(named, audit.ErasedProfile, &models.User{}, "id", keys); err != nil {
		return nil, err
	}
	subjects := make(map[string]int64, len(gone))
	for _, u := range gone {
		subjects[u.ExternalID] = u.ID
	}
	events, err := outbox.CountPersonal(tx, app.ID, slices.Collect(maps.Keys(subjects)))
	for subject, n := range events {
		counts.Count(audit.ErasedEvents, subjects[subject], n)
	}
	return counts, err
}
