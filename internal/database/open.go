// Package database opens the database that a URL names, migrates its schema, and runs transactions.
// The same calls work on SQLite and on MySQL, MariaDB and TiDB.
package database

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
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
	"rollcall/internal/hostlist"
)

// Dialect is the dialect of SQL that a database uses.
type Dialect string

// The dialects, by GORM's names.
const (
	MySQL  Dialect = "mysql"
	SQLite Dialect = "sqlite"
)

const (
	// connectTimeout limits one attempt to reach the server.
	connectTimeout = 5 * time.Second
	// statementTimeout limits how long a caller waits for one statement if the network is silent.
	// Presence relies on no read taking longer than a minute.
	statementTimeout = 30 * time.Second
	// mysqlConnLife is the maximum life of a connection, so that a node notices when a name has
	// moved to another server or a balancer has a new server.
	mysqlConnLife = 3 * time.Minute
	// sqliteReaders is the maximum number of read connections to a file; each has a cache.
	sqliteReaders = 8
	// busyPatience is how long a read waits for another process that has locked the whole file.
	busyPatience = 5 * time.Second
	// busyStep is the same for the writing connection, which then checks whether its caller is
	// still waiting; see writer.begin.
	busyStep = 250 * time.Millisecond
)

// The bounds and the default of Options.MaxConnections. With the default, three nodes stay below the
// 151 connections that MySQL and MariaDB accept by default, and leave some for operators and backups.
const (
	LeastMaxConnections   = 4
	DefaultMaxConnections = 40
	MostMaxConnections    = 10_000
)

// DB is an open database. Reads go through Read, changes through Tx.
type DB struct {
	dialect Dialect
	name    string
	read    *gorm.DB
	// pool has the connections of read, for hand-written statements.
	pool *sql.DB
	// write is the same as read on MySQL. On SQLite it has the file's only writing connection, for
	// which writers queue in order instead of polling for a lock.
	write  *gorm.DB
	writer *writer // nil for MySQL

	// For connections outside the pools: to the server, or to the file.
	connector *connector // nil for SQLite
	path      string
	// patience is writePatience, shorter in tests.
	patience time.Duration
	// places limits the number of concurrent transactions on MySQL.
	places chan struct{}
	// replica is nil if there is none.
	replica *replica

	writes   writes
	probe    *Coalescer[struct{}, struct{}]
	freeDisk func(folder string) (bytes uint64, known bool) // of this package, except in tests

	watchers atomic.Pointer[[]*watcher]

	// secretKeys encrypt the secrets in rows.
	secretKeys atrest.Keys
	// traced is true once Trace has been called.
	traced bool
}

// SetSecretKeys sets the keys that encrypt the secrets in the database. It must be called before
// anything else uses the database.
func (db *DB) SetSecretKeys(keys atrest.Keys) { db.secretKeys = keys }

// SecretKeys returns the keys that encrypt the secrets in the database.
func (db *DB) SecretKeys() atrest.Keys { return db.secretKeys }

// URLError means that a database URL is invalid, whatever server it names.
type URLError struct{ problem string }

// Error describes what is wrong with the URL, without its password.
func (e *URLError) Error() string { return "the database URL " + e.problem }

// Open opens the database that rawURL names, `sqlite:PATH` or
// `mysql://user:password@host:port/name`, and checks that it responds. The error is one line that
// names what was tried, without the password. It is a *URLError if the URL is invalid.
func Open(ctx context.Context, rawURL string) (*DB, error) {
	return OpenWith(ctx, rawURL, Options{})
}

// Options are what a DB on a MySQL server needs besides its URL.
type Options struct {
	// TLS names the files for the TLS of a URL with tls=true.
	TLS clienttls.Files
	// MaxConnections is the maximum number of connections to the server; 0: the default. A quarter
	// of them is not for transactions, so that those that wait for a lock do not block all reads.
	MaxConnections int
	// Log receives the changes of the server in use, if the URL names several; nil: nothing is
	// logged.
	Log *slog.Logger
}

// Check returns the *URLError or *clienttls.Error that OpenWith would return. It connects to nothing.
func Check(rawURL string, options Options) error {
	scheme, rest, ok := strings.Cut(rawURL, ":")
	switch {
	case ok && scheme == string(SQLite):
		if rest == "" {
			return &URLError{"sqlite: names no file; write sqlite:PATH"}
		}
		return options.TLS.CheckUnused("the database is a file")
	case ok && scheme == string(MySQL):
		cfg, _, err := parseMySQL(rawURL)
		if err == nil {
			_, err = requireTLS(cfg, options.TLS)
		}
		return err
	}
	return &URLError{"must start with sqlite: or mysql://"}
}

// OpenWith is Open with options. It also returns a *clienttls.Error if the files cannot be used.
func OpenWith(ctx context.Context, rawURL string, options Options) (*DB, error) {
	if err := Check(rawURL, options); err != nil {
		return nil, err
	}
	if path, ok := strings.CutPrefix(rawURL, string(SQLite)+":"); ok {
		return openSQLite(ctx, path)
	}
	return openMySQL(ctx, rawURL, options)
}

func openSQLite(ctx context.Context, path string) (*DB, error) {
	name := "sqlite:" + path
	if dir := filepath.Dir(path); dir != "." {
		if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("cannot open database %s: the folder %s does not exist", name, dir)
		}
	}
	// busy_timeout is first, because the pragmas after it may have to wait for another process.
	// synchronous=FULL: what was acknowledged survives a power failure. secure_delete, with
	// pagesVFS and Scrub: deleted data does not stay in the file.
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

func openMySQL(ctx context.Context, rawURL string, options Options) (*DB, error) {
	cfg, hosts, err := parseMySQL(rawURL)
	if err != nil {
		return nil, err
	}
	secure, err := requireTLS(cfg, options.TLS)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("mysql://%s@%s/%s", cfg.User, strings.Join(hosts, ","), cfg.DBName)
	connector, err := newConnector(cfg, hosts, secure, options.Log)
	if err != nil {
		return nil, fmt.Errorf("cannot open database %s: %w", name, err)
	}
	conns := cmp.Or(options.MaxConnections, DefaultMaxConnections)
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
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
		patience: writePatience, places: make(chan struct{}, conns-conns/4),
	}
	db.probe = db.newProbe()
	return db, nil
}

// parseMySQL parses mysql://user:password@host:port/name?tls=…, with commas between several hosts,
// and mysql://user@unix(/path/to.sock)/name. It returns the addresses of the hosts, or the socket; the
// configuration has the first one. Its errors contain no part of the URL that could be a password.
func parseMySQL(rawURL string) (cfg *mysql.Config, addresses []string, err error) {
	rest, ok := strings.CutPrefix(rawURL, "mysql://")
	if !ok {
		return nil, nil, &URLError{"must start with mysql://"}
	}
	cfg = mysql.NewConfig()
	socket := ""
	if before, after, found := strings.Cut(rest, "unix("); found && (before == "" || strings.HasSuffix(before, "@")) {
		path, tail, closed := strings.Cut(after, ")")
		if !closed || path == "" {
			return nil, nil, &URLError{"has a unix(…) that names no socket"}
		}
		socket, rest = path, before+"socket"+tail
	}
	single, hosts := hostlist.Split("mysql://" + rest)
	u, err := url.Parse(single)
	if err != nil {
		// url.Error repeats the whole URL, including the password.
		return nil, nil, &URLError{"cannot be read; write mysql://user:password@host:3306/name, with special characters percent-encoded"}
	}
	if u.User == nil || u.User.Username() == "" {
		return nil, nil, &URLError{"names no user; write mysql://user:password@host:3306/name"}
	}
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.DBName = strings.TrimPrefix(u.Path, "/")
	if cfg.DBName == "" || strings.Contains(cfg.DBName, "/") {
		return nil, nil, &URLError{"names no database; write mysql://user:password@host:3306/name, with special characters percent-encoded"}
	}
	switch {
	case socket != "":
		if len(hosts) > 1 {
			return nil, nil, &URLError{"names a socket and hosts; several servers are named by hosts only"}
		}
		cfg.Net, addresses = "unix", []string{socket}
	case u.Hostname() == "":
		return nil, nil, &URLError{"names no host; write mysql://user:password@host:3306/name"}
	default:
		cfg.Net = "tcp"
		for _, host := range hosts {
			address, ok := hostlist.Join(host, "3306")
			if !ok {
				return nil, nil, &URLError{"names an invalid host; write mysql://user:password@host:3306/name, with commas between several hosts"}
			}
			addresses = append(addresses, address)
		}
	}
	cfg.Addr = addresses[0]
	for key, values := range u.Query() {
		if key != "tls" || len(values) != 1 {
			return nil, nil, &URLError{fmt.Sprintf("has the parameter %q; only tls is known", key)}
		}
		switch values[0] {
		case "true", "false":
			cfg.TLSConfig = values[0]
		case "preferred":
			return nil, nil, &URLError{"has tls=preferred, which connects without encryption if the server offers no TLS; write tls=true"}
		case "skip-verify":
			return nil, nil, &URLError{"has tls=skip-verify, which accepts any server; write tls=true, and name the CA of the server's certificate"}
		default:
			return nil, nil, &URLError{"has a tls that is neither true nor false"}
		}
	}
	if cfg.Net == "unix" && cfg.TLSConfig == "true" {
		return nil, nil, &URLError{"has tls=true with a socket, which has no host name that a certificate could be checked for"}
	}
	cfg.Collation = "utf8mb4_bin"
	cfg.Timeout = connectTimeout
	cfg.ReadTimeout = statementTimeout
	cfg.WriteTimeout = statementTimeout
	// One round trip per statement instead of prepare, execute and close. It is safe with utf8mb4,
	// in which no byte of a character can be mistaken for a quote.
	cfg.InterpolateParams = true
	// An UPDATE returns the number of rows that it matched, as on SQLite.
	cfg.ClientFoundRows = true
	cfg.Logger = &mysql.NopLogger{}
	return cfg, addresses, nil
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
		Logger:         logger.Discard, // callers log errors with the ID of their request
		TranslateError: true,
		// Tx begins the transactions; a single statement is atomic by itself.
		SkipDefaultTransaction: true,
		DisableAutomaticPing:   true,
		NowFunc:                func() time.Time { return time.Now().UTC() },
	})
}

// firstPing makes the first connection to a file. If several processes switch a new file to WAL at
// the same time, SQLite refuses some of them at once, whatever the busy time-out is; firstPing then
// tries again.
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

// plainly replaces the error for a file that is not an SQLite database by a clear one. An error of
// a pragma in the URL is only text, and the first pragma that reads the file fails.
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

// Dialect returns the dialect of the database.
func (db *DB) Dialect() Dialect { return db.dialect }

// String returns the database's URL without its password.
func (db *DB) String() string { return db.name }

// Read returns a handle for queries. On SQLite it cannot write. With a context from Late, it may read
// at the replica.
func (db *DB) Read(ctx context.Context) *gorm.DB {
	session := db.read.WithContext(ctx)
	if reads := db.lateReads(ctx); reads != nil {
		session.Statement.ConnPool = reads
	}
	return session
}

// Ping returns nil if the database responds.
func (db *DB) Ping(ctx context.Context) error {
	pool, err := db.read.DB()
	if err != nil {
		return err
	}
	return ping(ctx, pool)
}

// Close closes all connections.
func (db *DB) Close() error {
	var errs []error
	if db.replica != nil {
		errs = append(errs, db.replica.close())
	}
	for _, gdb := range []*gorm.DB{db.read, db.write} {
		pool, err := gdb.DB()
		if err == nil {
			err = pool.Close()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
