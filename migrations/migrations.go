// Package migrations embeds the SQL files of the schema, in one folder for MySQL and compatible
// databases and in one for SQLite, with the same version numbers. A released file is never edited:
// a change of the schema is a new number in both folders.
package migrations

import "embed"

// MySQL has the folder mysql, for MySQL 8, MariaDB 10.11 and later, and TiDB.
//
//go:embed mysql/*.sql
var MySQL embed.FS

// SQLite has the folder sqlite.
//
//go:embed sqlite/*.sql
var SQLite embed.FS
