package transport

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// A WebSocket's client is pinged every quarter of the time-out or slightly sooner, and checked some
// thirty times within it: together less than a third of the time-out passes between two pings.
const (
	pingsPerTimeout  = 4
	sweepsPerTimeout = 30
)

// startSweeping starts one goroutine that handles the heartbeats of all WebSockets.
func (s *Server) startSweeping() (stop func()) {
	done := make(chan struct{})
	ticker := time.NewTicker(s.cfg.HeartbeatTimeout / sweepsPerTimeout)
	go func() {
		var conns []*conn
		for {
			select {
			case <-done:
				ticker.Stop()
				return
			case now := <-ticker.C:
				conns = s.appendConns(conns[:0])
				for _, c := range conns {
					c.beat(now, s.cfg.HeartbeatTimeout)
				}
				clear(conns)
			}
		}
	}()
	return sync.OnceFunc(func() { close(done) })
}

// appendConns appends the open WebSockets to list.
func (s *Server) appendConns(list []*conn) []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list = slices.Grow(list, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	return list
}

// beat closes a connection that has been silent for too long, and pings its client when the next
// ping is due.
func (c *conn) beat(now time.Time, timeout time.Duration) {
	switch {
	case now.Sub(time.Unix(0, c.sock.heard.Load())) > timeout:
		c.close(closeSilent)
	case now.UnixNano() >= c.nextPing:
		c.nextPing = nextPing(now, timeout)
		c.send(message{op: ws.OpPing})
	}
}

// nextPing spreads the pings of connections that were opened together.
func nextPing(now time.Time, timeout time.Duration) int64 {
	longest := int64(timeout / pingsPerTimeout)
	return now.UnixNano() + longest - rand.Int64N(longest/4+1)
}
