package redis_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/redis/rueidis"

	"rollcall/internal/redis"
	"rollcall/internal/testenv"
)

// TestUnavailable distinguishes the errors of a real server that refuses commands for the moment
// from those of wrong commands.
func TestUnavailable(t *testing.T) {
	ctx := context.Background()
	testenv.NeedServer(t)
	server, err := testenv.StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { server.Stop() }()
	client := testenv.OpenRedis(t, server.URL(), testenv.Service())
	do := func(command ...string) error {
		return client.Do(ctx, client.B().Arbitrary(command...).Build()).Error()
	}
	must := func(command ...string) {
		t.Helper()
		if err := do(command...); err != nil {
			t.Fatal(err)
		}
	}
	script := rueidis.NewLuaScript("return redis.call('SET', KEYS[1], ARGV[1])")
	write := func() error { return script.Exec(ctx, client.Client, []string{client.Key("x")}, []string{"1"}).Error() }
	want := func(what string, err error, want bool) {
		t.Helper()
		if err == nil || redis.Unavailable(fmt.Errorf("writing: %w", err)) != want {
			t.Errorf("%s: Unavailable(%v) is not %t", what, err, want)
		}
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	want("a wrong command", do("NONSENSE"), false)
	want("a wrong type", do("LPUSH", client.Key("x"), "1"), false)

	must("CONFIG", "SET", "maxmemory", "1")
	want("out of memory, in a script", write(), true)
	want("out of memory", do("SET", "y", "1"), true)
	must("CONFIG", "SET", "maxmemory", "0")

	must("REPLICAOF", "127.0.0.1", "1")
	want("a replica, in a script", write(), true)
	want("a replica", do("SET", "y", "1"), true)
	must("CONFIG", "SET", "replica-serve-stale-data", "no")
	want("a replica without its primary", do("GET", "y"), true)
	must("REPLICAOF", "NO", "ONE")

	must("CONFIG", "SET", "min-replicas-to-write", "1")
	want("too few replicas", write(), true)
	must("CONFIG", "SET", "min-replicas-to-write", "0")
	if err := write(); err != nil {
		t.Fatal(err)
	}

	server.Stop()
	want("a server that has stopped", write(), true)
	client.Close()
	want("a client that is closed", write(), true)
}
