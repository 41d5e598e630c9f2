package testenv

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// adminTimeout limits one statement. Dropping a database waits for a test that left a transaction
// open.
const adminTimeout = 30 * time.Second

// adminExec runs one statement on the server, outside any database.
func adminExec(server, statement string) error {
	admin, err := openAdmin(server)
	if err != nil {
		return err
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	_, err = admin.ExecContext(ctx, statement)
	return err
}

// Admin returns root's connections to the server of the run, outside any database. They are closed when
// the test ends.
func Admin(tb testing.TB) *sql.DB {
	tb.Helper()
	NeedServer(tb)
	server, err := serverURL()
	if err != nil {
		tb.Fatal(err)
	}
	admin, err := openAdmin(server)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { admin.Close() })
	return admin
}

// openAdmin opens the server that a URL as returned by MariaDB.URL names.
func openAdmin(server string) (*sql.DB, error) {
	rest, ok := strings.CutPrefix(server, "mysql://root@unix(")
	socket, end, closed := strings.Cut(rest, ")")
	if !ok || !closed || end != "/" {
		return nil, fmt.Errorf("%s must read mysql://root@unix(SOCKET)/, but is %q", ServerVariable, server)
	}
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr = "root", "unix", socket
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}
