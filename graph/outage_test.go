package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/graph/graphtest"
	"rollcall/graph/transport"
	"rollcall/internal/database"
	"rollcall/internal/testenv"
)

// hold runs statements in a transaction on a connection of its own, like another process, and keeps
// it open until release is called.
func hold(t *testing.T, url string, statements ...string) (release func()) {
	t.Helper()
	other, err := database.Open(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	held, end, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- other.Tx(context.Background(), func(tx *gorm.DB) error {
			for _, statement := range statements {
				if err := tx.Exec(statement).Error; err != nil {
					return err
				}
			}
			close(held)
			<-end
			return nil
		})
	}()
	select {
	case <-held:
	case err := <-ended:
		t.Fatal(err)
	}
	return func() {
		close(end)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}
}

// wantTryAgain sends an operation over HTTP and fails unless the response asks the caller to try
// again.
func wantTryAgain(t *testing.T, w *graphtest.World, accept, token, query string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, w.URL, strings.NewReader(fmt.Sprintf(`{"query":%q}`, query)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body struct {
		Errors []struct{ Extensions struct{ Code string } }
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" ||
		len(body.Errors) != 1 || body.Errors[0].Extensions.Code != "UNAVAILABLE" {
		t.Errorf("%s (%s): %d, Retry-After %q, %+v; want 503 and UNAVAILABLE",
			query, accept, resp.StatusCode, resp.Header.Get("Retry-After"), body)
	}
}

// impatient makes the world admit or refuse callers within a short time.
func impatient(w *graphtest.World) {
	w.Adjust = func(c *transport.Config) { c.Limits.AuthTimeout = 300 * time.Millisecond }
	w.Restart()
}

const ownStatus = `subscription { statusChanged { userId } }`

// No caller waits for a locked table: each gets UNAVAILABLE.
func TestOutage_TableLocked(t *testing.T) {
	url := testenv.MySQLURL(t)
	w := graphtest.New(t, testenv.Open(t, url))
	impatient(w)
	user, app := w.Register(w.App, "ann"), w.AppToken(w.App)
	release := hold(t, url, "LOCK TABLES users WRITE")
	_, code := w.Connect("Bearer " + user)
	if code != 1013 {
		t.Errorf("a WebSocket is closed with %d, want 1013", code)
	}
	wantTryAgain(t, w, "application/json", user, `{ me { id } }`)
	wantTryAgain(t, w, "application/json", app, `{ user(id: "ann") { name } }`)
	wantTryAgain(t, w, "text/event-stream", user, ownStatus)
	release()
	w.Socket("Bearer "+user).Want(`{ me { id } }`, `{"me":{"id":"ann"}}`)
}

// While another process holds the write lock, reads continue. A login cannot be written, so a
// connecting user is asked to try again.
func TestOutage_FileLocked(t *testing.T) {
	url := testenv.SQLiteURL(t)
	w := graphtest.New(t, testenv.Open(t, url))
	impatient(w)
	user := w.Register(w.App, "ann")
	release := hold(t, url, "UPDATE apps SET name = name")
	_, code := w.Connect("Bearer " + user)
	if code != 1013 {
		t.Errorf("a WebSocket is closed with %d, want 1013", code)
	}
	wantTryAgain(t, w, "text/event-stream", user, ownStatus)
	if r := w.Do("Bearer "+user, `{ me { id } }`, nil); r.Code() != "" {
		t.Errorf("the response to a read is %s", r.Body)
	}
	release()
	w.Socket("Bearer "+user).Want(`{ me { id } }`, `{"me":{"id":"ann"}}`)
}

// An unreachable database is not logged as an error of the server.
func TestOutage_DatabaseStops(t *testing.T) {
	testenv.NeedServer(t)
	server, err := testenv.StartMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	w := graphtest.New(t, testenv.Open(t, server.URL()+"mysql"))
	user, app := w.Register(w.App, "ann"), w.AppToken(w.App)
	live := w.Socket("Bearer " + app)
	server.Stop()
	for _, accept := range []string{"application/json", "application/graphql-response+json", "text/event-stream"} {
		wantTryAgain(t, w, accept, user, `{ me { id } }`)
		wantTryAgain(t, w, accept, app, `{ user(id: "ann") { name } }`)
		wantTryAgain(t, w, accept, app, `mutation { registerUser(input: {id: "ben", name: "Ben"}) { created } }`)
	}
	wantTryAgain(t, w, "text/event-stream", user, ownStatus)
	if _, code := w.Connect("Bearer " + user); code != 1013 {
		t.Errorf("a WebSocket is closed with %d, want 1013", code)
	}
	if r := live.Do(`{ user(id: "ann") { name } }`, nil); r.Code() != "UNAVAILABLE" {
		t.Errorf("an operation over a WebSocket returns %s, want UNAVAILABLE", r.Body)
	}
	if log := w.Log.String(); strings.Contains(log, `"INTERNAL"`) || strings.Contains(log, "request failed\"") {
		t.Errorf("the outage is logged as a fault:\n%s", log)
	}
}
