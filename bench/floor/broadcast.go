package floor

import (
	"bytes"
	"context"
	"flag"
	"net/http"
	"runtime"
	"sync"

	"github.com/gorilla/websocket"
)

// newBroadcast is the floor of rows 5 and 6: WebSockets of gorilla/websocket,
// each with the goroutine that reads it, and a broadcast of bytes that were
// prepared once, split among the processors. It knows no users, no subscriptions
// and no slow readers.
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
		return // it has been answered
	}
	defer conn.Close()
	b.mu.Lock()
	b.conns = append(b.conns, conn)
	// Whoever has heard this hears every broadcast from now on.
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

func (b *broadcast) send(w http.ResponseWriter, _ *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	parts := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for i := range parts {
		wg.Go(func() {
			for _, conn := range b.conns[i*len(b.conns)/parts : (i+1)*len(b.conns)/parts] {
				_ = conn.WritePreparedMessage(b.message) // a client that is gone needs none
			}
		})
	}
	wg.Wait()
	w.WriteHeader(http.StatusNoContent)
}
