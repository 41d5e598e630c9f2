package cli

import (
	"context"
	"fmt"
	"log/slog"

	"rollcall/internal/database"
)

type migrateCommand struct {
	Up     migrateUp     `cmd:"" help:"Migrate the schema to this binary's version."`
	Status migrateStatus `cmd:"" help:"Print the version of the schema."`
}

type migrateUp struct{}

// Run migrates the schema.
func (migrateUp) Run(ctx context.Context, s *settings, streams *Streams) error {
	db, err := s.connect(ctx, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	v, err := db.Version(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(streams.Out, "%s is at version %d of %d\n", db, v.Current, v.Latest)
	return nil
}

type migrateStatus struct{}

// Run prints the version of the schema and changes nothing.
func (migrateStatus) Run(ctx context.Context, s *settings, streams *Streams) error {
	db, err := s.connect(ctx, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	v, err := db.Version(ctx)
	if err != nil {
		return err
	}
	state := "up to date"
	switch {
	case v.Current < v.Latest:
		state = fmt.Sprintf("%d to apply; run `rollcall migrate up`", v.Latest-v.Current)
	case v.Current > v.Latest:
		fmt.Fprintf(streams.Out, "%s is at version %d: newer than this release, which knows version %d and does not serve it\n", db, v.Current, v.Latest)
		return nil
	}
	fmt.Fprintf(streams.Out, "%s is at version %d of %d: %s\n", db, v.Current, v.Latest, state)
	return nil
}

// migrate migrates the schema to this release's, and logs it if there was an earlier one.
func migrate(ctx context.Context, db *database.DB, log *slog.Logger) error {
	before, err := db.Version(ctx)
	if err != nil {
		return err
	}
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	if 0 < before.Current && before.Current < before.Latest {
		log.Info("the schema of the database was migrated", "from", before.Current, "to", before.Latest)
	}
	return nil
}
