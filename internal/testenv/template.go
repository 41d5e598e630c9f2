package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"rollcall/internal/database"
)

// copySQLite makes the file that does not exist yet a copy of a migrated database, which a process
// makes once. Migrations take a great part of a short test's time.
func copySQLite(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	content, err := migratedFile()
	if err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}

// migratedFile returns the content of an SQLite file with the schema of this release.
var migratedFile = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "rollcall-schema-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "rollcall.db")
	db, err := database.Open(context.Background(), "sqlite:"+path)
	if err != nil {
		return nil, err
	}
	err = db.Migrate(context.Background())
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// mysqlSchemas has the statements that make an empty database the same as the first one that this
// process migrated, for each release of a server: a test may start one of another kind.
var mysqlSchemas struct {
	mu        sync.Mutex
	byRelease map[string][]string // by VERSION()
}

// copyMySQL gives an empty database the schema of one that was migrated before. The first time, it
// migrates the database.
func copyMySQL(db *database.DB) error {
	ctx := context.Background()
	if v, err := db.Version(ctx); err != nil || v.Current != 0 {
		return err
	}
	var release string
	if err := db.Read(ctx).Raw("SELECT VERSION()").Scan(&release).Error; err != nil {
		return err
	}
	schemas := &mysqlSchemas
	schemas.mu.Lock()
	defer schemas.mu.Unlock()
	statements, described := schemas.byRelease[release]
	if !described {
		if err := db.Migrate(ctx); err != nil {
			return err
		}
		statements, err := describe(db)
		if err != nil {
			return err
		}
		if schemas.byRelease == nil {
			schemas.byRelease = make(map[string][]string)
		}
		schemas.byRelease[release] = statements
		return nil
	}
	for _, statement := range statements {
		if err := db.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// describe returns the statements that make the tables of a migrated database, with the rows that
// migrations insert.
func describe(db *database.DB) (statements []string, err error) {
	read := db.Read(context.Background())
	var tables []string
	if err := read.Raw("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()").Scan(&tables).Error; err != nil {
		return nil, err
	}
	for _, table := range tables {
		var name, create string
		if err := read.Raw("SHOW CREATE TABLE "+table).Row().Scan(&name, &create); err != nil {
			return nil, err
		}
		statements = append(statements, create)
		insert, err := describeRows(db, table)
		if err != nil {
			return nil, err
		}
		if insert != "" {
			statements = append(statements, insert)
		}
	}
	return statements, nil
}

// describeRows returns the statement that inserts the table's rows, or "" if it has none.
func describeRows(db *database.DB, table string) (string, error) {
	read := db.Read(context.Background())
	var columns []string
	const ofTable = "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?"
	if err := read.Raw(ofTable, table).Scan(&columns).Error; err != nil {
		return "", err
	}
	list := "`" + strings.Join(columns, "`, `") + "`"
	quoted := "QUOTE(`" + strings.Join(columns, "`), QUOTE(`") + "`)"
	var rows []string
	if err := read.Raw("SELECT CONCAT_WS(', ', " + quoted + ") FROM " + table).Scan(&rows).Error; err != nil || len(rows) == 0 {
		return "", err
	}
	return "INSERT INTO " + table + " (" + list + ") VALUES (" + strings.Join(rows, "), (") + ")", nil
}
