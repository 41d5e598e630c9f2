package transport

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// counted is a socket's file that counts the writes.
type counted struct {
	net.Conn
	mu     sync.Mutex
	writes [][]byte
}

func (c *counted) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.writes = append(c.writes, bytes.Clone(p))
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// newSender returns a sender, how many writes it has done so far, and its reader.
func newSender(t *testing.T) (s *sender, written func() int, reader net.Conn) {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	c := &counted{Conn: ours}
	sock := new(socket)
	sock.init(c, nil)
	s = &sender{sock: sock, pacing: &pacing{
		bounds: bounds{bytes: 1 << 16, messages: 100}, writeTimeout: time.Minute, closeTimeout: time.Minute,
	}}
	written = func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.writes)
	}
	return s, written, theirs
}

// readTexts reads n messages.
func readTexts(t *testing.T, r io.ReadWriter, n int) (texts []string) {
	t.Helper()
	for range n {
		text, op, err := wsutil.ReadServerData(r)
		if err != nil || op != ws.OpText {
			t.Fatalf("read %v: %v", op, err)
		}
		texts = append(texts, string(text))
	}
	return texts
}

func event(sub *subscription, key int64, payload string) message {
	return textEvent(sub, key, []byte(payload))
}

func TestSender_HeldEventsGoInOneWrite(t *testing.T) {
	s, written, reader := newSender(t)
	sub := &subscription{id: []byte(`"s"`)}
	for _, payload := range []string{`1`, `2`, `3`} {
		if err := s.hold(event(sub, 7, payload)); err != nil {
			t.Fatal(err)
		}
	}
	if n := written(); n != 0 {
		t.Fatalf("%d writes before the release", n)
	}
	s.release()
	s.release() // there is nothing left
	texts := readTexts(t, reader, 3)
	for i, want := range []string{`"payload":1`, `"payload":2`, `"payload":3`} {
		if !bytes.Contains([]byte(texts[i]), []byte(want)) {
			t.Errorf("message %d is %s, want %s", i, texts[i], want)
		}
	}
	if n := written(); n != 1 {
		t.Errorf("%d writes, want 1", n)
	}
}

func TestSender_PushSendsHeldEvents(t *testing.T) {
	s, written, reader := newSender(t)
	sub := &subscription{id: []byte(`"s"`)}
	if err := s.hold(event(sub, 7, `1`)); err != nil {
		t.Fatal(err)
	}
	if err := s.push(textMessage([]byte(`last`))); err != nil {
		t.Fatal(err)
	}
	if texts := readTexts(t, reader, 2); texts[1] != "last" {
		t.Errorf("got %q", texts)
	}
	if n := written(); n != 1 {
		t.Errorf("%d writes, want 1", n)
	}
}

func TestSender_HeldEventsAreBounded(t *testing.T) {
	s, _, reader := newSender(t)
	sub := &subscription{id: []byte(`"s"`)}
	for range heldMost {
		if err := s.hold(event(sub, 7, `1`)); err != nil {
			t.Fatal(err)
		}
	}
	readTexts(t, reader, heldMost) // without a release
}

func TestSender_ClosingDropsHeldEvents(t *testing.T) {
	for _, drop := range []bool{false, true} {
		s, _, reader := newSender(t)
		if err := s.hold(event(&subscription{id: []byte(`"s"`)}, 7, `1`)); err != nil {
			t.Fatal(err)
		}
		s.close(closeTooSlow, drop)
		s.release()
		if !drop {
			readTexts(t, reader, 1)
		}
		header, err := ws.ReadHeader(reader)
		if err != nil || header.OpCode != ws.OpClose {
			t.Errorf("drop %v: read %v: %v, want a close frame", drop, header.OpCode, err)
		}
	}
}
