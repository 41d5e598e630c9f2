package testenv

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// EnginesVariable is the environment variable that, if not empty, runs the tests on engines that
// `make deps` does not install, and those on engines that take long. See `make test-engines`.
const EnginesVariable = "ROLLCALL_TEST_ENGINES"

// galeraProviders are the paths of Galera's library in Debian and in Fedora.
var galeraProviders = []string{"/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera/libgalera_smm.so"}

// galeraUser runs the members if root runs the tests, because the server of rsync, by which the
// members copy their data, gives up root's rights.
const galeraUser = "mysql"

// NeedEngines skips the test unless EnginesVariable is set.
func NeedEngines(tb testing.TB) {
	tb.Helper()
	if os.Getenv(EnginesVariable) == "" {
		tb.Skip(EnginesVariable + " is not set")
	}
}

// Galera starts a cluster of MariaDB servers with synchronous replication on the loopback
// interface, and stops it when the test ends. It skips the test unless EnginesVariable is set.
func Galera(t *testing.T, members int) []*MariaDB {
	t.Helper()
	NeedEngines(t)
	var provider string
	for _, path := range galeraProviders {
		if _, err := os.Stat(path); err == nil {
			provider = path
		}
	}
	if provider == "" {
		t.Fatal("Galera is not installed; the packages are galera-4, rsync and lsof")
	}
	var servers []*MariaDB
	var addresses []string
	for i := range members {
		var ports [3]int
		for j := range ports {
			var err error
			if ports[j], err = freePort(); err != nil {
				t.Fatal(err)
			}
		}
		server, err := startMariaDB(galeraUser,
			"--binlog-format=ROW",
			"--innodb-autoinc-lock-mode=2",
			"--wsrep-on=ON",
			"--wsrep-provider="+provider,
			"--wsrep-cluster-name=rollcall",
			"--wsrep-cluster-address=gcomm://"+strings.Join(addresses, ","),
			"--wsrep-node-address=127.0.0.1",
			fmt.Sprintf("--wsrep-node-name=member%d", i),
			"--wsrep-sst-method=rsync",
			fmt.Sprintf("--wsrep-sst-receive-address=127.0.0.1:%d", ports[2]),
			fmt.Sprintf("--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:%d;ist.recv_addr=127.0.0.1:%d;gcache.size=32M", ports[0], ports[1]),
		)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Stop)
		if err := server.synced(); err != nil {
			t.Fatal(err)
		}
		servers = append(servers, server)
		addresses = append(addresses, fmt.Sprintf("127.0.0.1:%d", ports[0]))
	}
	return servers
}

// synced waits until a member of a cluster accepts statements.
func (m *MariaDB) synced() error {
	admin, err := openAdmin(m.URL())
	if err != nil {
		return err
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		var name, ready string
		err := admin.QueryRowContext(ctx, "SHOW STATUS LIKE 'wsrep_ready'").Scan(&name, &ready)
		if err == nil && ready == "ON" {
			return nil
		}
		if errors.Is(err, sql.ErrNoRows) {
			return errors.New("the server has no Galera")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not synced within %s: %w", startTimeout, err)
		case <-time.After(pollInterval):
		}
	}
}
