package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/graph/graphtest"
	"rollcall/internal/database"
	"rollcall/internal/testenv"
)

// strangers returns n IDs that no user has.
func strangers(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint("stranger-", i)
	}
	return ids
}

// TestRates makes calls of each kind up to the limit, and one more.
func TestRates(t *testing.T) {
	const profile, profiles = `query($id: ID!) { user(id: $id) { name } }`, `query($ids: [ID!]!) { users(ids: $ids) { name } }`
	noRequest, stranger := request("request:1"), strangers(1)
	type call struct {
		query     string
		variables map[string]any
		// times is how often the call is made; 0 means once.
		times int
	}
	for _, test := range []struct {
		name string
		// calls use up the limit; over exceeds it.
		calls []call
		over  call
		// free calls are not counted, or are counted by another rule.
		free []call
	}{
		{
			"friend requests, including refused ones",
			[]call{{sendRequest, input("targetId", "bob"), 10}, {sendRequest, input("targetId", "nobody"), 10}},
			call{query: sendRequest, variables: input("targetId", "cid")},
			[]call{{query: cancel, variables: noRequest}},
		},
		{
			"changes of relations, of all kinds together",
			[]call{
				{block, input("targetIds", []string{"bob", "cid"}), 10}, {unblock, input("targetIds", []string{"bob"}), 10},
				{accept, noRequest, 10}, {decline, noRequest, 10}, {cancel, noRequest, 5},
				{removeFriend, input("friendId", "bob"), 5}, {setRemark, input("friendId", "bob", "remark", "x"), 10},
			},
			call{query: unblock, variables: input("targetIds", []string{"bob"})},
			[]call{{query: sendRequest, variables: input("targetId", "cid")}, {query: profile, variables: vars("id", "bob")}},
		},
		{
			"custom statuses",
			[]call{{setStatus, vars("text", "busy"), 60}},
			call{query: setStatus, variables: vars("text", "busy")},
			[]call{{query: block, variables: input("targetIds", []string{"bob"})}},
		},
		{
			"profiles of others by their IDs, including unknown IDs",
			[]call{{profiles, vars("ids", strangers(490)), 1}, {profiles, vars("ids", append(strangers(499), "ann")), 1}, {profile, vars("id", "bob"), 11}},
			call{query: profile, variables: vars("id", "bob")},
			[]call{{profile, vars("id", "ann"), 20}, {query: profiles, variables: vars("ids", []string{"ann", "ann"})}, {query: `{ me { name } }`}},
		},
		{
			"profiles of users put on lists that show them",
			[]call{
				{profiles, vars("ids", strangers(450)), 2},
				{block, input("targetIds", append(strangers(89), "bob")), 1}, {subscribe, vars("ids", []string{"bob"}), 10},
			},
			call{query: block, variables: input("targetIds", stranger)},
			[]call{{query: removeFriend, variables: input("friendId", "bob")}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			graphtest.Each(t, func(w *graphtest.World) {
				people(w, "ann", "bob", "cid")
				ann := w.Bearer("ann")
				device := w.Socket(ann)
				made := 0
				do := func(c call) graphtest.Response {
					if made++; made%2 == 0 {
						return device.Do(c.query, c.variables)
					}
					return *w.Do(ann, c.query, c.variables)
				}
				free := func() {
					t.Helper()
					for _, c := range test.free {
						for range max(1, c.times) {
							if r := do(c); r.Code() == "RATE_LIMITED" {
								t.Fatalf("%s: %s", c.query, r.Body)
							}
						}
					}
				}
				over := func(wait time.Duration) {
					t.Helper()
					r := do(test.over)
					if r.Code() != "RATE_LIMITED" || fmt.Sprint(r.Errors[0].Extensions["retryAfterMs"]) != fmt.Sprint(wait.Milliseconds()) {
						t.Fatalf("one more: %s, want retryAfterMs %d", r.Body, wait.Milliseconds())
					}
				}
				free()
				for i, c := range test.calls {
					for n := range max(1, c.times) {
						if r := do(c); r.Code() == "RATE_LIMITED" {
							t.Fatalf("call %d of %d of %s: %s", n+1, c.times, c.query, r.Body)
						}
					}
					if i == 0 {
						w.Clock.Pass(time.Second)
					}
				}
				if len(test.calls) == 1 {
					over(4 * time.Second)
				} else if r := do(test.over); r.Code() != "RATE_LIMITED" {
					t.Fatalf("one more: %s", r.Body)
				}
				free()
				if r := w.Do(w.Bearer("cid"), test.over.query, test.over.variables); r.Code() == "RATE_LIMITED" {
					t.Errorf("another user: %s", r.Body)
				}
				w.Clock.Pass(4*time.Second - time.Millisecond)
				over(time.Millisecond)
				w.Clock.Pass(time.Millisecond)
				if r := do(test.over); r.Code() == "RATE_LIMITED" {
					t.Errorf("after the wait: %s", r.Body)
				}
			})
		})
	}
}

func TestRates_NotForAppServers(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		people(w, "ann", "bob")
		token := w.Bearer(server)
		for range 70 {
			for query, variables := range map[string]map[string]any{
				block:   input("userId", "ann", "targetIds", []string{"bob"}),
				unblock: input("userId", "ann", "targetIds", []string{"bob"}),
				`query($ids: [ID!]!) { users(ids: $ids) { name } }`: vars("ids", strangers(500)),
			} {
				if r := w.Do(token, query, variables); r.Code() != "" {
					w.T.Fatalf("%s: %s", query, r.Body)
				}
			}
		}
	})
}

// TestRates_Connects: a user that connects and disconnects continuously is refused, and not only
// over WebSockets.
func TestRates_Connects(t *testing.T) {
	const limit = 60
	graphtest.Each(t, func(w *graphtest.World) {
		ann, bob := w.Bearer("ann"), w.Bearer("bob")
		for range limit {
			w.Socket(ann).Close()
		}
		if s, code := w.Connect(ann); s != nil || code != 1013 {
			w.T.Errorf("one more was closed with %d, want 1013", code)
		}
		resp := openStream(w, ann, "")
		defer resp.Body.Close()
		var body struct {
			Errors []struct{ Extensions map[string]any }
		}
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || len(body.Errors) != 1 {
			w.T.Fatalf("an event stream: %+v, %v", body, err)
		}
		got := fmt.Sprintf("%d %s %v", resp.StatusCode, resp.Header.Get("Retry-After"), body.Errors[0].Extensions["retryAfterMs"])
		if got != "429 5 5000" || body.Errors[0].Extensions["code"] != "RATE_LIMITED" {
			w.T.Errorf("an event stream got %s", got)
		}
		w.Socket(bob).Close()
		w.Clock.Pass(5 * time.Second)
		w.Socket(ann).Close()
	})
}

// openStream requests an event stream from a client address; "" is the loopback address.
func openStream(w *graphtest.World, authorization, address string) *http.Response {
	w.T.Helper()
	body, err := json.Marshal(map[string]any{"query": changed})
	if err != nil {
		w.T.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.T.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		w.T.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Authorization", authorization)
	if address != "" {
		req.Header.Set("X-Forwarded-For", address)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.T.Fatal(err)
	}
	return resp
}

// TestRates_Nodes has many requests of one user reach two nodes concurrently.
func TestRates_Nodes(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		nodes := graphtest.NewNodes(t, db, 2)
		w := nodes[0]
		people(w, "ann", "bob")
		ann := w.Bearer("ann")
		for _, test := range []struct {
			query     string
			variables map[string]any
			limit     int64
		}{
			{sendRequest, input("targetId", "nobody"), 20},
			{unblock, input("targetIds", []string{"bob"}), 60},
		} {
			var granted atomic.Int64
			var wg sync.WaitGroup
			began := time.Now()
			for i := range 8 {
				wg.Go(func() {
					for range test.limit / 4 {
						if r := nodes[i%2].Do(ann, test.query, test.variables); r.Code() != "RATE_LIMITED" {
							granted.Add(1)
						}
					}
				})
			}
			wg.Wait()
			// Redis's clock is running: on a slow machine another window may have begun.
			windows := int64(time.Since(began)/(5*time.Second)) + 1
			if n := granted.Load(); n < test.limit || n > test.limit*windows {
				t.Errorf("%d calls of %s were granted in %d windows, want %d in each", n, test.query, windows, test.limit)
			}
		}
	})
}

// TestRates_GoOnWithoutRedis: operations that need only the database continue while Redis is
// unreachable, and each node still applies limits.
func TestRates_GoOnWithoutRedis(t *testing.T) {
	testenv.NeedServer(t)
	redis, err := testenv.StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Stop)
	w := graphtest.NewNodesAt(t, testenv.Open(t, testenv.SQLiteURL(t)), redis.URL(), 1)[0]
	people(w, "ann", "bob")
	ann := w.Bearer("ann")
	if err := redis.Pause(); err != nil {
		t.Fatal(err)
	}
	defer redis.Resume()
	limited := 0
	began := time.Now()
	for range 30 {
		switch r := w.Do(ann, sendRequest, input("targetId", "nobody")); r.Code() {
		case "USER_NOT_FOUND":
		case "RATE_LIMITED":
			limited++
		default:
			t.Fatalf("while Redis hangs: %s", r.Body)
		}
	}
	if took := time.Since(began); limited == 0 && took < 5*time.Second {
		t.Errorf("none of 30 requests in %s was refused", took)
	}
	if r := w.Do(ann, `{ user(id: "bob") { name } }`, nil); string(r.Data) != `{"user":{"name":"bob"}}` {
		t.Errorf("a profile while Redis hangs: %s", r.Body)
	}
}
