package retention

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"rollcall/internal/database"
)

// AppRows says which rows of a table belong to an app, so that they are deleted with it.
type AppRows struct {
	// Rows names the rows in errors.
	Rows string
	// Table is an empty row. Key is a column of which few rows of the app have the same value.
	Table any
	Key   string
	// Of is a condition in SQL that selects the rows. It has one placeholder, for apps.id.
	Of string
}

// DeleteOfApp deletes all rows of the app with that apps.id, those of some hundred keys in a
// transaction, and returns how many there were. The kinds of rows are deleted in their order.
func DeleteOfApp(ctx context.Context, db *database.DB, appID int64, kinds ...AppRows) (deleted int, err error) {
	for _, k := range kinds {
		for n := chunk; n > 0; deleted += n {
			if n, err = deleteOfApp(ctx, db, appID, k); err != nil {
				return deleted, fmt.Errorf("deleting %s: %w", k.Rows, err)
			}
		}
	}
	return deleted, nil
}

// deleteOfApp deletes the rows of up to a chunk of keys and returns how many there were.
func deleteOfApp(ctx context.Context, db *database.DB, appID int64, k AppRows) (int, error) {
	var keys []int64
	err := db.Read(ctx).Model(k.Table).Distinct().Where(k.Of, appID).Order(k.Key).Limit(chunk).Pluck(k.Key, &keys).Error
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	var deleted int64
	err = db.Tx(ctx, func(tx *gorm.DB) error {
		result := tx.Where(k.Of, appID).Where(k.Key+" IN ?", keys).Delete(k.Table)
		deleted = result.RowsAffected
		return result.Error
	})
	return int(deleted), err
}
