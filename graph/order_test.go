package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rollcall/graph/graphtest"
	"rollcall/internal/presence"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// ordered is a WebSocket that is read message by message, in the order in which the
// server wrote them.
type ordered struct {
	t    *testing.T
	conn *websocket.Conn
	ctx  context.Context
	// events has, by user, the changedAt of the newest status that came as an event.
	events map[string]string
	asked  int
	// answers counts the statuses in answers, older those among them that an event of
	// the same connection had overtaken, held the events that came.
	answers, older, held int
}

// dialOrdered opens a WebSocket and starts a subscription on it.
func dialOrdered(w *graphtest.World, authorization, subscription string) *ordered {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	w.T.Cleanup(cancel)
	conn, _, err := websocket.Dial(ctx, w.URL, &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(1 << 20)
	o := &ordered{t: w.T, conn: conn, ctx: ctx, events: make(map[string]string)}
	o.send(`{"type":"connection_init","payload":{"Authorization":%q}}`, authorization)
	o.read()
	o.send(`{"id":"events","type":"subscribe","payload":{"query":%q}}`, subscription)
	return o
}

func (o *ordered) send(format string, args ...any) {
	o.t.Helper()
	if err := o.conn.Write(o.ctx, websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		o.t.Fatal(err)
	}
}

func (o *ordered) read() (m struct {
	ID, Type string
	Payload  json.RawMessage
}) {
	o.t.Helper()
	_, text, err := o.conn.Read(o.ctx)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		o.t.Fatal(err)
	}
	return m
}

// ask sends an operation and compares each status in its answer with the events that
// came before it.
func (o *ordered) ask(query string, ids []string) {
	o.t.Helper()
	o.asked++
	id := fmt.Sprint(o.asked)
	list, err := json.Marshal(ids)
	if err != nil {
		o.t.Fatal(err)
	}
	o.send(`{"id":%q,"type":"subscribe","payload":{"query":%q,"variables":{"ids":%s}}}`, id, query, list)
	for {
		m := o.read()
		var payload struct {
			Data   any
			Errors []any
		}
		switch {
		case m.Type == "complete" && m.ID == id:
			return
		case m.Type != "next":
			o.t.Fatalf("%s %s: %s", m.Type, m.ID, m.Payload)
		}
		if err := json.Unmarshal(m.Payload, &payload); err != nil || len(payload.Errors) > 0 {
			o.t.Fatalf("%s: %v", m.Payload, err)
		}
		statusesIn(payload.Data, func(user, changedAt string) {
			switch {
			case m.ID == id:
				o.answers++
				if changedAt < o.events[user] {
					o.older++
				}
			case changedAt <= o.events[user]:
				o.t.Errorf("told of %s at %s after %s", user, changedAt, o.events[user])
			default:
				o.held++
				o.events[user] = changedAt
			}
		})
	}
}

// statusesIn calls found for each status in a response's data.
func statusesIn(data any, found func(user, changedAt string)) {
	switch v := data.(type) {
	case []any:
		for _, element := range v {
			statusesIn(element, found)
		}
	case map[string]any:
		if at, ok := v["changedAt"].(string); ok {
			found(v["userId"].(string), at)
			return
		}
		for _, value := range v {
			statusesIn(value, found)
		}
	}
}

// TestAnswer_NeverOlderThanEventsBefore changes the custom statuses of 50 users all the
// time, while one connection receives the changes and asks for the statuses.
func TestAnswer_NeverOlderThanEventsBefore(t *testing.T) {
	const users, asks = 50, 100
	ids := make([]string, users)
	for i := range ids {
		ids[i] = fmt.Sprint("user", i)
	}
	for _, test := range []struct{ name, as, subscription, query string }{
		{"userStatuses", graphtest.AppServer, `subscription { appStatusChanged { userId changedAt } }`,
			`query($ids: [ID!]!) { userStatuses(ids: $ids) { userId changedAt } }`},
		{"users", graphtest.AppServer, `subscription { appStatusChanged { userId changedAt } }`,
			`query($ids: [ID!]!) { users(ids: $ids) { status { userId changedAt } } }`},
		{"friends", "ann", `subscription { statusChanged { userId changedAt } }`,
			`{ me { friends(first: 50) { totalCount nodes { user { status { userId changedAt } } } } } }`},
		{"subscribeStatus", "ann", `subscription { statusChanged { userId changedAt } }`,
			`mutation($ids: [ID!]!) { subscribeStatus(ids: $ids) { statuses { userId changedAt } } }`},
	} {
		for _, nodes := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, nodes: %d", test.name, nodes), func(t *testing.T) {
				db := testenv.Open(t, testenv.SQLiteURL(t))
				var list []*graphtest.World
				if nodes == 1 {
					list = []*graphtest.World{graphtest.New(t, db)}
				} else {
					list = graphtest.NewNodes(t, db, nodes)
				}
				here, there := list[0], list[nodes-1]
				authorization := here.Bearer(test.as)
				accounts := make([]presence.Account, users)
				for i, id := range ids {
					here.Register(here.App, id)
					if test.name == "friends" {
						do(here, graphtest.AppServer, makeFriends, vars("a", "ann", "b", id))
					}
					accounts[i] = account(here, id)
					if _, err := there.Presence.Connect(context.Background(), accounts[i], models.PlatformOther, nowhere{}, noCheck); err != nil {
						t.Fatal(err)
					}
				}
				o := dialOrdered(here, authorization, test.subscription)
				done := make(chan struct{})
				var changing sync.WaitGroup
				changing.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-done:
							return
						default:
						}
						_, err := there.Presence.SetStatus(context.Background(), accounts[rand.IntN(users)], fmt.Sprint(n))
						if err != nil {
							t.Error(err)
							return
						}
						if n%10 == 0 {
							time.Sleep(time.Millisecond)
						}
					}
				})
				for range asks {
					here.Clock.Pass(time.Second) // past the rate limits
					o.ask(test.query, ids)
				}
				close(done)
				changing.Wait()
				t.Logf("%d of %d answers' statuses were older; %d events", o.older, o.answers, o.held)
				switch {
				case o.answers != asks*users || o.held < asks:
					t.Errorf("%d statuses in answers and %d events are not what the test is about", o.answers, o.held)
				case o.older > 0:
					t.Errorf("%d of %d statuses in answers were older than an event before them", o.older, o.answers)
				}
			})
		}
	}
}
