package presence

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"rollcall/internal/database"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// observed collects the changes of all nodes.
type observed struct {
	mu       sync.Mutex
	unwanted int64 // the app that wants nothing, or 0
	list     []models.UserStatus
}

func (o *observed) Wants(appID int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return appID != o.unwanted
}

func (o *observed) Changed(r *status.Record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, r.Status())
}

// take returns what was collected of each user since the last call, in the order of the times.
func (o *observed) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	slices.SortFunc(o.list, func(a, b models.UserStatus) int {
		if order := strings.Compare(a.UserID, b.UserID); order != 0 {
			return order
		}
		return int(*a.ChangedAt - *b.ChangedAt)
	})
	var texts []string
	for _, s := range o.list {
		texts = append(texts, strings.TrimSpace(fmt.Sprint(s.UserID, " ", s.Presence, " ", s.CustomStatus)))
	}
	o.list = nil
	return strings.Join(texts, ", ")
}

// changes makes changes at two nodes, which may be the same, and returns what the observer must receive.
func (o *observed) changes(a, b *world) (want string) {
	t := a.t
	t.Helper()
	first, _ := a.connect(0)
	second, _ := b.connect(0) // no change
	if _, err := b.SetStatus(a.account(0), "busy"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.SetStatus(a.account(0), "busy"); err != nil { // no change
		t.Fatal(err)
	}
	first.Gone() // no change
	second.Gone()
	b.connect(1)
	a.logout(1, nil, true)
	b.connect(2)
	a.Disconnect(context.Background(), a.account(2), nil)
	return "u0 ONLINE, u0 ONLINE busy, u0 OFFLINE, u1 ONLINE, u1 UNLOGINED, u2 ONLINE, u2 OFFLINE"
}

func TestObserver_ReceivesEachChangeOnce(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		o := new(observed)
		w := &world{t: t, db: db, clock: newClock(), log: slog.New(slog.DiscardHandler), observer: o}
		w.register(4)
		w.start()
		want := o.changes(w, w)
		if got := o.take(); got != want {
			t.Errorf("the node notifies of\n%s, want\n%s", got, want)
		}
		w.connect(3)
		o.take()
		w.crash()
		w.start()
		if got := o.take(); got != "u3 OFFLINE" {
			t.Errorf("after a crash the node notifies of %q", got)
		}
		w.connect(3)
		o.take()
		w.closeHub(w.Hub)
		if got := o.take(); got != "u3 OFFLINE" {
			t.Errorf("a node that stops notifies of %q", got)
		}
		o.unwanted = w.app.ID
		w.start()
		w.connect(3)
		if got := o.take(); got != "" {
			t.Errorf("an app that wants nothing: %q", got)
		}
	})
}

// TestObserver_TwoNodes has one observer for two nodes of one service: it would receive a change
// twice if both noticed it.
func TestObserver_TwoNodes(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		o := new(observed)
		n := newObservedNodes(t, db, 2, 4, o)
		want := o.changes(n[0], n[1])
		n[0].wantPresence(2, models.PresenceOffline)
		n[1].wantPresence(2, models.PresenceOffline)
		if got := o.take(); got != want {
			t.Errorf("the nodes notify of\n%s, want\n%s", got, want)
		}
		n[1].connect(3)
		o.take()
		n[1].closeHub(n[1].Hub)
		n[0].wantPresence(3, models.PresenceOffline)
		if got := o.take(); got != "u3 OFFLINE" {
			t.Errorf("a node that stops notifies of %q", got)
		}
	})
}
