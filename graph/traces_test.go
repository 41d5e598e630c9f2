package graph_test

import (
	"context"
	"slices"
	"testing"

	"rollcall/graph/graphtest"
	"rollcall/internal/testenv"
	"rollcall/internal/tracing"
)

// TestTraces_OfOperationsOnWebSockets checks that each operation on a WebSocket is a trace of its own
// with its statements, and that a subscription's trace ends with its start.
func TestTraces_OfOperationsOnWebSockets(t *testing.T) {
	receiver := testenv.NewTraces(t)
	url, err := tracing.CheckURL(receiver.URL)
	if err != nil {
		t.Fatal(err)
	}
	tracer, err := tracing.Open(t.Context(), tracing.Options{URL: url, Ratio: 1, Warn: func(_ context.Context, message string, args ...any) {
		t.Error(message, args)
	}})
	if err != nil {
		t.Fatal(err)
	}
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	w.Tracer = tracer
	w.Restart()
	ann := w.Register(w.App, "planted-ann")
	w.Register(w.App, "planted-bob")
	user, socket := w.Socket("Bearer "+ann), w.Socket(w.Bearer(graphtest.AppServer))
	live := user.Subscribe(`subscription { relationshipChanged { kind } }`, nil)
	socket.Want(`mutation { addFriend(input: {userId: "planted-ann", friendId: "planted-bob"}) { created } }`, `{"addFriend":{"created":true}}`)
	live.Next()
	user.Close()
	socket.Close()
	w.Restart() // all operations have ended
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	roots := make(map[string]string)
	var inserted bool
	for _, span := range receiver.Spans() {
		path := receiver.Path(span)
		switch span.Name {
		case "subscription", "mutation":
			roots[span.Name] = string(span.TraceId)
			if !slices.Equal(path, []string{"websocket operation", span.Name}) {
				t.Errorf("the operation is at %q", path)
			}
		case "INSERT friendships":
			inserted = true
			if path[1] != "mutation" {
				t.Errorf("the statement is at %q", path)
			}
		}
	}
	if len(roots) != 2 || roots["subscription"] == roots["mutation"] || !inserted {
		t.Errorf("the spans are %v", receiver.Spans())
	}
}
