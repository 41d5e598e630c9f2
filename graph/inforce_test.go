package graph_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/graph/graphtest"
	"rollcall/internal/fanout"
	"rollcall/internal/ratelimit"
	"rollcall/models"
)

// ends are the ways in which a user's access ends.
var ends = []struct {
	name string
	// do ends the access of the user, and returns when that is in force.
	do func(w *graphtest.World, id string)
	// code and closing are the results of a request and a WebSocket of the user from then on.
	code    string
	status  int
	closing int
	// cuts reports whether open devices are closed, too.
	cuts bool
	// leaves is the presence of a user that was ONLINE before.
	leaves models.Presence
}{
	{"ban", func(w *graphtest.World, id string) {
		call(w, banMany, input("userIds", []string{id}, "minutes", 1))
	}, "USER_BANNED", http.StatusForbidden, 4401, true, models.PresenceOffline},
	{"deactivate", func(w *graphtest.World, id string) { call(w, deactivate, inIDs([]string{id})) },
		"UNAUTHENTICATED", http.StatusUnauthorized, 4401, true, models.PresenceUnlogined},
	{"delete", func(w *graphtest.World, id string) {
		if _, err := w.Users.Delete(context.Background(), w.App.App, []string{id}, models.Actor{Name: "operator"}); err != nil {
			w.T.Error(err)
		}
	}, "UNAUTHENTICATED", http.StatusUnauthorized, 4401, true, models.PresenceUnlogined},
	{"expire", func(w *graphtest.World, id string) {
		call(w, expire, input("userIds", []string{id}, "issuedBefore", soon))
	}, "UNAUTHENTICATED", http.StatusUnauthorized, 4401, false, models.PresenceOnline},
}

// call sends an operation of the App Server that must succeed.
func call(w *graphtest.World, query string, variables map[string]any) {
	w.T.Helper()
	if r := w.Do(w.Bearer(graphtest.AppServer), query, variables); r.Code() != "" {
		w.T.Errorf("%s", r.Body)
	}
}

// events records the delivered events about users' statuses.
type events struct {
	mu   sync.Mutex
	list []models.Presence
}

func (e *events) Deliver(ev *fanout.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, ev.Value().(*models.UserStatus).Presence)
}

func (e *events) seen() []models.Presence {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]models.Presence{}, e.list...)
}

// until waits until something has happened.
func until(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
	}
}

// TestAccessEnds_RacingConnects connects devices of a user continuously while its access ends.
// Connects that begin after the response are refused; earlier ones are refused, or cut with the
// same code.
func TestAccessEnds_RacingConnects(t *testing.T) {
	const rounds, racers = 12, 3
	graphtest.Each(t, func(w *graphtest.World) {
		w.Rates = ratelimit.Unlimited{}
		w.Restart()
		tokens := make(map[string]string) // by how they ended
		for _, end := range ends {
			for round := range rounds {
				id := fmt.Sprint(end.name, "-", round)
				bearer := w.Bearer(id)
				tokens[bearer] = end.code
				user, err := w.Users.ByID(context.Background(), w.App.ID, id)
				if err != nil {
					t.Fatal(err)
				}
				seen := new(events)
				stop := w.Watch(user, seen, false)

				var answered atomic.Bool
				var accepted atomic.Int64
				var wg sync.WaitGroup
				for range racers {
					wg.Go(func() {
						for late := false; !late; {
							late = answered.Load()
							socket, code := w.Connect(bearer)
							switch {
							case socket == nil && code != end.closing:
								t.Errorf("%s: a connect was closed with %d", id, code)
							case socket != nil && late:
								t.Errorf("%s: a connect that began after the response was accepted", id)
							case socket != nil:
								accepted.Add(1)
								if !end.cuts {
									socket.Close()
								} else if code := socket.CloseCode(); code != end.closing {
									t.Errorf("%s: a device was closed with %d", id, code)
								} else {
									late = true // no user connects twice
								}
							}
						}
					})
				}
				for range round { // at another moment each time
					w.Do(w.Bearer(graphtest.AppServer), `{ __typename }`, nil)
				}
				end.do(w, id)
				answered.Store(true)
				if r := w.Do(bearer, `{ me { id } }`, nil); r.Code() != end.code || r.Status != end.status {
					t.Errorf("%s: the next request: %d %s", id, r.Status, r.Body)
				}
				if n := len(w.Devices(user)); n > 0 && end.cuts {
					t.Errorf("%s: %d devices after the response", id, n)
				}
				wg.Wait()
				if n := len(w.Devices(user)); n > 0 && end.cuts {
					t.Errorf("%s: %d devices at the end", id, n)
				}
				if end.cuts {
					// The first event of a later watch follows all events of this one.
					fence := new(events)
					stopFence := w.Watch(user, fence, true)
					until(t, "the statuses of "+id, func() bool { return len(fence.seen()) > 0 })
					stopFence()
					// A device that lost the race was never there; a user that was ONLINE ends as
					// in the table.
					list := seen.seen()
					if len(list) > 0 && list[len(list)-1] != end.leaves {
						t.Errorf("%s: the statuses were %v", id, list)
					}
					for i, p := range list {
						if online := i%2 == 0; online != (p == models.PresenceOnline) {
							t.Errorf("%s: the statuses were %v", id, list)
							break
						}
					}
				}
				stop()
			}
		}
		w.Restart()
		for bearer, code := range tokens {
			if r := w.Do(bearer, `{ me { id } }`, nil); r.Code() != code {
				t.Errorf("after a restart: %s, want %s", r.Body, code)
			}
		}
	})
}

// TestAccessEnds_CutsOpenDevices: with the code of the table, in one event, by the time of the
// response.
func TestAccessEnds_CutsOpenDevices(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		watcher := w.Socket(w.Bearer(graphtest.AppServer))
		defer watcher.Close()
		for _, end := range ends {
			id := end.name
			bearer := w.Bearer(id)
			var sockets []*graphtest.Socket
			for range 3 {
				sockets = append(sockets, w.Socket(bearer))
			}
			watch := watcher.Subscribe(userStatus, inIDs([]string{id}))
			watch.Want(id + " ONLINE")
			end.do(w, id)
			if got := devices(w, id); end.cuts && end.name != "delete" && len(got) != 0 {
				t.Errorf("%s: devices after the response: %q", id, got)
			}
			for _, s := range sockets {
				if !end.cuts {
					if r := s.Do(`{ me { id } }`, nil); r.Code() != end.code {
						t.Errorf("%s: an operation on an open device: %s", id, r.Body)
					}
					s.Close()
				} else if code := s.CloseCode(); code != end.closing {
					t.Errorf("%s: a device was closed with %d", id, code)
				}
			}
			if !end.cuts {
				watch.Want(id + " OFFLINE") // the test has closed them
				continue
			}
			watch.Want(id + " " + end.leaves.String())
			// There was one event only: the next is about a later connect.
			switch end.name {
			case "ban":
				call(w, unban, inIDs([]string{id}))
			case "deactivate":
				call(w, reactivate, inIDs([]string{id}))
				bearer = w.Bearer(id)
			case "delete":
				continue // no user is left
			}
			again := w.Socket(bearer)
			watch.Want(id + " ONLINE")
			again.Close()
			watch.Want(id + " OFFLINE")
		}
	})
}

// TestDeactivate_AbsentUser: the user becomes UNLOGINED, in one event, even if only the database
// still has its status; and it stays so.
func TestDeactivate_AbsentUser(t *testing.T) {
	graphtest.Each(t, func(w *graphtest.World) {
		bearer := w.Bearer("ann")
		never := w.Bearer("never")
		w.Socket(bearer).Close()
		offline := func(p string) func() bool {
			return func() bool {
				r := w.Do(w.Bearer(graphtest.AppServer), `{ user(id: "ann") { status { presence } } }`, nil)
				return string(r.Data) == `{"user":{"status":{"presence":"`+p+`"}}}`
			}
		}
		until(t, "ann to be OFFLINE", offline("OFFLINE"))
		w.Restart()
		watcher := w.Socket(w.Bearer(graphtest.AppServer))
		ann := watcher.Subscribe(userStatus, inIDs([]string{"ann"}))
		ann.Want("ann OFFLINE")
		call(w, deactivate, inIDs([]string{"ann", "ann"}))
		ann.Want("ann UNLOGINED")
		call(w, deactivate, inIDs([]string{"ann"}))
		call(w, reactivate, inIDs([]string{"ann"}))
		if !offline("UNLOGINED")() {
			t.Error("reactivation changed the status")
		}
		w.Socket(w.Bearer("ann")).Close()
		ann.Want("ann ONLINE", "ann OFFLINE")

		// A user that never logged in causes no event.
		nobody := watcher.Subscribe(userStatus, inIDs([]string{"never"}))
		nobody.Want("never UNLOGINED")
		call(w, deactivate, inIDs([]string{"never"}))
		call(w, reactivate, inIDs([]string{"never"}))
		if r := w.Do(never, `{ me { id } }`, nil); r.Code() != "UNAUTHENTICATED" {
			t.Errorf("the old token: %s", r.Body)
		}
		w.Socket(w.Bearer("never")).Close()
		nobody.Want("never ONLINE", "never OFFLINE")
		watcher.Close()
		w.Restart()
		if !offline("OFFLINE")() {
			t.Error("a restart changed the status")
		}
	})
}
