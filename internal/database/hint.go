package database

// Using answers table, as a FROM names it, to be read by this index and no other.
// It is for lists and counts whose right index is known: the databases choose by
// what they guess of the rows, and MySQL's family then walks a list from its start
// where it could seek to a page, and SQLite, which has no statistics unless
// somebody runs ANALYZE, walks all of an app to find the few.
func (db *DB) Using(table, index string) string {
	if db.dialect == MySQL {
		return table + " FORCE INDEX (" + index + ")"
	}
	return table + " INDEXED BY " + index
}

// InOrder is Using for the table's primary key, in whose order its rows lie.
func (db *DB) InOrder(table string) string {
	if db.dialect == MySQL {
		return table + " FORCE INDEX (PRIMARY)"
	}
	return table // SQLite has no name for it, and takes it where the order asks for it
}

// Then answers a JOIN that reads the table on its left first, whatever the
// database guesses.
func (db *DB) Then() string {
	if db.dialect == MySQL {
		return "STRAIGHT_JOIN"
	}
	return "CROSS JOIN"
}

// ByKey answers table, as an UPDATE names it, with its rows found by their primary
// key, which SQLite does by itself.
func (db *DB) ByKey(table string) string {
	if db.dialect == MySQL {
		return table + " FORCE INDEX (PRIMARY)"
	}
	return table
}

// LockingUnlocked answers the end of a SELECT in a transaction that locks the rows
// which it reads, and fails with ErrLocked where another transaction has one of them.
// SQLite's transactions that change something are alone anyway.
func (db *DB) LockingUnlocked() string {
	if db.dialect == MySQL {
		return " FOR UPDATE NOWAIT"
	}
	return ""
}
