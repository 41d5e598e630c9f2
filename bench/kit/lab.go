//go:build linux

package kit

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/bench/listen"
	"rollcall/internal/testenv"
)

// mariadbOptions are typical of production: every commit is on the disk before it is confirmed, and
// the tables fit in memory.
var mariadbOptions = []string{
	"--innodb-flush-log-at-trx-commit=1",
	"--innodb-flush-method=O_DIRECT",
	"--innodb-doublewrite=1",
	"--innodb-buffer-pool-size=4G",
	"--innodb-log-file-size=1G",
}

// FloorCommand is the argument that makes this program a floor. The name of the floor follows.
const FloorCommand = "floor"

// Lab has what the rows share. It creates each part when it is first needed and ends all of them in
// Close.
type Lab struct {
	// Short makes runs small and quick, to check that a row works. The figures mean nothing.
	Short bool
	// Profiles is the folder for profiles of the server. If it is "", none are written.
	Profiles string
	// Binary is the server's binary. If it is "", the binary is built when it is first needed.
	Binary string
	// Log logs what is being done.
	Log func(format string, args ...any)

	dir        string
	stock      string // the comparator's binary
	mariadb    *testenv.MariaDB
	mariadbPID int
	status     *sql.DB // one connection, because closing one counts as a statement too
	databases  int
	asked      int // by DatabaseQueries
	world      *World
	strangers  *World
	closures   []func()
}

// NewLab returns a lab with a temporary folder.
func NewLab() (*Lab, error) {
	dir, err := os.MkdirTemp("", "rollcall-bench-")
	if err != nil {
		return nil, err
	}
	l := &Lab{dir: dir}
	l.atEnd(func() { _ = os.RemoveAll(dir) }) // the folder is temporary anyway
	return l, nil
}

// Close stops every process and removes every file.
func (l *Lab) Close() {
	for _, end := range slices.Backward(l.closures) {
		end()
	}
	l.closures = nil
}

func (l *Lab) atEnd(fn func()) { l.closures = append(l.closures, fn) }

// Pick returns full, or short in a short run.
func Pick[T any](l *Lab, full, short T) T {
	if l.Short {
		return short
	}
	return full
}

// Dir makes a new folder.
func (l *Lab) Dir() (string, error) { return os.MkdirTemp(l.dir, "") }

// Build returns the server's binary, built as for a release.
func (l *Lab) Build(ctx context.Context) (string, error) {
	if l.Binary != "" {
		return l.Binary, nil
	}
	path, err := l.build(ctx, "rollcall", ".")
	if err == nil {
		l.Binary = path
	}
	return path, err
}

// build builds the program in folder, which is in the module that the folder belongs to, and returns
// the program's path.
func (l *Lab) build(ctx context.Context, name, folder string) (string, error) {
	l.Log("building %s", name)
	path := filepath.Join(l.dir, name)
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, ".")
	command.Dir = folder
	out, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return path, nil
}

// Database creates an empty database on the lab's MariaDB and returns its ROLLCALL_DATABASE_URL.
func (l *Lab) Database(ctx context.Context) (string, error) {
	if l.mariadb == nil {
		if err := l.startMariaDB(ctx); err != nil {
			return "", err
		}
	}
	l.databases++
	name := fmt.Sprintf("bench_%d", l.databases)
	err := onServer(l.mariadb.URL(), func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, "CREATE DATABASE "+name)
		return err
	})
	return l.mariadb.URL() + name, err
}

// Quiet waits until MariaDB receives no statements for a moment, so that deferred writes are complete.
// The moment is shorter than the half second after which a server asks for changes of webhooks.
func (l *Lab) Quiet(ctx context.Context) error {
	last, err := l.DatabaseQueries(ctx)
	for same := 0; err == nil && same < quietChecks; {
		select {
		case <-time.After(quietInterval):
		case <-ctx.Done():
			return ctx.Err()
		}
		var now int
		now, err = l.DatabaseQueries(ctx)
		same++
		if now != last {
			same = 0
		}
		last = now
	}
	return err
}

const (
	quietInterval = 100 * time.Millisecond
	quietChecks   = 3
)

// Exec executes statements in a database of the lab directly.
func (l *Lab) Exec(ctx context.Context, database string, statements ...string) error {
	return onServer(database, func(db *sql.DB) error {
		for _, statement := range statements {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
}

// DatabaseCPU returns the processor time that MariaDB has used.
func (l *Lab) DatabaseCPU() (time.Duration, error) { return CPU(l.mariadbPID) }

// DatabaseQueries returns how many statements MariaDB has received, except those of the lab.
func (l *Lab) DatabaseQueries(ctx context.Context) (int, error) {
	var name string
	var n int
	err := l.status.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'Questions'").Scan(&name, &n)
	l.asked++
	return n - l.asked, err
}

func (l *Lab) startMariaDB(ctx context.Context) error {
	l.Log("starting MariaDB")
	var err error
	if l.mariadb, err = testenv.StartMariaDB(mariadbOptions...); err != nil {
		return err
	}
	l.atEnd(l.mariadb.Stop)
	if l.status, err = sql.Open("mysql", DSN(l.mariadb.URL())); err != nil {
		return err
	}
	l.status.SetMaxOpenConns(1)
	l.atEnd(func() { _ = l.status.Close() }) // stopped before MariaDB
	var file string
	if err := l.status.QueryRowContext(ctx, "SELECT @@pid_file").Scan(&file); err != nil {
		return fmt.Errorf("reading MariaDB's process ID: %w", err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	l.mariadbPID, err = strconv.Atoi(strings.TrimSpace(string(text)))
	return err
}

// DSN converts a ROLLCALL_DATABASE_URL of the lab to the form of the MySQL driver.
func DSN(url string) string { return strings.TrimPrefix(url, "mysql://") }

func onServer(url string, do func(*sql.DB) error) error {
	db, err := sql.Open("mysql", DSN(url))
	if err != nil {
		return err
	}
	return errors.Join(do(db), db.Close())
}

// Floor is a floor, or the comparator, in a process of its own.
type Floor struct {
	*Process
	Debug
	// Address is the HOST:PORT at which it serves.
	Address string
}

// StartFloor starts a floor with its flags. The lab stops it at the end.
func (l *Lab) StartFloor(name string, flags ...string) (*Floor, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return l.startFloor("the floor "+name, exec.Command(self, append([]string{FloorCommand, name}, flags...)...))
}

// StartStock builds and starts the comparator, stock gqlgen with GORM, on the lab's MariaDB. The
// lab stops it at the end.
func (l *Lab) StartStock(ctx context.Context, database string, flags ...string) (*Floor, error) {
	if l.stock == "" {
		path, err := l.build(ctx, "stock", "bench/stock")
		if err != nil {
			return nil, err
		}
		l.stock = path
	}
	return l.startFloor("the comparator", exec.Command(l.stock, append([]string{"-dsn", DSN(database)}, flags...)...))
}

// startFloor starts a program that prints its listen.Addresses.
func (l *Lab) startFloor(name string, cmd *exec.Cmd) (*Floor, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := start(name, cmd)
	if err != nil {
		return nil, err
	}
	l.atEnd(p.Stop)
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var at listen.Addresses
	if err == nil {
		err = json.Unmarshal(line, &at)
	}
	if err != nil {
		return nil, p.Wrap(err)
	}
	return &Floor{Process: p, Debug: Debug{at.Debug}, Address: at.Address}, nil
}

// FreeAddress returns a loopback address with a port that was free just now. The port is below
// those that Linux uses for outgoing connections, one of which could otherwise take it first.
func FreeAddress() (string, error) {
	const first, ports, attempts = 20_000, 12_000, 100
	var err error
	for range attempts {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(ports))); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", err
}
