package graphtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/internal/fanout"
	"rollcall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	relationship = `subscription { relationshipChanged { kind user { id } } }`
	befriend     = `mutation { addFriend(input: {userId: "ann", friendId: "bob"}) { created } }`
)

// TestWantEvents_FailsInBothDirections: one event too many, one too few and a wrong event are
// differences, also for a subscriber that is not named.
func TestWantEvents_FailsInBothDirections(t *testing.T) {
	Each(t, func(w *World) {
		for _, id := range []string{"ann", "ann", "bob", "cid"} {
			w.Subscriber(id, id, relationship, nil)
		}
		w.Run(Scenario{Name: "befriend", As: AppServer, Query: befriend})
		got := w.receive(map[string]any{"*": 0})
		const added = `{"relationshipChanged":{"kind":"FRIEND_ADDED","user":{"id":%q}}}`
		bob, ann := fmt.Sprintf(added, "bob"), fmt.Sprintf(added, "ann")
		for _, test := range []struct {
			name  string
			want  map[string]any
			wrong string // the first words of the differences
		}{
			{"as it was", map[string]any{"ann": 1, "bob": 1, "*": 0}, ""},
			{"event by event", map[string]any{"ann": []string{bob}, "bob": []string{ann}, "cid": []string{}}, ""},
			{"all alike", map[string]any{"cid": 0, "*": 1}, ""},
			{"one too few", map[string]any{"ann": 2, "bob": 2, "*": 0}, "ann ann bob"},
			{"one too many", map[string]any{"ann": 0, "bob": 1, "*": 0}, "ann ann"},
			{"none where there is one", map[string]any{"ann": 1, "*": 0}, "bob"},
			{"one where there is none", map[string]any{"*": 1}, "cid"},
			{"an event is missing", map[string]any{"ann": 1, "bob": []string{ann, ann}, "*": 0}, "bob"},
			{"an event is unexpected", map[string]any{"ann": []string{}, "bob": 1, "*": 0}, "ann ann"},
			{"another event", map[string]any{"ann": []string{ann}, "bob": 1, "*": 0}, "ann ann"},
			{"an error", map[string]any{"ann": 1, "bob": []string{"FORBIDDEN"}, "*": 0}, "bob"},
			{"no such subscriber", map[string]any{"ann": 1, "bob": 1, "dan": 0, "*": 0}, "there"},
		} {
			var wrong []string
			for _, difference := range got.differences(t, test.want) {
				name, _, _ := strings.Cut(difference, " ")
				wrong = append(wrong, name)
			}
			if strings.Join(wrong, " ") != test.wrong {
				t.Errorf("%s: %q differ, want %q", test.name, wrong, test.wrong)
			}
		}
	})
}

// slow is a sink that delays the other watchers of its key.
type slow struct{}

// Deliver delays the queue.
func (slow) Deliver(*fanout.Event) { time.Sleep(5 * time.Millisecond) }

// TestWantEvents_WaitsForTheQueues: a status event that is delivered after the response belongs to
// the scenario of the request.
func TestWantEvents_WaitsForTheQueues(t *testing.T) {
	Each(t, func(w *World) {
		w.Socket(w.Bearer("ann"))
		for _, l := range []*Live{
			w.Subscriber("app", AppServer, `subscription { appStatusChanged { userId customStatus } }`, nil),
			w.Subscriber("cid", "cid", `subscription { statusChanged { userId customStatus } }`, nil),
		} {
			l.Received() // the events of the connections
		}
		ann, err := w.Users.ByID(t.Context(), w.App.ID, "ann")
		if err != nil {
			t.Fatal(err)
		}
		w.Watch(ann, slow{}, false)
		for i := range 10 {
			w.Run(Scenario{Name: "a status", As: "ann",
				Query:      fmt.Sprintf(`mutation { setStatus(input: {customStatus: "%d"}) { status { presence } } }`, i),
				WantEvents: map[string]any{"app": []string{fmt.Sprintf(`{"appStatusChanged":{"userId":"ann","customStatus":"%d"}}`, i)}, "*": 0},
			})
		}
	})
}

// TestWantEvents_LeavesOthers: subscribers that a scenario does not describe keep their events.
func TestWantEvents_LeavesOthers(t *testing.T) {
	Each(t, func(w *World) {
		for _, id := range []string{"ann", "bob"} {
			w.Subscriber(id, id, relationship, nil)
		}
		w.Run(
			Scenario{Name: "befriend", As: AppServer, Query: befriend, WantEvents: map[string]any{"ann": 1}},
			Scenario{Name: "nothing", Query: `{ __typename }`, WantEvents: map[string]any{"bob": 1, "*": 0}},
		)
	})
}
