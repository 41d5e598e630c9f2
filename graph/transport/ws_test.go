package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/bus"
	"rollcall/internal/fanout"
	"rollcall/internal/fault"
	"rollcall/models"
)

// noon is when bans end.
var noon = models.TimeOf(time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC))

const watchU1 = `subscription{statuses(ids:["u1"]){userId presence}}`

func statusOf(id, user, presence string) string {
	return fmt.Sprintf(`{"id":%q,"type":"next","payload":{"data":{"statuses":{"userId":%q,"presence":%q}}}}`, id, user, presence)
}

// TestWebSocket_EveryClosing has a client do everything that ends its connection, one at a time.
func TestWebSocket_EveryClosing(t *testing.T) {
	w := newWorld(t, worldOptions{users: 13, limits: Limits{InitTimeout: 300 * time.Millisecond, MessageBytes: 1000}})
	w.auth.refuse("banned", fault.Banned(new(noon)))
	w.auth.refuse("banned for good", fault.Banned(nil))
	w.auth.refuse("broken", errors.New("the database is unreachable"))

	ready := func(t *testing.T, user string) *client { return w.on(t).connect(user) }
	for _, c := range []struct {
		name   string
		code   ws.StatusCode
		reason string // "": any
		act    func(t *testing.T) *client
	}{
		{"no subprotocol", 4406, "", func(t *testing.T) *client { return w.on(t).dialWith(ws.Dialer{}) }},
		{"other subprotocol", 4406, "", func(t *testing.T) *client { return w.on(t).dialWith(ws.Dialer{Protocols: []string{"graphql-ws"}}) }},
		{"no init", 4408, "", func(t *testing.T) *client { return w.on(t).dial() }},
		{"no payload", 4401, "UNAUTHENTICATED (no token)", func(t *testing.T) *client { return w.on(t).dial().with(`{"type":"connection_init"}`) }},
		{"null payload", 4401, "UNAUTHENTICATED (no token)", func(t *testing.T) *client { return w.on(t).dial().with(`{"type":"connection_init","payload":null}`) }},
		{"no token", 4401, "UNAUTHENTICATED (no token)", func(t *testing.T) *client { return w.on(t).dial().with(`{"type":"connection_init","payload":{}}`) }},
		{"bad token", 4401, "UNAUTHENTICATED", func(t *testing.T) *client {
			return w.on(t).dial().with(`{"type":"connection_init","payload":{"Authorization":"Bearer x"}}`)
		}},
		{"banned", 4401, "USER_BANNED until 2026-11-29T12:00:00.000Z", func(t *testing.T) *client {
			return w.on(t).dial().with(`{"type":"connection_init","payload":{"Authorization":"Bearer banned"}}`)
		}},
		{"banned for good", 4401, "USER_BANNED", func(t *testing.T) *client {
			return w.on(t).dial().with(`{"type":"connection_init","payload":{"Authorization":"Bearer banned for good"}}`)
		}},
		{"the server fails", 4500, "", func(t *testing.T) *client {
			return w.on(t).dial().with(`{"type":"connection_init","payload":{"Authorization":"Bearer broken"}}`)
		}},
		{"empty list for no payload", 4401, "UNAUTHENTICATED (no token)", func(t *testing.T) *client { return w.on(t).dial().with(`{"type":"connection_init","payload":[]}`) }},
		{"payload is a string", 4400, "", func(t *testing.T) *client { return w.on(t).dial().with(`{"type":"connection_init","payload":"x"}`) }},
		{"token is a number", 4400, "", func(t *testing.T) *client {
			return w.on(t).dial().with(`{"type":"connection_init","payload":{"Authorization":1}}`)
		}},
		{"second init", 4429, "", func(t *testing.T) *client { return ready(t, "app").with(`{"type":"connection_init"}`) }},
		{"subscribe before ack", 4401, "UNAUTHENTICATED (operation before connection_ack)", func(t *testing.T) *client {
			return w.on(t).dial().with(`{"id":"1","type":"subscribe","payload":{"query":"{who}"}}`)
		}},
		{"duplicate id", 4409, "", func(t *testing.T) *client {
			c := ready(t, "app")
			c.subscribe("1", `subscription{captured{userId}}`)
			<-w.schema.sinks
			c.subscribe("1", `{who}`)
			return c
		}},
		{"no JSON", 4400, "", func(t *testing.T) *client { return ready(t, "app").with(`hello`) }},
		{"no object", 4400, "", func(t *testing.T) *client { return ready(t, "app").with(`[]`) }},
		{"null", 4400, "", func(t *testing.T) *client { return ready(t, "app").with(`null`) }},
		{"no type", 4400, "", func(t *testing.T) *client { return ready(t, "app").with(`{}`) }},
		{"unknown type", 4400, "", func(t *testing.T) *client { return ready(t, "app").with(`{"type":"start"}`) }},
		{"a server's type", 4400, "", func(t *testing.T) *client { return ready(t, "app").with(`{"type":"connection_ack"}`) }},
		{"no id", 4400, "", func(t *testing.T) *client {
			return ready(t, "app").with(`{"type":"subscribe","payload":{"query":"{who}"}}`)
		}},
		{"empty id", 4400, "", func(t *testing.T) *client { return ready(t, "app").with(`{"id":"","type":"complete"}`) }},
		{"id is a number", 4400, "", func(t *testing.T) *client { return ready(t, "app").with(`{"id":1,"type":"complete"}`) }},
		{"giant id", 4400, "", func(t *testing.T) *client {
			return ready(t, "app").with(`{"id":"` + strings.Repeat("x", 257) + `","type":"complete"}`)
		}},
		{"no payload in subscribe", 4400, "", func(t *testing.T) *client { return ready(t, "app").with(`{"id":"1","type":"subscribe"}`) }},
		{"payload of subscribe is a list", 4400, "", func(t *testing.T) *client {
			return ready(t, "app").with(`{"id":"1","type":"subscribe","payload":[]}`)
		}},
		{"ping payload is a list", 4400, "", func(t *testing.T) *client { return ready(t, "app").with(`{"type":"ping","payload":[1]}`) }},
		{"binary", 4400, "", func(t *testing.T) *client {
			return ready(t, "app").withFrame(ws.NewBinaryFrame([]byte(`{"type":"ping"}`)))
		}},
		{"invalid UTF-8", 1007, "", func(t *testing.T) *client { return ready(t, "app").with("{\"type\":\"ping\xff\"}") }},
		{"giant message", 1009, "", func(t *testing.T) *client { return ready(t, "app").with(`{"type":"ping"}` + strings.Repeat(" ", 1000)) }},
		{"giant message in fragments", 1009, "", func(t *testing.T) *client {
			c := ready(t, "app")
			c.frame(ws.NewFrame(ws.OpText, false, bytes.Repeat([]byte(" "), 900)))
			return c.withFrame(ws.NewFrame(ws.OpContinuation, true, bytes.Repeat([]byte(" "), 101)))
		}},
		{"unmasked", 1002, "", func(t *testing.T) *client {
			c := ready(t, "app")
			if err := ws.WriteFrame(c.conn, ws.NewTextFrame([]byte(`{"type":"ping"}`))); err != nil {
				t.Fatal(err)
			}
			return c
		}},
		{"reserved bit", 1002, "", func(t *testing.T) *client {
			f := ws.NewTextFrame([]byte(`{"type":"ping"}`))
			f.Header.Rsv = ws.Rsv(true, false, false)
			return ready(t, "app").withFrame(f)
		}},
		{"reserved opcode", 1002, "", func(t *testing.T) *client { return ready(t, "app").withFrame(ws.NewFrame(3, true, nil)) }},
		{"continuation of nothing", 1002, "", func(t *testing.T) *client {
			return ready(t, "app").withFrame(ws.NewFrame(ws.OpContinuation, true, nil))
		}},
		{"text in a text", 1002, "", func(t *testing.T) *client {
			c := ready(t, "app")
			c.frame(ws.NewFrame(ws.OpText, false, []byte(`{`)))
			return c.withFrame(ws.NewTextFrame([]byte(`}`)))
		}},
		{"giant control frame", 1002, "", func(t *testing.T) *client { return ready(t, "app").withFrame(ws.NewPingFrame(make([]byte, 126))) }},
		{"fragmented control frame", 1002, "", func(t *testing.T) *client { return ready(t, "app").withFrame(ws.NewFrame(ws.OpPing, false, nil)) }},
		{"closed normally", 1000, "", func(t *testing.T) *client {
			return ready(t, "app").withFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "bye")))
		}},
		{"closed without a code", 0, "", func(t *testing.T) *client { return ready(t, "app").withFrame(ws.NewCloseFrame(nil)) }},
		{"closed with half a code", 1002, "", func(t *testing.T) *client { return ready(t, "app").withFrame(ws.NewCloseFrame([]byte{3})) }},
		{"closed with a reason that is not UTF-8", 1007, "", func(t *testing.T) *client {
			return ready(t, "app").withFrame(ws.NewCloseFrame([]byte{0x03, 0xe8, 0xff}))
		}},

		{"ban", 4401, "USER_BANNED until 2026-11-29T12:00:00.000Z", func(t *testing.T) *client {
			c := ready(t, "u2")
			w.ban(2, noon)
			return c
		}},
		{"ban without an end", 4401, "USER_BANNED", func(t *testing.T) *client {
			c := ready(t, "u8")
			w.revoke(8, bus.ReasonBanned)
			return c
		}},
		{"a newer device", 4401, "DEVICE_LIMIT", func(t *testing.T) *client {
			c := ready(t, "u9")
			for range w.auth.app.Settings.DeviceLimit {
				ready(t, "u9")
			}
			return c
		}},
		{"disconnectUser", 4403, "Disconnected", func(t *testing.T) *client {
			c := ready(t, "u3")
			w.disconnect(3)
			return c
		}},
		{"deactivation", 4401, "USER_DEACTIVATED", func(t *testing.T) *client {
			c := ready(t, "u4")
			w.revoke(4, bus.ReasonDeactivated)
			return c
		}},
		{"deletion", 4401, "UNAUTHENTICATED (the user no longer exists)", func(t *testing.T) *client {
			c := ready(t, "u5")
			w.revoke(5, bus.ReasonDeleted)
			return c
		}},
		{"logged out by another device", 4401, "LOGGED_OUT", func(t *testing.T) *client {
			c, other := ready(t, "u6"), ready(t, "u6")
			other.subscribe("x", `mutation{logout(all:true)}`)
			other.expect(`{"id":"x","type":"next","payload":{"data":{"logout":true}}}`)
			return c
		}},
		{"logout gets its response first", 4401, "LOGGED_OUT", func(t *testing.T) *client {
			c := ready(t, "u7")
			c.subscribe("x", `mutation{logout}`)
			c.expect(`{"id":"x","type":"next","payload":{"data":{"logout":true}}}`)
			c.expect(`{"id":"x","type":"complete"}`)
			return c
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.act(t).expectClose(c.code); c.reason != "" && got != c.reason {
				t.Errorf("closed with the reason %q, want %q", got, c.reason)
			}
		})
	}
	until(t, "no connections", func() bool { return testutil.ToFloat64(w.server.metrics.connections) == 0 })
	for code, atLeast := range map[string]float64{"4400": 14, "4406": 2, "4408": 1, "4409": 1, "4429": 1, "4500": 1, "1009": 2, "1005": 1} {
		if got := testutil.ToFloat64(w.server.metrics.closes.WithLabelValues(code)); got < atLeast {
			t.Errorf("counted %v closes with %s, want at least %v", got, code, atLeast)
		}
	}
	for i := range w.auth.users {
		if n := w.devices(i); n != 0 {
			t.Errorf("u%d has %d devices left", i, n)
		}
	}
}

// TestWebSocket_CloseCodes sends close frames with codes of each range of RFC 6455, section 7.4.2,
// and of IANA's registry.
func TestWebSocket_CloseCodes(t *testing.T) {
	w := newWorld(t, worldOptions{})
	for code, want := range map[uint16]ws.StatusCode{
		0: 1002, 1: 1002, 999: 1002, 1000: 1000, 1001: 1001, 1002: 1002, 1003: 1003, 1004: 1002, 1005: 1002, 1006: 1002,
		1007: 1007, 1011: 1011, 1012: 1012, 1014: 1014, 1015: 1002, 1016: 1002, 2000: 1002, 2999: 1002,
		3000: 3000, 3999: 3999, 4000: 4000, 4999: 4999, 5000: 1002, 32768: 1002, 65535: 1002,
	} {
		t.Run(strconv.Itoa(int(code)), func(t *testing.T) {
			c := w.on(t).dial()
			c.frame(ws.NewCloseFrame(binary.BigEndian.AppendUint16(nil, code)))
			c.expectClose(want)
		})
	}
}

// on returns the world for a subtest.
func (w *world) on(t testing.TB) *world {
	sub := *w
	sub.t = t
	return &sub
}

func (c *client) with(text string) *client { return c.withFrame(ws.NewTextFrame([]byte(text))) }

func (c *client) withFrame(f ws.Frame) *client {
	c.t.Helper()
	c.frame(f)
	return c
}

func TestWebSocket_BanWhileConnecting(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.auth.refuseAgain(fault.Banned(new(noon)))
	c := w.dial().with(`{"type":"connection_init","payload":{"authorization":"Bearer u0"}}`)
	c.expectClose(4401)
	until(t, "no device", func() bool { return w.devices(0) == 0 })
}

func TestWebSocket_OperationAfterBan(t *testing.T) {
	w := newWorld(t, worldOptions{})
	c := w.connect("u0")
	w.auth.refuseRefresh(fault.Banned(new(noon)))
	c.subscribe("1", `{who}`)
	c.expectError("1", "USER_BANNED")
	if got := c.expectClose(4401); got != "USER_BANNED until 2026-11-29T12:00:00.000Z" {
		t.Errorf("closed with the reason %q", got)
	}
}

func TestWebSocket_Operations(t *testing.T) {
	w := newWorld(t, worldOptions{})
	c := w.connect("u0")
	if w.devices(0) != 1 {
		t.Fatal("the connection is not a device")
	}
	c.subscribe("q", `{who device}`)
	c.expect(`{"id":"q","type":"next","payload":{"data":{"who":"USER","device":"WEB"}}}`)
	c.expect(`{"id":"q","type":"complete"}`)
	c.subscribe("q", `{nope}`)
	c.expectError("q", "GRAPHQL_VALIDATION_FAILED")
	c.subscribe("q", ``)
	c.expectError("q", "GRAPHQL_VALIDATION_FAILED")
	c.send(`{"id":"q","type":"subscribe","payload":{"query":"{who}","variables":{"a":"\ud83d"}}}`)
	c.expectError("q", "BAD_REQUEST")
	c.subscribe("q", `{__type(name: "\ude00") {name}}`)
	c.expectError("q", "BAD_REQUEST")
	c.subscribe(`odd "id" <é>`, `{who}`)
	c.expect(`{"id":"odd \"id\" \u003cé\u003e","type":"next","payload":{"data":{"who":"USER"}}}`)
	c.text()
	c.subscribe("s", `subscription{disabled{userId}}`)
	c.expectError("s", "FEATURE_DISABLED")
	c.subscribe("s", `subscription{crash{userId}}`)
	c.expectError("s", "INTERNAL")
	c.send(`{"type":"ping","payload":{"a":1}}`)
	c.expect(`{"type":"pong","payload":{"a":1}}`)
	c.send(`{"type":"ping"}`)
	c.expect(`{"type":"pong"}`)
	c.send(`{"type":"ping","payload":[]}`)
	c.expect(`{"type":"pong"}`)
	c.send(`{"type":"pong"}`)
	c.send(`{"id":"unknown","type":"complete"}`)

	c.subscribe("s", watchU1)
	c.expect(statusOf("s", "u1", "UNLOGINED"))
	offline := w.online(1)
	c.expect(statusOf("s", "u1", "ONLINE"))
	offline()
	c.expect(statusOf("s", "u1", "OFFLINE"))
	c.send(`{"id":"s","type":"complete"}`)
	c.subscribe("q", `{who}`)
	c.expect(`{"id":"q","type":"next","payload":{"data":{"who":"USER"}}}`)
	c.expect(`{"id":"q","type":"complete"}`)
	if got := testutil.ToFloat64(w.server.metrics.subscriptions); got != 0 {
		t.Errorf("%v subscriptions are left", got)
	}
	if n := len(w.server.shapes.held); n != 0 {
		t.Errorf("%d shapes are left", n)
	}

	c.conn.Close()
	until(t, "no device", func() bool { return w.devices(0) == 0 })
}

func TestWebSocket_EndFromOutside(t *testing.T) {
	w := newWorld(t, worldOptions{})
	c := w.connect("u0")
	c.subscribe("s", `subscription{captured{userId}}`)
	sink := <-w.schema.sinks
	until(t, "the subscription to run", func() bool { return sink.(*subscription).running() })
	sink.(fanout.Ender).End(fault.New(fault.FeatureDisabled, "switched off"))
	sink.(fanout.Ender).End(nil)
	c.expectError("s", "FEATURE_DISABLED")
	c.subscribe("s", `subscription{captured{userId}}`)
	sink = <-w.schema.sinks
	sink.(fanout.Ender).End(nil) // perhaps before it runs
	c.expect(`{"id":"s","type":"complete"}`)
	until(t, "no subscription", func() bool { return testutil.ToFloat64(w.server.metrics.subscriptions) == 0 })
}

func (s *subscription) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == subscriptionRunning
}

func TestWebSocket_TooManyOperations(t *testing.T) {
	w := newWorld(t, worldOptions{limits: Limits{Operations: 3}})
	c := w.connect("app")
	for i := range 3 {
		c.subscribe(fmt.Sprint(i), `{wait}`)
		<-w.schema.waiting
	}
	c.subscribe("x", `{who}`)
	c.expectError("x", "TOO_MANY_OPERATIONS")
	c.send(`{"id":"1","type":"complete"}`) // cancels it
	c.subscribe("x", `{who}`)
	c.expect(`{"id":"x","type":"next","payload":{"data":{"who":"APP_SERVER"}}}`)
	c.expect(`{"id":"x","type":"complete"}`)
	w.schema.proceed <- struct{}{}
	if got := c.text(); !strings.Contains(got, "done") {
		t.Errorf("got %s", got)
	}
}

// TestWebSocket_OneExecution: equal subscriptions share the execution of an event.
func TestWebSocket_OneExecution(t *testing.T) {
	const clients = 20
	w := newWorld(t, worldOptions{})
	var all []*client
	for range clients {
		c := w.connect("app")
		c.subscribe("s", watchU1)
		c.expect(statusOf("s", "u1", "UNLOGINED"))
		all = append(all, c)
	}
	other := w.connect("app")
	other.subscribe("o", `subscription{statuses(ids:["u1"]){presence}}`)
	other.text()
	before := w.schema.encoded.get()
	w.online(1)
	for _, c := range all {
		c.expect(statusOf("s", "u1", "ONLINE"))
	}
	other.expect(`{"id":"o","type":"next","payload":{"data":{"statuses":{"presence":"ONLINE"}}}}`)
	if got := w.schema.encoded.get() - before; got != 2 {
		t.Errorf("the event was executed %d times for two shapes", got)
	}
}

func TestWebSocket_FragmentsAndPings(t *testing.T) {
	w := newWorld(t, worldOptions{})
	c := w.connect("app")
	text := []byte(`{"id":"é","type":"subscribe","payload":{"query":"{who}"}}`)
	c.frame(ws.NewFrame(ws.OpText, false, text[:8])) // in the middle of the é
	c.frame(ws.NewPingFrame([]byte("are you there")))
	c.frame(ws.NewFrame(ws.OpContinuation, false, nil))
	c.frame(ws.NewPongFrame(nil))
	c.frame(ws.NewFrame(ws.OpContinuation, true, text[8:]))
	f, err := c.receive()
	if err != nil || f.Header.OpCode != ws.OpPong || string(f.Payload) != "are you there" {
		t.Fatalf("got %v %q, %v", f.Header.OpCode, f.Payload, err)
	}
	c.expect(`{"id":"é","type":"next","payload":{"data":{"who":"APP_SERVER"}}}`)
}

func TestWebSocket_ByteByByte(t *testing.T) {
	w := newWorld(t, worldOptions{})
	c := w.dial()
	var all bytes.Buffer
	for _, text := range []string{
		`{"type":"connection_init","payload":{"Authorization":"Bearer app"}}`,
		`{"id":"1","type":"subscribe","payload":{"query":"{who}"}}`,
	} {
		if err := ws.WriteFrame(&all, ws.MaskFrame(ws.NewTextFrame([]byte(text)))); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range all.Bytes() {
		if _, err := c.conn.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	c.expect(`{"type":"connection_ack"}`)
	c.expect(`{"id":"1","type":"next","payload":{"data":{"who":"APP_SERVER"}}}`)
}

// TestWebSocket_EarlyBytes: the client sends its first messages together with the upgrade request,
// so that net/http reads them.
func TestWebSocket_EarlyBytes(t *testing.T) {
	w := newWorld(t, worldOptions{})
	var all bytes.Buffer
	all.WriteString("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n")
	if err := ws.WriteFrame(&all, ws.MaskFrame(ws.NewTextFrame([]byte(`{"type":"connection_init","payload":{"Authorization":"Bearer app"}}`)))); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", w.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(all.Bytes()); err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, conn: conn, in: newReader(conn)}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get(headerRequestID) == "" {
		t.Fatalf("got %v, %v", resp, err)
	}
	c.expect(`{"type":"connection_ack"}`)
}

func TestUpgradeRefused(t *testing.T) {
	w := newWorld(t, worldOptions{origins: []string{"https://chat.example.com"}})
	for origin, want := range map[string]int{
		"https://evil.example.com": 403,
		"null":                     403,
		"https://chat.example.com": 101,
		w.http.URL:                 101,
	} {
		conn, _, _, err := ws.Dialer{Protocols: []string{subprotocol}, Header: header("Origin", origin)}.Dial(
			context.Background(), "ws"+strings.TrimPrefix(w.http.URL, "http"))
		status, _ := errors.AsType[ws.StatusError](err)
		if err == nil {
			conn.Close()
			status = 101
		}
		if int(status) != want {
			t.Errorf("Origin %s: %d %v, want %d", origin, status, err, want)
		}
	}
	if log := w.log.String(); !regexp.MustCompile(`level=WARN .* origin=(null|https://evil.example.com) host=127\.0\.0\.1:\d+ setting=ROLLCALL_ALLOWED_ORIGINS`).MatchString(log) {
		t.Errorf("the log lacks the origin, the host or the setting: %s", log)
	}
	req, err := http.NewRequest(http.MethodGet, w.http.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Upgrade", "websocket")
	req.Header.Set("Connection", "Upgrade")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("an upgrade without a key: %d, want 400", resp.StatusCode)
	}
}

// TestUpgrade_HeaderLists sends the handshake's lists in the forms that RFC 9110 allows.
func TestUpgrade_HeaderLists(t *testing.T) {
	w := newWorld(t, worldOptions{})
	const (
		key       = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
		protocol  = "Sec-WebSocket-Protocol: graphql-transport-ws\r\n"
		switching = 101
	)
	for name, c := range map[string]struct {
		headers string
		status  int
		close   ws.StatusCode // 0: the connection stays
	}{
		"plain":                        {"Connection: Upgrade\r\nUpgrade: websocket\r\n" + key + protocol, switching, 0},
		"Connection as a list":         {"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" + key + protocol, switching, 0},
		"Connection in two lines":      {"Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + key + protocol, switching, 0},
		"Connection, the other order":  {"Connection: upgrade\r\nConnection: keep-alive\r\nUpgrade: websocket\r\n" + key + protocol, switching, 0},
		"Upgrade as a list":            {"Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n" + key + protocol, switching, 0},
		"Upgrade in two lines":         {"Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: WebSocket\r\n" + key + protocol, switching, 0},
		"Upgrade with empty elements":  {"Connection: ,Upgrade,\r\nUpgrade: , websocket ,\r\n" + key + protocol, switching, 0},
		"protocols as a list":          {"Connection: Upgrade\r\nUpgrade: websocket\r\n" + key + "Sec-WebSocket-Protocol: graphql-ws, graphql-transport-ws\r\n", switching, 0},
		"protocols in two lines":       {"Connection: Upgrade\r\nUpgrade: websocket\r\n" + key + "Sec-WebSocket-Protocol: graphql-ws\r\n" + protocol, switching, 0},
		"protocols and an empty line":  {"Connection: Upgrade\r\nUpgrade: websocket\r\n" + key + "Sec-WebSocket-Protocol:\r\n" + protocol, switching, 0},
		"another protocol":             {"Connection: Upgrade\r\nUpgrade: websocket\r\n" + key + "Sec-WebSocket-Protocol: graphql-ws\r\nSec-WebSocket-Protocol: GraphQL-Transport-WS\r\n", switching, 4406},
		"no protocol":                  {"Connection: Upgrade\r\nUpgrade: websocket\r\n" + key, switching, 4406},
		"no upgrade in Connection":     {"Connection: keep-alive\r\nConnection: close\r\nUpgrade: websocket\r\n" + key + protocol, 400, 0},
		"no Connection":                {"Upgrade: websocket\r\n" + key + protocol, 400, 0},
		"no key":                       {"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" + protocol, 400, 0},
		"another version":              {"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n" + protocol, 426, 0},
		"an upgrade to something else": {"Connection: Upgrade\r\nUpgrade: h2c\r\n" + key, 400, 0}, // a GET without a query
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", w.http.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: example.com\r\n"+c.headers+"\r\n"); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(conn)
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != c.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, c.status)
			}
			if c.status != switching {
				return
			}
			client := &client{t: t, conn: conn, in: in}
			if c.close != 0 {
				client.expectClose(c.close)
				return
			}
			if got := resp.Header.Values("Sec-WebSocket-Protocol"); len(got) != 1 || got[0] != subprotocol {
				t.Errorf("subprotocol %q", got)
			}
			client.send(`{"type":"connection_init","payload":{"Authorization":"Bearer app"}}`)
			client.expect(`{"type":"connection_ack"}`)
		})
	}
}

// TestWebSocket_StalledReader: a client that reads nothing is cut, and others do not wait for it.
func TestWebSocket_StalledReader(t *testing.T) {
	const users = 60
	for _, tls := range []bool{false, true} {
		t.Run(fmt.Sprint("tls=", tls), func(t *testing.T) {
			w := newWorld(t, worldOptions{users: users, tls: tls, limits: Limits{QueueBytes: 64 << 10, CloseTimeout: 300 * time.Millisecond}})
			stalled := w.connect("u0")
			healthy := w.connect("u1")
			stalled.subscribe("s", `subscription{statuses(ids:`+w.ids(users)+`){padding(kilobytes:400)}}`)
			healthy.subscribe("s", `subscription{statuses(ids:["u2"]){userId presence}}`)
			healthy.expect(statusOf("s", "u2", "UNLOGINED"))
			until(t, "the stalled reader to be cut", func() bool { return w.devices(0) == 0 })
			offline := w.online(2)
			healthy.expect(statusOf("s", "u2", "ONLINE"))
			offline()
			healthy.expect(statusOf("s", "u2", "OFFLINE"))
			stalled.expectGone()
			until(t, "the close to be counted", func() bool {
				return testutil.ToFloat64(w.server.metrics.closes.WithLabelValues("1013")) == 1
			})
		})
	}
}

// TestWebSocket_WriteTimeout: a client that reads nothing is cut even if little is queued.
func TestWebSocket_WriteTimeout(t *testing.T) {
	w := newWorld(t, worldOptions{limits: Limits{WriteTimeout: 200 * time.Millisecond}})
	c := w.connect("u0")
	c.subscribe("1", `{text(kilobytes:20000)}`)
	until(t, "the stalled reader to be cut", func() bool { return w.devices(0) == 0 })
	c.expectGone()
	until(t, "the close to be counted", func() bool {
		return testutil.ToFloat64(w.server.metrics.closes.WithLabelValues("1013")) == 1
	})
}

// TestWebSocket_ResponsesWait: a client that reads receives all responses, however many it has
// requested at once.
func TestWebSocket_ResponsesWait(t *testing.T) {
	w := newWorld(t, worldOptions{limits: Limits{QueueBytes: 64 << 10}})
	c := w.connect("u0")
	const answers = 50
	for i := range answers {
		c.subscribe(fmt.Sprint(i), `{text(kilobytes:300)}`)
	}
	for got := 0; got < answers; {
		if text := c.text(); strings.Contains(text, `"complete"`) {
			got++
		} else if len(text) < 300<<10 {
			t.Fatalf("got %s", text)
		}
	}
}

// TestWebSocket_LastStatusArrives: a reader that pauses misses intermediate statuses, but never the
// last.
func TestWebSocket_LastStatusArrives(t *testing.T) {
	w := newWorld(t, worldOptions{})
	c := w.connect("u0")
	c.subscribe("s", `subscription{statuses(ids:["u1"]){userId presence padding(kilobytes:1000)}}`)
	c.text() // the snapshot
	const changes = 40
	for range changes {
		w.online(1)()
	}
	w.online(1)
	until(t, "all changes to be delivered", func() bool { return w.schema.encoded.get() == 1+2*changes+1 })
	seen := 1
	for !strings.Contains(c.text(), `"presence":"ONLINE"`) || !c.drained() {
		seen++
	}
	t.Logf("%d of %d changes arrived", seen, 2*changes+1)
}

// drained reports whether nothing but pings arrives for a while.
func (c *client) drained() bool {
	for {
		if err := c.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			c.t.Fatal(err)
		}
		first, err := c.in.Peek(1)
		if err != nil {
			return true
		}
		if ws.OpCode(first[0]&0x0f) != ws.OpPing {
			return false
		}
		if _, err := ws.ReadFrame(c.in); err != nil {
			c.t.Fatal(err)
		}
	}
}

func TestWebSocket_Heartbeat(t *testing.T) {
	w := newWorld(t, worldOptions{heartbeat: 600 * time.Millisecond})
	silent := w.connect("u0")
	alive := w.connect("u1")
	alive.subscribe("s", `subscription{captured{userId}}`)
	<-w.schema.sinks
	pings := make(chan struct{}, 1000)
	go func() {
		for {
			f, err := ws.ReadFrame(alive.in)
			if err != nil {
				return
			}
			if f.Header.OpCode == ws.OpPing {
				pings <- struct{}{}
				_ = ws.WriteFrame(alive.conn, ws.MaskFrame(ws.NewPongFrame(f.Payload)))
			}
		}
	}()
	// The silent client never reads, so it answers no ping.
	until(t, "the silent device to be gone", func() bool { return w.devices(0) == 0 })
	for range 8 { // two time-outs
		<-pings
	}
	if w.devices(1) != 1 {
		t.Error("the responsive device is gone")
	}
	for {
		f, err := ws.ReadFrame(silent.in)
		if err != nil {
			t.Fatalf("no close frame: %v", err)
		}
		if f.Header.OpCode == ws.OpClose {
			if code, _ := ws.ParseCloseFrameData(f.Payload); code != 1001 {
				t.Errorf("closed with %d", code)
			}
			return
		}
	}
}

func TestServer_Shutdown(t *testing.T) {
	w := newWorld(t, worldOptions{})
	idle := w.connect("u0")
	idle.subscribe("s", watchU1)
	idle.text()
	busy := w.connect("app")
	busy.subscribe("q", `{wait}`)
	<-w.schema.waiting
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		done <- w.server.Shutdown(ctx)
	}()
	idle.expectClose(1012)
	until(t, "the busy connection to retire", w.retiring)
	busy.subscribe("late", `{who}`) // is left for the next server
	resp, err := http.Get(w.http.URL + "?query={who}")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("a plain request while draining: %v %v", resp, err)
	}
	resp.Body.Close()
	if _, _, _, err := (ws.Dialer{Protocols: []string{subprotocol}}).Dial(context.Background(), "ws"+strings.TrimPrefix(w.http.URL, "http")); err == nil {
		t.Error("a WebSocket was opened while draining")
	}
	w.schema.proceed <- struct{}{}
	busy.expect(`{"id":"q","type":"next","payload":{"data":{"wait":"done"}}}`)
	busy.expect(`{"id":"q","type":"complete"}`)
	busy.expectClose(1012)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// retiring reports whether no connection accepts operations any more.
func (w *world) retiring() bool {
	for _, c := range appendLinks(w.server, nil, w.server.conns) {
		c.mu.Lock()
		retiring := c.retiring != nil
		c.mu.Unlock()
		if !retiring {
			return false
		}
	}
	return true
}

func TestServer_ShutdownDropsWhatDoesNotEnd(t *testing.T) {
	w := newWorld(t, worldOptions{})
	c := w.connect("u0")
	c.subscribe("q", `{wait}`)
	<-w.schema.waiting
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	c.expectGone()
}

// TestWebSocket_OneGoroutine: an idle connection costs one goroutine.
func TestWebSocket_OneGoroutine(t *testing.T) {
	const clients = 50
	w := newWorld(t, worldOptions{})
	w.connect("app").conn.Close()
	until(t, "a quiet server", func() bool { return testutil.ToFloat64(w.server.metrics.connections) == 0 })
	http.DefaultClient.CloseIdleConnections()
	before := runtime.NumGoroutine()
	for range clients {
		c := w.connect("u0")
		c.subscribe("s", watchU1)
		c.text()
	}
	until(t, "one goroutine a connection", func() bool { return runtime.NumGoroutine() <= before+clients })
}

// TestWebSocket_LargeResponseAndLogout reads a response with the longest form of a frame's length, and
// logs out over the same connection.
func TestWebSocket_LargeResponseAndLogout(t *testing.T) {
	w := newWorld(t, worldOptions{})
	c := w.connect("u0")
	c.subscribe("1", "{text(kilobytes:70)}")
	c.expect(`{"id":"1","type":"next","payload":{"data":{"text":"` + strings.Repeat("x", 70<<10) + `"}}}`)
	c.expect(`{"id":"1","type":"complete"}`)
	c.subscribe("1", "mutation{logout}")
	c.expect(`{"id":"1","type":"next","payload":{"data":{"logout":true}}}`)
	c.expect(`{"id":"1","type":"complete"}`)
	c.expectClose(4401)
}

// TestWebSocket_HostileLength: a length claimed in a header reserves no memory.
func TestWebSocket_HostileLength(t *testing.T) {
	claim := append([]byte{0x81, 0xff}, binary.BigEndian.AppendUint64(nil, 1<<20)...)
	claim = append(claim, 0, 0, 0, 0, 'x')
	r := bytes.NewReader(claim)
	allocated := testing.AllocsPerRun(1, func() {
		r.Reset(claim)
		if _, err := readText(r, 1<<20, nil, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}
	})
	if allocated > 10 {
		t.Errorf("%v allocations", allocated)
	}
}

// TestWebSocket_WrongParameters: a wrong parameter refuses only its operation. The connection
// remains, and so do the device and the running operations.
func TestWebSocket_WrongParameters(t *testing.T) {
	w := newWorld(t, worldOptions{})
	c := w.connect("u0")
	c.subscribe("s", watchU1)
	c.expect(statusOf("s", "u1", "UNLOGINED"))
	for name, payload := range map[string]string{
		"no query":                   `{}`,
		"query null":                 `{"query":null}`,
		"query is a number":          `{"query":1}`,
		"operationName is a number":  `{"query":"{who}","operationName":1}`,
		"variables are a string":     `{"query":"{who}","variables":""}`,
		"variables are a list":       `{"query":"{who}","variables":[1]}`,
		"variables are a number":     `{"query":"{who}","variables":0}`,
		"variables are false":        `{"query":"{who}","variables":false}`,
		"variables nest too deep":    `{"query":"{who}","variables":{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}}`,
		"extensions are a string":    `{"query":"{who}","extensions":""}`,
		"extensions are a list":      `{"query":"{who}","extensions":[[]]}`,
		"half a character of a text": `{"query":"{who}","variables":{"a":"\ud83d"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			c := &client{t: t, conn: c.conn, in: c.in}
			c.send(`{"id":"q","type":"subscribe","payload":` + payload + `}`)
			c.expectError("q", "BAD_REQUEST")
		})
	}
	for _, payload := range []string{
		`{"query":"{who}","variables":[],"extensions":[]}`,
		`{"query":"{who}","variables":[ ],"extensions":null}`,
		`{"query":"{who}","variables":null,"extensions":{},"operationName":null}`,
	} {
		c.send(`{"id":"q","type":"subscribe","payload":` + payload + `}`)
		c.expect(`{"id":"q","type":"next","payload":{"data":{"who":"USER"}}}`)
		c.expect(`{"id":"q","type":"complete"}`)
	}
	w.online(1)
	c.expect(statusOf("s", "u1", "ONLINE"))
}
