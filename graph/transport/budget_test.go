package transport

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/graph/auth"
	"rollcall/models"
)

// paddedQuery returns a request that is valid JSON of exactly that many bytes.
func paddedQuery(bytes int) string {
	const head, tail = `{"query":"{who}`, `"}`
	return head + strings.Repeat(" ", bytes-len(head)-len(tail)) + tail
}

// slowPost sends the header of a POST that claims that many bytes, and the given part of its body.
func (w *world) slowPost(token string, claimed int, body string) net.Conn {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.http.Listener.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	if token != "" {
		token = "Authorization: Bearer " + token + "\r\n"
	}
	_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n%s", mediaJSON, token, claimed, body)
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// response reads the response to a slowPost.
func (w *world) response(conn net.Conn) *http.Response {
	w.t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp
}

// posted sends a request of that many bytes.
func (w *world) posted(token string, bytes int) (*http.Response, string) {
	w.t.Helper()
	return w.exchange(httpCall{method: viaPost, token: token, body: strings.NewReader(paddedQuery(bytes))})
}

// reserved returns how many bytes the server has reserved.
func (w *world) reserved() int { return int(testutil.ToFloat64(w.server.metrics.receiving)) }

// memory returns the bytes of the heap's objects and the stacks.
func memory() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse + m.StackInuse)
}

func TestBody_LimitOfGuests(t *testing.T) {
	w := newWorld(t, worldOptions{})
	for _, c := range []struct {
		token  string
		bytes  int
		status int
	}{
		{"", 64 << 10, 200}, {"", 64<<10 + 1, 413},
		{"app", 1 << 20, 200}, {"app", 1<<20 + 1, 413}, {"u0", 1 << 20, 200},
		{"app", freeBytes - 1, 200}, {"app", freeBytes, 200}, {"app", freeBytes + 1, 200}, {"app", 2 * freeBytes, 200},
	} {
		chunked := io.MultiReader(strings.NewReader(paddedQuery(c.bytes))) // of unknown length
		withLength, _ := w.posted(c.token, c.bytes)
		without, _ := w.exchange(httpCall{method: viaPost, token: c.token, body: chunked})
		for kind, resp := range map[string]*http.Response{"with a length": withLength, "without": without} {
			if resp.StatusCode != c.status {
				t.Errorf("token %q, %d bytes, %s: %d, want %d", c.token, c.bytes, kind, resp.StatusCode, c.status)
			}
		}
	}
	if got := w.reserved(); got != 0 {
		t.Errorf("%d bytes are still reserved", got)
	}
}

// TestBody_TokenBeforeBody sends an invalid token and never sends the body.
func TestBody_TokenBeforeBody(t *testing.T) {
	w := newWorld(t, worldOptions{})
	if resp := w.response(w.slowPost("x", 1<<20, "")); resp.StatusCode != 401 {
		t.Errorf("status %d, want 401", resp.StatusCode)
	}
}

// TestBody_ClaimTakesNoMemory has callers that claim long bodies and send little.
func TestBody_ClaimTakesNoMemory(t *testing.T) {
	const callers = 200
	w := newWorld(t, worldOptions{})
	before := memory()
	conns := make([]net.Conn, callers)
	for i := range conns {
		conns[i] = w.slowPost("app", 1<<20, paddedQuery(1 << 20)[:freeBytes+1])
	}
	until(t, "all claims to arrive", func() bool { return w.reserved() == callers*freeBytes })
	if took := memory() - before; took > 100<<20 {
		t.Errorf("%d claims of 1 MiB took %d MiB", callers, took>>20)
	}
	if _, err := io.WriteString(conns[0], paddedQuery(1 << 20)[freeBytes+1:]); err != nil {
		t.Fatal(err)
	}
	if resp := w.response(conns[0]); resp.StatusCode != 200 {
		t.Errorf("status %d for the body that has arrived", resp.StatusCode)
	}
}

// TestBody_SlowGuests has 2000 guests that send most of the largest body allowed and then nothing.
func TestBody_SlowGuests(t *testing.T) {
	const guests, bytes = 2000, 64 << 10
	w := newWorld(t, worldOptions{})
	before := memory()
	body := paddedQuery(bytes)[:40_000]
	conns := make([]net.Conn, guests)
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			for at := i; at < guests; at += 20 {
				conns[at] = w.slowPost("", bytes, body)
			}
		})
	}
	group.Wait()
	refused := w.server.metrics.receivingRefused
	until(t, "each guest to be refused or to have its reservation", func() bool {
		return w.reserved() == (guests-int(testutil.ToFloat64(refused)))*(bytes-freeBytes)
	})
	if got, most := w.reserved(), w.server.cfg.Limits.ReceivingBytes/8; got > most || got < most/2 {
		t.Errorf("%d bytes are reserved, at most %d may be", got, most)
	}
	if took := memory() - before; took > 200<<20 {
		t.Errorf("%d slow guests took %d MiB", guests, took>>20)
	} else {
		t.Logf("%d slow guests took %d MiB, %v were refused", guests, took>>20, testutil.ToFloat64(refused))
	}

	// Other callers are not affected, nor are guests with small requests.
	for token, bytes := range map[string]int{"": freeBytes, "app": 1 << 20, "u0": 1 << 20, "other": 1 << 20} {
		if resp, _ := w.posted(token, bytes); resp.StatusCode != 200 {
			t.Errorf("token %q: %d for %d bytes", token, resp.StatusCode, bytes)
		}
	}
	resp, text := w.posted("", 60_000)
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !resp.Close || !strings.Contains(text, `"UNAVAILABLE"`) {
		t.Errorf("a guest's large request: %d, Retry-After %q, %s", resp.StatusCode, resp.Header.Get("Retry-After"), text)
	}
	for _, conn := range conns {
		conn.Close()
	}
	until(t, "all reservations to be released", func() bool { return w.reserved() == 0 })
	if resp, _ := w.posted("", 60_000); resp.StatusCode != 200 {
		t.Errorf("then: %d", resp.StatusCode)
	}
}

// TestBudget_Shares fills the shares one by one.
func TestBudget_Shares(t *testing.T) {
	w := newWorld(t, worldOptions{})
	b := newBudget(400, w.server.metrics.receiving, w.server.metrics.receivingRefused)
	principal := func(token string) *auth.Principal {
		switch token {
		case "":
			return nil
		case "rest":
			return &auth.Principal{Kind: auth.AppServer, App: &models.App{ID: 1 << 39}}
		}
		p, err := w.auth.Authenticate(t.Context(), "Bearer "+token)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	var held []*reservation
	extend := func(token string, bytes int) error {
		r := b.reserve(principal(token))
		held = append(held, &r)
		return r.extend(freeBytes + bytes)
	}
	for _, c := range []struct {
		token string
		bytes int
		fits  bool
	}{
		{"", 30, true}, {"", 21, false}, {"", 20, true}, {"", 1, false}, {"", 0, true},
		{"u0", 100, true}, {"u1", 1, false}, {"app", 100, true}, {"app", 1, false},
		{"other", 101, false}, {"other", 100, true}, {"rest", 50, true},
	} {
		if err := extend(c.token, c.bytes); (err == nil) != c.fits {
			t.Errorf("token %q, %d bytes: %v", c.token, c.bytes, err)
		}
	}
	another := b.reserve(&auth.Principal{Kind: auth.AppServer, App: &models.App{ID: 1 << 40}})
	if another.extend(freeBytes+1) == nil {
		t.Error("all bytes are reserved, and another app still gets its share")
	}
	for _, r := range held {
		r.release()
		r.release() // again, which changes nothing
	}
	if b.total != 0 || len(b.byCallers) != 0 {
		t.Errorf("after all releases: %d bytes, %v", b.total, b.byCallers)
	}
	guest, again := b.reserve(nil), b.reserve(&auth.Principal{})
	if guest.extend(freeBytes+50) != nil || again.extend(freeBytes+1) == nil {
		t.Error("a guest over HTTP and one over WebSocket do not share a part")
	}
}

// part sends the beginning of a text message that claims that many bytes.
func (c *client) part(claimed, sent int) {
	c.t.Helper()
	frame := ws.MaskFrame(ws.NewTextFrame([]byte(strings.Repeat(" ", claimed))))
	head, err := ws.CompileFrame(frame)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.conn.Write(head[:len(head)-claimed+sent]); err != nil {
		c.t.Fatal(err)
	}
}

// TestWebSocket_BudgetBeforeAcknowledgement has clients that send large messages as their first.
func TestWebSocket_BudgetBeforeAcknowledgement(t *testing.T) {
	w := newWorld(t, worldOptions{limits: Limits{ReceivingBytes: 512 << 10}})
	tooBig := w.dial()
	tooBig.part(64<<10+1, 0)
	tooBig.expectClose(1009)

	slow := w.dial()
	slow.part(60_000, 50_000)
	until(t, "the message to arrive", func() bool { return w.reserved() > 40_000 })
	busy := w.dial()
	busy.part(60_000, 50_000)
	busy.expectClose(1013)
	if resp, _ := w.posted("", 60_000); resp.StatusCode != 503 {
		t.Errorf("a guest's large request: %d", resp.StatusCode)
	}
	ready := w.connect("app") // a small message is accepted
	ready.send(`{"id":"1","type":"subscribe","payload":` + paddedQuery(60_000) + `}`)
	ready.expect(`{"id":"1","type":"next","payload":{"data":{"who":"APP_SERVER"}}}`)
	slow.conn.Close()
	until(t, "the reservation to be released", func() bool { return w.reserved() == 0 })
}

// TestWebSocket_LateMessage has a client that stops in the middle of a large message.
func TestWebSocket_LateMessage(t *testing.T) {
	const timeout = 300 * time.Millisecond
	w := newWorld(t, worldOptions{limits: Limits{MessageTimeout: timeout}})
	late, silent := w.connect("u0"), w.connect("u1")
	silent.send(`{"id":"1","type":"subscribe","payload":` + paddedQuery(60_000) + `}`)
	silent.expect(`{"id":"1","type":"next","payload":{"data":{"who":"USER"}}}`)
	silent.expect(`{"id":"1","type":"complete"}`)
	late.part(1<<20, 50_000)
	late.expectClose(1013)
	until(t, "the device to be gone", func() bool { return w.devices(0) == 0 && w.reserved() == 0 })
	// A client whose message has arrived may be silent for longer.
	silent.subscribe("2", "{who}")
	silent.expect(`{"id":"2","type":"next","payload":{"data":{"who":"USER"}}}`)
}

// TestReadBody_ShortOfItsLength has a body that is shorter than the length it claims.
func TestReadBody_ShortOfItsLength(t *testing.T) {
	w := newWorld(t, worldOptions{})
	conn := w.slowPost("app", 1<<20, paddedQuery(50_000))
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if resp := w.response(conn); resp.StatusCode != 400 {
		t.Errorf("status %d, want 400", resp.StatusCode)
	}
	until(t, "the reservation to be released", func() bool { return w.reserved() == 0 })
}
