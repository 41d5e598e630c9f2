//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"rollcall/bench/kit"
)

// hostile is row 14: how much memory the server takes at most while guests at 200 addresses
// repeatedly send requests that would be expensive for a naive server.
var hostile = row{name: "hostile", number: 14, run: runHostile}

// guestAddresses is the number of addresses that the guests use.
const guestAddresses = 200

func runHostile(ctx context.Context, lab *kit.Lab) ([]kit.Figure, error) {
	dir, err := lab.Dir()
	if err != nil {
		return nil, err
	}
	server, err := lab.Serve(ctx, "sqlite:"+filepath.Join(dir, "rollcall.db"))
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	before, err := kit.Settle(ctx, server.Process, server.Debug)
	if err != nil {
		return nil, err
	}

	count, length := kit.Pick(lab, 2000, 50), kit.Pick(lab, 40*time.Second, 2*time.Second)
	lab.Log("%d guests for %s", count, length)
	limited, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var guests sync.WaitGroup
	var requests, answered, longest atomic.Int64
	for i := range count {
		g := newGuest(server.Address, i)
		guests.Go(func() {
			defer g.client.CloseIdleConnections()
			for limited.Err() == nil {
				requests.Add(1)
				n, err := g.send(limited)
				if err == nil {
					answered.Add(1)
				}
				for old := longest.Load(); n > old && !longest.CompareAndSwap(old, n); old = longest.Load() {
				}
			}
		})
	}
	var peak int64
	for limited.Err() == nil {
		rss, err := server.RSS()
		if err != nil {
			return nil, err
		}
		peak = max(peak, rss)
		select {
		case <-limited.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	guests.Wait()
	if answered.Load() == 0 {
		return nil, server.Wrap(errors.New("no guest received a response"))
	}
	after, err := kit.Settle(ctx, server.Process, server.Debug)
	if err != nil {
		return nil, err
	}
	took := float64(peak - before.RSS)
	return []kit.Figure{
		{
			Work: fmt.Sprintf("memory under %d hostile guests, above idle", count), Goal: "≤ 200 MB", Met: kit.AtMost(took, 200e6),
			Ours: kit.MB(took),
			Note: fmt.Sprintf("resident, the peak; live heap afterwards %+.1f MB; %d requests, %d with a response, the longest of %d bytes",
				float64(after.Heap-before.Heap)/1e6, requests.Load(), answered.Load(), longest.Load()),
		},
	}, nil
}

// guest sends one kind of expensive request.
type guest struct {
	dialer *net.Dialer
	client *http.Client
	server string // HOST:PORT
	number int
	sent   int
}

func newGuest(server string, number int) *guest {
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+number%guestAddresses))}
	g := &guest{dialer: &net.Dialer{LocalAddr: from}, server: server, number: number}
	g.client = &http.Client{Transport: &http.Transport{DialContext: g.dialer.DialContext}}
	return g
}

// guestKinds are the requests that guests send, by guest number. Each returns the length of the
// response.
var guestKinds = []func(context.Context, *guest) (int64, error){
	func(ctx context.Context, g *guest) (int64, error) { return g.post(ctx, doublingSchema) },
	func(ctx context.Context, g *guest) (int64, error) { return g.post(ctx, manyErrors) },
	func(ctx context.Context, g *guest) (int64, error) { return g.post(ctx, manySchemas) },
	func(ctx context.Context, g *guest) (int64, error) { return g.post(ctx, usualIntrospection) },
	// Documents that differ fill caches; those with list literals fill them fastest.
	func(ctx context.Context, g *guest) (int64, error) {
		list := strings.Repeat("1,", 1000)
		return g.post(ctx, fmt.Sprintf(`{ a%d_%d: userList(first: [%s]) { totalCount } }`, g.number, g.sent, list))
	},
	func(ctx context.Context, g *guest) (int64, error) {
		return g.post(ctx, fmt.Sprintf("{ a%d_%d: __typename %s}", g.number, g.sent, manyAliases))
	},
	// Variables, which take far more memory than their text.
	func(ctx context.Context, g *guest) (int64, error) {
		return g.postBody(ctx, `{"query":"{ __typename }","variables":{"a":[`+strings.TrimSuffix(strings.Repeat(`{"":1},`, 8500), ",")+`]}}`)
	},
	// A long response that is not read.
	func(ctx context.Context, g *guest) (int64, error) { return g.readNothing(ctx, longAliases) },
	// A body that stops before its end, and one that claims more than a guest may send.
	func(ctx context.Context, g *guest) (int64, error) { return g.stall(ctx, 64<<10, 60<<10) },
	func(ctx context.Context, g *guest) (int64, error) { return g.stall(ctx, 1<<20, 10) },
}

// send sends the guest's request.
func (g *guest) send(ctx context.Context) (int64, error) {
	g.sent++
	return guestKinds[g.number%len(guestKinds)](ctx, g)
}

// post sends a document.
func (g *guest) post(ctx context.Context, document string) (int64, error) {
	body, err := json.Marshal(map[string]string{"query": document})
	if err != nil {
		return 0, err
	}
	return g.postBody(ctx, string(body))
}

func (g *guest) postBody(ctx context.Context, body string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+g.server+"/graphql", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := g.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return io.Copy(io.Discard, resp.Body)
}

// stall announces a body of that length, sends only a part of it, and waits for the server to end
// the request.
func (g *guest) stall(ctx context.Context, claimed, part int) (int64, error) {
	conn, err := g.begin(ctx, claimed, strings.Repeat(" ", part))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // ends the read
	return io.Copy(io.Discard, conn)
}

// readNothing sends a document and reads nothing of the response for two seconds.
func (g *guest) readNothing(ctx context.Context, document string) (int64, error) {
	body, err := json.Marshal(map[string]string{"query": document})
	if err != nil {
		return 0, err
	}
	conn, err := g.begin(ctx, len(body), string(body))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	select {
	case <-time.After(2 * time.Second):
	case <-ctx.Done():
	}
	return 0, ctx.Err()
}

// begin sends the head of a request that claims a body of that length, and a part of the body. Its
// connection receives as little as possible that is not read.
func (g *guest) begin(ctx context.Context, claimed int, part string) (net.Conn, error) {
	dialer := *g.dialer
	dialer.Control = func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) {
			failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
		})
		return errors.Join(err, failed)
	}
	conn, err := dialer.DialContext(ctx, "tcp", g.server)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(conn, "POST /graphql HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		g.server, claimed, part)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

var (
	doublingSchema = func() string {
		var b strings.Builder
		b.WriteString("{ __schema { ...f0 } }")
		for i := range 40 {
			fmt.Fprintf(&b, " fragment f%d on __Schema { ...f%d ...f%[2]d }", i, i+1)
		}
		return b.String() + " fragment f40 on __Schema { __typename }"
	}()
	manyErrors = func() string {
		var b strings.Builder
		for i := range 20 {
			fmt.Fprintf(&b, "query q%d { ...f } ", i)
		}
		return b.String() + "fragment f on Query { " + strings.Repeat("x ", 3000) + "}"
	}()
	manySchemas        = "{ " + numbered("a%d: __schema { ...s } ", 560) + "} fragment s on __Schema { types { name } }"
	longAliases        = "{ __schema { types { fields { " + numbered(strings.Repeat("a", 250)+"%d: name ", 60) + "} } } }"
	manyAliases        = numbered("a%d: __typename ", 2000)
	usualIntrospection = `{ __schema { types { name kind description fields(includeDeprecated: true) { name description
		args { name description defaultValue type { name kind } } type { name kind ofType { name kind ofType { name kind } } } } } } }`
)

// numbered returns n copies of format, each with its number.
func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}
