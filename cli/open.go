package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"rollcall/internal/apps"
	"rollcall/internal/atrest"
	"rollcall/internal/clienttls"
	"rollcall/internal/database"
	"rollcall/node"
)

// check returns an error that names the setting if a value cannot work.
func (s *settings) check() error {
	if _, err := s.databaseKeys(); err != nil {
		return err
	}
	if n := s.DatabaseConns; n < database.LeastMaxConnections || n > database.MostMaxConnections {
		return usageError{fmt.Errorf("ROLLCALL_DATABASE_MAX_CONNECTIONS must be from %d to %d", database.LeastMaxConnections, database.MostMaxConnections)}
	}
	return databaseError(database.Check(s.DatabaseURL, s.databaseOptions(nil)))
}

// databaseKeys returns the keys that encrypt secrets in the database.
func (s *settings) databaseKeys() (atrest.Keys, error) {
	keys, err := atrest.Parse(s.DatabaseKey)
	if err != nil {
		return keys, usageError{fmt.Errorf("%s: %w", atrest.Setting, err)}
	}
	return keys, nil
}

func (s *settings) databaseOptions(log *slog.Logger) database.Options {
	return database.Options{TLS: s.DatabaseTLS.of("ROLLCALL_DATABASE_TLS_"), MaxConnections: s.DatabaseConns, Log: log}
}

// checkReplica returns an error that names the setting if the replica cannot be that of the database.
func (s *serveSettings) checkReplica(databaseURL string) error {
	options := s.replicaOptions(nil)
	switch {
	case s.ReplicaMaxLag < database.LeastMaxLag || s.ReplicaMaxLag > database.MostMaxLag:
		return usageError{fmt.Errorf("ROLLCALL_DATABASE_REPLICA_MAX_LAG must be from %s to %s", database.LeastMaxLag, database.MostMaxLag)}
	case s.ReplicaURL == "":
		if err := options.TLS.CheckUnused("there is no ROLLCALL_DATABASE_REPLICA_URL"); err != nil {
			return usageError{err}
		}
		return nil
	case strings.HasPrefix(databaseURL, string(database.SQLite)+":"):
		return usageError{errors.New("ROLLCALL_DATABASE_REPLICA_URL is set, but the database is a file of SQLite, which has no replica")}
	}
	return replicaError(database.CheckReplica(s.ReplicaURL, options))
}

func (s *serveSettings) replicaOptions(log *slog.Logger) database.ReplicaOptions {
	return database.ReplicaOptions{TLS: s.ReplicaTLS.of("ROLLCALL_DATABASE_REPLICA_TLS_"), MaxLag: s.ReplicaMaxLag, Log: log}
}

// useReplica makes reads that may be late use the replica, if there is one.
func (s *serveSettings) useReplica(ctx context.Context, db *database.DB, log *slog.Logger) error {
	if s.ReplicaURL == "" {
		return nil
	}
	return replicaError(db.UseReplica(ctx, s.ReplicaURL, s.replicaOptions(log)))
}

// replicaError is databaseError for the replica.
func replicaError(err error) error {
	if wrong, ok := errors.AsType[*database.URLError](err); ok {
		return usageError{fmt.Errorf("ROLLCALL_DATABASE_REPLICA_URL: %w", wrong)}
	}
	return databaseError(err)
}

// databaseError returns err, which is a mistake of the user if the database's URL or its files are wrong.
func databaseError(err error) error {
	if wrong, ok := errors.AsType[*database.URLError](err); ok {
		return usageError{fmt.Errorf("ROLLCALL_DATABASE_URL: %w", wrong)}
	}
	if wrong, ok := errors.AsType[*clienttls.Error](err); ok {
		return usageError{wrong}
	}
	return err
}

// connect opens the database without changing its schema. log receives changes of the server in use;
// nil: they are not logged.
func (s *settings) connect(ctx context.Context, log *slog.Logger) (*database.DB, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	keys, err := s.databaseKeys()
	if err != nil {
		return nil, err
	}
	db, err := database.OpenWith(ctx, s.DatabaseURL, s.databaseOptions(log))
	if err != nil {
		return nil, databaseError(err)
	}
	db.SetSecretKeys(keys)
	return db, nil
}

// open opens the database, with the schema of this release. It makes the schema of a new database, but
// does not migrate one of an earlier release, whose servers may still run.
func (s *settings) open(ctx context.Context) (*database.DB, error) {
	db, err := s.connect(ctx, nil)
	if err != nil {
		return nil, err
	}
	v, err := db.Version(ctx)
	switch {
	case err != nil:
	case v.Current == 0:
		err = db.Migrate(ctx)
	case v.Current < v.Latest:
		err = fmt.Errorf("the schema of %s is at version %d of an earlier release, and this one needs version %d; run `rollcall migrate up`, or restart the servers with this release", db, v.Current, v.Latest)
	default:
		err = db.CheckNewer(v)
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// withApps runs fn with the rules for apps on the database.
func (s *settings) withApps(ctx context.Context, fn func(*apps.Service) error) error {
	return s.withDB(ctx, func(db *database.DB) error {
		return fn(node.Offline(db, clock).Apps)
	})
}

// withDB runs fn with the database.
func (s *settings) withDB(ctx context.Context, fn func(*database.DB) error) error {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	return fn(db)
}

// checkSchema returns an error if the schema's version is not this binary's.
func checkSchema(ctx context.Context, db *database.DB) error {
	v, err := db.Version(ctx)
	if err != nil {
		return err
	}
	if v.Current < v.Latest {
		return fmt.Errorf("the schema of %s is at version %d, but this binary needs %d; run `rollcall migrate up` or start without --no-migrate", db, v.Current, v.Latest)
	}
	return db.CheckNewer(v)
}
