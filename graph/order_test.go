package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"rollcall/graph/graphtest"
	"rollcall/internal/presence/status"
	"rollcall/internal/ratelimit"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// ordered is a WebSocket that is read message by message, in the order in which the server wrote
// the messages.
type ordered struct {
	t    *testing.T
	wire *graphtest.Wire
	// events has, by user, the changedAt of the newest status that arrived as an event.
	events map[string]string
	asked  int
	// answers counts the statuses in responses, older those of them that were older than an event
	// before them on the same connection, held the events.
	answers, older, held int
}

// dialOrdered opens a WebSocket and starts a subscription on it.
func dialOrdered(w *graphtest.World, authorization, subscription string) *ordered {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	w.T.Cleanup(cancel)
	wire, err := graphtest.DialWire(ctx, w.URL, nil)
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(wire.Close)
	o := &ordered{t: w.T, wire: wire, events: make(map[string]string)}
	o.send(`{"type":"connection_init","payload":{"Authorization":%q}}`, authorization)
	o.read()
	o.send(`{"id":"events","type":"subscribe","payload":{"query":%q}}`, subscription)
	return o
}

func (o *ordered) send(format string, args ...any) {
	o.t.Helper()
	if err := o.wire.Write(fmt.Appendf(nil, format, args...)); err != nil {
		o.t.Fatal(err)
	}
}

func (o *ordered) read() (m struct {
	ID, Type string
	Payload  json.RawMessage
}) {
	o.t.Helper()
	text, err := o.wire.Read()
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		o.t.Fatal(err)
	}
	return m
}

// ask sends an operation and compares each status in its response with the events that arrived
// before it.
func (o *ordered) ask(query string, ids []string) {
	o.t.Helper()
	o.asked++
	id := fmt.Sprint(o.asked)
	list, err := json.Marshal(ids)
	if err != nil {
		o.t.Fatal(err)
	}
	o.send(`{"id":%q,"type":"subscribe","payload":{"query":%q,"variables":{"ids":%s}}}`, id, query, list)
	o.follow(id)
	if m := o.read(); m.Type != "complete" || m.ID != id {
		o.t.Fatalf("%s %s after a response", m.Type, m.ID)
	}
}

// follow reads up to the next message of the operation with that ID, and compares its statuses with
// the events that arrived before it.
func (o *ordered) follow(id string) {
	o.t.Helper()
	for m := o.read(); ; m = o.read() {
		var payload struct {
			Data   any
			Errors []any
		}
		if m.Type != "next" {
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
				o.t.Errorf("an event of %s at %s after %s", user, changedAt, o.events[user])
			default:
				o.held++
				o.events[user] = changedAt
			}
		})
		if m.ID == id {
			return
		}
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

// eachOrder runs test with one node and with two. The users are friends of ann and have devices on
// the last node, where their custom statuses change until test returns.
func eachOrder(t *testing.T, users int, test func(w *graphtest.World, ids []string)) {
	ids := make([]string, users)
	for i := range ids {
		ids[i] = fmt.Sprint("user", i)
	}
	for _, count := range []int{1, 2} {
		t.Run(fmt.Sprint("nodes: ", count), func(t *testing.T) {
			db := testenv.Open(t, testenv.SQLiteURL(t))
			nodes := []*graphtest.World{nil}
			if count == 1 {
				nodes[0] = graphtest.New(t, db)
			} else {
				nodes = graphtest.NewNodes(t, db, count)
			}
			for _, w := range nodes {
				w.Rates = ratelimit.Unlimited{}
				w.Restart()
			}
			here, there := nodes[0], nodes[count-1]
			here.Register(here.App, "ann")
			accounts := make([]status.Account, users)
			for i, id := range ids {
				here.Register(here.App, id)
				do(here, graphtest.AppServer, makeFriends, vars("a", "ann", "b", id))
				accounts[i] = account(here, id)
				if _, err := there.Presence.Connect(context.Background(), accounts[i], models.PlatformOther, nowhere{}, noCheck); err != nil {
					t.Fatal(err)
				}
			}
			done := make(chan struct{})
			var changing sync.WaitGroup
			changing.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-done:
						return
					default:
					}
					_, err := there.Presence.SetStatus(context.Background(), accounts[rand.IntN(len(accounts))], fmt.Sprint(n))
					if err != nil {
						t.Error(err)
						return
					}
					if n%10 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
			})
			defer changing.Wait()
			defer close(done)
			test(here, ids)
		})
	}
}

// check fails the test if statuses in responses were older than events, or if there was nothing to
// compare.
func (o *ordered) check(answers, events int) {
	o.t.Helper()
	o.t.Logf("%d of %d statuses in responses were older; %d events", o.older, o.answers, o.held)
	switch {
	case o.answers != answers || o.held < events:
		o.t.Errorf("%d statuses in responses and %d events are too few", o.answers, o.held)
	case o.older > 0:
		o.t.Errorf("%d of %d statuses in responses were older than an event before them", o.older, o.answers)
	}
}

// TestResponse_NeverOlderThanEventsBefore has one connection receive changes of statuses and query
// the statuses.
func TestResponse_NeverOlderThanEventsBefore(t *testing.T) {
	const users, asks = 50, 100
	for _, test := range []struct{ name, as, subscription, query string }{
		{"userStatuses", graphtest.AppServer, `subscription { appStatusChanged { userId changedAt } }`,
			`query($ids: [ID!]!) { userStatuses(ids: $ids) { userId changedAt } }`},
		{"users", graphtest.AppServer, `subscription { appStatusChanged { userId changedAt } }`,
			`query($ids: [ID!]!) { users(ids: $ids) { status { userId changedAt } } }`},
		{"friends", "ann", `subscription { statusChanged { userId changedAt } }`,
			`{ me { friends(first: 50) { totalCount nodes { user { status { userId changedAt } } } } } }`},
		{"subscribeStatus", "ann", `subscription { statusChanged { userId changedAt } }`,
			`mutation($ids: [ID!]!) { subscribeStatus(input: {targetIds: $ids}) { statuses { userId changedAt } } }`},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachOrder(t, users, func(w *graphtest.World, ids []string) {
				o := dialOrdered(w, w.Bearer(test.as), test.subscription)
				for range asks {
					o.ask(test.query, ids)
				}
				o.check(asks*users, asks)
			})
		})
	}
}

// TestRelationshipChanged_NeverOlderThanEventsBefore has one connection receive changes of statuses
// and events that hold statuses themselves.
func TestRelationshipChanged_NeverOlderThanEventsBefore(t *testing.T) {
	const changes = 300
	eachOrder(t, 1, func(w *graphtest.World, ids []string) {
		o := dialOrdered(w, w.Bearer("ann"), `subscription { statusChanged { userId changedAt } }`)
		other := dialOrdered(w, w.Bearer("ann"), `subscription { relationshipChanged { user { status { userId changedAt } } } }`)
		go func() { // reads the same events on another device
			for {
				if _, err := other.wire.Read(); err != nil {
					return
				}
			}
		}()
		o.send(`{"id":"relations","type":"subscribe","payload":{"query":%q}}`,
			`subscription { relationshipChanged { user { status { userId changedAt } } } }`)
		o.ask(`{ __typename }`, nil)
		for i := range changes {
			if _, err := w.Relations.SetFriendRemark(context.Background(), w.App.App, "ann", ids[0], fmt.Sprint(i)); err != nil {
				w.T.Fatal(err)
			}
			o.follow("relations")
		}
		o.check(changes, 0)
	})
}
