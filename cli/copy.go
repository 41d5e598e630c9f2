package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"

	"rollcall/internal/database"
	"rollcall/node"
)

type copyCommand struct {
	From string `arg:"" help:"The URL of the database to copy, or @FILE with it."`
	To   string `arg:"" help:"The URL of the new one, or @FILE with it: migrated and empty."`
	JSON bool   `name:"json" help:"Print one JSON array."`
}

// copiedJSON is a table as --json prints it.
type copiedJSON struct {
	Table  string `json:"table"`
	Rows   int64  `json:"rows"`
	Digest string `json:"digest"`
}

// Run copies a database and prints what the copy contains.
func (c *copyCommand) Run(ctx context.Context, s *settings, streams *Streams) error {
	from, endFrom, err := s.idle(ctx, "FROM", c.From)
	if err != nil {
		return err
	}
	defer endFrom()
	to, endTo, err := s.idle(ctx, "TO", c.To)
	if err != nil {
		return err
	}
	defer endTo()
	copied, err := from.CopyTo(ctx, to)
	if err != nil {
		return err
	}
	list := make([]copiedJSON, len(copied))
	rows := int64(0)
	for i, t := range copied {
		list[i] = copiedJSON{t.Name, t.Rows, t.Digest}
		rows += t.Rows
	}
	if c.JSON {
		return printJSON(streams.Out, list)
	}
	table := tabwriter.NewWriter(output{streams.Out}, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TABLE\tROWS\tDIGEST")
	for _, t := range list {
		fmt.Fprintf(table, "%s\t%d\t%s\n", t.Table, t.Rows, t.Digest)
	}
	if err := table.Flush(); err != nil {
		return printed(err)
	}
	return printText(streams.Out, "%d rows of %d tables were copied and compared, from %s to %s\n", rows, len(list), from, to)
}

// idle opens a database that no server uses, until end is called. name is the argument's.
func (s *settings) idle(ctx context.Context, name, url string) (db *database.DB, end func(), err error) {
	if path, ok := strings.CutPrefix(url, "@"); ok {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, usageError{fmt.Errorf("%s: %w", name, err)}
		}
		url = strings.TrimRight(string(text), "\r\n")
	}
	if path, ok := strings.CutPrefix(url, string(database.SQLite)+":"); ok {
		// Opening it would create it.
		if _, err := os.Stat(path); err != nil {
			return nil, nil, usageError{fmt.Errorf("%s: %w", name, err)}
		}
	}
	one := *s
	one.DatabaseURL = url
	if strings.HasPrefix(url, string(database.SQLite)+":") {
		one.DatabaseTLS = tlsFiles{} // they are for the other one
	}
	if db, err = one.connect(ctx, nil); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	unlock, err := node.LockDatabase(ctx, db, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		db.Close()
		return nil, nil, fmt.Errorf("stop all servers before a copy: %w", err)
	}
	end = func() {
		unlock()
		db.Close()
	}
	return db, end, nil
}
