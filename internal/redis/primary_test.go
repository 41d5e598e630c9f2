package redis_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/redis"
	"rollcall/internal/testenv"
)

// record is a log.
type record struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (r *record) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(line)
}

func (r *record) count(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.out.String(), text)
}

// service is a client with a feed of the channel "news".
type service struct {
	*redis.Client
	t     *testing.T
	log   *record
	heard *heard
	feed  *redis.Feed
}

func openService(t *testing.T, url string) *service {
	t.Helper()
	s := &service{t: t, log: new(record), heard: new(heard)}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	var err error
	if s.Client, err = redis.OpenWith(url, redis.Options{Log: log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Client.Close)
	s.feed = s.Listen(s.heard.listener(), log, s.Key("news"))
	t.Cleanup(s.feed.Close)
	if err := s.feed.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// primary returns the address of the server in use.
func (s *service) primary() string { return strings.Join(s.Primaries(), " ") }

// uses waits until the client and its feed use the server and can write there.
func (s *service) uses(server *testenv.Redis) {
	s.t.Helper()
	direct := testenv.OpenRedis(s.t, server.URL(), "direct")
	eventually(s.t, "the client to use "+server.Address(), func() bool {
		if err := s.Do(s.t.Context(), s.B().Set().Key(s.Key("used")).Value(server.Address()).Build()).Error(); err != nil {
			return false
		}
		value, _ := direct.Do(s.t.Context(), direct.B().Get().Key(s.Key("used")).Build()).ToString()
		return value == server.Address() && subscribers(s.t, direct, s.Key("news")) == 1
	})
}

func subscribers(t *testing.T, c *redis.Client, channel string) int64 {
	t.Helper()
	counts, err := c.Do(t.Context(), c.B().PubsubNumsub().Channel(channel).Build()).AsMap()
	if err != nil {
		t.Fatal(err)
	}
	count := counts[channel]
	n, err := count.AsInt64()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain for " + what)
		}
	}
}

// promote makes a replica the primary of the former one, whose connections stay open.
func promote(r *testenv.ReplicatedRedis, server, former *testenv.Redis) {
	r.Command(server, "REPLICAOF", "NO", "ONE")
	r.Follow(former, server)
}

// TestServers_FollowThePrimary: of several servers, the client uses the one that accepts changes,
// and moves with its feeds when that one is demoted or gone.
func TestServers_FollowThePrimary(t *testing.T) {
	t.Parallel() // mostly waits
	r := testenv.NewReplicatedRedis(t, 2, 0)
	first, second := r.Servers[0], r.Servers[1]
	s := openService(t, "redis://"+second.Address()+","+first.Address())
	s.uses(first)
	if s.primary() != first.Address() || s.Switches() != 0 {
		t.Errorf("the primary is %s after %d switches", s.primary(), s.Switches())
	}
	promote(r, second, first)
	s.uses(second)
	s.heard.wants(t, "[] 1") // what was missed was read once
	publish(t, s.Client, "news", "after the switch")
	s.heard.wants(t, "[after the switch] 1")
	r.InSync(first)
	second.Stop()
	r.Command(first, "REPLICAOF", "NO", "ONE")
	s.uses(first)
	if s.primary() != first.Address() || s.Switches() != 2 {
		t.Errorf("the primary is %s after %d switches", s.primary(), s.Switches())
	}
	if n := s.log.count("another server is the primary of Redis"); n != 2 {
		t.Errorf("%d switches are logged:\n%s", n, &s.log.out)
	}
}

// TestServer_ReplacedBehindItsAddress: the connections to a server that has become a replica are made
// again, and lead to the server that has its address now.
func TestServer_ReplacedBehindItsAddress(t *testing.T) {
	t.Parallel() // mostly waits
	r := testenv.NewReplicatedRedis(t, 2, 0)
	first, second := r.Servers[0], r.Servers[1]
	proxy := testenv.NewProxy(t, first.Address())
	s := openService(t, "redis://"+proxy.Address())
	s.uses(first)
	proxy.Lead(second.Address())
	promote(r, second, first)
	s.uses(second)
	s.heard.wants(t, "[] 1")
	// None if the connections broke before the check noticed: nothing else shows that another server
	// has the address.
	if s.Switches() > 1 {
		t.Errorf("%d switches", s.Switches())
	}

	// Only the connection for messages still leads to the former primary.
	proxy.Lead(first.Address())
	r.Command(first, "REPLICAOF", "NO", "ONE")
	r.Command(second, "CLIENT", "KILL", "TYPE", "normal")
	eventually(t, "the other connections to lead to the new primary", func() bool { return s.Writable(t.Context()) == nil })
	r.Follow(second, first)
	s.uses(first)
	s.heard.wants(t, "[] 2")
	if s.Switches() > 1 {
		t.Errorf("%d switches", s.Switches())
	}
}

// TestServer_StaysAReplica: without a primary the connections stay, so reads continue.
func TestServer_StaysAReplica(t *testing.T) {
	t.Parallel() // mostly waits
	r := testenv.NewReplicatedRedis(t, 2, 0)
	s := openService(t, r.ServersURL())
	r.Follow(r.Servers[0], r.Servers[1])
	eventually(t, "a write to fail", func() bool { return redis.Problem(s.Writable(t.Context())) == "Redis is read-only" })
	for deadline := time.Now().Add(2500 * time.Millisecond); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) { // two checks
		if err := s.Do(t.Context(), s.B().Get().Key("x").Build()).Error(); redis.Unavailable(err) {
			t.Fatal(err)
		}
	}
	if s.heard.String() != "[] 0" {
		t.Errorf("the connection for messages was lost: %s", s.heard)
	}
}

// TestOpen_WithoutAPrimary: the error names each server and why it is not the primary, and no password.
func TestOpen_WithoutAPrimary(t *testing.T) {
	t.Parallel()
	r := testenv.NewReplicatedRedis(t, 2, 0)
	_, err := redis.Open("redis://" + r.Servers[1].Address() + ",127.0.0.1:1")
	if err == nil || !redis.Unavailable(err) || redis.Problem(err) != "Redis has no primary" {
		t.Fatalf("error %v, problem %q", err, redis.Problem(err))
	}
	for _, want := range []string{r.Servers[1].Address() + ": READONLY", "127.0.0.1:1: dial tcp"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	_, err = redis.Open("redis://ann:hunter2@127.0.0.1:1,127.0.0.1:2?master_name=main&sentinel_password=hunter3")
	if err == nil || strings.Contains(err.Error(), "hunter") || !strings.Contains(err.Error(), "redis://ann@127.0.0.1:1,127.0.0.1:2?master_name=main") ||
		!strings.Contains(err.Error(), "127.0.0.1:2: dial tcp") {
		t.Errorf("unreachable Sentinels: %v", err)
	}
}

// TestServers_TwoAcceptChanges: a client that starts uses the server that others use, and warns.
func TestServers_TwoAcceptChanges(t *testing.T) {
	t.Parallel()
	r := testenv.NewReplicatedRedis(t, 2, 0)
	other := openService(t, r.Servers[1].URL())
	r.Command(r.Servers[1], "REPLICAOF", "NO", "ONE")
	r.Command(r.Servers[0], "FLUSHALL")
	if err := other.Writable(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := openService(t, r.ServersURL())
	if s.primary() != r.Servers[1].Address() || s.log.count("several servers accept changes") != 1 {
		t.Errorf("the primary is %s:\n%s", s.primary(), &s.log.out)
	}
}

// TestSentinels_Failover: the client and its feed follow the Sentinels, and stay when the former
// primary is back as a replica.
func TestSentinels_Failover(t *testing.T) {
	t.Parallel() // mostly waits
	r := testenv.NewReplicatedRedis(t, 2, 1)
	first, second := r.Servers[0], r.Servers[1]
	s := openService(t, r.URL())
	s.uses(first)
	first.Stop()
	began := time.Now()
	s.uses(second)
	t.Logf("after %s", time.Since(began))
	s.heard.wants(t, "[] 1")
	r.Primary(first)
	if s.primary() != second.Address() || s.Switches() != 1 || s.log.count("another server is the primary of Redis") != 1 {
		t.Errorf("the primary is %s after %d switches:\n%s", s.primary(), s.Switches(), &s.log.out)
	}
	r.Restart(first)
	client := openService(t, r.URL()) // while both accept changes
	if client.Primaries()[0] != second.Address() {
		t.Errorf("a client that starts uses %s", client.Primaries()[0])
	}

	// A Sentinel that was isolated names a former primary.
	isolated := testenv.NewReplicatedRedis(t, 1, 1)
	url := strings.Replace(isolated.URL(), "redis://", "redis://"+r.Sentinels[0].Address()+",", 1)
	for _, url := range []string{url, strings.Replace(r.URL(), "redis://", "redis://"+isolated.Sentinels[0].Address()+",", 1)} {
		c, err := redis.Open(url)
		if err != nil {
			t.Fatal(err)
		}
		if c.Primaries()[0] != second.Address() {
			t.Errorf("%s leads to %s", url, c.Primaries()[0])
		}
		c.Close()
	}

	// Sentinels that do not respond change nothing.
	r.Sentinels[0].Stop()
	eventually(t, "a warning", func() bool { return s.log.count("no Sentinel can name the primary") == 1 })
	if err := s.Writable(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := redis.Open(strings.Replace(isolated.URL(), "master_name=main", "master_name=other", 1)); err == nil || !strings.Contains(err.Error(), "master_name") {
		t.Errorf("an unknown name: %v", err)
	}
}

// TestSentinels_Passwords: the servers and the Sentinels have passwords of their own.
func TestSentinels_Passwords(t *testing.T) {
	t.Parallel()
	r := testenv.NewReplicatedRedis(t, 1, 1)
	client := testenv.OpenRedis(t, r.Servers[0].URL(), "admin")
	for _, words := range [][]string{
		{"ACL", "SETUSER", "rollcall", "on", ">a,b@c", "~rollcall:3:*", "&rollcall:3:*", "+@all", "-@dangerous"},
	} {
		if err := client.Do(t.Context(), client.B().Arbitrary(words...).Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	r.Command(r.Sentinels[0], "ACL", "SETUSER", "asker", "on", ">secret", "+sentinel|get-master-addr-by-name", "+hello", "+auth", "+ping")
	r.Command(r.Sentinels[0], "ACL", "SETUSER", "default", "off")
	url := strings.Replace(r.URL(), "redis://", "redis://rollcall:a%2Cb%40c@", 1)
	url = strings.Replace(url, "?", "/3?sentinel_username=asker&sentinel_password=secret&", 1)
	c, err := redis.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Writable(context.Background()); err != nil || c.Key("x") != "rollcall:3:x" {
		t.Error(err, c.Key("x"))
	}
	if _, err := redis.Open(strings.Replace(url, "password=secret", "password=wrong", 1)); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("a wrong password: %v", err)
	}
	var none *redis.NoPrimaryError
	if _, err := redis.Open(strings.Replace(url, "a%2Cb", "b", 1)); !errors.As(err, &none) {
		t.Errorf("a wrong password of the server: %v", err)
	}
}
