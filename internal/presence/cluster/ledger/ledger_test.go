package ledger

import (
	"context"
	"testing"
	"time"

	"rollcall/internal/presence/status"
	"rollcall/internal/redis"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const leaseLength = 3 * time.Second

func renew(t *testing.T, l *Ledger, in Renewal) Lease {
	t.Helper()
	in.Length = leaseLength
	out, err := l.Renew(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// add connects a device, which is a change with a version.
func add(t *testing.T, l *Ledger, node, device string) Connected {
	t.Helper()
	in := Login{
		Node: node, User: status.Account{ID: 1, AppID: 1, ExternalID: "u"}, Now: 1, Recorded: 1,
		Device: models.Device{ID: device, Platform: models.PlatformWeb, ConnectedAt: 1},
	}
	out, err := l.Connect(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRenew_RecognizesOtherData changes one thing that shows that Redis has other data.
func TestRenew_RecognizesOtherData(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *testing.T, client *redis.Client, in *Renewal)
		want   bool
	}{
		{"nothing", func(*testing.T, *redis.Client, *Renewal) {}, false},
		{"a new connection to the same server", func(_ *testing.T, _ *redis.Client, in *Renewal) { in.Reconnected = true }, false},
		{"a later version", func(_ *testing.T, _ *redis.Client, in *Renewal) { in.Version += 1_000_000_000 }, true},
		{"a later end of the lease", func(_ *testing.T, _ *redis.Client, in *Renewal) { in.End++ }, true},
		{"another server", func(t *testing.T, client *redis.Client, _ *Renewal) {
			if err := client.Do(context.Background(), client.B().Set().Key(client.Key("server")).Value("another").Build()).Error(); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"no data", func(t *testing.T, client *redis.Client, _ *Renewal) {
			if err := client.Do(context.Background(), client.B().Del().Key(client.Key("born")).Build()).Error(); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := testenv.OpenRedis(t, testenv.RedisURL(t), testenv.Service())
			l := New(client)
			before := renew(t, l, Renewal{Node: "a", Enter: true})
			in := Renewal{Node: "a", End: before.End, Version: add(t, l, "a", "d").Record.Version}
			test.change(t, client, &in)
			after := renew(t, l, in)
			if got := after.Born != before.Born; got != test.want {
				t.Errorf("other data: %t, want %t", got, test.want)
			}
			if !after.Held || after.Version < in.Version || after.End <= 0 {
				t.Errorf("the renewal returned %+v", after)
			}
			again := renew(t, l, Renewal{Node: "a", End: after.End, Version: after.Version})
			if again.Born != after.Born {
				t.Error("the same data was recognized twice as other data")
			}
			if version := add(t, l, "a", "e").Added; version <= in.Version {
				t.Errorf("the next version is %d, want more than %d", version, in.Version)
			}
		})
	}
}

// Without the right to INFO, a new connection may lead to another server.
func TestRenew_WithoutInfo(t *testing.T) {
	testenv.NeedServer(t)
	server, err := testenv.StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	server.Stop()
	if server, err = testenv.StartRedisOn(server.Port(), "--user", "default", "on", "nopass", "~*", "&*", "+@all", "-info"); err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	l := New(testenv.OpenRedis(t, server.URL(), testenv.Service()))
	first := renew(t, l, Renewal{Node: "a", Enter: true})
	second := renew(t, l, Renewal{Node: "a", End: first.End})
	if second.Born != first.Born {
		t.Error("the same connection counts as one to another server")
	}
	if third := renew(t, l, Renewal{Node: "a", End: second.End, Reconnected: true}); third.Born == second.Born {
		t.Error("a new connection counts as one to the same server")
	}
}

// TestRenew_Lapses moves the leases of two nodes into the past: one that has lapsed is dead if
// another was renewed in between.
func TestRenew_Lapses(t *testing.T) {
	for _, test := range []struct {
		name string
		// a and b are how long ago the nodes renewed their leases.
		a, b time.Duration
		dead []string
	}{
		{"both renew", time.Second, time.Second, nil},
		{"one does not", time.Second, 4 * time.Second, []string{"b"}},
		{"both do not", 10 * time.Second, 4 * time.Second, nil},
		{"one does not, and Redis was away before its lease lapsed", 2500 * time.Millisecond, 3500 * time.Millisecond, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := testenv.OpenRedis(t, testenv.RedisURL(t), testenv.Service())
			l := New(client)
			renew(t, l, Renewal{Node: "a", Enter: true})
			end := renew(t, l, Renewal{Node: "b", Enter: true}).End
			past := client.B().Zadd().Key(client.Key("nodes")).ScoreMember().
				ScoreMember(float64(end-test.a.Milliseconds()), "a").ScoreMember(float64(end-test.b.Milliseconds()), "b").Build()
			if err := client.Do(context.Background(), past).Error(); err != nil {
				t.Fatal(err)
			}
			out := renew(t, l, Renewal{Node: "a"})
			if !out.Held || len(out.Dead) != len(test.dead) || len(test.dead) > 0 && out.Dead[0] != test.dead[0] {
				t.Errorf("the renewal returned %+v, want the dead %v", out, test.dead)
			}
			if held := renew(t, l, Renewal{Node: "b"}).Held; held != (len(test.dead) == 0) {
				t.Errorf("b holds its lease: %t", held)
			}
		})
	}
}

// A node that has entered under another name keeps the lease of the former one until it retires it.
func TestRenew_KeepsFormerNames(t *testing.T) {
	client := testenv.OpenRedis(t, testenv.RedisURL(t), testenv.Service())
	l := New(client)
	renew(t, l, Renewal{Node: "former", Enter: true})
	renew(t, l, Renewal{Node: "present", Enter: true, Others: []string{"former", "unknown"}})
	set := client.B().Zadd().Key(client.Key("nodes")).ScoreMember().ScoreMember(1, "former").Build()
	if err := client.Do(context.Background(), set).Error(); err != nil {
		t.Fatal(err)
	}
	if out := renew(t, l, Renewal{Node: "present", Others: []string{"former", "unknown"}}); len(out.Dead) != 0 {
		t.Errorf("%v are dead", out.Dead)
	}
	if err := l.Retire(context.Background(), "former"); err != nil {
		t.Fatal(err)
	}
	if out := renew(t, l, Renewal{Node: "present", Others: []string{"former", "unknown"}}); len(out.Dead) != 1 || out.Dead[0] != "former" {
		t.Errorf("%v are dead, want the former one", out.Dead)
	}
	if renew(t, l, Renewal{Node: "unknown"}).Held {
		t.Error("a name that never entered holds a lease")
	}
}
