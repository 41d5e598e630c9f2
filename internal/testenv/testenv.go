package testenv

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"rollcall/internal/database"
)

// ServerVariable is the environment variable that has the run's server of MySQL's protocol, as
// returned by MySQLServer.URL.
const ServerVariable = "ROLLCALL_TEST_MYSQL"

// SQLiteOnlyVariable is the environment variable that, if not empty, skips the tests that need a
// MariaDB or Redis server, for a machine that has none and for a quick run. See `make test-quick`.
const SQLiteOnlyVariable = "ROLLCALL_TEST_SQLITE_ONLY"

// NeedServer skips a test if SQLiteOnlyVariable is set. Tests that start a server of their own call
// it first; MySQLURL and RedisURL call it by themselves.
func NeedServer(tb testing.TB) {
	tb.Helper()
	if os.Getenv(SQLiteOnlyVariable) != "" {
		tb.Skip(SQLiteOnlyVariable + " is set")
	}
}

// Each runs test once for each kind of database, as the subtests "sqlite" and "mariadb" (or "mysql" or
// "tidb", see StartMySQLServer), on a new database that is migrated, and closed afterwards.
func Each(t *testing.T, test func(t *testing.T, db *database.DB)) {
	t.Helper()
	EachURL(t, func(t *testing.T, url string) {
		t.Helper()
		test(t, Open(t, url))
	})
}

// EachURL is Each without opening the database: test gets the URL of a database that has no tables
// yet.
func EachURL(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLiteURL(t)) })
	t.Run(engine(), func(t *testing.T) { test(t, MySQLURL(t)) })
}

// Open opens and migrates the database that url names, and closes it when the test ends. A new
// database becomes a copy of one that this process has migrated.
func Open(tb testing.TB, url string) *database.DB {
	tb.Helper()
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		if err := copySQLite(path); err != nil {
			tb.Fatalf("making %s: %v", url, err)
		}
	}
	db, err := database.Open(context.Background(), url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("closing %s: %v", db, err)
		}
	})
	watchGORM(tb, db)
	if db.Dialect() == database.MySQL {
		if err := copyMySQL(db); err != nil {
			tb.Fatalf("making the tables of %s: %v", db, err)
		}
	}
	if err := db.Migrate(context.Background()); err != nil {
		tb.Fatal(err)
	}
	return db
}

// SQLiteURL returns a ROLLCALL_DATABASE_URL for a file that does not exist yet, in a folder that is
// removed when the test ends.
func SQLiteURL(tb testing.TB) string {
	tb.Helper()
	return "sqlite:" + filepath.Join(tb.TempDir(), "rollcall.db")
}

// MySQLURL returns a ROLLCALL_DATABASE_URL for a new empty database on the server of the run. It is
// dropped when the test ends. Its user has no rights outside the tests' databases.
func MySQLURL(tb testing.TB) string {
	tb.Helper()
	NeedServer(tb)
	server, err := serverURL()
	if err != nil {
		tb.Fatal(err)
	}
	name := databasePrefix + strings.ToLower(rand.Text())
	if err := adminExec(server, "CREATE DATABASE "+name); err != nil {
		tb.Fatalf("making a database on %s: %v", engine(), err)
	}
	tb.Cleanup(func() {
		if err := adminExec(server, "DROP DATABASE "+name); err != nil {
			tb.Errorf("dropping the test's database on %s: %v", engine(), err)
		}
	})
	return strings.Replace(server, "//root@", "//"+databaseUser+"@", 1) + name
}

// ProxiedMySQLURL is MySQLURL through a proxy, by TCP.
func ProxiedMySQLURL(tb testing.TB) (url string, proxy *Proxy) {
	tb.Helper()
	user, rest, _ := strings.Cut(MySQLURL(tb), "@unix(")
	socket, name, _ := strings.Cut(rest, ")/")
	proxy = NewProxy(tb, socket)
	return user + "@" + proxy.Address() + "/" + name, proxy
}

// Main runs a package's tests from its TestMain, and stops the servers that they may have started.
// Without it, these end shortly after the tests.
func Main(m *testing.M) {
	code := m.Run()
	if own.server != nil {
		own.server.Stop()
	}
	if replicated.pair != nil {
		replicated.pair.stop()
	}
	if ownRedis.stop != nil {
		ownRedis.stop()
	}
	os.Exit(code)
}

// own is the server of this process, used if the environment names none.
var own struct {
	once   sync.Once
	server MySQLServer
	err    error
}

func serverURL() (string, error) {
	if url := os.Getenv(ServerVariable); url != "" {
		return url, nil
	}
	own.once.Do(func() { own.server, own.err = StartMySQLServer() })
	if own.err != nil {
		return "", own.err
	}
	return own.server.URL(), nil
}
