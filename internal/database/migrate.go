package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"rollcall/migrations"
)

const (
	// migrationLockWait, in seconds, stays below the time a statement may take.
	migrationLockWait     = 10
	migrationLockPatience = 2 * time.Minute
	// erasedVersion is the first version in which no page of an SQLite file was written by a
	// release that left deleted data in it.
	erasedVersion = 6
	// migrationPatience is how long a node waits for another one that is migrating, as long as the
	// version does not increase. After that, a migration that another node left unfinished is an
	// error.
	migrationPatience = 30 * time.Second
	migrationPause    = 200 * time.Millisecond
)

// Version is the version of a schema.
type Version struct {
	// Current is the number of the last migration applied, or 0 if there is none.
	Current int64
	// Latest is the number of the last migration in this binary. A newer release has more, and
	// Current may be greater.
	Latest int64
}

// CheckNewer returns an error for a newer release's schema. This binary does not know its meaning
// and could write wrong data.
func (db *DB) CheckNewer(v Version) error {
	if v.Current <= v.Latest {
		return nil
	}
	return fmt.Errorf("the schema of %s is at version %d of a newer release; this release knows version %d and older", db.name, v.Current, v.Latest)
}

// Migrate migrates the schema to this binary's version; see CheckNewer. Nodes that call it at the
// same time take turns, and the later ones find nothing left to do.
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
	return db.migrate(ctx, pool)
}

// migrate is Migrate without a lock. Other nodes may apply the same migrations at the same time:
// SQLite has no such lock, and in a cluster with several writable members, such as Galera, each
// member has a lock of its own. A migration that another node has begun fails at its first
// statement, which therefore must fail when it is run twice. migrate then reads the version again,
// as long as it increases.
func (db *DB) migrate(ctx context.Context, pool *sql.DB) error {
	provider, err := db.provider(pool)
	if err != nil {
		return err
	}
	var progress Version
	rewritten := false
	for since := time.Now(); ; {
		version, err := db.Version(ctx)
		if err == nil {
			err = db.CheckNewer(version)
		}
		if err != nil {
			return err
		}
		if version != progress {
			progress, since = version, time.Now()
		}
		if db.dialect == SQLite && !rewritten && version.Current > 0 && version.Current < erasedVersion {
			err = rewrite(ctx, pool)
			rewritten = err == nil
		}
		if err == nil {
			_, err = provider.Up(ctx)
		}
		if err == nil {
			return nil
		}
		if !madeByOther(err) && !Unavailable(err) || time.Since(since) > migrationPatience || ctx.Err() != nil {
			return fmt.Errorf("migrating %s: %w", db.name, plainly(err))
		}
		select {
		case <-time.After(rand.N(migrationPause)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// madeByOther reports whether a statement of a migration failed because it has already been run.
func madeByOther(err error) bool {
	if _, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return isMySQL(err,
			1050, // the table exists
			1060, // the column exists
			1061, // the index exists
			1062, // the row exists
			1091, // the object to drop does not exist
		)
	}
	text := err.Error() // SQLite has no codes for these
	if strings.Contains(text, "missing zero version") {
		return true // goose's table exists, and has no row yet
	}
	return strings.Contains(text, "already exists") || strings.Contains(text, "duplicate column name") ||
		strings.Contains(text, "no such column") || strings.Contains(text, "UNIQUE constraint failed")
}

// rewrite rewrites an SQLite file without its free space and the data in it. It makes the copy in a
// temporary file, because the copy may not fit in memory.
func rewrite(ctx context.Context, pool *sql.DB) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("rewriting the file without what was deleted: %w", err)
		}
	}()
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

// Version returns the version of the schema without changing it.
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

// migrationLock makes starting nodes wait for each other. goose has no session lock for MySQL, and
// SQLite has no such lock at all (see migrate).
func (db *DB) migrationLock(ctx context.Context, pool *sql.DB) (unlock func(), err error) {
	if db.dialect != MySQL {
		return func() {}, nil
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot reach database %s: %w", db.name, err)
	}
	name, err := lockName(ctx, conn, "migrate")
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("reading the name of database %s: %w", db.name, err)
	}
	var got sql.NullInt64
	for deadline := time.Now().Add(migrationLockPatience); ; {
		err = conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?)", name, migrationLockWait).Scan(&got)
		// On TiDB, a lock that many wait for is a conflict of transactions.
		if err == nil && got.Int64 == 1 || err != nil && !isConflict(err) || time.Now().After(deadline) {
			break
		}
		time.Sleep(rand.N(migrationPause))
	}
	if err == nil && got.Int64 != 1 {
		err = errors.New("another node still migrates")
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("waiting to migrate %s: %w", db.name, err)
	}
	return func() {
		// Close alone would return the connection, and the lock with it, to the pool.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "DO RELEASE_LOCK(?)", name)
		conn.Close()
	}, nil
}
