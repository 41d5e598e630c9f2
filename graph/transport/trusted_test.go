package transport

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/internal/trusted"
)

// trust makes the app with that key trust the documents.
func (w *world) trust(app string, documents map[string]string) {
	w.t.Helper()
	content, err := json.Marshal(documents)
	if err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(w.t.TempDir(), app+".json")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.server.cfg.Trusted, err = trusted.Open(path, func(string) ([]trusted.Operation, error) { return nil, nil }, slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
}

// request returns the data or the first error's code of a request by a method.
func (w *world) request(method, token string, params map[string]any) string {
	w.t.Helper()
	text, err := json.Marshal(params)
	if err != nil {
		w.t.Fatal(err)
	}
	_, body := w.exchange(httpCall{method: method, token: token, body: strings.NewReader(string(text))})
	return outcomeOf(w.t, []byte(body))
}

// outcomeOf returns the data of a response, or the code of its first error.
func outcomeOf(t testing.TB, response []byte) string {
	t.Helper()
	var got struct {
		Data   json.RawMessage
		Errors []struct{ Extensions struct{ Code string } }
	}
	if err := json.Unmarshal(response, &got); err != nil {
		t.Fatalf("%s: %v", response, err)
	}
	if len(got.Errors) > 0 {
		return got.Errors[0].Extensions.Code
	}
	return string(got.Data)
}

func persistedParams(hash string) map[string]any {
	return map[string]any{"persistedQuery": map[string]any{"version": 1, "sha256Hash": hash}}
}

// TestTrusted sends documents by ID, by hash and as text, as each kind of caller, by POST, GET and
// WebSocket.
func TestTrusted(t *testing.T) {
	w := newWorld(t, worldOptions{})
	const listed, other = "{who}", "{who a: __typename}"
	w.trust("key", map[string]string{"one": listed, hashOf(listed): listed})
	who := func(kind string) string { return fmt.Sprintf(`{"who":%q}`, kind) }
	for _, c := range []struct {
		name, token string
		params      map[string]any
		want        string
	}{
		{"a user, the ID", "u0", map[string]any{"documentId": "one"}, who("USER")},
		{"a user, another ID", "u0", map[string]any{"documentId": "two"}, notFound},
		{"a user, the hash", "u0", map[string]any{"extensions": persistedParams(hashOf(listed))}, who("USER")},
		{"a user, another hash", "u0", map[string]any{"extensions": persistedParams(hashOf(other))}, notFound},
		{"a user, the text", "u0", map[string]any{"query": listed}, who("USER")},
		{"a user, another text", "u0", map[string]any{"query": other}, "FORBIDDEN"},
		{"a user, almost the text", "u0", map[string]any{"query": listed + " "}, "FORBIDDEN"},
		{"a user, the text and its hash", "u0", map[string]any{"query": listed, "extensions": persistedParams(hashOf(listed))}, who("USER")},
		{"a user, another text and its hash", "u0", map[string]any{"query": other, "extensions": persistedParams(hashOf(other))}, "FORBIDDEN"},
		{"a user, the ID and a text", "u0", map[string]any{"documentId": "one", "query": listed}, "BAD_REQUEST"},
		{"a user, the ID and a hash", "u0", map[string]any{"documentId": "one", "extensions": persistedParams(hashOf(listed))}, "BAD_REQUEST"},
		{"a user, nothing", "u0", map[string]any{}, "BAD_REQUEST"},
		{"the App Server, the ID", "app", map[string]any{"documentId": "one"}, who("APP_SERVER")},
		{"the App Server, another ID", "app", map[string]any{"documentId": "two"}, notFound},
		{"the App Server, another text", "app", map[string]any{"query": other}, `{"who":"APP_SERVER","a":"Query"}`},
		{"another app, the ID", "other", map[string]any{"documentId": "one"}, notFound},
		{"another app, a text", "other", map[string]any{"query": other}, `{"who":"APP_SERVER","a":"Query"}`},
		{"a guest, the ID", "", map[string]any{"documentId": "one"}, notFound},
		{"a guest, a text", "", map[string]any{"query": other}, `{"who":"GUEST","a":"Query"}`},
	} {
		for _, method := range []string{viaPost, viaGet} {
			if got := w.request(method, c.token, c.params); got != c.want {
				t.Errorf("%s, %s: %s, want %s", c.name, method, got, c.want)
			}
		}
		if c.token == "" {
			continue
		}
		socket := w.connect(c.token)
		payload, _ := json.Marshal(c.params)
		socket.send(`{"id":"1","type":"subscribe","payload":` + string(payload) + `}`)
		if got := socket.outcome(); got != c.want {
			t.Errorf("%s, WebSocket: %s, want %s", c.name, got, c.want)
		}
	}
	for _, id := range []any{7, true, []string{"one"}} {
		if got := w.request(viaPost, "u0", map[string]any{"documentId": id}); got != "BAD_REQUEST" {
			t.Errorf("documentId %v: %s", id, got)
		}
	}
}

// outcome returns the data or the first error's code of the response to an operation.
func (c *client) outcome() string {
	c.t.Helper()
	var message struct {
		Type    string
		Payload json.RawMessage
	}
	if err := json.Unmarshal([]byte(c.text()), &message); err != nil {
		c.t.Fatal(err)
	}
	if message.Type == "error" {
		return outcomeOf(c.t, []byte(`{"errors":`+string(message.Payload)+`}`))
	}
	return outcomeOf(c.t, message.Payload)
}

// TestTrusted_None: without files an ID is unknown, and documents are not restricted.
func TestTrusted_None(t *testing.T) {
	w := newWorld(t, worldOptions{})
	if got := w.request(viaPost, "u0", map[string]any{"documentId": "one"}); got != notFound {
		t.Errorf("an ID: %s", got)
	}
	if got := w.request(viaPost, "u0", map[string]any{"query": "{who}", "documentId": ""}); got != `{"who":"USER"}` {
		t.Errorf("a text: %s", got)
	}
}
