package transport

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"rollcall/internal/presence"
	"rollcall/models"
)

// clientOf returns the client of the only device that the user has.
func (w *world) clientOf(i int) presence.Client {
	w.t.Helper()
	devices := w.devicesOf(i)
	if len(devices) != 1 {
		w.t.Fatalf("u%d has %d devices, want 1", i, len(devices))
	}
	return w.hub.Clients(w.t.Context(), w.auth.users[i].ID, []string{devices[0].ID})[devices[0].ID]
}

func TestClient_OfWebSocketIsHeardByEveryMessage(t *testing.T) {
	w := newWorld(t, worldOptions{})
	began := models.TimeOf(time.Now())
	c := w.dialWith(ws.Dialer{
		Protocols: []string{subprotocol},
		Header:    ws.HandshakeHeaderHTTP{"User-Agent": {"app/1.2 " + strings.Repeat("x", 300)}},
	})
	c.send(`{"type":"connection_init","payload":{"Authorization":"Bearer u1","platform":"WEB"}}`)
	c.expect(`{"type":"connection_ack"}`)
	got := w.clientOf(1)
	if got.Address != "127.0.0.1" || got.UserAgent != "app/1.2 "+strings.Repeat("x", 247) || got.HeardAt < began {
		t.Fatalf("the client is %+v", got)
	}
	for name, send := range map[string]func(){
		"a pong":    func() { c.frame(ws.NewPongFrame(nil)) },
		"a message": func() { c.send(`{"type":"pong"}`) },
	} {
		heard := w.clientOf(1).HeardAt
		until(t, "the next millisecond", func() bool { return models.TimeOf(time.Now()) > heard })
		if again := w.clientOf(1).HeardAt; again != heard {
			t.Fatalf("a silent client was heard %d ms later", again-heard)
		}
		send()
		until(t, name, func() bool { return w.clientOf(1).HeardAt > heard })
	}
}

func TestClient_OfEventStreamIsNotHeard(t *testing.T) {
	w := newWorld(t, worldOptions{})
	s := w.stream("u1", "subscription{captured{userId}}")
	if s.resp.StatusCode != http.StatusOK {
		t.Fatalf("the stream's status is %s", s.resp.Status)
	}
	if got := w.clientOf(1); got.Address != "127.0.0.1" || got.UserAgent != "Go-http-client/1.1" || got.HeardAt != 0 {
		t.Errorf("the client is %+v", got)
	}
}
