package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

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

// open opens the database and migrates its schema.
func (s *settings) open(ctx context.Context) (*database.DB, error) {
	db, err := s.connect(ctx, nil)
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx); err != nil {
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
