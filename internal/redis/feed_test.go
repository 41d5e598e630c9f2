package redis_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"rollcall/internal/redis"
	"rollcall/internal/testenv"
)

// heard records what a feed receives.
type heard struct {
	mu       sync.Mutex
	messages []string
	gaps     int
	failGap  bool
}

func (h *heard) listener() redis.Listener {
	return redis.Listener{
		Message: func(channel, text string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.messages = append(h.messages, text)
		},
		Gap: func(context.Context) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.gaps++
			if h.failGap {
				h.failGap = false
				return errors.New("not yet")
			}
			return nil
		},
	}
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Sprint(h.messages, h.gaps)
}

func (h *heard) wants(t *testing.T, want string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); h.String() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("received %s, want %s", h, want)
		}
	}
}

func publish(t *testing.T, c *redis.Client, channel, text string) {
	t.Helper()
	if err := c.Do(context.Background(), c.Publish(c.Key(channel), text)).Error(); err != nil {
		t.Fatal(err)
	}
}

func TestFeed(t *testing.T) {
	ctx := context.Background()
	c := testenv.OpenRedis(t, testenv.RedisURL(t), testenv.Service())
	h := new(heard)
	f := c.Listen(h.listener(), slog.New(slog.DiscardHandler), c.Key("a"))
	defer f.Close()
	settle := func() {
		t.Helper()
		if err := f.Settle(ctx); err != nil {
			t.Fatal(err)
		}
	}
	settle()
	publish(t, c, "a", "1")
	publish(t, c, "b", "nobody hears")
	f.Subscribe(c.Key("b"))
	settle()
	publish(t, c, "b", "2")
	f.Unsubscribe(c.Key("a"))
	f.Subscribe(c.Key("b"), c.Key("c"))
	settle()
	publish(t, c, "a", "nobody hears")
	publish(t, c, "c", "3")
	if err := f.CatchUp(ctx); err != nil {
		t.Fatal(err)
	}
	if got := h.String(); got != "[1 2 3] 0" {
		t.Fatalf("received %s after catching up", got)
	}
}

// A lost connection is made again with all channels, and Gap is called.
func TestFeedAfterALostLink(t *testing.T) {
	testenv.NeedSingleRedis(t)
	ctx := context.Background()
	url, service := testenv.RedisURL(t), testenv.Service()
	proxy := testenv.NewProxy(t, url[len("redis://"):])
	c, other := testenv.OpenRedis(t, "redis://"+proxy.Address(), service), testenv.OpenRedis(t, url, service)
	h := &heard{failGap: true}
	f := c.Listen(h.listener(), slog.New(slog.DiscardHandler), c.Key("a"))
	defer f.Close()
	if err := f.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	proxy.Cut()
	publish(t, other, "a", "lost")
	if err := f.CatchUp(ctx); err == nil {
		t.Fatal("caught up over a link that is cut")
	}
	proxy.Heal()
	h.wants(t, "[] 2") // the first attempt to read what was missed failed
	if err := f.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	publish(t, other, "a", "1")
	h.wants(t, "[1] 2")
}

// A message of the new connection waits until Gap has read what was missed, and is not delivered if
// Gap fails.
func TestFeedReadsWhatWasMissedFirst(t *testing.T) {
	testenv.NeedSingleRedis(t)
	ctx := context.Background()
	url, service := testenv.RedisURL(t), testenv.Service()
	proxy := testenv.NewProxy(t, url[len("redis://"):])
	c, other := testenv.OpenRedis(t, "redis://"+proxy.Address(), service), testenv.OpenRedis(t, url, service)
	h := new(heard)
	listener := h.listener()
	subscribed := 0
	listener.After = func([]string) {
		subscribed++
		publish(t, other, "a", fmt.Sprintf("on connection %d", subscribed))
		// Time for the feed to deliver the message too early.
		for deadline := time.Now().Add(50 * time.Millisecond); subscribed > 1 && h.String() == "[on connection 1] 0" && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	}
	gap := listener.Gap
	listener.Gap = func(ctx context.Context) error {
		listener.Message("", "gap")
		return gap(ctx)
	}
	f := c.Listen(listener, slog.New(slog.DiscardHandler), c.Key("a"))
	defer f.Close()
	if err := f.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	h.wants(t, "[on connection 1] 0")
	h.mu.Lock()
	h.failGap = true
	h.mu.Unlock()
	proxy.Cut()
	proxy.Heal()
	h.wants(t, "[on connection 1 gap gap on connection 3] 2")
}
