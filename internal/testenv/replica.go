package testenv

import (
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Replicated is a MariaDB server with a replica of it.
type Replicated struct{ Primary, Replica *MariaDB }

// replicated is the pair of this process, which its tests share.
var replicated struct {
	once sync.Once
	pair *Replicated
	err  error
}

// NewReplicated returns a server and its replica, which all tests of the process share. They run until
// the process ends. A test that stops the replication must start it again.
func NewReplicated(tb testing.TB) *Replicated {
	tb.Helper()
	NeedServer(tb)
	replicated.once.Do(func() { replicated.pair, replicated.err = startPair() })
	if replicated.err != nil {
		tb.Fatal(replicated.err)
	}
	return replicated.pair
}

func startPair() (*Replicated, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	primary, err := StartMariaDB("--server-id=1", "--log-bin=binlog", "--binlog-format=ROW",
		"--skip-networking=0", "--bind-address=127.0.0.1", fmt.Sprintf("--port=%d", port))
	if err != nil {
		return nil, err
	}
	replica, err := StartMariaDB("--server-id=2", "--relay-log=relay", "--read-only")
	if err != nil {
		primary.Stop()
		return nil, err
	}
	for _, step := range []struct {
		server    *MariaDB
		statement string
	}{
		{primary, "CREATE USER copies"},
		{primary, "GRANT REPLICATION SLAVE ON *.* TO copies"},
		{primary, "CREATE USER " + databaseUser},
		{primary, "GRANT ALL ON `" + strings.ReplaceAll(databasePrefix, "_", `\_`) + "%`.* TO " + databaseUser},
		{replica, fmt.Sprintf("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%d, MASTER_USER='copies', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1", port)},
		{replica, "START SLAVE"},
	} {
		if err := step.server.Exec(step.statement); err != nil {
			primary.Stop()
			replica.Stop()
			return nil, fmt.Errorf("replicating MariaDB: %s: %w", step.statement, err)
		}
	}
	return &Replicated{primary, replica}, nil
}

func (r *Replicated) stop() {
	r.Replica.Stop()
	r.Primary.Stop()
}

// Database creates an empty database. It returns its name, the URL at the primary, and a link to the
// replica with its URL.
func (r *Replicated) Database(tb testing.TB) (name, url string, link *Proxy, replicaURL string) {
	tb.Helper()
	name = databasePrefix + strings.ToLower(rand.Text())
	if err := r.Primary.Exec("CREATE DATABASE " + name); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := r.Primary.Exec("DROP DATABASE " + name); err != nil {
			tb.Error(err)
		}
	})
	link = NewProxy(tb, r.Replica.Socket())
	return name, "mysql://" + databaseUser + "@unix(" + r.Primary.Socket() + ")/" + name, link, "mysql://" + databaseUser + "@" + link.Address() + "/" + name
}
