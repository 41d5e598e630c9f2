package throttle

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"rollcall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var epoch = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

var (
	growing = &Rule{Name: "growing", Free: 5, Delay: time.Second, MaxDelay: 15 * time.Minute, Memory: time.Hour, Forgive: true}
	steady  = &Rule{Name: "steady", Free: 8, Delay: 20 * time.Second, MaxDelay: 20 * time.Second, Memory: 10 * time.Minute}
)

// ticking is a Throttle of one process whose clock stands until now is moved.
type ticking struct {
	*Throttle
	now time.Time
}

func newTicking() *ticking {
	t := &ticking{now: epoch}
	t.Throttle = New(func() time.Time { return t.now })
	return t
}

// fail makes an attempt that fails, or returns how long it must wait.
func fail(t *Throttle, keys ...Key) time.Duration {
	_, refusal := t.Begin(context.Background(), keys...)
	if refusal == nil {
		return 0
	}
	return refusal.Wait
}

func TestBegin_DelaysGrow(t *testing.T) {
	clock, key := newTicking(), Key{growing, "admin"}
	for i := range growing.Free {
		if wait := fail(clock.Throttle, key); wait != 0 {
			t.Fatalf("attempt %d has to wait %v", i+1, wait)
		}
	}
	for _, want := range []time.Duration{
		time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second,
		64 * time.Second, 128 * time.Second, 256 * time.Second, 512 * time.Second, 15 * time.Minute, 15 * time.Minute,
	} {
		if wait := fail(clock.Throttle, key); wait != want {
			t.Fatalf("wait %v, want %v", wait, want)
		}
		clock.now = clock.now.Add(want - time.Millisecond)
		if wait := fail(clock.Throttle, key); wait != time.Millisecond {
			t.Fatalf("1 ms before the end: wait %v", wait)
		}
		clock.now = clock.now.Add(time.Millisecond)
		if wait := fail(clock.Throttle, key); wait != 0 {
			t.Fatalf("after %v: still wait %v", want, wait)
		}
	}
	clock.now = clock.now.Add(growing.Memory)
	for range growing.Free {
		if wait := fail(clock.Throttle, key); wait != 0 {
			t.Errorf("failures are never forgotten: wait %v", wait)
		}
	}
}

func TestBegin_CountsUnderAllKeysOrNone(t *testing.T) {
	clock := newTicking()
	all := Key{Rule: steady}
	for i := range steady.Free {
		if wait := fail(clock.Throttle, Key{growing, fmt.Sprint(i)}, all); wait != 0 {
			t.Fatalf("attempt %d has to wait %v", i+1, wait)
		}
	}
	for range 20 {
		if wait := fail(clock.Throttle, Key{growing, "refused"}, all); wait != steady.Delay {
			t.Fatalf("wait %v, want %v", wait, steady.Delay)
		}
	}
	// The refused ones have left no trace.
	for range growing.Free {
		if wait := fail(clock.Throttle, Key{growing, "refused"}); wait != 0 {
			t.Fatalf("wait %v", wait)
		}
	}
}

func TestSucceedAndCancel(t *testing.T) {
	ctx := context.Background()
	for name, throttle := range map[string]*Throttle{"local": New(time.Now), "shared": sharedThrottle(t, 1)[0]} {
		own, all := Key{growing, "ada"}, Key{Rule: steady}
		for range growing.Free - 1 {
			fail(throttle, own, all)
		}
		for range 3 * growing.Free {
			attempt, refusal := throttle.Begin(ctx, own, all)
			if refusal != nil {
				t.Fatalf("%s: cancelled attempts count: %+v", name, refusal)
			}
			attempt.Cancel(ctx)
		}
		attempt, refusal := throttle.Begin(ctx, own, all)
		if refusal != nil {
			t.Fatalf("%s: %+v", name, refusal)
		}
		attempt.Succeed(ctx)
		// All of its own failures are forgotten; under the other rule, only the success does not count.
		for i := range growing.Free {
			_, refusal := throttle.Begin(ctx, own, all)
			free := i < steady.Free-(growing.Free-1)
			if (refusal == nil) != free || refusal != nil && refusal.Rule != steady {
				t.Errorf("%s: after a success, failure %d: %+v", name, i+1, refusal)
			}
		}
	}
}

// TestLocal_Full fills the table with subjects that a caller makes up: the account under attack
// stays limited, further subjects are limited together, and expired ones make room.
func TestLocal_Full(t *testing.T) {
	clock, victim := newTicking(), Key{growing, "admin"}
	for range growing.Free {
		fail(clock.Throttle, victim)
	}
	waits := 0
	for i := range maxEntries + 100 {
		if fail(clock.Throttle, Key{growing, fmt.Sprint("name", i)}) != 0 {
			waits++
		}
	}
	if n := len(clock.local.entries); n > maxEntries+1 {
		t.Errorf("%d entries, want at most %d", n, maxEntries+1)
	}
	if waits < 90 {
		t.Errorf("%d of 100 subjects beyond the bound are limited", waits)
	}
	if wait := fail(clock.Throttle, victim); wait == 0 {
		t.Error("filling the table removed the account under attack")
	}
	clock.now = clock.now.Add(growing.Memory)
	fail(clock.Throttle, Key{growing, "later"})
	if n := len(clock.local.entries); n != 1 {
		t.Errorf("%d entries after all have expired, want 1", n)
	}
}

// sharedThrottle returns the throttles of several nodes with one Redis. The test fails if any logs
// a warning.
func sharedThrottle(t *testing.T, nodes int) []*Throttle {
	t.Helper()
	url, service, log := testenv.RedisURL(t), testenv.Service(), &testenv.Log{}
	t.Cleanup(func() {
		if text := log.String(); text != "" {
			t.Errorf("logged: %s", text)
		}
	})
	list := make([]*Throttle, nodes)
	for i := range list {
		list[i] = NewShared(testenv.OpenRedis(t, url, service), time.Now, slog.New(slog.NewTextHandler(log, nil)))
	}
	return list
}

func TestShared_NodesCountTogether(t *testing.T) {
	nodes := sharedThrottle(t, 2)
	key, other := Key{growing, "admin"}, Key{growing, "ada"}
	for i := range growing.Free {
		if wait := fail(nodes[i%2], key); wait != 0 {
			t.Fatalf("attempt %d has to wait %v", i+1, wait)
		}
	}
	for i, node := range nodes {
		_, refusal := node.Begin(context.Background(), other, key)
		if refusal == nil || refusal.Rule != growing || refusal.Wait > growing.Delay {
			t.Errorf("node %d: %+v, want a wait of at most %v", i, refusal, growing.Delay)
		}
	}
	if wait := fail(nodes[0], other); wait != 0 {
		t.Errorf("another account has to wait %v", wait)
	}
}

// TestShared_SucceedAndCancel takes failures back on another node than the one that counts next.
func TestShared_SucceedAndCancel(t *testing.T) {
	nodes, ctx, key := sharedThrottle(t, 2), context.Background(), Key{growing, "admin"}
	for i, end := range []func(*Attempt, context.Context){(*Attempt).Cancel, (*Attempt).Succeed} {
		for range 2 * growing.Free {
			attempt, refusal := nodes[i].Begin(ctx, key)
			if refusal != nil {
				t.Fatalf("refused for %v although each attempt was taken back", refusal.Wait)
			}
			end(attempt, ctx)
		}
	}
	for i := range growing.Free {
		if wait := fail(nodes[i%2], key); wait != 0 {
			t.Errorf("attempt %d has to wait %v", i+1, wait)
		}
	}
	if wait := fail(nodes[0], key); wait == 0 {
		t.Error("failures are no longer counted")
	}
}

func TestShared_DelaysGrow(t *testing.T) {
	rule := &Rule{Name: "fast", Free: 1, Delay: 20 * time.Second, MaxDelay: 30 * time.Second, Memory: time.Hour}
	node := sharedThrottle(t, 1)[0]
	for failures := 1; failures < 60; failures++ {
		name := node.redis.Key("failures:" + Key{rule, "x"}.id())
		set := node.redis.B().Hset().Key(name).FieldValue().FieldValue("n", fmt.Sprint(failures)).
			FieldValue("at", fmt.Sprint(time.Now().UnixMicro())).Build()
		if err := node.redis.Do(context.Background(), set).Error(); err != nil {
			t.Fatal(err)
		}
		if wait, want := fail(node, Key{rule, "x"}), rule.delay(failures); wait > want || wait < want-10*time.Second {
			t.Fatalf("after %d failures: wait %v, want nearly %v", failures, wait, want)
		}
	}
}

// TestShared_RedisAway: while Redis is unreachable, each node counts by itself and logs that once.
func TestShared_RedisAway(t *testing.T) {
	testenv.NeedServer(t)
	server, err := testenv.StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	log := &testenv.Log{}
	throttle := NewShared(testenv.OpenRedis(t, server.URL(), testenv.Service()), time.Now, slog.New(slog.NewTextHandler(log, nil)))
	ctx := context.Background()
	attempt, _ := throttle.Begin(ctx, Key{growing, "admin"})
	server.Stop()
	attempt.Succeed(ctx)
	for i := range growing.Free {
		if wait := fail(throttle, Key{growing, "admin"}); wait != 0 {
			t.Fatalf("attempt %d has to wait %v", i+1, wait)
		}
	}
	if wait := fail(throttle, Key{growing, "admin"}); wait == 0 {
		t.Error("without Redis nothing is limited")
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings, want 1:\n%s", n, log)
	}
}

// TestShared_RedisFlaps: under load, calls that time out between others that succeed are counted in
// the log, not written one by one.
func TestShared_RedisFlaps(t *testing.T) {
	log := &testenv.Log{}
	throttle := NewShared(nil, time.Now, slog.New(slog.NewTextHandler(log, nil)))
	for range 30 {
		throttle.report(t.Context(), context.DeadlineExceeded)
		throttle.report(t.Context(), nil)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("%d lines, want 1 warning:\n%s", n, log)
	}
}
