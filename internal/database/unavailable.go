package database

import (
	"database/sql/driver"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/ncruces/go-sqlite3"

	"rollcall/internal/clienttls"
)

// Unavailable reports whether err means that the database cannot be reached or cannot be used for
// the moment, and the statement is not the cause: the same call may succeed later.
func Unavailable(err error) bool {
	if err == nil {
		return false
	}
	if _, ok := errors.AsType[*NoServerError](err); ok {
		return true
	}
	if my, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return slices.Contains(unavailableMySQL, my.Number) || isWriteConflict(my)
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*clienttls.ConnectError](err); ok {
		return true
	}
	if code, ok := errors.AsType[sqlite3.ErrorCode](err); ok {
		return unavailableSQLite[code]
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, mysql.ErrNoTLS) ||
		errors.Is(err, ErrLocked) || errors.Is(err, errNoTurn) || errors.Is(err, errGroup) || errors.Is(err, ErrOvertaken) || isBusy(err)
}

// TimedOut reports whether err means that the server has ended a statement because it took too long.
func TimedOut(err error) bool { return isMySQL(err, overTime...) }

// Error numbers of MySQL, MariaDB and TiDB, by what they mean for the statement and its connection.
var (
	// collided: the server has rolled back the transaction because of another one.
	collided = []uint16{
		1020, // row changed since it was read
		1205, // lock wait time-out
		1213, // deadlock; on Galera also a conflict with another member's transaction
		3101, // Group Replication: conflict with another member's transaction
		8002, // TiDB: write conflict in a transaction with locking reads
		8005, // TiDB: write conflict
		8022, // TiDB: the commit failed and was rolled back
		8028, // TiDB: the schema changed during the transaction
		9007, // TiDB: write conflict
	}
	// tooManyConnections: no connection was established.
	tooManyConnections = []uint16{
		1040, // too many connections
		1203, // the user has too many connections
		1226, // the same, by a limit of this user, or it has reached its limit of operations per hour
	}
	// readOnly: the server accepts no changes, as a primary that has become a replica.
	readOnly = []uint16{
		1290, // read-only by --read-only or --super-read-only
		1792, // read-only by transaction_read_only
		1836, // read-only by --innodb-read-only
	}
	// useless: the server cannot be used over any connection. Another one may replace it.
	useless = append([]uint16{
		1047, // Galera: the member is not part of the cluster
		1053, // the server is shutting down
		3032, // the server is in offline mode
	}, readOnly...)
	// broken: the server ended the connection.
	broken = []uint16{
		1927, // MariaDB: the connection was killed
		4031, // MySQL: the connection was idle for too long
	}
	// overTime: the statement took longer than it may, see endingAfter.
	overTime = []uint16{
		1969, // MariaDB: max_statement_time
		3024, // MySQL: max_execution_time
	}
	// exhausted: the statement was ended, or could not begin, for lack of a resource.
	exhausted = append([]uint16{
		1021, // disk full
		1026, // error when writing a file
		1041, // out of memory
		1114, // table full, also of temporary tables on a full disk
		1135, // no thread for the connection
		1206, // no memory for locks
		1317, // the statement was killed
		1637, // too many transactions
		3100, // Group Replication: the member cannot commit
		3572, // MySQL: the lock was not available at once
		8027, // TiDB: the schema is out of date
		8229, // TiDB: the transaction was idle for too long
		9001, // TiDB: the placement driver timed out
		9002, // TiDB: the storage timed out
		9003, // TiDB: the storage is busy
		9004, // TiDB: too many conflicts over locks
		9005, // TiDB: a region is unavailable
	}, overTime...)
	unavailableMySQL = slices.Concat(collided, tooManyConnections, useless, broken, exhausted)

	// unknownVariable: the server does not know a variable, or ignores it.
	unknownVariable = []uint16{
		1193, // unknown system variable
		1235, // TiDB: accepted only for compatibility
		1238, // read-only variable
	}
)

// isMySQL reports whether err is one of the server's errors with these numbers.
func isMySQL(err error, numbers ...uint16) bool {
	if err == nil {
		return false
	}
	my, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && slices.Contains(numbers, my.Number)
}

// isWriteConflict reports whether err is a conflict of transactions on TiDB that has no number of
// its own: one that its storage reports, or that a statement has met too often.
func isWriteConflict(err *mysql.MySQLError) bool {
	text := strings.ToLower(err.Message)
	return err.Number == 1105 && (strings.Contains(text, "write conflict") || strings.Contains(text, "lock retry limit reached"))
}

// isConflict reports whether the server has ended a statement or its transaction because of another
// transaction.
func isConflict(err error) bool {
	my, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && (isMySQL(my, collided...) || isWriteConflict(my))
}

// unavailableSQLite has the result codes by which SQLite refuses statements for the moment: another
// process has the lock, or the file or its disk cannot be used.
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
