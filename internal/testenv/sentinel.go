package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// sentinelMaster is the name under which Sentinels know the primary.
const sentinelMaster = "main"

// ReplicatedRedis is a Redis primary with replicas and, if there are any, Sentinels that make a
// replica the primary when the primary has not responded for half a second.
type ReplicatedRedis struct {
	tb testing.TB
	// Servers are a primary, the first one at the start, and its replicas.
	Servers []*Redis
	// Sentinels watch them.
	Sentinels []*Redis
}

// NewReplicatedRedis starts servers and Sentinels, which end with the test, and waits until the
// replicas are in sync and the Sentinels know them and each other.
func NewReplicatedRedis(tb testing.TB, servers, sentinels int) *ReplicatedRedis {
	tb.Helper()
	NeedServer(tb)
	r := &ReplicatedRedis{tb: tb}
	for range servers {
		r.Servers = append(r.Servers, r.started(startReplicated))
	}
	for _, replica := range r.Servers[1:] {
		r.Follow(replica, r.Servers[0])
	}
	for _, replica := range r.Servers[1:] {
		r.InSync(replica)
	}
	for range sentinels {
		r.Sentinels = append(r.Sentinels, r.started(func(port int) (*Redis, error) {
			return startSentinel(port, r.Servers[0].Port(), sentinels/2+1)
		}))
	}
	r.Healthy()
	return r
}

// Healthy waits until the Sentinels know each other and see no failure of a server.
func (r *ReplicatedRedis) Healthy() {
	r.tb.Helper()
	for _, s := range r.Sentinels {
		r.eventually("the Sentinel to see all servers run", func() bool {
			fields, err := ask(s, "SENTINEL", "MASTER", sentinelMaster).AsStrMap()
			if err != nil || fields["flags"] != "master" || fields["num-slaves"] != strconv.Itoa(len(r.Servers)-1) ||
				fields["num-other-sentinels"] != strconv.Itoa(len(r.Sentinels)-1) {
				return false
			}
			replicas, err := ask(s, "SENTINEL", "REPLICAS", sentinelMaster).ToArray()
			for i := range replicas {
				fields, _ := replicas[i].AsStrMap()
				if fields["flags"] != "slave" || fields["master-link-status"] != "ok" {
					return false
				}
			}
			return err == nil
		})
	}
}

// started returns a server on a free port that ends with the test.
func (r *ReplicatedRedis) started(start func(port int) (*Redis, error)) *Redis {
	r.tb.Helper()
	server, err := startOnFreePort(start)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(server.Stop)
	return server
}

// startReplicated starts a server that replicas follow at once.
func startReplicated(port int) (*Redis, error) {
	return StartRedisOn(port, "--repl-diskless-sync-delay", "0")
}

// Restart starts a server that was stopped, without its data, and replaces it in Servers.
func (r *ReplicatedRedis) Restart(stopped *Redis) {
	r.tb.Helper()
	server, err := startReplicated(stopped.Port())
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(server.Stop)
	r.Servers[slices.Index(r.Servers, stopped)] = server
}

// startSentinel starts a Sentinel for the server at that port of this machine.
func startSentinel(port, primary, quorum int) (*Redis, error) {
	return startRedis(port, func(dir string) ([]string, error) {
		file := filepath.Join(dir, "sentinel.conf")
		// Sentinels write their state to the file, so all settings are in it.
		return []string{file, "--sentinel"}, os.WriteFile(file, fmt.Appendf(nil, `bind 127.0.0.1
port %d
dir %s
sentinel monitor %[3]s 127.0.0.1 %d %d
sentinel down-after-milliseconds %[3]s 500
sentinel failover-timeout %[3]s 4000
`, port, dir, sentinelMaster, primary, quorum), 0o600)
	}, func(_ context.Context, r *Redis) error { return ask(r, "PING").Error() })
}

// URL returns a ROLLCALL_REDIS_URL with the Sentinels.
func (r *ReplicatedRedis) URL() string {
	return "redis://" + addresses(r.Sentinels) + "?master_name=" + sentinelMaster
}

// ServersURL returns a ROLLCALL_REDIS_URL with the servers.
func (r *ReplicatedRedis) ServersURL() string { return "redis://" + addresses(r.Servers) }

func addresses(servers []*Redis) string {
	list := make([]string, len(servers))
	for i, s := range servers {
		list[i] = s.Address()
	}
	return strings.Join(list, ",")
}

// Command sends a command to a server or Sentinel.
func (r *ReplicatedRedis) Command(to *Redis, words ...string) {
	r.tb.Helper()
	if err := r.Try(to, words...); err != nil {
		r.tb.Fatalf("%s: %v", strings.Join(words, " "), err)
	}
}

// Try is Command, but returns the error.
func (r *ReplicatedRedis) Try(to *Redis, words ...string) error { return ask(to, words...).Error() }

// Follow makes a server a replica of another.
func (r *ReplicatedRedis) Follow(replica, primary *Redis) {
	r.tb.Helper()
	r.Command(replica, "REPLICAOF", "127.0.0.1", strconv.Itoa(primary.Port()))
}

// InSync waits until the replica has received its primary's data and follows it.
func (r *ReplicatedRedis) InSync(replica *Redis) {
	r.tb.Helper()
	r.eventually("the replica to be in sync", func() bool { return hasReplicated(replica) })
}

// Primary waits until all Sentinels name the same primary, other than the former one, and returns it.
func (r *ReplicatedRedis) Primary(former *Redis) (primary *Redis) {
	r.tb.Helper()
	r.eventually("the Sentinels to name a primary", func() bool {
		primary = nil
		for _, s := range r.Sentinels {
			address, err := ask(s, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinelMaster).AsStrSlice()
			named := slices.IndexFunc(r.Servers, func(server *Redis) bool { return server.Address() == strings.Join(address, ":") })
			if err != nil || named < 0 || r.Servers[named] == former || primary != nil && r.Servers[named] != primary {
				return false
			}
			primary = r.Servers[named]
		}
		return true
	})
	return primary
}

func (r *ReplicatedRedis) eventually(what string, holds func() bool) {
	r.tb.Helper()
	if err := waitFor(what, holds); err != nil {
		r.tb.Fatal(err)
	}
}

// ask sends a command over a connection of its own.
func ask(to *Redis, words ...string) rueidis.RedisResult {
	// With ForceSingleClient there is a client even if it cannot connect; its command then fails.
	client, _ := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{to.Address()}, ForceSingleClient: true, DisableCache: true, DisableRetry: true,
		PipelineMultiplex: -1, ConnWriteTimeout: time.Second,
	})
	defer client.Close()
	return client.Do(context.Background(), client.B().Arbitrary(words...).Build())
}
