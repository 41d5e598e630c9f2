package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// MySQLVariable is the environment variable that has the path of MySQL's server, if the tests are to
// run on MySQL instead of MariaDB. See `make test-mysql`.
const MySQLVariable = "ROLLCALL_TEST_MYSQLD"

// startMySQL starts MySQL in a new temporary folder. Like MariaDB it runs until Stop, or until this
// process ends, and listens on a private socket only.
func startMySQL(program string) (MySQLServer, error) {
	dir, err := tempDir("rollcall-mysql-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for MySQL: %w", err)
	}
	server, err := installMySQL(dir, program)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting MySQL: %w", err), os.RemoveAll(dir))
	}
	return server, nil
}

func installMySQL(dir, program string) (*mysqlServer, error) {
	common := []string{"--no-defaults", "--datadir=" + filepath.Join(dir, "data"), "--secure-file-priv=NULL"}
	if os.Geteuid() == 0 {
		common = append(common, "--user=root") // otherwise the server refuses to run as root
	}
	installing := exec.Command(program, append(common, "--initialize-insecure", "--log-error-verbosity=1")...)
	installing.Env = append(os.Environ(), "TMPDIR="+dir)
	output, err := installing.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", program, err, output)
	}
	return startOnSocket(dir, program, append(common,
		"--socket="+socketIn(dir),
		"--pid-file="+filepath.Join(dir, "pid"),
		"--tmpdir="+dir,
		"--skip-networking",
		"--mysqlx=OFF",
		"--skip-log-bin",
		"--tls-version=", // no TLS
		"--max-connections=1000",
		"--innodb-flush-log-at-trx-commit=0",
		"--innodb-flush-method=nosync",
		"--innodb-doublewrite=OFF",
	))
}
