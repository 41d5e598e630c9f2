package testenv

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// GeneralLogVariable is the environment variable that, if not empty, has the absolute path of a file to
// which the run's MariaDB appends every statement that it receives. See `make test-vitess`.
const GeneralLogVariable = "ROLLCALL_TEST_GENERAL_LOG"

const (
	// startTimeout is generous for a loaded machine; a start takes about a second.
	startTimeout = 2 * time.Minute
	pollInterval = 20 * time.Millisecond
	// socketPathMax stays below what the kernels allow (104 to 108 bytes).
	socketPathMax = 100
	// logShown is the maximum length of the server's log in an error.
	logShown = 16 << 10
)

// guard.sh runs the server and ends it, and its folder, when this process ends.
//
//go:embed guard.sh
var guardScript string

// MariaDB is a running server with an empty root password, reachable through a
// socket in a folder of its own.
type MariaDB struct{ *mysqlServer }

// mysqlServer is a running server that speaks MySQL's protocol.
type mysqlServer struct {
	socket string
	guard  *exec.Cmd
	leash  io.Closer     // the guard's standard input; closing it ends the server
	exited chan struct{} // closed when the guard, and so the server, has ended
	stop   sync.Once
}

// StartMariaDB starts a server in a new temporary folder and returns once it accepts connections.
// It runs until Stop, or until this process ends, even by SIGKILL. Durability is off, because the
// data is not needed after the tests. options are options of mariadbd, and override those of the
// tests.
func StartMariaDB(options ...string) (*MariaDB, error) { return startMariaDB("root", options...) }

// startLogged starts MariaDB with a general log if GeneralLogVariable is set. Servers that a test starts
// for itself have none: several must not write to one file.
func startLogged() (*MariaDB, error) {
	path := os.Getenv(GeneralLogVariable)
	if path == "" {
		return StartMariaDB()
	}
	if !filepath.IsAbs(path) { // MariaDB would create it in its own folder, which is removed
		return nil, fmt.Errorf("%s must be an absolute path, but is %q", GeneralLogVariable, path)
	}
	return StartMariaDB("--general-log", "--general-log-file="+path)
}

// startMariaDB is StartMariaDB with the user that runs the server if root runs the tests.
func startMariaDB(runAs string, options ...string) (*MariaDB, error) {
	mariadbd, err := lookProgram("mariadbd")
	if err != nil {
		return nil, err
	}
	install, err := lookProgram("mariadb-install-db")
	if err != nil {
		return nil, err
	}
	dir, err := tempDir("rollcall-mariadb-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for MariaDB: %w", err)
	}
	server, err := installMariaDB(dir, mariadbd, install, runAs, options)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting MariaDB: %w", err), os.RemoveAll(dir))
	}
	return &MariaDB{server}, nil
}

// installMariaDB makes a new data directory in dir and starts a server on it.
func installMariaDB(dir, mariadbd, install, runAs string, options []string) (*mysqlServer, error) {
	common := []string{"--no-defaults", "--datadir=" + filepath.Join(dir, "data")}
	if os.Geteuid() == 0 {
		common = append(common, "--user="+runAs) // otherwise the server refuses to run as root
		if err := giveTo(runAs, dir); err != nil {
			return nil, err
		}
	}
	installing := exec.Command(install, append(common, "--auth-root-authentication-method=normal", "--skip-test-db")...)
	// Two concurrent installations must not share a folder for temporary files.
	installing.Env = append(os.Environ(), "TMPDIR="+dir)
	output, err := installing.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", install, err, output)
	}

	args := append(common,
		"--socket="+socketIn(dir),
		"--pid-file="+filepath.Join(dir, "pid"),
		"--tmpdir="+dir,
		"--skip-networking",
		"--skip-ssl",
		"--skip-log-bin",
		"--max-connections=1000",
		"--innodb-buffer-pool-size=128M",
		"--innodb-log-file-size=32M",
		"--innodb-flush-log-at-trx-commit=0",
		"--innodb-flush-method=nosync",
		"--innodb-doublewrite=0",
		"--sync-frm=0",
		"--innodb-file-per-table=0", // creating and dropping tables creates and drops no file
		"--character-set-server=utf8mb4",
	)
	return startOnSocket(dir, mariadbd, append(args, options...))
}

// socketIn returns the socket of the server in a folder.
func socketIn(dir string) string { return filepath.Join(dir, "sock") }

// startOnSocket runs a program that listens on the socket in dir, and returns once it accepts
// connections.
func startOnSocket(dir, program string, args []string) (*mysqlServer, error) {
	server := &mysqlServer{socket: socketIn(dir), exited: make(chan struct{})}
	// A file, because a guard that outlives this process could not write to a pipe.
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	server.guard = exec.Command("/bin/sh", append([]string{"-c", guardScript, "guard", dir, program}, args...)...)
	server.guard.Stdout, server.guard.Stderr = log, log
	// A group of its own, so that Ctrl-C on a terminal ends the tests first.
	server.guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if server.leash, err = server.guard.StdinPipe(); err != nil {
		return nil, err
	}
	if err := server.guard.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(server.exited)
		_ = server.guard.Wait()
	}()
	if err := server.ready(); err != nil {
		server.Stop()
		said, _ := io.ReadAll(io.NewSectionReader(log, 0, logShown)) // for the message only
		return nil, fmt.Errorf("%w\n%s", err, said)
	}
	return server, nil
}

// giveTo makes the user the owner of the folder.
func giveTo(name, dir string) error {
	owner, err := user.Lookup(name)
	if err != nil {
		return err
	}
	id, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	return os.Chown(dir, id, -1)
}

// ready waits for the first response.
func (m *mysqlServer) ready() error {
	admin, err := openAdmin(m.URL())
	if err != nil {
		return err
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		err := admin.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-m.exited:
			return errors.New("the server ended at once")
		case <-ctx.Done():
			return fmt.Errorf("no answer within %s: %w", startTimeout, err)
		case <-time.After(pollInterval):
		}
	}
}

// URL returns the server's ROLLCALL_DATABASE_URL without the name of a database, which the caller
// appends.
func (m *mysqlServer) URL() string { return "mysql://root@unix(" + m.socket + ")/" }

// Socket returns the path of the server's socket.
func (m *mysqlServer) Socket() string { return m.socket }

// Exec runs one statement as root, outside any database.
func (m *mysqlServer) Exec(statement string) error { return adminExec(m.URL(), statement) }

// Lock keeps all connections from changing anything, as a backup does, until unlock is called.
func (m *MariaDB) Lock() (unlock func(), err error) {
	admin, err := openAdmin(m.URL())
	if err != nil {
		return nil, err
	}
	admin.SetMaxOpenConns(1)
	if _, err := admin.Exec("FLUSH TABLES WITH READ LOCK"); err != nil {
		admin.Close()
		return nil, err
	}
	return func() { admin.Close() }, nil
}

// PlainDatabase creates an empty database and a user that may do everything in it, but has no
// administrator's rights. It returns their name, which is the same.
func (m *MariaDB) PlainDatabase() (string, error) {
	const name = "rollcall"
	for _, statement := range []string{"CREATE DATABASE " + name, "CREATE USER " + name, "GRANT ALL ON " + name + ".* TO " + name} {
		if err := m.Exec(statement); err != nil {
			return "", fmt.Errorf("%s: %w", statement, err)
		}
	}
	return name, nil
}

// Stop ends the server and removes its folder. It may be called more than once.
func (m *mysqlServer) Stop() {
	m.stop.Do(func() { _ = m.leash.Close() })
	<-m.exited
}

// lookProgram also looks where Debian installs servers, which is only on root's PATH.
func lookProgram(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/libexec", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed; `make deps` installs what the tests need", name)
}

// tempDir creates a folder whose path is short enough for a socket in it.
func tempDir(pattern string) (string, error) {
	if len(os.TempDir())+len(pattern)+len("/4294967295/sock") < socketPathMax {
		return os.MkdirTemp("", pattern)
	}
	return os.MkdirTemp("/tmp", pattern)
}
