// Package headcount counts the users of apps in the transactions that change them, without
// one row that all registrations of an app wait for.
//
// A count is the sum of parts. One part is in the app's own row. An app with a limit has
// only this one; a registration compares it with the limit and changes it in one statement.
// An app without a limit has Parts further ones in rows of their own; each transaction
// changes one of them and waits only for another that changes the same.
//
// Whether an app has further parts decides how its users are counted. A transaction that
// finds its part locks it, so the app gets no limit (Gather) before the transaction ends. A
// transaction that does not find it uses the app's row and the limit there.
//
// Lock order: users, then either one part or the app's row. Gather locks the app's row and
// then all parts; a transaction that has locked a part never waits for the app's row.
package headcount

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/database"
	"rollcall/models"
)

// Parts is how many further parts there are: more than a node has transactions at once.
const Parts = 64

// Spread makes the further parts of an app that has no limit.
func Spread(tx *gorm.DB, appID int64) error {
	parts := make([]models.UserCountPart, Parts)
	for i := range parts {
		parts[i] = models.UserCountPart{AppID: appID, Part: i}
	}
	if err := tx.Create(&parts).Error; err != nil {
		return fmt.Errorf("spreading the count of users: %w", err)
	}
	return nil
}

// Gather moves the further parts of an app that gets a limit into the app's row, which must
// be locked. It waits for the transactions that have changed one.
func Gather(tx *gorm.DB, appID int64) error {
	var parts []models.UserCountPart
	err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("app_id = ?", appID).Order("part").Find(&parts).Error
	if err != nil {
		return fmt.Errorf("gathering the count of users: %w", err)
	}
	var sum models.UserCounts
	for _, p := range parts {
		sum.Registered += p.Registered
		sum.Deactivated += p.Deactivated
	}
	if err = tx.Where("app_id = ?", appID).Delete(&models.UserCountPart{}).Error; err == nil {
		_, err = addToApp(tx.Where("id = ?", appID), sum)
	}
	if err != nil {
		return fmt.Errorf("gathering the count of users: %w", err)
	}
	return nil
}

// Read returns the counts of the apps with these keys, in one query.
func Read(ctx context.Context, db *database.DB, appIDs ...int64) (map[int64]models.UserCounts, error) {
	var rows []struct {
		ID                      int64
		Registered, Deactivated int
	}
	err := db.Read(ctx).Raw(`SELECT apps.id,
			apps.registered_user_count + COALESCE(SUM(parts.registered), 0) AS registered,
			apps.deactivated_user_count + COALESCE(SUM(parts.deactivated), 0) AS deactivated
		FROM apps LEFT JOIN user_count_parts parts ON parts.app_id = apps.id
		WHERE apps.id IN ? GROUP BY apps.id, apps.registered_user_count, apps.deactivated_user_count`, appIDs).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("reading counts of users: %w", err)
	}
	counts := make(map[int64]models.UserCounts, len(rows))
	for _, row := range rows {
		counts[row.ID] = models.UserCounts{Registered: row.Registered, Deactivated: row.Deactivated}
	}
	return counts, nil
}

// Counter changes counts.
type Counter struct{ next atomic.Uint32 }

// In returns what changes the count of app in the transaction tx. The app may have been
// read long before; the limit that holds is the one that the database has.
func (c *Counter) In(tx *gorm.DB, app *models.App) *Tally {
	return &Tally{tx: tx, app: app, part: int(c.next.Add(1) % Parts)}
}

// Tally changes the count of one app in one transaction.
type Tally struct {
	tx   *gorm.DB
	app  *models.App
	part int // the further part that it uses, if there are any
}

// FullError means that an app has no room for more users.
type FullError struct{ Limit int }

// Error says so.
func (e *FullError) Error() string { return fmt.Sprintf("the limit of %d users is reached", e.Limit) }

// Room is how many more users an app may have.
type Room struct {
	limit *int // nil: as many as come
	free  int
}

// Take takes a place for one more user, or returns why there is none.
func (r *Room) Take() *FullError {
	if r.limit == nil {
		return nil
	}
	if r.free <= 0 {
		return &FullError{*r.limit}
	}
	r.free--
	return nil
}

// Room returns the room that the app has, which nobody else changes until the transaction
// ends.
func (t *Tally) Room() (*Room, error) {
	if t.app.RegisteredUserLimit() == nil {
		part := t.tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
			Where("app_id = ? AND part = ?", t.app.ID, t.part).Take(&models.UserCountPart{})
		if !errors.Is(part.Error, gorm.ErrRecordNotFound) {
			return &Room{}, part.Error
		}
	}
	now, err := t.lockApp()
	if err != nil {
		return nil, err
	}
	room := &Room{limit: now.RegisteredUserLimit()}
	if room.limit != nil {
		room.free = *room.limit - now.Counted.Registered
	}
	return room, nil
}

// Add changes the count without regard to the limit: for users that go, and for those that
// there is Room for.
func (t *Tally) Add(change models.UserCounts) error {
	if added, err := t.addToPart(change); added || err != nil {
		return err
	}
	_, err := addToApp(t.tx.Where("id = ?", t.app.ID), change)
	return err
}

// Register counts n more users. Returns *FullError if the app has no room for them.
func (t *Tally) Register(n int) error {
	more := models.UserCounts{Registered: n}
	if added, err := t.addToPart(more); added || err != nil {
		return err
	}
	if limit := t.app.RegisteredUserLimit(); limit != nil {
		// In one statement, if the limit is still as it was read.
		added, err := addToApp(t.tx.Where("id = ? AND environment = ? AND edition = ? AND user_limit = ? AND registered_user_count <= ?",
			t.app.ID, t.app.Environment, t.app.Edition, t.app.UserLimit, *limit-n), more)
		if added || err != nil {
			return err
		}
	}
	now, err := t.lockApp()
	if err != nil {
		return err
	}
	if limit := now.RegisteredUserLimit(); limit != nil && now.Counted.Registered > *limit-n {
		return &FullError{*limit}
	}
	_, err = addToApp(t.tx.Where("id = ?", t.app.ID), more)
	return err
}

// addToPart changes the part, and reports whether there is one.
func (t *Tally) addToPart(change models.UserCounts) (bool, error) {
	if t.app.RegisteredUserLimit() != nil {
		return false, nil // most likely not
	}
	done := t.tx.Model(&models.UserCountPart{}).Where("app_id = ? AND part = ?", t.app.ID, t.part).Updates(map[string]any{
		"registered":  gorm.Expr("registered + ?", change.Registered),
		"deactivated": gorm.Expr("deactivated + ?", change.Deactivated),
	})
	return done.RowsAffected > 0, done.Error
}

// addToApp changes the part in the row of the app that the condition of query selects, and
// reports whether there is one.
func addToApp(query *gorm.DB, change models.UserCounts) (bool, error) {
	done := query.Model(&models.App{}).Updates(map[string]any{
		"registered_user_count":  gorm.Expr("registered_user_count + ?", change.Registered),
		"deactivated_user_count": gorm.Expr("deactivated_user_count + ?", change.Deactivated),
	})
	return done.RowsAffected > 0, done.Error
}

// lockApp reads the app's row as it is now, locked until the transaction ends.
func (t *Tally) lockApp() (*models.App, error) {
	now := &models.App{}
	err := t.tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("id = ?", t.app.ID).Take(now).Error
	return now, err
}
