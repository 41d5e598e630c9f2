package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"rollcall/internal/database"
)

type backupCommand struct {
	File string `arg:"" help:"The new file."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run copies SQLite's file, and prints what the copy contains. It does not migrate the schema.
func (c *backupCommand) Run(ctx context.Context, s *settings, streams *Streams) error {
	db, err := s.connect(ctx, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	err = db.Backup(ctx, c.File)
	switch {
	case errors.Is(err, database.ErrBackupElsewhere):
		return usageError{err}
	case errors.Is(err, fs.ErrExist):
		return usageError{fmt.Errorf("%s exists; name a new file", c.File)}
	case err != nil:
		return err
	}
	info, err := os.Stat(c.File)
	if err != nil {
		return err
	}
	v, err := db.Version(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(streams.Out, struct {
			File   string `json:"file"`
			Bytes  int64  `json:"bytes"`
			Schema int64  `json:"schema"`
		}{c.File, info.Size(), v.Current})
	}
	return printText(streams.Out, "%s: %.1f MB, schema version %d\n", c.File, float64(info.Size())/1e6, v.Current)
}
