// Package migrations holds the schema's history as SQL, once for MySQL and its
// relatives and once for SQLite, under the same numbers. A file that has been
// released is never edited; a change is the next number, in both folders.
package migrations

import "embed"

// MySQL holds the folder mysql: for MySQL 8, MariaDB 10.11 and later, TiDB.
//
//go:embed mysql/*.sql
var MySQL embed.FS

// SQLite holds the folder sqlite.
//
//go:embed sqlite/*.sql
var SQLite embed.FS
