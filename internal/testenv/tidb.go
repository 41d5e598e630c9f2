package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TiDBVariable is the environment variable that has the path of TiDB's server, if the tests are to
// run on TiDB instead of MariaDB. See `make test-tidb`.
const TiDBVariable = "ROLLCALL_TEST_TIDB"

// TiDB starts a server that no other test uses, and stops it when the test ends. It skips the test
// unless TiDBVariable is set.
func TiDB(tb testing.TB) MySQLServer {
	tb.Helper()
	program := os.Getenv(TiDBVariable)
	if program == "" {
		tb.Skip(TiDBVariable + " is not set")
	}
	server, err := startTiDB(program)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(server.Stop)
	return server
}

// startTiDB starts a server with TiDB's embedded storage in a new temporary folder. Like MariaDB it
// runs until Stop, or until this process ends, and listens on a private socket only.
func startTiDB(program string) (MySQLServer, error) {
	dir, err := tempDir("rollcall-tidb-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for TiDB: %w", err)
	}
	server, err := installTiDB(dir, program)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting TiDB: %w", err), os.RemoveAll(dir))
	}
	return server, nil
}

func installTiDB(dir, program string) (*mysqlServer, error) {
	config := filepath.Join(dir, "config")
	// It has no flag, and two servers cannot share the default.
	content := fmt.Sprintf("tmp-storage-path = %q\n", filepath.Join(dir, "spill"))
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		return nil, err
	}
	return startOnSocket(dir, program, []string{
		"-config=" + config,
		"-store=unistore",
		"-path=" + filepath.Join(dir, "data"),
		"-temp-dir=" + dir,
		"-socket=" + socketIn(dir),
		"-host=", // no TCP
		"-report-status=false",
		"-log-slow-query=" + filepath.Join(dir, "slow"),
		"-L=error",
	})
}
