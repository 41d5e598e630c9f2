package transport

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

const (
	// pingsPerTimeout is how often a client is pinged at least within the time-out after which it
	// counts as gone.
	pingsPerTimeout = 4
	// sweepsPerPing is how often all links are checked in the interval between two pings.
	sweepsPerPing = 10
)

// startSweeping starts one goroutine that pings the clients of all links, and ends the WebSockets of
// those that are gone.
func (s *Server) startSweeping() (stop func()) {
	done := make(chan struct{})
	ticker := time.NewTicker(s.pingInterval / sweepsPerPing)
	go func() {
		var conns []*conn
		var streams []*sseStream
		for {
			select {
			case <-done:
				ticker.Stop()
				return
			case now := <-ticker.C:
				conns, streams = appendLinks(s, conns[:0], s.conns), appendLinks(s, streams[:0], s.streams)
				for _, c := range conns {
					c.beat(now)
				}
				for _, st := range streams {
					st.beat(now)
				}
				clear(conns)
				clear(streams)
			}
		}
	}()
	return sync.OnceFunc(func() { close(done) })
}

// appendLinks appends the open links to list.
func appendLinks[T comparable](s *Server, list []T, open map[T]struct{}) []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	list = slices.Grow(list, len(open))
	for l := range open {
		list = append(list, l)
	}
	return list
}

// beat closes a connection that has been silent for too long, and pings its client when the next
// ping is due.
func (c *conn) beat(now time.Time) {
	switch {
	case now.Sub(time.Unix(0, c.sock.heard.Load())) > c.server.cfg.HeartbeatTimeout:
		c.close(closeSilent)
	case c.ping.isDue(now, c.server.pingInterval):
		c.send(message{op: ws.OpPing})
	}
}

// beat sends a comment when the next one is due.
func (st *sseStream) beat(now time.Time) {
	if st.ping.isDue(now, st.server.pingInterval) {
		st.comment()
	}
}

// pingTime is when a link is pinged next, in nanoseconds since 1970. Once the link is open, only the
// sweeper uses it.
type pingTime int64

// firstPing returns the time of the first ping of a link that is opened now. Links that are opened
// together, as after a restart, are pinged at different times of the interval.
func firstPing(interval time.Duration) pingTime {
	return pingTime(time.Now().UnixNano() + rand.Int64N(int64(interval)))
}

// isDue reports whether the link must be pinged now, and if so, sets the time of the next ping: with
// the time until it is noticed, at most one interval later, and some earlier than others.
func (p *pingTime) isDue(now time.Time, interval time.Duration) bool {
	if now.UnixNano() < int64(*p) {
		return false
	}
	step := int64(interval / sweepsPerPing)
	*p = pingTime(now.UnixNano() + int64(interval) - step - rand.Int64N(step+1))
	return true
}
