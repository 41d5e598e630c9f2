package database

import (
	"context"
	"time"
)

func init() { nodeLockIdle, nodeLockTimeout = 600, time.Minute }

// MigrateUnlocked is like Migrate on a server whose lock the other nodes do not share.
func (db *DB) MigrateUnlocked(ctx context.Context) error {
	pool, err := db.write.DB()
	if err != nil {
		return err
	}
	return db.migrate(ctx, pool)
}

// NewQueryWithin is NewBoundedQuery with another limit.
func (db *DB) NewQueryWithin(limit time.Duration, text string) *Query {
	q := db.NewQuery(text)
	q.limit = limit
	return q
}

// Search looks for a server as after a failed attempt to connect, and returns at the end of the search.
func (db *DB) Search() {
	current, _ := db.connector.chosen()
	<-db.connector.find(current).done
}

// MigrateTo migrates the schema to a version.
func (db *DB) MigrateTo(ctx context.Context, version int64) error {
	pool, err := db.write.DB()
	if err != nil {
		return err
	}
	provider, err := db.provider(pool)
	if err == nil {
		_, err = provider.UpTo(ctx, version)
	}
	return err
}

// LookOften makes the nodes of the tests look at a replica more often, and use it sooner after a refusal.
func LookOften() { beatInterval, refusalLife = 50*time.Millisecond, time.Second }

// AtReplica runs a statement on a session of the replica.
func (db *DB) AtReplica(ctx context.Context, statement string) error {
	_, err := db.replica.pool.ExecContext(ctx, statement)
	return err
}
