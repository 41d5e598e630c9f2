// Package database opens the database that a URL names, brings its schema up to
// date, and runs transactions: the same calls on SQLite and on MySQL's family.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/ncruces/go-sqlite3"
	sqlite "github.com/ncruces/go-sqlite3/driver"
	"github.com/ncruces/go-sqlite3/gormlite"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"rollcall/internal/atrest"

	"rollcall/internal/clienttls"
)

// Dialect is the family of SQL that a database speaks.
type Dialect string

// The dialects, by the names that GORM has for them.
const (
	MySQL  Dialect = "mysql"
	SQLite Dialect = "sqlite"
)

const (
	// connectTimeout bounds one attempt to reach the server.
	connectTimeout = 5 * time.Second
	// statementTimeout bounds what a caller waits for one statement on a silent
	// network; presence relies on no read outlasting a minute.
	statementTimeout = 30 * time.Second
	// mysqlConns bounds the connections that one node holds to a server.
	mysqlConns = 64
	// mysqlConnLife bounds the life of a connection, so that a name that has been moved to
	// another server, and a new server behind a balancer, are followed.
	mysqlConnLife = 3 * time.Minute
	// mysqlWriters bounds those connections that transactions have: what waits for a lock must
	// not keep all reads from being answered.
	mysqlWriters = 48
	// sqliteReaders bounds the read connections to a file; each has a cache.
	sqliteReaders = 8
	// busyPatience bounds how long a read waits for another process that has all of the file.
	busyPatience = 5 * time.Second
	// busyStep is the same for the writing connection, which then looks whether its caller
	// still waits; see writer.begin.
	busyStep = 250 * time.Millisecond
)

// DB is an open database. Reads go through Read, changes through Tx.
type DB struct {
	dialect Dialect
	name    string
	read    *gorm.DB
	// pool is read's connections, for hand-written statements.
	pool *sql.DB
	// write is read again for MySQL; for SQLite it has the file's only writing
	// connection, for which writers queue in order instead of polling for a lock.
	write  *gorm.DB
	writer *writer // nil for MySQL

	// For connections beside the pools: to the server, or to the file.
	connector *connector
	path      string
	// patience is writePatience, shorter in tests.
	patience time.Duration
	// places bounds the transactions at the same time on MySQL.
	places chan struct{}

	writes   writes
	probe    *Coalescer[struct{}, struct{}]
	freeDisk func(folder string) (bytes uint64, known bool) // of this package, but in tests

	watchers atomic.Pointer[[]*watcher]

	// secretKeys encrypt the secrets that rows hold.
	secretKeys atrest.Keys
}

// SetSecretKeys sets the keys that encrypt the secrets in the database. It must be called before
// anything else uses the database.
func (db *DB) SetSecretKeys(keys atrest.Keys) { db.secretKeys = keys }

// SecretKeys returns the keys that encrypt the secrets in the database.
func (db *DB) SecretKeys() atrest.Keys { return db.secretKeys }

// URLError says that a database URL is none, whatever answers where.
type URLError struct{ problem string }

// Error names the URL's fault, never its password.
func (e *URLError) Error() string { return "the database URL " + e.problem }

// Open opens the database that rawURL names, `sqlite:PATH` or
// `mysql://user:password@host:port/name`, and makes sure that it responds. The
// error is one line that names what was tried, never the password. It is a *URLError
// if the URL is invalid.
func Open(ctx context.Context, rawURL string) (*DB, error) {
	return OpenTLS(ctx, rawURL, clienttls.Files{})
}

// OpenTLS is Open with files for the TLS of a URL with tls=true. It also returns a
// *clienttls.Error if they cannot be used.
func OpenTLS(ctx context.Context, rawURL string, files clienttls.Files) (*DB, error) {
	scheme, rest, ok := strings.Cut(rawURL, ":")
	switch {
	case ok && scheme == string(SQLite):
		if err := files.CheckUnused("the database is a file"); err != nil {
			return nil, err
		}
		return openSQLite(ctx, rest)
	case ok && scheme == string(MySQL):
		return openMySQL(ctx, rawURL, files)
	}
	return nil, &URLError{"must start with sqlite: or mysql://"}
}

func openSQLite(ctx context.Context, path string) (*DB, error) {
	if path == "" {
		return nil, &URLError{"sqlite: names no file; write sqlite:PATH"}
	}
	name := "sqlite:" + path
	if dir := filepath.Dir(path); dir != "." {
		if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("cannot open database %s: the folder %s does not exist", name, dir)
		}
	}
	// busy_timeout first: the pragmas after it may have to wait for another
	// process. synchronous=FULL: what was answered survives a power cut. secure_delete,
	// with pagesVFS and Scrub: what was deleted does not stay in the file.
	dsn := func(busy time.Duration, extra string) string {
		return (&url.URL{Scheme: "file", OmitHost: true, Path: path}).String() +
			fmt.Sprintf("?_pragma=busy_timeout(%d)", busy.Milliseconds()) +
			"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
			"&_pragma=temp_store(MEMORY)&_pragma=cache_size(-8192)&vfs=" + pagesVFS + extra
	}
	if !filepath.IsAbs(path) {
		base := dsn
		dsn = func(busy time.Duration, extra string) string {
			return strings.Replace(base(busy, extra), "file:", "file:./", 1)
		}
	}
	writer, err := sqlite.Open(dsn(busyStep, "&_pragma=secure_delete(1)&_txlock=immediate"))
	if err != nil {
		return nil, fmt.Errorf("cannot open database %s: %w", name, err)
	}
	writer.SetMaxOpenConns(1)
	if err := firstPing(ctx, writer); err != nil {
		writer.Close()
		return nil, fmt.Errorf("cannot open database %s: %w", name, plainly(err))
	}
	reader, err := sqlite.Open(dsn(busyPatience, "&_pragma=query_only(1)"))
	if err != nil {
		writer.Close()
		return nil, fmt.Errorf("cannot open database %s: %w", name, err)
	}
	reader.SetMaxOpenConns(sqliteReaders)
	reader.SetMaxIdleConns(sqliteReaders)
	db := &DB{dialect: SQLite, name: name, path: path, pool: reader, patience: writePatience}
	if db.write, err = wrap(gormlite.OpenDB(writer)); err == nil {
		db.read, err = wrap(gormlite.OpenDB(reader))
	}
	if err != nil {
		writer.Close()
		reader.Close()
		return nil, fmt.Errorf("cannot open database %s: %w", name, err)
	}
	db.writer = newWriter(writer, db.write)
	db.freeDisk, db.probe = freeDisk, db.newProbe()
	return db, nil
}

func openMySQL(ctx context.Context, rawURL string, files clienttls.Files) (*DB, error) {
	cfg, err := parseMySQL(rawURL)
	if err != nil {
		return nil, err
	}
	secure, err := requireTLS(cfg, files)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("mysql://%s@%s/%s", cfg.User, cfg.Addr, cfg.DBName)
	base, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot open database %s: %w", name, err)
	}
	connector := &connector{Connector: base, tls: secure}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(mysqlConns)
	pool.SetMaxIdleConns(mysqlConns)
	pool.SetConnMaxIdleTime(time.Minute)
	pool.SetConnMaxLifetime(mysqlConnLife)
	if err := ping(ctx, pool); err != nil {
		pool.Close()
		return nil, fmt.Errorf("cannot reach database %s: %w", name, err)
	}
	gdb, err := wrap(gormmysql.New(gormmysql.Config{Conn: pool, SkipInitializeWithVersion: true}))
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("cannot open database %s: %w", name, err)
	}
	db := &DB{
		dialect: MySQL, name: name, connector: connector, read: gdb, pool: pool, write: gdb,
		patience: writePatience, places: make(chan struct{}, mysqlWriters),
	}
	db.probe = db.newProbe()
	return db, nil
}

// parseMySQL reads mysql://user:password@host:port/name?tls=… and
// mysql://user@unix(/path/to.sock)/name. Its errors hold no part of the URL
// that could be a password.
func parseMySQL(rawURL string) (*mysql.Config, error) {
	rest, ok := strings.CutPrefix(rawURL, "mysql://")
	if !ok {
		return nil, &URLError{"must start with mysql://"}
	}
	cfg := mysql.NewConfig()
	socket := ""
	if before, after, found := strings.Cut(rest, "unix("); found && (before == "" || strings.HasSuffix(before, "@")) {
		path, tail, closed := strings.Cut(after, ")")
		if !closed || path == "" {
			return nil, &URLError{"has a unix(…) that names no socket"}
		}
		socket, rest = path, before+"socket"+tail
	}
	u, err := url.Parse("mysql://" + rest)
	if err != nil {
		// url.Error repeats the whole URL, password included.
		return nil, &URLError{"cannot be read; write mysql://user:password@host:3306/name, with special characters percent-encoded"}
	}
	if u.User == nil || u.User.Username() == "" {
		return nil, &URLError{"names no user; write mysql://user:password@host:3306/name"}
	}
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.DBName = strings.TrimPrefix(u.Path, "/")
	if cfg.DBName == "" || strings.Contains(cfg.DBName, "/") {
		return nil, &URLError{"names no database; write mysql://user:password@host:3306/name, with special characters percent-encoded"}
	}
	switch {
	case socket != "":
		cfg.Net, cfg.Addr = "unix", socket
	case u.Hostname() == "":
		return nil, &URLError{"names no host; write mysql://user:password@host:3306/name"}
	default:
		port := u.Port()
		if port == "" {
			port = "3306"
		}
		cfg.Net, cfg.Addr = "tcp", net.JoinHostPort(u.Hostname(), port)
	}
	for key, values := range u.Query() {
		if key != "tls" || len(values) != 1 {
			return nil, &URLError{fmt.Sprintf("has the parameter %q; only tls is known", key)}
		}
		switch values[0] {
		case "true", "false":
			cfg.TLSConfig = values[0]
		case "preferred":
			return nil, &URLError{"has tls=preferred, which connects without encryption if the server offers no TLS; write tls=true"}
		case "skip-verify":
			return nil, &URLError{"has tls=skip-verify, which accepts any server; write tls=true, and name the CA of the server's certificate"}
		default:
			return nil, &URLError{"has a tls that is neither true nor false"}
		}
	}
	if cfg.Net == "unix" && cfg.TLSConfig == "true" {
		return nil, &URLError{"has tls=true with a socket, which has no host name that a certificate could be checked for"}
	}
	cfg.Collation = "utf8mb4_bin"
	cfg.Timeout = connectTimeout
	cfg.ReadTimeout = statementTimeout
	cfg.WriteTimeout = statementTimeout
	// One round trip a statement instead of prepare, execute and close; safe with
	// utf8mb4, where no byte of a character can pass for a quote.
	cfg.InterpolateParams = true
	// An UPDATE answers the rows that it matched, as SQLite does.
	cfg.ClientFoundRows = true
	cfg.Logger = &mysql.NopLogger{}
	return cfg, nil
}

// requireTLS makes all connections by cfg use TLS if its URL says tls=true, and returns what their
// configurations come from; otherwise it returns nil.
func requireTLS(cfg *mysql.Config, files clienttls.Files) (*clienttls.Source, error) {
	if cfg.TLSConfig != "true" {
		return nil, files.CheckUnused("add ?tls=true to the URL of the database")
	}
	source, err := clienttls.New(files)
	if err != nil {
		return nil, err
	}
	return source, cfg.Apply(mysql.BeforeConnect(func(_ context.Context, cfg *mysql.Config) error {
		host, _, err := net.SplitHostPort(cfg.Addr)
		cfg.TLS = source.Config(host)
		return err
	}))
}

func wrap(dialector gorm.Dialector) (*gorm.DB, error) {
	return gorm.Open(dialector, &gorm.Config{
		Logger:         logger.Discard, // callers log errors with their request's ID
		TranslateError: true,
		// Tx owns the transactions; a single statement is atomic by itself.
		SkipDefaultTransaction: true,
		DisableAutomaticPing:   true,
		NowFunc:                func() time.Time { return time.Now().UTC() },
	})
}

// firstPing makes the first connection to a file. Several processes that turn a
// new file to WAL at the same moment refuse each other at once, whatever the
// busy time-out; who is refused tries again.
func firstPing(ctx context.Context, pool *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	for {
		err := pool.PingContext(ctx)
		if err == nil || !isBusy(err) {
			return err
		}
		select {
		case <-time.After(busyPause):
		case <-ctx.Done():
			return err
		}
	}
}

// plainly says in other words that a file is none of SQLite's. A pragma in the URL
// that fails comes as text, and the first one to read the file does.
func plainly(err error) error {
	switch text := err.Error(); {
	case errors.Is(err, sqlite3.NOTADB), strings.Contains(text, "file is not a database"):
		return errors.New("the file is not an SQLite database")
	case errors.Is(err, sqlite3.CORRUPT), strings.Contains(text, "database disk image is malformed"):
		return errors.New("the file is damaged, or not all of an SQLite database")
	}
	return err
}

func ping(ctx context.Context, pool *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return pool.PingContext(ctx)
}

// Dialect answers which SQL the database speaks.
func (db *DB) Dialect() Dialect { return db.dialect }

// String is the database's URL without its password.
func (db *DB) String() string { return db.name }

// Read answers a handle for queries. On SQLite it cannot write.
func (db *DB) Read(ctx context.Context) *gorm.DB { return db.read.WithContext(ctx) }

// Ping answers nil when the database answers.
func (db *DB) Ping(ctx context.Context) error {
	pool, err := db.read.DB()
	if err != nil {
		return err
	}
	return ping(ctx, pool)
}

// Close ends all connections.
func (db *DB) Close() error {
	var errs []error
	for _, gdb := range []*gorm.DB{db.read, db.write} {
		pool, err := gdb.DB()
		if err == nil {
			err = pool.Close()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
