package database

import (
	"database/sql/driver"
	"errors"
	"net"

	"github.com/go-sql-driver/mysql"
	"github.com/ncruces/go-sqlite3"
)

// Unavailable reports whether err means that the database cannot be reached or cannot be used
// for the moment, through no fault of the statement: the same call may succeed later.
func Unavailable(err error) bool {
	if err == nil {
		return false
	}
	if my, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return unavailableMySQL[my.Number]
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	if code, ok := errors.AsType[sqlite3.ErrorCode](err); ok {
		return unavailableSQLite[code]
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) ||
		errors.Is(err, ErrLocked) || lost(err)
}

// unavailableMySQL holds the error numbers of MySQL and MariaDB by which a server refuses
// statements for the moment.
var unavailableMySQL = map[uint16]bool{
	1020: true, // row changed since it was read
	1021: true, // disk full
	1040: true, // too many connections
	1041: true, // out of memory
	1047: true, // Galera: the member is not ready
	1053: true, // the server is shutting down
	1114: true, // table full, also of temporary tables on a full disk
	1203: true, // the user has too many connections
	1205: true, // lock wait time-out
	1213: true, // deadlock
	1226: true, // the user has used up a resource
	1290: true, // read-only by --read-only
	1317: true, // the statement was killed
	1792: true, // read-only transaction
	1836: true, // read-only mode
	1927: true, // MariaDB: the connection was killed
	1969: true, // MariaDB: max_statement_time
	3024: true, // MySQL: max_execution_time
	3572: true, // MySQL: the lock was not available at once
}

// unavailableSQLite holds the result codes by which SQLite refuses statements for the moment:
// another process has the lock, or the file or its disk cannot be used.
var unavailableSQLite = map[sqlite3.ErrorCode]bool{
	sqlite3.BUSY:      true,
	sqlite3.LOCKED:    true,
	sqlite3.READONLY:  true,
	sqlite3.INTERRUPT: true,
	sqlite3.IOERR:     true,
	sqlite3.FULL:      true,
	sqlite3.CANTOPEN:  true,
	sqlite3.PROTOCOL:  true,
}
