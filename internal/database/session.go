package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"rollcall/internal/clienttls"
)

// sessionVariables are set on each connection, because the server's defaults may change the meaning
// of statements. All servers know those outside of comments. Only MariaDB runs what is in /*M! */,
// only MySQL and TiDB what is in /*!80000 */, and only TiDB what is in /*T! */.
var sessionVariables = []string{
	"NAMES utf8mb4 COLLATE utf8mb4_bin", // a server may ignore the handshake's character set
	"autocommit = 1",
	"completion_type = 'NO_CHAIN'",
	"sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
	"time_zone = '+00:00'",
	"sql_select_limit = 18446744073709551615",
	"sql_big_selects = 1",
	"sql_safe_updates = 0",
	"sql_auto_is_null = 0",
	// On TiDB, rows are locked when they are read and not at the commit, and so are keys that must be
	// unique; and no read returns an earlier state.
	"/*T! tidb_txn_mode = 'pessimistic', tidb_constraint_check_in_place_pessimistic = 1, " +
		"tidb_low_resolution_tso = 0, tidb_enable_external_ts_read = 0, tidb_read_staleness = 0, */ max_sort_length = 1024",
	// MariaDB looks up each value of a long list, and does not join a table of them instead.
	"/*M! in_predicate_conversion_threshold = 0, */ foreign_key_checks = 1",
	"/*M! max_statement_time = 0, */ /*!80000 max_execution_time = 0, */ unique_checks = 1",
	"default_storage_engine = 'InnoDB'", // the CREATE TABLE of goose does not name one
	// Below statementTimeout and writePatience, so that a transaction whose rows or tables
	// are locked is run again and then ends with an error that says so.
	"innodb_lock_wait_timeout = 5",
	"lock_wait_timeout = 5",
}

// isolation is READ COMMITTED: no gap locks, and each statement of a transaction sees the
// newest committed rows. The variable's name differs between MySQL and MariaDB, this
// statement does not.
const isolation = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"

// galeraVariables make statements on one member of a Galera cluster wait until it has applied what
// the others had committed by then, so that a ban is in force everywhere once it is acknowledged. 7
// is for reads and BEGIN, UPDATE and DELETE, INSERT and REPLACE; inside a transaction only BEGIN
// waits. wsrep_dirty_reads would let a member outside the cluster respond, and wsrep_osu_method
// could keep a migration from the other members. Servers other than MariaDB and Percona XtraDB
// Cluster do not know the variables.
const galeraVariables = "SET SESSION wsrep_sync_wait = 7, wsrep_dirty_reads = 0, wsrep_osu_method = 'TOI'"

const (
	// renewInterval is the minimum time between two renewals of all sessions.
	renewInterval = time.Second
	// tooManyPause is the time between two attempts to connect to a server that is full.
	tooManyPause = 50 * time.Millisecond
)

// connector makes the sessions of all pools, on one server.
type connector struct {
	servers []*mysqlServer
	tls     *clienttls.Source // nil without TLS
	// replica makes the sessions refuse changes and return only rows that have all arrived.
	replica bool
	log     *slog.Logger

	// generation is the generation of new sessions. Sessions of earlier ones are closed at their
	// next use.
	generation atomic.Int64
	switches   atomic.Int64 // how often another server has been chosen

	mu      sync.Mutex
	renewed time.Time // when the generation began
	// inUse is the server in use, and search the present search for another one, nil if there is
	// none. See servers.go.
	inUse  *mysqlServer
	search *search
	// lost is closed, and replaced, when the replica does not respond, and slow makes the node look
	// whether it does. They are nil for a primary.
	lost, slow chan struct{}
}

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	if len(c.servers) > 1 {
		return c.connectToUsable(ctx)
	}
	if c.replica {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lookTimeout)
		defer cancel()
	}
	server, generation := c.chosen()
	return c.open(ctx, server, generation)
}

// Driver implements driver.Connector.
func (c *connector) Driver() driver.Driver { return &mysql.MySQLDriver{} }

// open makes a session on a server.
func (c *connector) open(ctx context.Context, server *mysqlServer, generation int64) (*session, error) {
	conn, err := c.dial(ctx, server)
	if err != nil {
		return nil, err
	}
	s := &session{mysqlConn: conn.(mysqlConn), connector: c, generation: generation}
	if err := s.prepare(ctx, sessionVariables); err != nil {
		conn.Close()
		if c.tls != nil && isClosed(err) {
			err = c.tls.Closed(err) // with TLS 1.3 the server may refuse a certificate this late
		}
		return nil, fmt.Errorf("setting the session's variables: %w", err)
	}
	if c.replica {
		// TiDB refuses it by default.
		if err := s.set(ctx, "SET SESSION TRANSACTION READ ONLY"); err != nil && !isMySQL(err, unknownVariable...) {
			conn.Close()
			return nil, fmt.Errorf("making the session read-only: %w", err)
		}
	}
	return s, nil
}

// closedInHandshake is the text of the driver's error for a server that closed the connection before
// the client had sent its part of the handshake. The driver does not export it.
const closedInHandshake = "bad connection"

// dial connects. If the server has too many connections, it returns givenUp after a pause.
// database/sql then tries again, preferably with a connection that has become free.
func (c *connector) dial(ctx context.Context, server *mysqlServer) (driver.Conn, error) {
	conn, err := server.connector.Connect(ctx)
	if err != nil && err.Error() == closedInHandshake {
		err = driver.ErrBadConn
	}
	switch {
	case err == nil || c.tls == nil:
	case isClosed(err):
		err = c.tls.Closed(err) // the driver discards the server's alert
	default:
		err = c.tls.Explain(err)
	}
	if !isMySQL(err, tooManyConnections...) {
		return conn, err
	}
	select {
	case <-time.After(tooManyPause):
	case <-ctx.Done():
	}
	return nil, givenUp{err}
}

// isClosed reports whether err says no more than that the connection has ended.
func isClosed(err error) bool {
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn)
}

// renew makes all sessions of the generation be replaced, because one of them is unusable. It
// reports whether a new session may be better, which is false if the generation has just begun.
func (c *connector) renew(generation int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.generation.Load() {
		return true
	}
	if time.Since(c.renewed) < renewInterval {
		return false
	}
	c.renewed = time.Now()
	c.generation.Add(1)
	return true
}

// mysqlConn has the methods that database/sql calls on a connection of go-sql-driver/mysql.
type mysqlConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.NamedValueChecker
	driver.SessionResetter
	driver.Validator
}

// session is a connection that is closed if its server cannot be used for the moment, such as a
// primary that has become a replica. The URL may now lead to another server.
type session struct {
	mysqlConn
	connector  *connector
	generation int64
}

// prepare sets the variables that the statements depend on.
func (s *session) prepare(ctx context.Context, variables []string) error {
	err := s.set(ctx, "SET "+strings.Join(variables, ", "))
	if isMySQL(err, unknownVariable...) {
		for _, variable := range variables {
			if err = s.set(ctx, "SET "+variable); err != nil && !isMySQL(err, unknownVariable...) {
				return err
			}
		}
		err = nil
	}
	if err == nil {
		err = s.set(ctx, isolation)
	}
	if err == nil {
		if err = s.set(ctx, galeraVariables); isMySQL(err, unknownVariable...) {
			err = nil
		}
	}
	return err
}

func (s *session) set(ctx context.Context, statement string) error {
	_, err := s.mysqlConn.ExecContext(ctx, statement, nil)
	return err
}

func (s *session) current() bool { return s.generation == s.connector.generation.Load() }

// ResetSession implements driver.SessionResetter.
func (s *session) ResetSession(ctx context.Context) error {
	if err := s.usable(); err != nil {
		return err
	}
	return s.mysqlConn.ResetSession(ctx)
}

// usable returns driver.ErrBadConn if the session must be replaced.
func (s *session) usable() error {
	if !s.current() {
		return driver.ErrBadConn
	}
	return nil
}

// IsValid implements driver.Validator.
func (s *session) IsValid() bool { return s.current() && s.mysqlConn.IsValid() }

// givenUp is the error of a statement that was refused by a server that cannot be used, if another
// server may be available. database/sql closes the connection, and outside of transactions runs the
// statement again on a new one.
type givenUp struct{ error }

func (e givenUp) Unwrap() error        { return e.error }
func (e givenUp) Is(target error) bool { return target == driver.ErrBadConn }

// judge returns the error of a statement, wrapped in givenUp if it means that.
func (s *session) judge(err error) error {
	if isMySQL(err, useless...) && s.connector.renew(s.generation) {
		return givenUp{err}
	}
	return err
}

// BeginTx implements driver.ConnBeginTx.
func (s *session) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	tx, err := s.mysqlConn.BeginTx(ctx, options)
	if err != nil {
		return nil, s.judge(err)
	}
	return sessionTx{tx, s}, nil
}

// ExecContext implements driver.ExecerContext.
func (s *session) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := s.mysqlConn.ExecContext(ctx, query, args)
	if err != nil {
		return nil, s.judge(err)
	}
	return result, nil
}

// QueryContext implements driver.QueryerContext. The server ends the query at ctx's deadline.
func (s *session) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if s.connector.replica {
		var cancel context.CancelFunc
		ctx, cancel = s.connector.untilLost(ctx)
		defer cancel()
	}
	rows, err := s.mysqlConn.QueryContext(ctx, endingWith(ctx, query), args)
	if err == nil && s.connector.replica {
		rows, err = buffered(rows)
	}
	if err != nil {
		return nil, s.judge(err)
	}
	return rows, nil
}

// PrepareContext implements driver.ConnPrepareContext.
func (s *session) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	stmt, err := s.mysqlConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, s.judge(err)
	}
	return sessionStmt{stmt.(mysqlStmt), s}, nil
}

type sessionTx struct {
	driver.Tx
	session *session
}

// Commit implements driver.Tx.
func (t sessionTx) Commit() error { return t.session.judge(t.Tx.Commit()) }

// mysqlStmt has the methods that database/sql calls on a prepared statement of go-sql-driver/mysql.
type mysqlStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
	driver.NamedValueChecker
}

type sessionStmt struct {
	mysqlStmt
	session *session
}

// ExecContext implements driver.StmtExecContext.
func (s sessionStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	result, err := s.mysqlStmt.ExecContext(ctx, args)
	if err != nil {
		return nil, s.session.judge(err)
	}
	return result, nil
}

// QueryContext implements driver.StmtQueryContext.
func (s sessionStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if s.session.connector.replica {
		var cancel context.CancelFunc
		ctx, cancel = s.session.connector.untilLost(ctx)
		defer cancel()
	}
	rows, err := s.mysqlStmt.QueryContext(ctx, args)
	if err == nil && s.session.connector.replica {
		rows, err = buffered(rows)
	}
	if err != nil {
		return nil, s.session.judge(err)
	}
	return rows, nil
}
