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

// connect opens the database without changing its schema. log receives changes of the server in use;
// nil: they are not logged.
func (s *settings) connect(ctx context.Context, log *slog.Logger) (*database.DB, error) {
	keys, err := atrest.Parse(s.DatabaseKey)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", atrest.Setting, err)}
	}
	if n := s.DatabaseConns; n < database.LeastMaxConnections || n > database.MostMaxConnections {
		return nil, usageError{fmt.Errorf("ROLLCALL_DATABASE_MAX_CONNECTIONS must be from %d to %d", database.LeastMaxConnections, database.MostMaxConnections)}
	}
	db, err := database.OpenWith(ctx, s.DatabaseURL, database.Options{
		TLS: s.DatabaseTLS.of("ROLLCALL_DATABASE_TLS_"), MaxConnections: s.DatabaseConns, Log: log,
	})
	if wrong, ok := errors.AsType[*database.URLError](err); ok {
		return nil, usageError{fmt.Errorf("ROLLCALL_DATABASE_URL: %w", wrong)}
	}
	if wrong, ok := errors.AsType[*clienttls.Error](err); ok {
		return nil, usageError{wrong}
	}
	if err == nil {
		db.SetSecretKeys(keys)
	}
	return db, err
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
