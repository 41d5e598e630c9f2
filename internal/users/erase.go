package users

import (
	"context"

	"gorm.io/gorm"

	"rollcall/internal/bus"
	"rollcall/models"
)

// Eraser removes what other rules keep about users who are deactivated or
// deleted.
type Eraser interface {
	// Hold is called before the transaction, and release when all that is to be
	// told of it is out: what others change about the app's users with these IDs
	// is told wholly before or wholly after. Returns an error if the others do not
	// end in time, and nothing must be released then.
	Hold(ctx context.Context, app *models.App, ids []string) (release func(), err error)
	// Erase removes it in the transaction. announce tells others, and is called
	// when that has committed.
	Erase(tx *gorm.DB, gone []*models.User) (announce func(), err error)
}

// Erasers are several, one after the other.
type Erasers []Eraser

// Hold calls Hold of each of them, in the order of the list, which is the same for all callers.
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

// Erase has each of them erase, and all of them announce.
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

// erase carries out c, by which users go: what other rules keep about those that
// change is erased first, in the same transaction; after it their devices are cut
// for that reason, and then others are told.
func (s *Service) erase(ctx context.Context, app *models.App, ids []string, reason bus.Reason, c change) ([]*models.ItemResult, error) {
	release, err := s.eraser.Hold(ctx, app, ids)
	if err != nil {
		return nil, err
	}
	defer release()
	var announce func()
	write := c.write
	c.write = func(tx *gorm.DB, changed []*models.User) (err error) {
		if announce, err = s.eraser.Erase(tx, changed); err != nil {
			return err
		}
		return write(tx, changed)
	}
	results, before, err := s.batch(ctx, app, ids, c)
	if err != nil || len(before) == 0 {
		return results, err
	}
	s.revoke(ctx, before, reason)
	announce()
	return results, nil
}
