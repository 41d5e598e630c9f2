package floor

import (
	"bytes"
	"context"
	"flag"
	"net/http"
	"runtime"
	"strconv"
	"sync"

	"github.com/gorilla/websocket"
)

// newBroadcast is the floor of rows 5, 6 and 7: WebSockets of gorilla/websocket, each with a
// goroutine that reads it, and a broadcast of bytes that are prepared once, split among the
// processors. It has no users, no subscriptions and no handling of slow readers.
func newBroadcast(_ context.Context, args []string) (http.Handler, error) {
	flags := flag.NewFlagSet("broadcast", flag.ContinueOnError)
	size := flags.Int("size", 128, "of the message, in bytes")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	message, err := websocket.NewPreparedMessage(websocket.TextMessage, bytes.Repeat([]byte{'x'}, *size))
	if err != nil {
		return nil, err
	}
	b := &broadcast{message: message}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /socket", b.connect)
	mux.HandleFunc("POST /change", b.send)
	return mux, nil
}

type broadcast struct {
	message *websocket.PreparedMessage

	mu    sync.Mutex
	conns []*websocket.Conn
}

func (b *broadcast) connect(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has responded
	}
	defer conn.Close()
	b.mu.Lock()
	b.conns = append(b.conns, conn)
	// A client that has received this receives every later broadcast.
	err = conn.WriteMessage(websocket.TextMessage, []byte("connected"))
	b.mu.Unlock()
	if err != nil {
		return
	}
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			return
		}
	}
}

// send broadcasts the message, several times in sequence if the query has times.
func (b *broadcast) send(w http.ResponseWriter, r *http.Request) {
	times := 1
	if text := r.URL.Query().Get("times"); text != "" {
		var err error
		if times, err = strconv.Atoi(text); err != nil {
			http.Error(w, "times is no number", http.StatusBadRequest)
			return
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for range times {
		b.broadcast()
	}
	w.WriteHeader(http.StatusNoContent)
}

func (b *broadcast) broadcast() {
	parts := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for i := range parts {
		wg.Go(func() {
			for _, conn := range b.conns[i*len(b.conns)/parts : (i+1)*len(b.conns)/parts] {
				_ = conn.WritePreparedMessage(b.message) // the client may have disconnected
			}
		})
	}
	wg.Wait()
}
