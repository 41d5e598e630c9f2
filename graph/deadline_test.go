package graph_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/graph/graphtest"
	"rollcall/internal/testenv"
)

// waitFor waits until the condition holds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// running returns how many statements that contain the text run on the server, which must be of the
// MySQL family.
func running(w *graphtest.World, text string) (n int) {
	w.T.Helper()
	err := w.DB.Read(context.Background()).Raw("SELECT COUNT(*) FROM information_schema.processlist "+
		"WHERE db = DATABASE() AND id <> CONNECTION_ID() AND info LIKE ?", "%"+text+"%").Scan(&n).Error
	if err != nil {
		w.T.Fatal(err)
	}
	return n
}

const oneSearch = `{ userList(first: 1, filter: {search: "ann"}) { nodes { id } } }`

func TestTimeout_EndsAnOperation(t *testing.T) {
	url := testenv.MySQLURL(t)
	w := graphtest.New(t, testenv.Open(t, url))
	w.Timeout = 300 * time.Millisecond
	w.Restart()
	w.Register(w.App, "ann")
	release := hold(t, url, "LOCK TABLES users WRITE")
	for name, query := range map[string]string{
		"a search":        oneSearch,
		"a count":         `{ userList(filter: {presences: [ONLINE]}) { totalCount } }`,
		"several at once": selected(3, strings.Trim(oneSearch, "{ }")+" } }"),
	} {
		r := w.Do(w.Bearer(graphtest.AppServer), query, nil)
		if r.Status != 503 || r.Code() != "UNAVAILABLE" || !strings.Contains(r.Errors[0].Message, "took too long") {
			t.Errorf("%s: %d %s; want 503 and UNAVAILABLE, because it took too long", name, r.Status, r.Body)
		}
	}
	if n := running(w, "search_name"); n > 0 {
		t.Errorf("the server still runs %d searches", n)
	}
	live := w.Socket(w.Bearer(graphtest.AppServer))
	if r := live.Do(oneSearch, nil); r.Code() != "UNAVAILABLE" || !strings.Contains(r.Errors[0].Message, "took too long") {
		t.Errorf("over a WebSocket: %s", r.Body)
	}
	if r := live.Do(`{ app { name } }`, nil); r.Code() != "" {
		t.Errorf("the next operation over the WebSocket: %s", r.Body)
	}
	release()
	if r := w.Do(w.Bearer(graphtest.AppServer), oneSearch, nil); r.Code() != "" {
		t.Errorf("after the lock: %s", r.Body)
	}
	if !strings.Contains(w.Log.String(), "an operation took too long") {
		t.Error("the log has no operation that took too long")
	}
}

// A mutation that has begun is completed; the next one in the document is not begun.
func TestTimeout_MutationsThatHaveBegun(t *testing.T) {
	url := testenv.MySQLURL(t)
	w := graphtest.New(t, testenv.Open(t, url))
	w.Timeout = 500 * time.Millisecond
	w.Restart()
	w.Register(w.App, "ann")
	w.Register(w.App, "bob")
	release := hold(t, url, "UPDATE users SET updated_at = updated_at WHERE external_id = 'ann'")
	answered := make(chan *graphtest.Response)
	began := time.Now()
	go func() {
		answered <- w.Do(w.Bearer(graphtest.AppServer), `mutation {
			a: updateUser(input: {userId: "ann", name: "Ann 2"}) { user { name } }
			b: updateUser(input: {userId: "bob", name: "Bob 2"}) { user { name } }
		}`, nil)
	}()
	waitFor(t, "the first change to wait for the lock", func() bool { return running(w, "users") > 0 })
	time.Sleep(time.Until(began.Add(2 * w.Timeout)))
	release()
	r := <-answered
	if len(r.Errors) != 1 || r.Code() != "UNAVAILABLE" || fmt.Sprint(r.Errors[0].Path) != "[b]" || !strings.Contains(r.Errors[0].Message, "took too long") {
		t.Errorf("the response to the mutations is %s; want UNAVAILABLE for b alone", r.Body)
	}
	w.Run(graphtest.Scenario{
		Name: "afterwards", As: graphtest.AppServer, Query: `{ users(ids: ["ann", "bob"]) { name } }`,
		WantData: `{"users":[{"name":"Ann 2"},{"name":"bob"}]}`,
	})
}

// However many searches one app sends, the reads of other apps, and the app's own reads by key,
// find connections. The lock keeps all searches from ending.
func TestSlowReads_LeaveOthersAlone(t *testing.T) {
	url := testenv.MySQLURL(t)
	w := graphtest.New(t, testenv.Open(t, url))
	w.Register(w.App, "ann")
	greedy, other := w.Bearer(graphtest.AppServer), w.Bearer(graphtest.OtherServer)
	release := hold(t, url, "LOCK TABLES users WRITE")
	pool, err := w.DB.Read(context.Background()).DB()
	if err != nil {
		t.Fatal(err)
	}
	const documents, searches = 25, 4
	var all sync.WaitGroup
	var refused, ended atomic.Int32
	for range documents {
		all.Go(func() {
			r := w.Do(greedy, selected(searches, strings.Trim(oneSearch, "{ }")+" } }"), nil)
			if r.Code() == "RATE_LIMITED" {
				if r.Errors[0].Extensions["retryAfterMs"] == nil {
					t.Errorf("a refusal has no retryAfterMs: %s", r.Body)
				}
				refused.Add(1)
			} else {
				ended.Add(1)
			}
		})
	}
	waitFor(t, "the searches to take what they may", func() bool {
		return refused.Load() > 0 && running(w, "search_name") > 0 || pool.Stats().InUse == pool.Stats().MaxOpenConnections
	})
	for _, token := range []string{other, greedy} {
		if r := w.Do(token, `{ app { name } }`, nil); r.Code() != "" {
			t.Errorf("the response to a read is %s", r.Body)
		}
	}
	if n := ended.Load(); n > 0 {
		t.Errorf("%d documents with searches got responses before the reads", n)
	}
	release()
	all.Wait()
}

// TestTimeout_OverBeforeTheStart: an operation whose time is over before it starts is refused like
// one that takes too long, whatever it is and however it was sent.
func TestTimeout_OverBeforeTheStart(t *testing.T) {
	w := graphtest.New(t, testenv.Open(t, testenv.SQLiteURL(t)))
	server, ann := w.Bearer(graphtest.AppServer), w.Bearer("ann")
	w.Timeout = time.Nanosecond
	w.Restart()
	check := func(name string, r graphtest.Response) {
		t.Helper()
		if r.Code() != "UNAVAILABLE" || !strings.Contains(r.Errors[0].Message, "took too long") {
			t.Errorf("%s: %d %s; want UNAVAILABLE, because it took too long", name, r.Status, r.Body)
		}
	}
	for name, query := range map[string]string{
		"a query":    `{ app { name } }`,
		"a mutation": `mutation { updateUser(input: {userId: "ann", name: "Ann 2"}) { user { name } } }`,
	} {
		r := w.Do(server, query, nil)
		check(name, *r)
		if r.Status != 503 {
			t.Errorf("%s: status %d", name, r.Status)
		}
	}
	live := w.Socket(ann)
	check("over a WebSocket", live.Do(`{ me { id } }`, nil))
	if log := w.Log.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("logged: %s", log)
	}
}
