package graph_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"testing"

	"rollcall/graph/graphtest"
	"rollcall/graph/transport"
	"rollcall/internal/clientaddr"
)

// TestConnectionsPerAddress opens WebSockets and event streams from clients behind a trusted proxy.
func TestConnectionsPerAddress(t *testing.T) {
	const limit = 3
	graphtest.Each(t, func(w *graphtest.World) {
		proxies := clientaddr.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
		w.Adjust = func(c *transport.Config) {
			c.ConnectionsPerAddress, c.ClientAddress = limit, proxies.Address
		}
		w.Restart()
		ann := w.Bearer("ann")
		// dial returns either a connection or how the server refused it.
		dial := func(address string) (*graphtest.Wire, *graphtest.Refused) {
			w.T.Helper()
			conn, err := graphtest.DialWire(context.Background(), w.URL, http.Header{"X-Forwarded-For": {address}})
			var refused *graphtest.Refused
			if err != nil && !errors.As(err, &refused) {
				w.T.Fatal(err)
			}
			return conn, refused
		}
		accepted := func(address string) *graphtest.Wire {
			w.T.Helper()
			conn, refusal := dial(address)
			if conn == nil {
				w.T.Fatalf("a connection from %s was refused with %d", address, refusal.Status)
			}
			w.T.Cleanup(conn.Close)
			return conn
		}
		refused := func(address string) {
			w.T.Helper()
			conn, refusal := dial(address)
			if conn != nil {
				w.T.Errorf("a WebSocket from %s was accepted", address)
			} else if refusal.Status != http.StatusTooManyRequests || refusal.RetryAfter == "" {
				w.T.Errorf("a WebSocket from %s was refused with %d, Retry-After %q", address, refusal.Status, refusal.RetryAfter)
			}
			stream := openStream(w, ann, address)
			defer stream.Body.Close()
			if stream.StatusCode != http.StatusTooManyRequests {
				w.T.Errorf("an event stream from %s got the status %d", address, stream.StatusCode)
			}
		}
		first := accepted("192.0.2.1")
		accepted("192.0.2.1")
		stream := openStream(w, ann, "192.0.2.1")
		if stream.StatusCode != http.StatusOK {
			w.T.Fatalf("an event stream got the status %d", stream.StatusCode)
		}
		refused("192.0.2.1")
		refused("203.0.113.5, 192.0.2.1") // the header that the client itself sent does not count
		accepted("192.0.2.2")
		for i := range limit {
			accepted(fmt.Sprintf("2001:db8:1:2::%d", i))
		}
		refused("2001:db8:1:2:ffff::1") // the same network
		accepted("2001:db8:1:3::1")

		first.Close()
		until(w.T, "the place of a closed WebSocket", func() bool {
			conn, _ := dial("192.0.2.1")
			if conn != nil {
				w.T.Cleanup(conn.Close) // an open one would delay the end of the node
			}
			return conn != nil
		})
		refused("192.0.2.1")
		stream.Body.Close()
		until(w.T, "the place of a closed event stream", func() bool {
			conn, _ := dial("192.0.2.1")
			if conn != nil {
				w.T.Cleanup(conn.Close) // an open one would delay the end of the node
			}
			return conn != nil
		})
		refused("192.0.2.1")
		// Other requests have no such limit.
		do(w, "ann", `{ me { id } }`, nil)
	})
}
