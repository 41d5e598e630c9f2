// Package headcount counts the users of apps in the transactions that register, deactivate and delete
// them, so that the limit on registered users is exact without a row on which all registrations of an
// app wait.
//
// A count is a sum of parts. One part is in the app's own row. An app with a limit has only this
// part: a registration compares it with the limit and increments it in one statement. An app without
// a limit has Parts further parts, each in a row of its own. A transaction changes one of them, and
// waits only for transactions that change the same part.
//
// Whether an app has further parts decides how its users are counted. A transaction that finds its
// part locks it, so the app cannot get a limit (Gather) before the transaction ends. A transaction
// that does not find its part uses the app's row and the limit in it.
//
// Lock order: users, then either one part or the app's row. Gather locks the app's row and then all
// parts. A transaction that has locked a part never waits for the app's row.
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

// Parts is the number of further parts. It exceeds the concurrent transactions of a node.
const Parts = 64

// Spread creates the further parts of an app that has no limit.
func Spread(tx *gorm.DB, appID int64) error {
	parts := make([]models.UserCountPart, Parts)
	for i := range parts {
		parts[i] = models.UserCountPart{AppID: appID, Part: i}
	}
	if err := tx.Create(&parts).Error; err != nil {
		return fmt.Errorf("creating the parts of a user count: %w", err)
	}
	return nil
}

// Gather adds the further parts of an app that gets a limit to the app's row, which the caller must
// have locked, and deletes them. It waits for the transactions that have changed a part.
func Gather(tx *gorm.DB, appID int64) error {
	var parts []models.UserCountPart
	err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("app_id = ?", appID).Order("part").Find(&parts).Error
	if err != nil {
		return fmt.Errorf("gathering the parts of a user count: %w", err)
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
		return fmt.Errorf("gathering the parts of a user count: %w", err)
	}
	return nil
}

// Read returns the counts of the apps with these apps.id, in one query.
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
		return nil, fmt.Errorf("reading user counts: %w", err)
	}
	counts := make(map[int64]models.UserCounts, len(rows))
	for _, row := range rows {
		counts[row.ID] = models.UserCounts{Registered: row.Registered, Deactivated: row.Deactivated}
	}
	return counts, nil
}

// Counter changes the counts of apps. It distributes transactions over the parts.
type Counter struct{ next atomic.Uint32 }

// In returns a Tally for app in the transaction tx. The app may have been read earlier; the limit that
// applies is the one in the database.
func (c *Counter) In(tx *gorm.DB, app *models.App) *Tally {
	return &Tally{tx: tx, app: app, part: int(c.next.Add(1) % Parts)}
}

// Tally changes the count of one app in one transaction.
type Tally struct {
	tx   *gorm.DB
	app  *models.App
	part int // the further part to use, if the app has any
}

// FullError reports that an app has no room for more users.
type FullError struct{ Limit int }

func (e *FullError) Error() string { return fmt.Sprintf("the limit of %d users is reached", e.Limit) }

// Room is the number of users that an app may still register.
type Room struct {
	limit *int // nil: unlimited
	free  int
}

// Take takes places for n more users. Returns *FullError, and takes none, if there are fewer.
func (r *Room) Take(n int) *FullError {
	if r.limit == nil {
		return nil
	}
	if r.free < n {
		return &FullError{*r.limit}
	}
	r.free -= n
	return nil
}

// Room returns the room of the app. No other transaction changes it until this one ends.
func (t *Tally) Room() (*Room, error) {
	if t.app.RegisteredUserLimit() == nil {
		part := t.tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
			Where("app_id = ? AND part = ?", t.app.ID, t.part).Take(&models.UserCountPart{})
		if !errors.Is(part.Error, gorm.ErrRecordNotFound) {
			return &Room{}, part.Error
		}
	}
	return t.lockedRoom()
}

// lockedRoom locks the app's row and returns the room that the app has.
func (t *Tally) lockedRoom() (*Room, error) {
	now := &models.App{}
	err := t.tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("id = ?", t.app.ID).Take(now).Error
	if err != nil {
		return nil, err
	}
	room := &Room{limit: now.RegisteredUserLimit()}
	if room.limit != nil {
		room.free = *room.limit - now.Counted.Registered
	}
	return room, nil
}

// Add changes the count whatever the limit is. It is for users that leave, and for users whose places
// have been taken from a Room.
func (t *Tally) Add(change models.UserCounts) error {
	if added, err := t.addToPart(change); added || err != nil {
		return err
	}
	return t.addToApp(change)
}

// Register takes places for n more users and counts them. It is Room, Take and Add in one statement,
// if the app is as it was read and has the room. Returns *FullError if there are fewer places.
func (t *Tally) Register(n int) error {
	more := models.UserCounts{Registered: n}
	if added, err := t.addToPart(more); added || err != nil {
		return err
	}
	if limit := t.app.RegisteredUserLimit(); limit != nil {
		added, err := addToApp(t.tx.Where("id = ? AND environment = ? AND edition = ? AND user_limit = ? AND registered_user_count <= ?",
			t.app.ID, t.app.Environment, t.app.Edition, t.app.UserLimit, *limit-n), more)
		if added || err != nil {
			return err
		}
	}
	room, err := t.lockedRoom()
	if err != nil {
		return err
	}
	if full := room.Take(n); full != nil {
		return full
	}
	return t.addToApp(more)
}

// addToPart changes a further part, and reports whether the app has any.
func (t *Tally) addToPart(change models.UserCounts) (bool, error) {
	if t.app.RegisteredUserLimit() != nil {
		return false, nil // an app with a limit most likely has none
	}
	done := t.tx.Model(&models.UserCountPart{}).Where("app_id = ? AND part = ?", t.app.ID, t.part).Updates(map[string]any{
		"registered":  gorm.Expr("registered + ?", change.Registered),
		"deactivated": gorm.Expr("deactivated + ?", change.Deactivated),
	})
	return done.RowsAffected > 0, done.Error
}

// addToApp changes the part in the app's row.
func (t *Tally) addToApp(change models.UserCounts) error {
	_, err := addToApp(t.tx.Where("id = ?", t.app.ID), change)
	return err
}

// addToApp changes the part in the row of the app that the condition of query selects, and reports
// whether it selects one.
func addToApp(query *gorm.DB, change models.UserCounts) (bool, error) {
	done := query.Model(&models.App{}).Updates(map[string]any{
		"registered_user_count":  gorm.Expr("registered_user_count + ?", change.Registered),
		"deactivated_user_count": gorm.Expr("deactivated_user_count + ?", change.Deactivated),
	})
	return done.RowsAffected > 0, done.Error
}
