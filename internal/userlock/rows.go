package userlock

import (
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"rollcall/internal/database"
	"rollcall/models"
)

// Find reads the app's users with these external IDs, in one query and without a lock.
func Find(tx *gorm.DB, app *models.App, ids []string) (Users, error) {
	ids = Possible(ids)
	if len(ids) == 0 {
		return Users{}, nil
	}
	return read(tx.Where("app_id = ? AND external_id IN ?", app.ID, ids))
}

// Lock is Find that locks the rows, in the order of the IDs.
func Lock(tx *gorm.DB, app *models.App, ids []string) (Users, error) {
	return Find(tx.Clauses(forUpdate).Order("external_id"), app, ids)
}

// LockKeys locks and reads the users with these users.id, in one query and in the order of the
// keys. A user that has been deleted is missing.
func LockKeys(tx *gorm.DB, keys []int64) (Users, error) {
	if len(keys) == 0 {
		return Users{}, nil
	}
	return read(tx.Clauses(forUpdate).Where("id IN ?", slices.Sorted(slices.Values(keys))).Order("id"))
}

var forUpdate = clause.Locking{Strength: clause.LockingStrengthUpdate}

func read(query *gorm.DB) (Users, error) {
	var rows []*models.User
	if err := query.Find(&rows).Error; err != nil {
		return nil, err
	}
	users := make(Users, len(rows))
	for _, u := range rows {
		users[u.ExternalID] = u
	}
	return users, nil
}

// Possible returns the IDs that a user can have. A comparison with any other text is an error on
// MySQL.
func Possible(ids []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !database.IsASCII(id) })
}

// Keys returns the users.id of users.
func Keys(users []*models.User) []int64 {
	keys := make([]int64, len(users))
	for i, u := range users {
		keys[i] = u.ID
	}
	return keys
}
