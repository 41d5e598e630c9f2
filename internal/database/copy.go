package database

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"
)

// CopiedTable is a table that CopyTo has copied and compared.
type CopiedTable struct {
	Name string
	Rows int64
	// Digest is that of the table's content, the same on every kind of database.
	Digest string
}

const (
	// copyRows, copyValues and copyBytes are the most rows, values and bytes that one statement inserts:
	// SQLite binds 32 766 values, and MySQL by default takes packets of 16 MiB and more.
	copyRows, copyValues, copyBytes = 500, 30_000, 1 << 20
	// gooseTable records the migrations that were run.
	gooseTable = "goose_db_version"
)

// CopyTo copies every table, with everything in it, to another database, which must have the same schema
// and no rows, and reads the copy again to compare it. It reads the tables in one snapshot. The caller
// ensures that no server uses either database. The keys that were assigned to deleted rows are not assigned
// again by the copy. If CopyTo fails, the other database may have a part of the rows.
func (db *DB) CopyTo(ctx context.Context, to *DB) ([]CopiedTable, error) {
	from, err := db.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer from.end()
	tables, err := from.copyable(ctx, to)
	if err != nil {
		return nil, err
	}
	copied := make([]CopiedTable, len(tables))
	for i, t := range tables {
		if copied[i], err = from.copyTable(ctx, to, t); err != nil {
			return nil, fmt.Errorf("copying the table %s: %w", t.name, err)
		}
	}
	written, err := to.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer written.end()
	for i, t := range tables {
		var sum digest
		err := written.eachRow(ctx, t, func(row []any) error { sum.add(row); return nil })
		if err != nil {
			return nil, fmt.Errorf("reading the copy of the table %s: %w", t.name, err)
		}
		if found := sum.of(t); found != copied[i] {
			return nil, fmt.Errorf("the copy differs: %+v became %+v", copied[i], found)
		}
	}
	return copied, nil
}

// snapshot is a transaction that reads one state of a database.
type snapshot struct {
	db *DB
	tx *sql.Tx
}

func (db *DB) snapshot(ctx context.Context) (*snapshot, error) {
	var options *sql.TxOptions // SQLite's transactions read one state
	if db.dialect == MySQL {
		options = &sql.TxOptions{Isolation: sql.LevelRepeatableRead} // TiDB refuses READ ONLY
	}
	tx, err := db.pool.BeginTx(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", db.name, err)
	}
	return &snapshot{db, tx}, nil
}

func (s *snapshot) end() { _ = s.tx.Rollback() } // it has changed nothing

// kind is how the values of a column are copied.
type kind string

const (
	numbers kind = "a number"
	texts   kind = "a text"
	blobs   kind = "bytes"
)

// copyTable is a table as the schema describes it.
type copyTable struct {
	name    string
	columns []string // in the order of the alphabet
	kinds   []kind   // of the columns
	key     []string // the columns of the primary key, in its order
}

// kinds are the kinds of the types of columns.
var kinds = map[string]kind{
	"INTEGER": numbers, "BOOLEAN": numbers, "TINYINT": numbers, "SMALLINT": numbers, "INT": numbers, "BIGINT": numbers,
	"TEXT": texts, "CHAR": texts, "VARCHAR": texts, "MEDIUMTEXT": texts, "LONGTEXT": texts,
	"BLOB": blobs, "BINARY": blobs, "VARBINARY": blobs, "MEDIUMBLOB": blobs, "LONGBLOB": blobs,
}

// copyable returns the tables, in the order of their names, if to can receive them.
func (s *snapshot) copyable(ctx context.Context, to *DB) ([]copyTable, error) {
	for _, db := range []*DB{s.db, to} {
		v, err := db.Version(ctx)
		if err != nil {
			return nil, err
		}
		if v.Current != v.Latest {
			return nil, fmt.Errorf("the schema of %s is at version %d, and this release copies version %d; run `rollcall migrate up` with that database first", db, v.Current, v.Latest)
		}
	}
	target, err := to.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer target.end()
	tables, err := s.tables(ctx)
	if err != nil {
		return nil, err
	}
	found, err := target.tables(ctx)
	if err != nil {
		return nil, err
	}
	// No foreign keys join the tables, so any order will do.
	if !slices.EqualFunc(tables, found, func(a, b copyTable) bool {
		return a.name == b.name && slices.Equal(a.columns, b.columns) && slices.Equal(a.kinds, b.kinds)
	}) {
		return nil, fmt.Errorf("the tables of %s and %s differ, although their schemas have the same version", s.db, to)
	}
	for _, t := range found {
		var rows bool
		if err := target.tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+t.name+")").Scan(&rows); err != nil {
			return nil, err
		}
		if rows {
			return nil, fmt.Errorf("%s is not empty: its table %s has rows", to, t.name)
		}
	}
	return tables, nil
}

// tables returns the tables of the database except that of the migrations.
func (s *snapshot) tables(ctx context.Context) ([]copyTable, error) {
	// One row for each column: its table, name and type, and its place in the primary key or 0.
	query := `SELECT m.name, c.name, c.type, c.pk FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\'`
	if s.db.dialect == MySQL {
		query = `SELECT c.table_name, c.column_name, c.data_type, COALESCE(k.ordinal_position, 0)
			FROM information_schema.columns AS c
			JOIN information_schema.tables AS t ON t.table_schema = c.table_schema AND t.table_name = c.table_name AND t.table_type = 'BASE TABLE'
			LEFT JOIN information_schema.key_column_usage AS k ON k.table_schema = c.table_schema AND k.table_name = c.table_name
				AND k.column_name = c.column_name AND k.constraint_name = 'PRIMARY'
			WHERE c.table_schema = DATABASE()`
	}
	rows, err := s.tx.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("reading the tables of %s: %w", s.db, err)
	}
	defer rows.Close()
	type column struct {
		name  string
		kind  kind
		place int
	}
	byTable := make(map[string][]column)
	for rows.Next() {
		var table, name, declared string
		var place int
		if err := rows.Scan(&table, &name, &declared, &place); err != nil {
			return nil, err
		}
		if table == gooseTable {
			continue
		}
		of, ok := kinds[strings.ToUpper(declared)]
		if !ok {
			return nil, fmt.Errorf("%s.%s has the type %s, which cannot be copied", table, name, declared)
		}
		byTable[table] = append(byTable[table], column{name, of, place})
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	var tables []copyTable
	for name, columns := range byTable {
		t := copyTable{name: name}
		slices.SortFunc(columns, func(a, b column) int { return strings.Compare(a.name, b.name) })
		for _, c := range columns {
			t.columns, t.kinds = append(t.columns, c.name), append(t.kinds, c.kind)
		}
		slices.SortFunc(columns, func(a, b column) int { return a.place - b.place })
		for _, c := range columns {
			if c.place > 0 {
				t.key = append(t.key, c.name)
			}
		}
		if t.key == nil {
			return nil, fmt.Errorf("the table %s has no primary key", name)
		}
		tables = append(tables, t)
	}
	slices.SortFunc(tables, func(a, b copyTable) int { return strings.Compare(a.name, b.name) })
	return tables, nil
}

// copyTable copies the rows of a table, in the order of the primary key, and the highest key.
func (s *snapshot) copyTable(ctx context.Context, to *DB, t copyTable) (CopiedTable, error) {
	var sum digest
	var values []any
	bytes, most := 0, min(copyRows, copyValues/len(t.columns))*len(t.columns)
	row := "(?" + strings.Repeat(", ?", len(t.columns)-1) + ")"
	insert := func() error {
		if len(values) == 0 {
			return nil
		}
		n := len(values) / len(t.columns)
		err := to.Exec(ctx, "INSERT INTO "+t.name+" ("+quoted(t.columns)+") VALUES "+row+strings.Repeat(", "+row, n-1), values...)
		values, bytes = values[:0], 0
		return err
	}
	err := s.eachRow(ctx, t, func(row []any) error {
		bytes += sum.add(row)
		if values = append(values, row...); len(values) < most && bytes < copyBytes {
			return nil
		}
		return insert()
	})
	if err == nil {
		err = insert()
	}
	if err == nil {
		err = s.copyLastKey(ctx, to, t)
	}
	return sum.of(t), err
}

// eachRow calls fn with the values of each row, in the order of the primary key: int64, string, []byte or
// nil. fn may keep them, but not the slice.
func (s *snapshot) eachRow(ctx context.Context, t copyTable, fn func(row []any) error) error {
	rows, err := s.tx.QueryContext(ctx, "SELECT "+quoted(t.columns)+" FROM "+t.name+" ORDER BY "+quoted(t.key))
	if err != nil {
		return err
	}
	defer rows.Close()
	row, targets := make([]any, len(t.columns)), make([]any, len(t.columns))
	for i := range row {
		targets[i] = &row[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		for i, value := range row {
			var ok bool
			if row[i], ok = t.kinds[i].of(value); !ok {
				return fmt.Errorf("%s has a value of the type %T, which is not %s", t.columns[i], value, t.kinds[i])
			}
		}
		if err := fn(row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// of returns a value in the type of the kind, or reports that it is not of that kind.
func (k kind) of(value any) (any, bool) {
	switch v := value.(type) {
	case nil:
		return nil, true
	case int64:
		return v, k == numbers
	case bool: // a BOOLEAN of SQLite
		if v {
			return int64(1), k == numbers
		}
		return int64(0), k == numbers
	case string:
		switch k {
		case texts:
			return v, true
		case blobs:
			return []byte(v), true
		}
		n, err := strconv.ParseInt(v, 10, 64)
		return n, err == nil
	case []byte:
		if k == blobs {
			return v, true
		}
		return k.of(string(v))
	}
	return nil, false
}

func quoted(columns []string) string { return "`" + strings.Join(columns, "`, `") + "`" }

// autoIncrement finds the next key in the statement that would create a table of MySQL.
var autoIncrement = regexp.MustCompile(`\bAUTO_INCREMENT=(\d+)`)

// copyLastKey makes the copy assign keys after the last one that the original has ever assigned.
func (s *snapshot) copyLastKey(ctx context.Context, to *DB, t copyTable) error {
	var last int64
	if s.db.dialect == MySQL {
		var name, statement string
		if err := s.tx.QueryRowContext(ctx, "SHOW CREATE TABLE "+t.name).Scan(&name, &statement); err != nil {
			return err
		}
		if found := autoIncrement.FindStringSubmatch(statement); found != nil {
			next, err := strconv.ParseInt(found[1], 10, 64)
			if err != nil {
				return err
			}
			last = next - 1
		}
	} else if err := s.tx.QueryRowContext(ctx, "SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = ?", t.name).Scan(&last); err != nil {
		return err
	}
	if last == 0 {
		return nil
	}
	if to.dialect == MySQL {
		return to.Exec(ctx, fmt.Sprintf("ALTER TABLE %s AUTO_INCREMENT = %d", t.name, last+1))
	}
	return to.Tx(ctx, func(tx *gorm.DB) error {
		if err := tx.Exec("DELETE FROM sqlite_sequence WHERE name = ?", t.name).Error; err != nil {
			return err
		}
		return tx.Exec("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", t.name, last).Error
	})
}

// digest is a sum over the rows of a table that does not depend on their order, because databases order
// texts differently.
type digest struct {
	rows int64
	sum  [4]uint64
	row  []byte
}

// add adds a row and returns how many bytes it has.
func (d *digest) add(row []any) int {
	d.row = d.row[:0]
	for _, value := range row {
		switch v := value.(type) {
		case nil:
			d.row = append(d.row, 'n')
		case int64:
			d.row = binary.BigEndian.AppendUint64(append(d.row, 'i'), uint64(v))
		case string:
			d.row = append(binary.BigEndian.AppendUint64(append(d.row, 't'), uint64(len(v))), v...)
		case []byte:
			d.row = append(binary.BigEndian.AppendUint64(append(d.row, 'b'), uint64(len(v))), v...)
		}
	}
	hash := sha256.Sum256(d.row)
	for i := range d.sum {
		d.sum[i] += binary.BigEndian.Uint64(hash[8*i:])
	}
	d.rows++
	return len(d.row)
}

// of returns the digest of the rows of t.
func (d *digest) of(t copyTable) CopiedTable {
	var sum []byte
	for _, part := range d.sum {
		sum = binary.BigEndian.AppendUint64(sum, part)
	}
	return CopiedTable{t.name, d.rows, hex.EncodeToString(sum[:16])}
}
