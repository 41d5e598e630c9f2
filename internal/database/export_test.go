package database

import "context"

// MigrateUnlocked is Migrate on a server whose lock the other nodes do not share.
func (db *DB) MigrateUnlocked(ctx context.Context) error {
	pool, err := db.write.DB()
	if err != nil {
		return err
	}
	return db.migrate(ctx, pool)
}
