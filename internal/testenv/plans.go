package testenv

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/database"
)

// Statement is a statement that a database was asked to run.
type Statement struct {
	SQL  string
	Vars []any
}

// Statements returns all statements that db, which Open returned, runs during do, in the order in which
// they end: GORM's and hand-written ones, in transactions and outside, on any goroutine.
func Statements(tb testing.TB, db *database.DB, do func()) (list []Statement) {
	tb.Helper()
	var mu sync.Mutex
	note := func(sql string, vars []any) {
		mu.Lock()
		defer mu.Unlock()
		list = append(list, Statement{sql, slices.Clone(vars)})
	}
	defer watcherOf(tb, db).watch(func(s gormStatement) { note(s.SQL, s.Vars) })()
	defer db.Watch(note)()
	do()
	mu.Lock()
	defer mu.Unlock()
	return list
}

// Step is one line of a plan: most often how one table is read.
type Step struct {
	// Table is the table whose rows are read, by its alias if it has one. Otherwise it is empty, or
	// the database's name of an intermediate result.
	Table string
	// Index is the index used, PRIMARY for the primary key, and empty for none. If SQLite builds
	// one for this statement alone, it is not the name of an index.
	Index string
	// Scans reports whether it reads all of the table, or of the index, instead of looking
	// something up.
	Scans bool
	// Sorts reports whether rows are stored temporarily to be sorted, grouped or deduplicated.
	Sorts bool
	// Rows is how many rows MariaDB expects to read. SQLite does not report it.
	Rows int
	// Text is the database's own text.
	Text string
}

// Plan is how a database would run a statement.
type Plan []Step

// String returns the plan for a message, each step on a line of its own.
func (p Plan) String() string {
	var b strings.Builder
	for _, step := range p {
		b.WriteString("\n  " + step.Text)
	}
	return b.String()
}

// sqliteStep matches how a table is read, which table, and by which index.
var sqliteStep = regexp.MustCompile(`^(SCAN|SEARCH) (\S+)(?: USING .*?(?:INDEX (\S+)|(PRIMARY) KEY))?`)

// Explain returns the plan of a statement, which it does not run. Databases plan by estimates of
// the rows: fill the tables first, and see Analyse.
func Explain(tb testing.TB, db *database.DB, s Statement) (p Plan) {
	tb.Helper()
	NeedMariaDB(tb) // TiDB's plans have another form
	explain := "EXPLAIN "
	if db.Dialect() == database.SQLite {
		explain = "EXPLAIN QUERY PLAN "
	}
	var rows []struct {
		Detail                  string // SQLite's
		Table, Type, Key, Extra string // MariaDB's
		Rows                    int
	}
	if err := db.Read(context.Background()).Raw(explain+s.SQL, s.Vars...).Scan(&rows).Error; err != nil {
		tb.Fatal(err, s.SQL)
	}
	for _, row := range rows {
		if found := sqliteStep.FindStringSubmatch(row.Detail); found != nil {
			p = append(p, Step{Table: found[2], Index: cmp.Or(found[3], found[4]), Scans: found[1] == "SCAN", Text: row.Detail})
		} else if db.Dialect() == database.SQLite {
			p = append(p, Step{Sorts: strings.Contains(row.Detail, "TEMP B-TREE"), Text: row.Detail})
		} else {
			p = append(p, Step{
				Table: row.Table, Index: row.Key, Scans: row.Type == "ALL" || row.Type == "index",
				Sorts: strings.Contains(row.Extra, "filesort") || strings.Contains(row.Extra, "temporary"), Rows: row.Rows,
				Text: fmt.Sprintf("%s: %s by %q, %d rows, %s", row.Table, row.Type, row.Key, row.Rows, row.Extra),
			})
		}
	}
	return p
}

// Analyse updates the database's statistics of these tables. A real database may never have been
// analysed, so plans must be good before and after it.
func Analyse(tb testing.TB, db *database.DB, tables ...string) {
	tb.Helper()
	statements := []string{"ANALYZE"} // all of them
	if db.Dialect() == database.MySQL {
		statements = nil
		for _, table := range tables {
			statements = append(statements, "ANALYZE TABLE "+table)
		}
	}
	for _, statement := range statements {
		if err := db.Exec(context.Background(), statement); err != nil {
			tb.Fatal(err)
		}
	}
}

// RowsRead runs a SELECT and returns how many rows of tables, indexes and intermediate results it
// read. ok is false on SQLite, which does not report that. An index can be a bad choice too, if it
// leads past many rows, and no plan shows that.
func RowsRead(tb testing.TB, db *database.DB, s Statement) (n int, ok bool) {
	tb.Helper()
	if db.Dialect() == database.SQLite {
		return 0, false
	}
	NeedMariaDB(tb)                                                             // TiDB does not count them
	err := db.Read(context.Background()).Connection(func(conn *gorm.DB) error { // which counts by itself
		counted := func() (sum int, err error) {
			var counters []struct{ Value int }
			err = conn.Raw("SHOW SESSION STATUS LIKE 'Handler_read%'").Scan(&counters).Error
			for _, c := range counters {
				sum += c.Value
			}
			return sum, err
		}
		first, err := counted()
		if err != nil {
			return err
		}
		before, err := counted()
		if err != nil {
			return err
		}
		var rows []map[string]any
		if err := conn.Raw(s.SQL, s.Vars...).Scan(&rows).Error; err != nil {
			return err
		}
		after, err := counted()
		n = after - before - (before - first) // without what counting reads
		return err
	})
	if err != nil {
		tb.Fatal(err, s.SQL)
	}
	return n, true
}
