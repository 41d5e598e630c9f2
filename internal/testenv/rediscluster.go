package testenv

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// clusterSlots is how many slots a Redis Cluster has.
const clusterSlots = 16384

// RedisCluster is a Redis Cluster on the loopback interface. A replica becomes the master when its
// master has not responded for a second.
type RedisCluster struct {
	// Masters have equal shares of the slots at the start, in their order. Replicas[i] is a replica of
	// Masters[i].
	Masters, Replicas []*Redis
	// args are further arguments of redis-server.
	args []string
}

// NewRedisCluster starts a cluster, which ends with the test. The arguments are those of
// StartRedisCluster.
func NewRedisCluster(tb testing.TB, masters, replicas int, args ...string) *RedisCluster {
	tb.Helper()
	NeedServer(tb)
	c, err := StartRedisCluster(masters, replicas, args...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Stop)
	return c
}

// StartRedisCluster starts a cluster in which the first masters have a replica, with further arguments
// of redis-server, and returns once all members agree on it.
func StartRedisCluster(masters, replicas int, args ...string) (*RedisCluster, error) {
	c := &RedisCluster{args: args}
	err := c.start(masters, replicas)
	if err != nil {
		c.Stop()
		return nil, fmt.Errorf("starting a Redis Cluster: %w", err)
	}
	return c, nil
}

func (c *RedisCluster) start(masters, replicas int) error {
	for i := range masters + replicas {
		server, err := startOnFreePort(c.startMember)
		if err != nil {
			return err
		}
		if i < masters {
			c.Masters = append(c.Masters, server)
		} else {
			c.Replicas = append(c.Replicas, server)
		}
	}
	var commands commandList
	for i, master := range c.Masters {
		commands.add(master, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		commands.add(master, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i*clusterSlots/masters), strconv.Itoa((i+1)*clusterSlots/masters-1))
	}
	for i, server := range c.members() {
		for _, other := range c.members()[:i] {
			commands.add(server, "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(other.Port()), strconv.Itoa(other.bus))
		}
	}
	if err := commands.run(); err != nil {
		return err
	}
	if err := c.agree(); err != nil {
		return err
	}
	commands = nil
	for i, replica := range c.Replicas {
		commands.add(replica, "CLUSTER", "REPLICATE", memberID(c.Masters[i]))
	}
	if err := commands.run(); err != nil {
		return err
	}
	for _, replica := range c.Replicas {
		if err := waitFor("a replica to be in sync", func() bool { return hasReplicated(replica) }); err != nil {
			return err
		}
	}
	return c.agree()
}

// startMember starts a server that can join a cluster.
func (c *RedisCluster) startMember(port int) (*Redis, error) {
	bus, err := freePort()
	if err != nil {
		return nil, err
	}
	args := append([]string{"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus), "--cluster-node-timeout", "1000",
		"--cluster-require-full-coverage", "no", "--cluster-allow-replica-migration", "no", "--repl-diskless-sync-delay", "0"}, c.args...)
	server, err := startRedis(port, serverArgs(port, args...),
		func(_ context.Context, r *Redis) error { return ask(r, "PING").Error() })
	if err == nil {
		server.bus = bus
	}
	return server, err
}

func (c *RedisCluster) members() []*Redis { return slices.Concat(c.Masters, c.Replicas) }

// Stop ends the servers.
func (c *RedisCluster) Stop() {
	for _, server := range c.members() {
		server.Stop()
	}
}

// URL returns a ROLLCALL_REDIS_URL with the masters.
func (c *RedisCluster) URL() string { return "redis://" + addresses(c.Masters) }

// agree waits until all members know each other and all slots.
func (c *RedisCluster) agree() error {
	for _, server := range c.members() {
		err := waitFor("the members to agree on the cluster", func() bool {
			info, err := ask(server, "CLUSTER", "INFO").ToString()
			known, _ := ask(server, "CLUSTER", "NODES").ToString()
			return err == nil && strings.Contains(info, "cluster_state:ok") &&
				strings.Contains(info, fmt.Sprint("cluster_slots_ok:", clusterSlots)) &&
				strings.Count(known, " connected") == len(c.members()) && !strings.Contains(known, "handshake")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Owner returns the place in Masters of the one that has the slot of the key at the start.
func (c *RedisCluster) Owner(tb testing.TB, key string) (place, slot int) {
	tb.Helper()
	n, err := ask(c.Masters[0], "CLUSTER", "KEYSLOT", key).AsInt64()
	if err != nil {
		tb.Fatal(err)
	}
	slot = int(n)
	for (place+1)*clusterSlots/len(c.Masters) <= slot {
		place++
	}
	return place, slot
}

// Move begins to move a slot to another master. finish moves the keys and ends the move.
func (c *RedisCluster) Move(tb testing.TB, slot int, from, to *Redis) (finish func()) {
	tb.Helper()
	number := strconv.Itoa(slot)
	do := func(commands commandList) {
		tb.Helper()
		if err := commands.run(); err != nil {
			tb.Fatal(err)
		}
	}
	var begin commandList
	begin.add(to, "CLUSTER", "SETSLOT", number, "IMPORTING", memberID(from))
	begin.add(from, "CLUSTER", "SETSLOT", number, "MIGRATING", memberID(to))
	do(begin)
	return func() {
		tb.Helper()
		for {
			keys, err := ask(from, "CLUSTER", "GETKEYSINSLOT", number, "100").AsStrSlice()
			if err != nil {
				tb.Fatal(err)
			}
			if len(keys) == 0 {
				break
			}
			var move commandList
			move.add(from, append([]string{"MIGRATE", "127.0.0.1", strconv.Itoa(to.Port()), "", "0", "5000", "KEYS"}, keys...)...)
			do(move)
		}
		var end commandList
		end.add(to, "CLUSTER", "SETSLOT", number, "NODE", memberID(to))
		end.add(from, "CLUSTER", "SETSLOT", number, "NODE", memberID(to))
		for _, other := range c.Masters {
			if other != to && other != from { // a second time would end the subscriptions to the slot
				end.add(other, "CLUSTER", "SETSLOT", number, "NODE", memberID(to))
			}
		}
		do(end)
	}
}

// InSync waits until the replica has what was written to its master before.
func (c *RedisCluster) InSync(tb testing.TB, replica *Redis) {
	tb.Helper()
	written := int64(-1)
	err := waitFor("the replica to be in sync", func() bool {
		if !hasReplicated(replica) {
			return false
		}
		if written < 0 {
			for _, server := range c.members() {
				if int64(server.Port()) == replicationField(replica, "master_port") {
					written = replicationField(server, "master_repl_offset")
				}
			}
		}
		return written >= 0 && replicationField(replica, "slave_repl_offset") >= written
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// replicationField returns a number in a server's INFO of replication, or -1 if it has none.
func replicationField(server *Redis, name string) int64 {
	info, _ := ask(server, "INFO", "replication").ToString()
	_, rest, _ := strings.Cut(info, "\n"+name+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// hasReplicated reports whether a replica has received its primary's data and follows it.
func hasReplicated(replica *Redis) bool {
	info, err := ask(replica, "INFO", "replication").ToString()
	return err == nil && strings.Contains(info, "master_link_status:up")
}

// Failover makes a replica replace its master without loss.
func (c *RedisCluster) Failover(tb testing.TB, replica *Redis) {
	tb.Helper()
	var commands commandList
	commands.add(replica, "CLUSTER", "FAILOVER")
	if err := commands.run(); err != nil {
		tb.Fatal(err)
	}
}

// Promoted waits until a replica has become a master.
func (c *RedisCluster) Promoted(tb testing.TB, replica *Redis) {
	tb.Helper()
	err := waitFor("the replica to become a master", func() bool {
		info, err := ask(replica, "INFO", "replication").ToString()
		return err == nil && strings.Contains(info, "role:master")
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// memberID returns the name of a member of a cluster, or "" if it does not respond.
func memberID(server *Redis) string {
	id, _ := ask(server, "CLUSTER", "MYID").ToString()
	return id
}

// commandList is commands to servers.
type commandList []struct {
	to    *Redis
	words []string
}

func (l *commandList) add(to *Redis, words ...string) {
	*l = append(*l, struct {
		to    *Redis
		words []string
	}{to, words})
}

func (l commandList) run() error {
	for _, command := range l {
		if err := ask(command.to, command.words...).Error(); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(command.words, " "), err)
		}
	}
	return nil
}

// waitFor waits until something holds.
func waitFor(what string, holds func() bool) error {
	for deadline := time.Now().Add(startTimeout); !holds(); time.Sleep(pollInterval) {
		if time.Now().After(deadline) {
			return fmt.Errorf("waited in vain for %s", what)
		}
	}
	return nil
}
