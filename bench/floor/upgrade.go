package floor

import (
	"context"
	"net/http"

	"github.com/gorilla/websocket"
)

// newUpgrade is the floor of row 8: it upgrades, sends a message and reads until the client
// disconnects. It does not authenticate.
func newUpgrade(context.Context, []string) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /socket", func(w http.ResponseWriter, r *http.Request) {
		upgrader := websocket.Upgrader{}
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // Upgrade has responded
		}
		defer conn.Close()
		if err := conn.WriteMessage(websocket.TextMessage, []byte("connected")); err != nil {
			return
		}
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				return
			}
		}
	})
	return mux, nil
}
