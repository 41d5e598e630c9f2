package transport

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"rollcall/internal/testenv"
)

// through returns the world as its clients reach it through the proxy.
func (w *world) through(proxy *testenv.Proxy) *world {
	sub := *w
	sub.http = &httptest.Server{URL: "http://" + proxy.Address()}
	return &sub
}

// TestPing_KeepsIdleLinks connects devices through a proxy that closes idle connections. Those that
// are pinged more often than that stay, and without pings, none does.
func TestPing_KeepsIdleLinks(t *testing.T) {
	const idle = 1500 * time.Millisecond
	for name, interval := range map[string]time.Duration{"pings": idle / 10, "no pings": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // mostly waits
			w := newWorld(t, worldOptions{users: 3, ping: interval, heartbeat: 24 * time.Hour})
			proxy := testenv.NewProxy(t, strings.TrimPrefix(w.http.URL, "http://"))
			proxy.CloseIdle(idle)
			socket := w.through(proxy).connect("u0")
			stream := w.through(proxy).stream("u2", watchU1)
			stream.expect(sseStatus("u1", "UNLOGINED"))
			if interval > idle {
				socket.expectGone()
				if got, err := stream.next(); err == nil {
					t.Errorf("the stream got %q", got)
				}
				until(t, "the devices to be gone", func() bool { return w.devices(0)+w.devices(2) == 0 })
				return
			}
			// 25 pings take at least twice the idle time, because each interval is at least 0.8 long.
			const pings = 25
			for n := 0; n < pings; {
				f, err := ws.ReadFrame(socket.in)
				if err != nil || f.Header.OpCode != ws.OpPing {
					t.Fatalf("%v, %v instead of ping %d", f.Header.OpCode, err, n)
				}
				n++
				socket.frame(ws.NewPongFrame(f.Payload))
			}
			for n := 0; n < pings; {
				if !stream.in.Scan() {
					t.Fatalf("the stream ended after %d comments: %v", n, stream.in.Err())
				}
				if stream.in.Text() == ":" {
					n++
				}
			}
			if w.devices(0) != 1 || w.devices(2) != 1 {
				t.Errorf("the users have %d and %d devices", w.devices(0), w.devices(2))
			}
			socket.subscribe("1", `{who}`)
			socket.expect(`{"id":"1","type":"next","payload":{"data":{"who":"USER"}}}`)
			w.online(1)
			stream.expect(sseStatus("u1", "ONLINE"))
		})
	}
}

// TestPingTime_Spread checks the pings of links that are opened together: the intervals are between
// 0.8 and 1 of the given one, and no sweep pings a large part of them.
func TestPingTime_Spread(t *testing.T) {
	const interval, links = 25 * time.Second, 10_000
	pings, last := make([]pingTime, links), make([]time.Time, links)
	for i := range pings {
		pings[i] = firstPing(interval)
	}
	now := time.Now()
	for range 20 * sweepsPerPing {
		now = now.Add(interval / sweepsPerPing)
		pinged := 0
		for i := range pings {
			if !pings[i].isDue(now, interval) {
				continue
			}
			pinged++
			if took := now.Sub(last[i]); !last[i].IsZero() && (took < interval*8/10 || took > interval) {
				t.Fatalf("two pings are %s apart", took)
			}
			last[i] = now
		}
		if pinged > links/4 {
			t.Errorf("%d links were pinged at once", pinged)
		}
	}
	for i := range last {
		if last[i].IsZero() {
			t.Fatal("a link was never pinged")
		}
	}
}
