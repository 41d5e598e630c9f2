package database

import "strings"

// Using returns table, for a FROM, so that it is read by this index and no other. It is for lists
// and counts whose best index is known. The databases choose by estimates: MySQL and MariaDB then
// read a list from its start where they could seek to a page, and SQLite, which has no statistics
// unless ANALYZE was run, reads all users of an app to find a few.
func (db *DB) Using(table, index string) string {
	if db.dialect == MySQL {
		return table + " FORCE INDEX (" + index + ")"
	}
	return table + " INDEXED BY " + index
}

// InOrder is Using for the table's primary key, in whose order its rows are stored.
func (db *DB) InOrder(table string) string {
	if db.dialect == MySQL {
		return table + " FORCE INDEX (PRIMARY)"
	}
	return table // SQLite has no name for it, and uses it if the ORDER BY fits
}

// Then returns a JOIN that reads the table on its left first, whatever the database estimates.
func (db *DB) Then() string {
	if db.dialect == MySQL {
		return "STRAIGHT_JOIN"
	}
	return "CROSS JOIN"
}

// ByKey returns table, for an UPDATE, so that its rows are found by their primary key. SQLite does
// that by itself.
func (db *DB) ByKey(table string) string {
	if db.dialect == MySQL {
		return table + " FORCE INDEX (PRIMARY)"
	}
	return table
}

// Among returns the condition that the columns have the values of one of n rows. Its arguments are the
// values, row after row. Each row is looked up in an index of the columns.
//
// It is a list of rows, because MariaDB takes longer for rows joined by OR: three quarters longer for 64
// rows, and three times as long for 500. SQLite takes a little less for them once the statement is
// prepared, and nine times as long for 500 rows, most of it to parse them. Vitess splits both forms.
func (db *DB) Among(n int, columns ...string) string {
	one := strings.Join(columns, " = ? AND ") + " = ?"
	switch {
	case n == 1:
		return one
	case db.dialect == SQLite && n <= preparedKeys:
		return "(" + one + strings.Repeat(" OR "+one, n-1) + ")"
	}
	begin := " IN ("
	if db.dialect == SQLite {
		begin = " IN (VALUES "
	}
	row := "(?" + strings.Repeat(", ?", len(columns)-1) + ")"
	return "(" + strings.Join(columns, ", ") + ")" + begin + row + strings.Repeat(", "+row, n-1) + ")"
}

// LockingUnlocked returns the end of a SELECT in a transaction that locks the rows it reads. The
// SELECT fails with ErrLocked if another transaction has locked one of them. On SQLite only one
// transaction at a time changes data anyway.
func (db *DB) LockingUnlocked() string {
	if db.dialect == MySQL {
		return " FOR UPDATE NOWAIT"
	}
	return ""
}
