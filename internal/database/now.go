package database

// Now returns the expression for the current time in milliseconds by the database's clock, which is
// the same for all nodes.
func (db *DB) Now() string {
	if db.dialect == MySQL {
		return "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)"
	}
	return "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
}
