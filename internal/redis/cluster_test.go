package redis_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"rollcall/internal/clienttls"
	"rollcall/internal/redis"
	"rollcall/internal/testenv"
)

var addScript = rueidis.NewLuaScript(`return redis.call('INCR', KEYS[1] .. 'a') + redis.call('INCR', KEYS[1] .. 'b')`)

// TestCluster_MovesSlot checks that a move of the service's slot loses no message and no step: a step
// waits until all data has moved, and messages that were missed are known to be.
func TestCluster_MovesSlot(t *testing.T) {
	t.Parallel()
	c := testenv.NewRedisCluster(t, 3, 0)
	if _, err := redis.Open(c.URL() + "/1"); err == nil || !strings.Contains(err.Error(), "has only database 0") {
		t.Errorf("a cluster with a database number: %v", err)
	}
	s := openService(t, c.URL())
	if !s.Clustered() || len(s.Primaries()) != 3 {
		t.Fatalf("the servers in use are %s", s.Primaries())
	}
	owner, slot := c.Owner(t, s.Key(""))
	from, to := c.Masters[owner], c.Masters[(owner+1)%3]
	add := func() (int64, error) {
		return addScript.Exec(context.Background(), s.Client, s.ScriptKeys(), nil).AsInt64()
	}
	for i := range 3 {
		if n, err := add(); err != nil || n != int64(2*i+2) {
			t.Fatal(n, err)
		}
	}
	publish(t, s.Client, "news", "1")
	s.heard.wants(t, "[1] 0")

	finish := c.Move(t, slot, from, to)
	keys := s.ScriptKeys()
	for server, want := range map[*testenv.Redis]string{from: "ASK", to: "TRYAGAIN"} {
		direct := s.Nodes()[server.Address()]
		got := direct.DoMulti(t.Context(), direct.B().Asking().Build(),
			direct.B().Eval().Script("return redis.call('INCR', KEYS[1] .. 'a')").Numkeys(int64(len(keys))).Key(keys...).Build())[1].Error()
		if got == nil || !strings.HasPrefix(got.Error(), want) || !redis.Unavailable(got) {
			t.Fatalf("%s carries out a script while its keys are moving: %v", server.Address(), got)
		}
	}
	value, err := s.Do(t.Context(), s.B().Get().Key(s.Key("a")).Build()).ToString()
	if err != nil || value != "3" {
		t.Fatalf("a read during the move returned %q, %v", value, err)
	}
	late := openService(t, c.URL()) // it settles during the move
	added := make(chan string)
	go func() {
		n, err := add()
		added <- fmt.Sprint(n, err)
	}()
	finish()
	if got := <-added; got != "8 <nil>" {
		t.Fatalf("the script that waited for the move returned %s", got)
	}
	s.heard.wants(t, "[1] 1")
	late.heard.wants(t, "[] 1")
	publish(t, s.Client, "news", "2")
	s.heard.wants(t, "[1 2] 1")
	late.heard.wants(t, "[2] 1")
	eventually(t, "the move to be noticed", func() bool { return s.Switches() == 1 })
}

// TestCluster_PartsShareConnections checks that the parts of a service are spread evenly, that those at
// one master share a connection for messages, and that a move of one part's slot concerns no other.
func TestCluster_PartsShareConnections(t *testing.T) {
	t.Parallel()
	c := testenv.NewRedisCluster(t, 3, 0)
	client := testenv.OpenRedis(t, c.URL(), testenv.Service())
	const count = 12
	parts, heards := client.Parts(count), make([]*heard, count)
	atMaster := make([][]int, 3)
	for i, part := range parts {
		heards[i] = new(heard)
		feed := part.Listen(heards[i].listener(), slog.New(slog.DiscardHandler), part.Key("news"))
		t.Cleanup(feed.Close)
		if err := feed.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		owner, _ := c.Owner(t, part.Key(""))
		atMaster[owner] = append(atMaster[owner], i)
	}
	wants := func(message string, gaps func(part int) int) {
		t.Helper()
		for i, part := range parts {
			publish(t, part, "news", fmt.Sprint(message, i))
		}
		for i := range parts {
			want := ""
			for _, former := range []string{"a", "b", "c", "d"} {
				want += fmt.Sprint(" ", former, i)
				if former == message {
					break
				}
			}
			heards[i].wants(t, fmt.Sprintf("[%s] %d", want[1:], gaps(i)))
		}
	}
	connections := func() (counts []int) {
		for _, master := range c.Masters {
			server := client.Nodes()[master.Address()]
			list, err := server.Do(t.Context(), server.B().Arbitrary("CLIENT", "LIST", "TYPE", "PUBSUB").Build()).ToString()
			if err != nil {
				t.Fatal(err)
			}
			counts = append(counts, strings.Count(list, "\n"))
		}
		return counts
	}
	for i, some := range atMaster {
		if len(some) != count/3 {
			t.Errorf("master %d has %d parts", i, len(some))
		}
	}
	wants("a", func(int) int { return 0 })
	if got := fmt.Sprint(connections()); got != "[1 1 1]" {
		t.Errorf("%s connections", got)
	}

	moved := atMaster[0][1]
	_, slot := c.Owner(t, parts[moved].Key(""))
	c.Move(t, slot, c.Masters[0], c.Masters[1])()
	heards[moved].wants(t, fmt.Sprintf("[a%d] 1", moved))
	gaps := make([]int, count)
	gaps[moved] = 1
	wants("b", func(i int) int { return gaps[i] })

	// A failed Gap must not concern other parts at the same connection.
	heards[moved].mu.Lock()
	heards[moved].failGap = true
	heards[moved].mu.Unlock()
	c.Move(t, slot, c.Masters[1], c.Masters[0])()
	heards[moved].wants(t, fmt.Sprintf("[a%d b%d] 3", moved, moved))
	gaps[moved] = 3
	wants("c", func(i int) int { return gaps[i] })

	server := client.Nodes()[c.Masters[0].Address()]
	if err := server.Do(t.Context(), server.B().Arbitrary("CLIENT", "KILL", "TYPE", "PUBSUB").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	for _, i := range atMaster[0] {
		gaps[i]++
		heards[i].wants(t, fmt.Sprintf("[a%d b%d c%d] %d", i, i, i, gaps[i]))
	}
	wants("d", func(i int) int { return gaps[i] })
	eventually(t, "one connection to each master", func() bool { return fmt.Sprint(connections()) == "[1 1 1]" })
}

// TestCluster_ReplacesMaster checks that a client follows a failover and carries out the commands that
// were called during it.
func TestCluster_ReplacesMaster(t *testing.T) {
	testenv.NeedEngines(t)
	t.Parallel()
	c := testenv.NewRedisCluster(t, 3, 3)
	s := openService(t, c.URL())
	owner, _ := c.Owner(t, s.Key(""))
	c.Masters[owner].Stop()
	eventually(t, "a change", func() bool { return s.Writable(t.Context()) == nil })
	c.Promoted(t, c.Replicas[owner])
	s.heard.wants(t, "[] 1")
	publish(t, s.Client, "news", "1")
	s.heard.wants(t, "[1] 1")
	eventually(t, "the new master to be in use", func() bool {
		return strings.Contains(s.primary(), c.Replicas[owner].Address()) && !strings.Contains(s.primary(), c.Masters[owner].Address())
	})
}

// TestCluster_TLSAndRights uses a cluster with TLS, by the host name that it announces, as a Redis
// user that has only the rights that Rollcall needs.
func TestCluster_TLSAndRights(t *testing.T) {
	testenv.NeedEngines(t)
	t.Parallel()
	later := time.Now().Add(12 * time.Hour)
	ca := testenv.NewAuthority(t, later)
	_, port := testenv.TLSRedisCluster(t, ca, ca.Issue(t, later, "localhost"), "--user", "rollcall", "on", ">secret",
		"+@all", "-@dangerous", "~rollcall:0:*", "~{rollcall:0}:*", "~{rollcall:0:*", "&{rollcall:0}:*", "&{rollcall:0:*")
	pair := ca.Issue(t, later)
	url := fmt.Sprintf("rediss://rollcall:secret@localhost:%d", port)
	client, err := redis.OpenWith(url, redis.Options{TLS: clienttls.Files{CA: ca.File, Cert: pair.Cert, Key: pair.Key}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if got := fmt.Sprint(client.Primaries()); got != fmt.Sprintf("[localhost:%d]", port) {
		t.Errorf("the servers in use are %s", got)
	}
	if n, err := addScript.Exec(t.Context(), client.Client, client.ScriptKeys(), nil).AsInt64(); err != nil || n != 2 {
		t.Error(n, err)
	}
	if err := client.Do(t.Context(), client.B().Set().Key(client.SpreadKey("rate")).Value("1").Build()).Error(); err != nil {
		t.Error(err)
	}
	h := new(heard)
	feed := client.Listen(h.listener(), slog.New(slog.DiscardHandler), client.Key("news"))
	defer feed.Close()
	if err := feed.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish(t, client, "news", "1")
	h.wants(t, "[1] 0")
	part := client.Parts(4)[3]
	if n, err := addScript.Exec(t.Context(), part.Client, part.ScriptKeys(), nil).AsInt64(); err != nil || n != 2 {
		t.Error(n, err)
	}
	partHeard := new(heard)
	partFeed := part.Listen(partHeard.listener(), slog.New(slog.DiscardHandler), part.Key("news"))
	defer partFeed.Close()
	if err := partFeed.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish(t, part, "news", "2")
	partHeard.wants(t, "[2] 0")
}

// TestCluster_RefusesAtOnceWhileAway checks that callers do not wait during a long outage, in which they
// would pile up.
func TestCluster_RefusesAtOnceWhileAway(t *testing.T) {
	testenv.NeedEngines(t)
	t.Parallel()
	c := testenv.NewRedisCluster(t, 1, 0)
	s := openService(t, c.URL())
	c.Stop()
	eventually(t, "a refusal at once", func() bool {
		began := time.Now()
		err := s.Writable(t.Context())
		return err != nil && redis.Unavailable(err) && time.Since(began) < redis.OperationTimeout/2
	})
}
