package database_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
)

func TestMigrate_ManyNodesAtOnce(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		migrateAtOnce(t, url, (*database.DB).Migrate)
	})
}

// TestMigrate_ManyNodesAtOnceWithoutALock: in a Galera cluster GET_LOCK locks only one member.
func TestMigrate_ManyNodesAtOnceWithoutALock(t *testing.T) {
	url := testenv.MySQLURL(t)
	db, err := database.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	// If its table does not exist, goose keeps the nodes apart by a second.
	for _, statement := range []string{
		"CREATE TABLE goose_db_version (id BIGINT AUTO_INCREMENT PRIMARY KEY, version_id BIGINT NOT NULL, is_applied BOOLEAN NOT NULL, tstamp TIMESTAMP DEFAULT NOW())",
		"INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, TRUE)",
	} {
		if err := db.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	migrateAtOnce(t, url, (*database.DB).MigrateUnlocked)
}

// migrateAtOnce migrates an empty database on several nodes at the same time.
func migrateAtOnce(t *testing.T, url string, migrate func(*database.DB, context.Context) error) {
	t.Helper()
	const nodes = 8
	var wg, ready sync.WaitGroup
	ready.Add(nodes)
	for range nodes {
		wg.Go(func() {
			db, err := database.Open(context.Background(), url)
			ready.Done()
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			ready.Wait()
			if err := migrate(db, context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	db := testenv.Open(t, url)
	v, err := db.Version(context.Background())
	if err != nil || v.Current != v.Latest || v.Latest == 0 {
		t.Errorf("version %+v, %v", v, err)
	}
}

func TestVersionOfAnEmptyDatabase(t *testing.T) {
	testenv.EachURL(t, func(t *testing.T, url string) {
		db, err := database.Open(context.Background(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		v, err := db.Version(context.Background())
		if err != nil || v.Current != 0 || v.Latest == 0 {
			t.Errorf("version %+v, %v", v, err)
		}
	})
}

// TestBothDialectsMakeTheSameSchema compares tables, columns with their
// nullability, and indexes with their columns.
func TestBothDialectsMakeTheSameSchema(t *testing.T) {
	sqlite := describeSQLite(t, testenv.Open(t, testenv.SQLiteURL(t)))
	mysql := describeMySQL(t, testenv.Open(t, testenv.MySQLURL(t)))
	for _, line := range sqlite {
		if !slices.Contains(mysql, line) {
			t.Errorf("only SQLite has %s", line)
		}
	}
	for _, line := range mysql {
		if !slices.Contains(sqlite, line) {
			t.Errorf("only MySQL has %s", line)
		}
	}
	if len(sqlite) < 40 {
		t.Errorf("only %d facts found", len(sqlite))
	}
}

func describeMySQL(t *testing.T, db *database.DB) []string {
	var out []string
	rows(t, db, `SELECT CONCAT('column ', table_name, '.', column_name, ' null=', is_nullable = 'YES')
		FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name NOT LIKE 'goose%'`, &out)
	rows(t, db, `SELECT CONCAT('index ', table_name, '(', GROUP_CONCAT(column_name ORDER BY seq_in_index), ') unique=', non_unique = 0)
		FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name NOT LIKE 'goose%' AND index_name <> 'PRIMARY'
		GROUP BY table_name, index_name, non_unique`, &out)
	return out
}

func describeSQLite(t *testing.T, db *database.DB) []string {
	var out, tables, indexes []string
	rows(t, db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'goose%' AND name NOT LIKE 'sqlite%'`, &tables)
	for _, table := range tables {
		rows(t, db, `SELECT 'column `+table+`.' || name || ' null=' || ("notnull" = 0 AND pk = 0) FROM pragma_table_info('`+table+`')`, &out)
		indexes = nil
		rows(t, db, `SELECT name || ':' || "unique" FROM pragma_index_list('`+table+`') WHERE origin <> 'pk'`, &indexes)
		for _, index := range indexes {
			name, unique, _ := strings.Cut(index, ":")
			var columns []string
			rows(t, db, `SELECT name FROM pragma_index_info('`+name+`') ORDER BY seqno`, &columns)
			out = append(out, fmt.Sprintf("index %s(%s) unique=%s", table, strings.Join(columns, ","), unique))
		}
	}
	return out
}

func rows(t *testing.T, db *database.DB, query string, into *[]string) {
	t.Helper()
	var got []string
	if err := db.Read(context.Background()).Raw(query).Scan(&got).Error; err != nil {
		t.Fatal(err)
	}
	*into = append(*into, got...)
}
