package transport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/tidwall/gjson"

	"rollcall/internal/fanout"
	"rollcall/models"
)

// newTCPSender returns a sender over a loopback TCP connection and its reader.
func newTCPSender(t *testing.T, p pacing) (s *sender, reader net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	reader, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ours, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ours.Close(), reader.Close() })
	_ = reader.SetReadDeadline(time.Now().Add(patience))
	sock := new(socket)
	sock.init(ours, nil)
	return &sender{sock: sock, pacing: &p}, reader
}

var closeNormally = closing{code: ws.StatusNormalClosure}

// readAll returns the payloads of all messages up to the close frame.
func readAll(t *testing.T, reader net.Conn) (payloads []string) {
	t.Helper()
	for {
		text, op, err := wsutil.ReadServerData(reader)
		if _, ok := err.(wsutil.ClosedError); ok {
			return payloads
		}
		if err != nil || op != ws.OpText {
			t.Fatalf("read %v after %d messages: %v", op, len(payloads), err)
		}
		if payload := gjson.GetBytes(text, "payload"); payload.Exists() {
			text = []byte(payload.String())
		}
		payloads = append(payloads, string(text))
	}
}

// fenceScript executes the steps of a scenario:
//
//	read A 7     the operation A begins to read the status of the user 7
//	event s 7 x  the event x of the user 7 is sent to the subscription s
//	held s 7 x   the same, but it may wait for a flush
//	tell E x     the event x, for which the statuses of the fence E were read, is sent
//	flush        sends what waits for it
//	end s x      the subscription s ends with the message x
//	text x       the message x is sent
//	answer A x   the response x to A is sent, or "overtaken" instead
//	drop A       the operation A ends without a response
//	expire A     the events have waited for A long enough
type fenceScript struct {
	*sender
	t      *testing.T
	subs   map[string]*subscription
	fences map[string]*fence
}

func (f *fenceScript) step(step string) {
	f.t.Helper()
	words := append(strings.Fields(step), "", "", "")
	sub := f.subs[words[1]]
	if sub == nil {
		sub = &subscription{id: []byte(`"` + words[1] + `"`)}
		f.subs[words[1]] = sub
	}
	fence := f.fences[words[1]]
	if fence == nil {
		fence = f.newFence(strings.HasPrefix(words[1], "E"))
		f.fences[words[1]] = fence
	}
	var key int64
	_, _ = fmt.Sscan(words[2], &key)
	var err error
	switch words[0] {
	case "read":
		fence.WillRead(key)
	case "event":
		err = f.push(event(sub, key, `"`+words[3]+`"`))
	case "held":
		err = f.hold(event(sub, key, `"`+words[3]+`"`))
	case "tell":
		err = f.pushRead(fence, event(sub, -1, `"`+words[2]+`"`))
	case "flush":
		f.release()
	case "end":
		err = f.pushEnd(sub, textMessage([]byte(words[2])))
	case "text":
		err = f.push(textMessage([]byte(words[1])))
	case "answer":
		if f.pushWait(fence, textMessage([]byte(words[2]))) != nil {
			err = f.pushWait(nil, textMessage([]byte("overtaken")))
		}
	case "drop":
		fence.lower()
	case "expire":
		fence.expire()
	default:
		f.t.Fatalf("no step %q", step)
	}
	if err != nil {
		f.t.Fatalf("%s: %v", step, err)
	}
}

func TestFence_EventsWaitForTheResponse(t *testing.T) {
	for _, test := range []struct{ name, steps, want string }{
		{"the user's events", "event s 7 a; read A 7; event s 7 b; event s 7 c; answer A x", "a x b c"},
		{"several subscriptions", "read A 7; event s 7 a; event r 7 b; answer A x", "x a b"},
		{"events of other users", "read A 7; event s 8 a; event s 7 b; answer A x; event s 7 c", "a x b c"},
		{"events before the read", "read A 7; event s 8 a; read A 8; event s 8 b; answer A x", "a x b"},
		{"gathered events", "held s 7 a; read A 7; held s 7 b; held s 8 c; flush; answer A x; held s 7 d; flush", "a c x b d"},
		{"messages other than events", "read A 7; event s 7 a; text pong; answer A x", "pong x a"},
		{"an operation that reads nothing", "read A 7; event s 7 a; answer B y; answer A x", "y x a"},
		{"two operations", "read A 7; event s 7 a; read B 7; event s 7 b; answer A x; event s 7 c; answer B y", "x a y b c"},
		{"two operations, the later is first", "read A 7; read B 7; event s 7 a; answer B y; event s 7 b; answer A x", "y x a b"},
		{"two operations, other users", "read A 7; read B 8; event s 8 a; event s 7 b; answer B y; answer A x", "y a x b"},
		{"an operation that ends without a response", "read A 7; event s 7 a; drop A; event s 7 b", "a b"},
		{"reading on after the end", "read A 7; drop A; read A 7; event s 7 a", "a"},
		{"the end of the subscription", "read A 7; event s 7 a; end s b; answer A x", "x a b"},
		{"the end of another subscription", "read A 7; event s 7 a; event r 8 b; end r c; answer A x", "b c x a"},
		{"an event that holds statuses", "event s 7 a; read E 7; event s 7 b; event s 8 c; tell E e; event s 7 d", "a c e b d"},
		{"a response and an event that holds statuses", "read A 7; read E 7; read E 8; tell E e; event s 8 a; event s 7 b; answer A x", "x e a b"},
		{"an event that holds other statuses", "read A 7; read E 8; event s 8 a; tell E e; answer A x", "e a x"},
		{"two events that hold statuses", "read E 7; read E2 7; event s 7 a; tell E2 f; tell E e", "f e a"},
		{"an event that holds statuses and is too long", "read A 7; read E 7; tell E e; event s 7 a; expire A; answer A x", "e a overtaken"},
		{"too long", "read A 7; event s 7 a; event s 7 b; expire A; event s 7 c; answer A x", "a b c overtaken"},
		{"too long for one of two", "read A 7; read B 8; event s 7 a; event s 8 b; expire A; answer B y; answer A x", "a y b overtaken"},
		{"the connection is closed", "read A 7; event s 7 a", "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, reader := newTCPSender(t, pacing{
				bounds: bounds{bytes: 1 << 16, messages: 100}, writeTimeout: time.Minute,
				closeTimeout: time.Minute, fenceTimeout: time.Minute,
			})
			f := &fenceScript{s, t, make(map[string]*subscription), make(map[string]*fence)}
			for step := range strings.SplitSeq(test.steps, "; ") {
				f.step(step)
			}
			s.close(closeNormally, false)
			if got := strings.Join(readAll(t, reader), " "); got != test.want {
				t.Errorf("%s: sent %q, want %q", test.steps, got, test.want)
			}
			if s.fences != nil {
				t.Error("fences are left")
			}
		})
	}
}

func TestFence_EventsWaitForALimitedTime(t *testing.T) {
	s, reader := newTCPSender(t, pacing{
		bounds: bounds{bytes: 1 << 16, messages: 100}, writeTimeout: time.Minute,
		closeTimeout: time.Minute, fenceTimeout: time.Millisecond,
	})
	f := &fenceScript{s, t, make(map[string]*subscription), make(map[string]*fence)}
	f.step("read A 7")
	f.step("event s 7 a")
	readTexts(t, reader, 1)
	f.step("answer A x")
	s.close(closeNormally, false)
	if got := readAll(t, reader); len(got) != 1 || got[0] != "overtaken" {
		t.Errorf("sent %q, want the error", got)
	}
}

func TestFence_WaitingEventsAreBounded(t *testing.T) {
	for _, limit := range []bounds{{bytes: 1 << 16, messages: 10}, {bytes: 10 * (messageOverhead + len(`"a"`)), messages: 100}} {
		s, reader := newTCPSender(t, pacing{
			bounds: limit, writeTimeout: time.Minute, closeTimeout: time.Minute, fenceTimeout: time.Minute,
		})
		f := &fenceScript{s, t, make(map[string]*subscription), make(map[string]*fence)}
		f.step("read A 7")
		for range 11 {
			f.step("event s 7 a")
		}
		readTexts(t, reader, 11)
		f.step("answer A x")
		s.close(closeNormally, false)
		if got := readAll(t, reader); len(got) != 1 || got[0] != "overtaken" {
			t.Errorf("%+v: sent %q, want the error", limit, got)
		}
	}
}

// A response that waits for a slow client is not overtaken, however long it waits.
func TestFence_ResponseThatWaitsForRoom(t *testing.T) {
	s, _, reader := newSender(t)
	s.pacing.fenceTimeout = time.Millisecond
	f := &fenceScript{s, t, make(map[string]*subscription), make(map[string]*fence)}
	f.step("text first") // is being written
	for i := range s.pacing.messages {
		f.step(fmt.Sprint("text ", i))
	}
	f.step("read A 7")
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		f.step("answer A x")
	}()
	until(t, "the response to wait", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.room != nil
	})
	f.subs["s"] = &subscription{id: []byte(`"s"`)}
	if err := s.push(event(f.subs["s"], 7, `"a"`)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * s.pacing.fenceTimeout)
	texts := readTexts(t, reader, 1+s.pacing.messages+2)
	<-answered
	if last := texts[len(texts)-2:]; last[0] != "x" || !strings.Contains(last[1], `"payload":"a"`) {
		t.Errorf("the last messages are %q, want the response and then the event", last)
	}
}

// TestFence_OverWebSocket has an operation read a status and delays its response.
func TestFence_OverWebSocket(t *testing.T) {
	for _, test := range []struct {
		name string
		// timeout is the fence's time-out.
		timeout time.Duration
		// want checks what the client receives after the operation has begun to wait, and acts as
		// the client.
		want func(w *world, c *client)
	}{
		{"response in time", time.Minute, func(w *world, c *client) {
			w.schema.proceed <- struct{}{}
			c.expect(`{"id":"2","type":"next","payload":{"data":{"reads":"done"}}}`)
			c.expect(`{"id":"2","type":"complete"}`)
			c.expect(`{"id":"1","type":"next","payload":{"data":{"captured":{"userId":"u1"}}}}`)
		}},
		{"response too late", time.Millisecond, func(w *world, c *client) {
			c.expect(`{"id":"1","type":"next","payload":{"data":{"captured":{"userId":"u1"}}}}`)
			w.schema.proceed <- struct{}{}
			c.expectError("2", "UNAVAILABLE")
		}},
		{"ended by the client", time.Minute, func(w *world, c *client) {
			c.send(`{"id":"2","type":"complete"}`)
			c.expect(`{"id":"1","type":"next","payload":{"data":{"captured":{"userId":"u1"}}}}`)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, worldOptions{limits: Limits{FenceTimeout: test.timeout}})
			c := w.connect("app")
			c.subscribe("1", `subscription { captured { userId } }`)
			sink := <-w.schema.sinks
			c.subscribe("2", `{ reads(key: 7) }`)
			<-w.schema.waiting
			sink.Deliver(fanout.New(8, &models.UserStatus{UserID: "u0"}))
			sink.Deliver(fanout.New(7, &models.UserStatus{UserID: "u1"}))
			c.expect(`{"id":"1","type":"next","payload":{"data":{"captured":{"userId":"u0"}}}}`)
			test.want(w, c)
		})
	}
}

// TestFence_Random has operations read the statuses of users that change continuously, and compares
// the responses with the events before them.
func TestFence_Random(t *testing.T) {
	const users, rounds = 5, 2000
	s, reader := newTCPSender(t, pacing{
		bounds: bounds{bytes: 1 << 24, messages: 2 * users * rounds}, writeTimeout: time.Minute,
		closeTimeout: time.Minute, fenceTimeout: time.Minute,
	})
	var versions [users]struct {
		sync.Mutex
		n int
	}
	var work sync.WaitGroup
	sub := &subscription{id: []byte(`"s"`)}
	for key := range users {
		work.Go(func() {
			v := &versions[key]
			for range rounds {
				v.Lock()
				v.n++
				n := v.n
				v.Unlock()
				if err := s.push(event(sub, int64(key), fmt.Sprintf(`"event %d %d"`, key, n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 3 {
		work.Go(func() {
			for range rounds {
				f := s.newFence(false)
				answer := "answer"
				for range 1 + rand.IntN(users) {
					key := rand.IntN(users)
					f.WillRead(int64(key))
					v := &versions[key]
					v.Lock()
					answer += fmt.Sprint(" ", key, " ", v.n)
					v.Unlock()
				}
				if rand.IntN(4) == 0 {
					f.lower() // without a response
				} else if err := s.pushWait(f, textMessage([]byte(answer))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() {
		work.Wait()
		s.close(closeNormally, false)
	}()
	var told [users]int
	for _, text := range readAll(t, reader) {
		words := strings.Fields(text)
		for i := 1; i < len(words); i += 2 {
			var key, n int
			if _, err := fmt.Sscan(words[i]+" "+words[i+1], &key, &n); err != nil {
				t.Fatal(err)
			}
			switch {
			case words[0] == "event" && n <= told[key]:
				t.Fatalf("%s after %d", text, told[key])
			case words[0] == "event":
				told[key] = n
			case n < told[key]:
				t.Fatalf("%s after event %d of %d", text, told[key], key)
			}
		}
	}
	for key, n := range told {
		if n != rounds {
			t.Errorf("the last event of %d is %d, want %d", key, n, rounds)
		}
	}
	if s.fences != nil {
		t.Error("fences are left")
	}
}
