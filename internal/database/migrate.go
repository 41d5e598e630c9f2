package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"rollcall/migrations"
)

const (
	// migrationLockName is the server's, so the database's name is part of it;
	// hashed, because such a name has at most 64 characters.
	migrationLockName = "CONCAT('rollcall.migrate.', MD5(DATABASE()))"
	// migrationLockWait, in seconds, stays below the time a statement may take.
	migrationLockWait     = 10
	migrationLockAttempts = 12
	// erasedVersion is the first version that a file of SQLite's can have of which no page
	// was written by a release that left in it what had been deleted.
	erasedVersion = 6
	// sqliteMigrateAttempts is how many processes may start on one file at once.
	sqliteMigrateAttempts = 16
)

// Version says where a schema stands.
type Version struct {
	// Current is the number of the last migration applied, 0 for none.
	Current int64
	// Latest is the number of the last migration in this binary; a newer release
	// has more, and Current may be greater.
	Latest int64
}

// CheckNewer refuses a newer release's schema, whose meaning this binary does not
// know: what it wrote there could be wrong.
func (db *DB) CheckNewer(v Version) error {
	if v.Current <= v.Latest {
		return nil
	}
	return fmt.Errorf("the schema of %s is at version %d, a newer release's: this release knows version %d and none after it", db.name, v.Current, v.Latest)
}

// Migrate brings the schema up to this binary's version; see CheckNewer. Nodes that
// call it at the same moment take turns, and the later ones find nothing left to do.
func (db *DB) Migrate(ctx context.Context) error {
	pool, err := db.write.DB()
	if err != nil {
		return err
	}
	unlock, err := db.migrationLock(ctx, pool)
	if err != nil {
		return err
	}
	defer unlock()
	version, err := db.Version(ctx)
	if err == nil {
		err = db.CheckNewer(version)
	}
	if err != nil {
		return err
	}
	if db.dialect == SQLite && version.Current > 0 && version.Current < erasedVersion {
		if err := rewrite(ctx, pool); err != nil {
			return fmt.Errorf("rewriting %s without what was deleted: %w", db.name, err)
		}
	}
	provider, err := db.provider(pool)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		_, err := provider.Up(ctx)
		if err == nil {
			return nil
		}
		// On SQLite another process may have applied the same migration between
		// goose's look at the version and its transaction; look again then.
		if db.dialect != SQLite || attempt == sqliteMigrateAttempts || ctx.Err() != nil {
			return fmt.Errorf("migrating %s: %w", db.name, plainly(err))
		}
	}
}

// rewrite writes a file of SQLite's again, without free space and what is in it. The copy is
// made in a temporary file, because it may not fit in memory.
func rewrite(ctx context.Context, pool *sql.DB) error {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, statement := range []string{
		"PRAGMA temp_store = FILE",
		"PRAGMA auto_vacuum = NONE", // see pageFile
		"VACUUM",
		"PRAGMA temp_store = MEMORY",
	} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// Version answers where the schema stands, without changing it.
func (db *DB) Version(ctx context.Context) (Version, error) {
	pool, err := db.write.DB()
	if err != nil {
		return Version{}, err
	}
	provider, err := db.provider(pool)
	if err != nil {
		return Version{}, err
	}
	sources := provider.ListSources()
	version := Version{Latest: sources[len(sources)-1].Version}
	store, err := database.NewStore(db.gooseDialect(), goose.DefaultTablename)
	if err != nil {
		return Version{}, err
	}
	version.Current, err = store.GetLatestVersion(ctx, pool)
	if err != nil {
		if errors.Is(err, database.ErrVersionNotFound) || isNoTable(err) {
			return Version{Latest: version.Latest}, nil
		}
		return Version{}, fmt.Errorf("reading the schema's version of %s: %w", db.name, plainly(err))
	}
	return version, nil
}

func isNoTable(err error) bool {
	return strings.Contains(err.Error(), "no such table") || strings.Contains(err.Error(), "Error 1146")
}

func (db *DB) gooseDialect() goose.Dialect {
	if db.dialect == MySQL {
		return goose.DialectMySQL
	}
	return goose.DialectSQLite3
}

func (db *DB) provider(pool *sql.DB) (*goose.Provider, error) {
	source := fs.FS(migrations.SQLite)
	if db.dialect == MySQL {
		source = migrations.MySQL
	}
	source, err := fs.Sub(source, string(db.dialect))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(db.gooseDialect(), pool, source, goose.WithDisableGlobalRegistry(true))
}

// migrationLock makes starting nodes wait for each other. goose has no session
// lock for MySQL; SQLite has no such lock at all (see Migrate).
func (db *DB) migrationLock(ctx context.Context, pool *sql.DB) (unlock func(), err error) {
	if db.dialect != MySQL {
		return func() {}, nil
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot reach database %s: %w", db.name, err)
	}
	var got sql.NullInt64
	for range migrationLockAttempts {
		err = conn.QueryRowContext(ctx, "SELECT GET_LOCK("+migrationLockName+", ?)", migrationLockWait).Scan(&got)
		if err != nil || got.Int64 == 1 {
			break
		}
	}
	if err == nil && got.Int64 != 1 {
		err = errors.New("another node has been migrating for too long")
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("waiting to migrate %s: %w", db.name, err)
	}
	return func() {
		// Closing alone would hand the connection, and the lock with it, back to the pool.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "DO RELEASE_LOCK("+migrationLockName+")")
		conn.Close()
	}, nil
}
