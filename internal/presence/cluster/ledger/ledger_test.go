package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
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
		// prolonged is whether b has the time of a lease from now on, because Redis did not respond.
		prolonged bool
	}{
		{"both renew", time.Second, time.Second, nil, false},
		{"one does not", time.Second, 4 * time.Second, []string{"b"}, false},
		{"both do not", 10 * time.Second, 4 * time.Second, nil, true},
		{"one does not, and Redis was away before its lease lapsed", 2500 * time.Millisecond, 3500 * time.Millisecond, nil, true},
		{"both do not, and their leases are about to lapse", 2200 * time.Millisecond, 2900 * time.Millisecond, nil, true},
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
			if end, err := client.Do(context.Background(), client.B().Zscore().Key(client.Key("nodes")).Member("b").Build()).AsFloat64(); test.prolonged && (err != nil || int64(end) < out.End) {
				t.Errorf("b's lease ends at %.0f, %v; want %d", end, err, out.End)
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

// TestLeave_TellsTheNodesOfTheDevices checks which nodes are notified of devices that are taken out:
// those that have them, or all nodes if access was revoked or a node is of an earlier version.
func TestLeave_TellsTheNodesOfTheDevices(t *testing.T) {
	client := testenv.OpenRedis(t, testenv.RedisURL(t), testenv.Service())
	l := New(client)
	var mu sync.Mutex
	var received []string
	feed := client.Listen(redis.Listener{
		Message: func(channel, text string) {
			mu.Lock()
			defer mu.Unlock()
			words := strings.Fields(text)
			slices.Sort(words[3:])
			received = append(received, strings.TrimPrefix(channel, client.Key(""))+" "+strings.Join(words, " "))
		},
		Gap: func(context.Context) error { return nil },
	}, slog.New(slog.DiscardHandler), append(l.CutChannels("a"), l.CutChannels("b")...)...)
	defer feed.Close()
	ctx := context.Background()
	if err := feed.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	for _, node := range []string{"a.1", "a.2", "b.1", "former"} {
		renew(t, l, Renewal{Node: node, Enter: true})
	}
	nodes := map[string]string{"a1": "a.1", "a2": "a.2", "b1": "b.1", "former1": "former"}
	user := status.Account{ID: 1, AppID: 1, ExternalID: "u"}
	for _, test := range []struct {
		name  string
		leave func() error
		want  string
	}{
		{"one device", func() error {
			_, _, _, err := l.Leave(ctx, Departure{User: user, Devices: []string{"a1"}, Reason: "2", Now: 1})
			return err
		}, "[cut:a 1 2 0 a1]"},
		{"no device", func() error {
			_, _, _, err := l.Leave(ctx, Departure{User: user, Devices: []string{"x"}, Reason: "2", Now: 1})
			return err
		}, "[]"},
		{"devices at two nodes", func() error {
			_, _, _, err := l.Leave(ctx, Departure{User: user, Devices: []string{"a2", "b1"}, Reason: "2", Now: 1})
			return err
		}, "[cut:a 1 2 0 a2 cut:b 1 2 0 b1]"},
		{"no reason", func() error {
			_, _, _, err := l.Leave(ctx, Departure{User: user, Devices: []string{"b1"}, Now: 1})
			return err
		}, "[]"},
		{"a node of an earlier version", func() error {
			_, _, _, err := l.Leave(ctx, Departure{User: user, Devices: []string{"former1"}, Reason: "2", Now: 1})
			return err
		}, "[cut 1 2 0 former1]"},
		{"the limit", func() error {
			_, err := l.Connect(ctx, Login{
				Node: "b.1", User: user, Now: 1, Recorded: 1, Limit: 4, Reason: "6",
				Device: models.Device{ID: "b2", Platform: models.PlatformWeb, ConnectedAt: 1},
			})
			return err
		}, "[cut:a 1 6 0 a1]"},
		{"access revoked", func() error {
			_, _, _, err := l.Leave(ctx, Departure{User: user, All: true, Revoke: true, Reason: "1", Now: 1})
			return err
		}, "[cut 1 1 1 a1 a2 b1 b2 former1]"},
		{"access of a user without devices revoked", func() error {
			_, _, _, err := l.Leave(ctx, Departure{User: user, All: true, Revoke: true, Reason: "1", Now: 1})
			return err
		}, "[cut 1 1 1]"},
	} {
		for _, device := range []string{"a1", "a2", "b1", "former1"} {
			if test.name == "access of a user without devices revoked" {
				break
			}
			_, err := l.Connect(ctx, Login{
				Node: nodes[device], User: user, Now: 1, Recorded: 1,
				Device: models.Device{ID: device, Platform: models.PlatformWeb, ConnectedAt: 1},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(test.leave(), feed.CatchUp(ctx)); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		slices.Sort(received)
		got := fmt.Sprint(received)
		received = nil
		mu.Unlock()
		if got != test.want {
			t.Errorf("%s: nodes received %s, want %s", test.name, got, test.want)
		}
	}
}

// TestLateStep_IsNotCarriedOut checks that Redis refuses a step whose caller has given up, and that a
// renewal makes it accept steps again after its clock was set.
func TestLateStep_IsNotCarriedOut(t *testing.T) {
	client := testenv.OpenRedis(t, testenv.RedisURL(t), testenv.Service())
	l, ctx := New(client), context.Background()
	renew(t, l, Renewal{Node: "a", Enter: true})
	add(t, l, "a", "d")
	leave := func() (bool, error) {
		_, changed, _, err := l.Leave(ctx, Departure{
			User: status.Account{ID: 1, AppID: 1, ExternalID: "u"}, Devices: []string{"d"}, To: models.PresenceOffline, Now: 2,
		})
		return changed, err
	}
	now := l.clock.Load()
	l.clock.Store(&clock{redis: now.redis - redis.OperationTimeout.Milliseconds() - 1000, local: now.local})
	if changed, err := leave(); changed || !redis.Unavailable(err) {
		t.Fatalf("a late step returned %t, %v", changed, err)
	}
	if devices, err := l.Devices(ctx, 1); err != nil || len(devices) != 1 {
		t.Fatalf("after a late step there are the devices %v, %v", devices, err)
	}
	renew(t, l, Renewal{Node: "a"})
	if changed, err := leave(); !changed || err != nil {
		t.Errorf("a step after a renewal returned %t, %v", changed, err)
	}
}
