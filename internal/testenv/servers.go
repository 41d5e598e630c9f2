package testenv

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// MySQLServer is a server of the run: MariaDB, MySQL or TiDB.
type MySQLServer interface {
	// Exec runs one statement as root, outside any database.
	Exec(statement string) error
	// URL returns the server's ROLLCALL_DATABASE_URL without the name of a database, which the
	// caller appends.
	URL() string
	// Stop ends the server and removes its folder. It may be called more than once.
	Stop()
}

// databasePrefix is how the names of the tests' databases on a MySQLServer begin, and databaseUser
// may do everything in these databases and nothing else, as the user of a service.
const (
	databasePrefix = "t_"
	databaseUser   = "tests"
)

// StartMySQLServer starts TiDB if TiDBVariable is set, MySQL if MySQLVariable is set, and MariaDB
// otherwise, with a general log if GeneralLogVariable is set.
func StartMySQLServer() (MySQLServer, error) {
	server, err := startEngine()
	if err != nil {
		return nil, err
	}
	for _, statement := range []string{
		"CREATE USER " + databaseUser,
		"GRANT ALL ON `" + strings.ReplaceAll(databasePrefix, "_", `\_`) + "%`.* TO " + databaseUser,
	} {
		if err := server.Exec(statement); err != nil {
			server.Stop()
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
	}
	return server, nil
}

func startEngine() (MySQLServer, error) {
	switch engine() {
	case "tidb":
		return startTiDB(os.Getenv(TiDBVariable))
	case "mysql":
		return startMySQL(os.Getenv(MySQLVariable))
	}
	return startLogged()
}

// engine returns the name of the server that StartMySQLServer starts, in lower case.
func engine() string {
	switch {
	case os.Getenv(TiDBVariable) != "":
		return "tidb"
	case os.Getenv(MySQLVariable) != "":
		return "mysql"
	}
	return "mariadb"
}

// NeedMariaDB skips a test of what only MariaDB has, such as the form of its plans, if the tests run
// on another server.
func NeedMariaDB(tb testing.TB) {
	tb.Helper()
	if engine() != "mariadb" {
		tb.Skip("this is MariaDB's; the tests run on " + engine())
	}
}
