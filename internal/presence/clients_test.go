package presence

import (
	"context"
	"reflect"
	"testing"
	"time"

	"rollcall/internal/bus"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// connectFrom connects a device of user i whose client is at the address.
func (w *world) connectFrom(i int, address string) (id string, l *link) {
	w.t.Helper()
	l = &link{client: status.Client{Address: address, UserAgent: "agent", HeardAt: 7}}
	d, err := w.Connect(context.Background(), w.account(i), models.PlatformWeb, l, allowed)
	if err != nil {
		w.t.Fatal(err)
	}
	return d.Info().ID, l
}

func (w *world) wantClients(got map[string]Client, want map[string]Client) {
	w.t.Helper()
	if !reflect.DeepEqual(got, want) {
		w.t.Fatalf("the clients are %v, want %v", got, want)
	}
}

func TestClients_OfTheOnlyNodeAreThoseOfItsLinks(t *testing.T) {
	w := newWorld(t, testenv.Open(t, testenv.SQLiteURL(t)), 2)
	id, l := w.connectFrom(0, "192.0.2.1")
	w.connectFrom(1, "192.0.2.2")
	ids := []string{id, "a device that has gone"}
	want := Client{Client: status.Client{Address: "192.0.2.1", UserAgent: "agent", HeardAt: 7}}
	w.wantClients(w.Clients(t.Context(), w.users[0].ID, ids), map[string]Client{id: want})
	l.mu.Lock()
	l.client.HeardAt = 9
	l.mu.Unlock()
	want.HeardAt = 9
	w.wantClients(w.Clients(t.Context(), w.users[0].ID, ids), map[string]Client{id: want})
	if here := w.DevicesHere(w.users[0].ID); len(here) != 1 || here[0].ID != id {
		t.Errorf("the devices here are %v", here)
	}
}

// blocking is a subject whose receivers block the messages that follow.
const blocking bus.Subject[int] = "blocking"

func TestClients_AreAskedFromTheNodesOfTheDevices(t *testing.T) {
	t.Parallel() // mostly waits
	n := newNodes(t, testenv.Open(t, testenv.SQLiteURL(t)), 3, 1)
	ids, want := make([]string, len(n)), make(map[string]Client)
	for i, address := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::3"} {
		ids[i], _ = n[i].connectFrom(0, address)
		want[ids[i]] = Client{status.Client{Address: address, UserAgent: "agent", HeardAt: 7}, n[i].name}
	}
	user := n[0].users[0].ID
	for _, w := range n {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		w.wantClients(w.Clients(ctx, user, ids), want)
		if ctx.Err() != nil {
			t.Errorf("%s waited after all nodes had responded", w.name)
		}
		cancel()
	}
	if here := n[1].DevicesHere(user); len(here) != 1 || here[0].ID != ids[1] {
		t.Errorf("the devices at the second node are %v", here)
	}

	// The last node reads no further messages, as if it were stopped.
	stopped, goOn := make(chan struct{}), make(chan struct{})
	defer close(goOn)
	blocking.Hear(n[2].bus, func(context.Context, int) {
		close(stopped)
		<-goOn
	})
	blocking.Tell(n[0].bus, 1)
	<-stopped
	delete(want, ids[2])
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	n[0].wantClients(n[0].Clients(ctx, user, ids), want)
	if took := time.Since(began); took < 200*time.Millisecond || took > 5*time.Second {
		t.Errorf("asking a stopped node took %v", took)
	}
	if open := len(n[0].clients.open); open != 0 {
		t.Errorf("%d questions are still open", open)
	}
}
