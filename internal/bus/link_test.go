package bus_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"rollcall/internal/bus"
	"rollcall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const numbers bus.Subject[int] = "numbers"

// node is a bus with a link, and what it has heard.
type node struct {
	bus.Bus
	mu     sync.Mutex
	heard  []int
	missed int
}

func newNode(t *testing.T, url, service string) *node {
	t.Helper()
	n := new(node)
	numbers.Hear(&n.Bus, func(_ context.Context, i int) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.heard = append(n.heard, i)
	})
	n.OnMissed(func(context.Context) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.missed++
	})
	link := bus.NewLink(&n.Bus, testenv.OpenRedis(t, url, service), slog.New(slog.DiscardHandler))
	t.Cleanup(link.Close)
	if err := link.Settle(context.Background()); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) eventually(t *testing.T, happened func() bool, what string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		n.mu.Lock()
		done := happened()
		n.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s; received %d numbers, missed %d times", what, len(n.heard), n.missed)
		}
	}
}

func TestLink(t *testing.T) {
	url, service := testenv.RedisURL(t), testenv.Service()
	a, b := newNode(t, url, service), newNode(t, url, service)
	stranger := newNode(t, url, testenv.Service())
	const count = 2000
	for i := range count {
		numbers.Tell(&a.Bus, i)
	}
	b.eventually(t, func() bool { return len(b.heard) == count }, "all numbers")
	for i, got := range b.heard {
		if got != i {
			t.Fatalf("number %d came at place %d", got, i)
		}
	}
	b.Missed()
	a.eventually(t, func() bool { return a.missed == 1 }, "word that something was missed")
	if len(a.heard)+len(stranger.heard)+b.missed+stranger.missed != 0 {
		t.Fatal("a node received messages that were not for it")
	}
}

// An event that cannot be sent is dropped, and the other nodes are notified to read the state again.
// A node that was itself disconnected reads it again, too.
func TestLinkThatWasCut(t *testing.T) {
	testenv.NeedSingleRedis(t)
	url, service := testenv.RedisURL(t), testenv.Service()
	proxy := testenv.NewProxy(t, url[len("redis://"):])
	a, b := newNode(t, "redis://"+proxy.Address(), service), newNode(t, url, service)
	proxy.Cut()
	numbers.Tell(&a.Bus, 1)
	numbers.Tell(&b.Bus, 2)
	proxy.Heal()
	for _, n := range []*node{a, b} {
		n.eventually(t, func() bool { return n.missed > 0 || len(n.heard) > 0 }, "the number, or word that something was missed")
	}
	numbers.Tell(&a.Bus, 3)
	b.eventually(t, func() bool { return len(b.heard) > 0 && b.heard[len(b.heard)-1] == 3 }, "a number after that")
}
