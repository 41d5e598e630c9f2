package relations

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"rollcall/internal/bus"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/models"
)

// together calls fn n times concurrently.
func together(n int, fn func(i int)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	all.Wait()
}

// inTurn calls fn until its turn comes in time, as callers do that receive UNAVAILABLE. Many changes
// of the same users may wait for each other longer than turn.Take allows, on a slow server or machine.
func inTurn(fn func() error) error {
	for {
		if err := fn(); !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
}

// names returns prefix0, prefix1 and so on.
func names(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(prefix, i)
	}
	return out
}

// surprises are the errors of concurrent calls that are not refusals.
type surprises struct {
	w    *world
	mu   sync.Mutex
	seen int
}

func (s *surprises) check(err error) {
	if err == nil || fault.CodeOf(err) != fault.Internal {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen++; s.seen <= 3 {
		s.w.t.Errorf("a caller received an internal error: %v", err)
	}
}

func TestAddFriend_LimitOnBothSidesUnderConcurrency(t *testing.T) {
	others := names("u", 50)
	each(t, func(w *world) {
		w.app.Settings.FriendLimit = 5
		// Two services, as on two nodes: they share only the database.
		services := []*Service{w.relations, New(w.db, &bus.Bus{}, w.secret, w.clock)}
		var mu sync.Mutex
		made := 0
		bad := &surprises{w: w}
		together(100, func(i int) {
			hub, other := []string{"ann", "bob"}[i%2], others[i/2]
			if i%4 > 1 { // from the other side
				hub, other = other, hub
			}
			err := inTurn(func() error {
				_, err := services[i%3%2].AddFriend(ctx, w.app, hub, other, nil)
				return err
			})
			bad.check(err)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			} else if fault.CodeOf(err) != fault.FriendLimitReached {
				w.t.Errorf("adding %s and %s: %v", hub, other, err)
			}
		})
		for _, id := range []string{"ann", "bob"} {
			if u := w.user(id); u.FriendCount != 5 || len(w.friends(id)) != 5 {
				w.t.Errorf("%s has %d friends by its count and %q", id, u.FriendCount, w.friends(id))
			}
		}
		if made != 10 {
			w.t.Errorf("%d calls returned a friendship, want 10", made)
		}
		w.consistent()
	}, append(others, "ann", "bob")...)
}

func TestLists_LimitsUnderConcurrency(t *testing.T) {
	others := names("u", 40)
	each(t, func(w *world) {
		w.app.Settings.BlocklistLimit, w.app.Settings.WhitelistLimit = 7, 7
		second := New(w.db, &bus.Bus{}, w.secret, w.clock)
		bad := &surprises{w: w}
		together(40, func(i int) {
			bad.check(inTurn(func() error {
				_, err := w.relations.AddToBlocklist(ctx, w.app, "ann", []string{others[i], others[(i+1)%40]})
				return err
			}))
			bad.check(inTurn(func() error {
				_, err := second.AddToWhitelist(ctx, w.app, "ann", []string{others[(i+1)%40], others[i]})
				return err
			}))
		})
		if u := w.user("ann"); u.BlockCount != 7 || u.WhitelistCount != 7 {
			w.t.Errorf("%d blocked and %d allowed, want 7 and 7", u.BlockCount, u.WhitelistCount)
		}
		w.consistent()
	}, append(others, "ann")...)
}

func TestSendFriendRequest_CrossingConcurrently(t *testing.T) {
	each(t, func(w *world) {
		services := []*Service{w.relations, New(w.db, &bus.Bus{}, w.secret, w.clock)}
		for round := range 10 {
			a, b := fmt.Sprint("a", round), fmt.Sprint("b", round)
			w.register(a, b)
			var mu sync.Mutex
			var friendships, requests int
			together(2, func(i int) {
				from, to := a, b
				if i == 1 {
					from, to = b, a
				}
				sent, err := services[i].SendFriendRequest(ctx, w.app, from, to, nil)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					w.t.Errorf("%s to %s: %v", from, to, err)
				case sent.Friendship != nil && sent.Request == nil:
					friendships++
				case sent.Request != nil && sent.Friendship == nil:
					requests++
				}
			})
			if friendships != 1 || requests != 1 {
				w.t.Errorf("%d friendships and %d requests were returned, want one of each", friendships, requests)
			}
			if got := w.friends(a); !slices.Equal(got, []string{b}) {
				w.t.Errorf("%s has the friends %q", a, got)
			}
		}
		w.consistent()
	})
}

func TestChanges_SameCallConcurrently(t *testing.T) {
	each(t, func(w *world) {
		w.watch("ann", "bob")
		second := New(w.db, &bus.Bus{}, w.secret, w.clock)
		service := func(i int) *Service { return []*Service{w.relations, second}[i%2] }
		bad := &surprises{w: w}
		together(10, func(i int) { _, err := service(i).AddFriend(ctx, w.app, "ann", "bob", nil); bad.check(err) })
		together(10, func(i int) {
			_, err := service(i).AddToBlocklist(ctx, w.app, "ann", []string{"bob"})
			bad.check(err)
		})
		together(10, func(i int) {
			_, err := service(i).AddToWhitelist(ctx, w.app, "ann", []string{"bob"})
			bad.check(err)
		})
		if u := w.user("ann"); u.FriendCount != 1 || u.BlockCount != 1 || u.WhitelistCount != 1 {
			w.t.Errorf("counts %d, %d, %d, want 1, 1, 1", u.FriendCount, u.BlockCount, u.WhitelistCount)
		}
		w.consistent()
		together(10, func(i int) { _, err := service(i).RemoveFriend(ctx, w.app, "bob", "ann"); bad.check(err) })
		together(10, func(i int) {
			_, err := service(i).RemoveFromBlocklist(ctx, w.app, "ann", []string{"bob"})
			bad.check(err)
		})
		if u := w.user("ann"); u.FriendCount != 0 || u.BlockCount != 0 {
			w.t.Errorf("counts %d, %d, want 0, 0", u.FriendCount, u.BlockCount)
		}
		w.consistent()
	}, "ann", "bob")
}

// TestRequest_EndsOnce checks that of concurrent calls that accept, decline and cancel a request,
// exactly one succeeds, and the others find no request.
func TestRequest_EndsOnce(t *testing.T) {
	each(t, func(w *world) {
		for range 10 {
			id := w.request("ann", "bob")
			var mu sync.Mutex
			won := 0
			together(6, func(i int) {
				var err error
				switch i % 3 {
				case 0:
					_, err = w.relations.AcceptFriendRequest(ctx, w.app, "bob", id)
				case 1:
					_, err = w.relations.DeclineFriendRequest(ctx, w.app, "bob", id)
				case 2:
					_, err = w.relations.CancelFriendRequest(ctx, w.app, "ann", id)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if fault.CodeOf(err) != fault.RequestNotFound {
					w.t.Error(err)
				}
			})
			if won != 1 {
				w.t.Errorf("%d calls ended the request", won)
			}
			w.consistent()
			_, err := w.relations.RemoveFriend(ctx, w.app, "ann", "bob")
			w.ok(err)
		}
	}, "ann", "bob")
}

// storm has workers change the relations of few users at random, through two services on the same
// database.
func (w *world) storm(people []string, workers, calls int) {
	services := []*Service{w.relations, New(w.db, &bus.Bus{}, w.secret, w.clock)}
	bad := &surprises{w: w}
	together(workers, func(i int) {
		s := services[i%2]
		random := rand.New(rand.NewPCG(uint64(i), 4))
		for range calls {
			a, b := people[random.IntN(len(people))], people[random.IntN(len(people))]
			change, enabled := random.IntN(9), random.IntN(2) == 0
			bad.check(inTurn(func() (err error) {
				switch change {
				case 0, 1:
					_, err = s.AddFriend(ctx, w.app, a, b, nil)
				case 2:
					_, err = s.RemoveFriend(ctx, w.app, a, b)
				case 3:
					_, err = s.AddToBlocklist(ctx, w.app, a, people)
				case 4:
					_, err = s.RemoveFromBlocklist(ctx, w.app, a, []string{b, a})
				case 5:
					_, err = s.AddToWhitelist(ctx, w.app, a, []string{b})
				case 6, 7:
					_, err = s.SendFriendRequest(ctx, w.app, a, b, nil)
				case 8:
					_, err = s.SetWhitelistEnabled(ctx, w.app, people, enabled, audit.AppServer)
				}
				return err
			}))
		}
	})
}

func TestChanges_ConsistentAfterAStorm(t *testing.T) {
	people := names("u", 6)
	each(t, func(w *world) {
		w.app.Settings.FriendLimit, w.app.Settings.BlocklistLimit, w.app.Settings.WhitelistLimit = 3, 3, 3
		w.storm(people, 12, 40)
		w.consistent()
		for _, id := range people {
			if u := w.user(id); u.FriendCount > 3 || u.BlockCount > 3 || u.WhitelistCount > 3 {
				w.t.Errorf("%s exceeds a limit: %+v", id, u)
			}
		}
	}, people...)
}

// TestDeactivate_LeavesNoRelations checks that whatever changes run while a user is deactivated, no
// relation of it is left.
func TestDeactivate_LeavesNoRelations(t *testing.T) {
	people := names("u", 6)
	each(t, func(w *world) {
		bad := &surprises{w: w}
		var both sync.WaitGroup
		both.Go(func() { w.storm(people, 8, 40) })
		both.Go(func() {
			for i := range 30 {
				batch := []string{people[i%6], people[(i*5+3)%6]}
				bad.check(inTurn(func() error {
					_, err := w.users.Deactivate(ctx, w.app, batch, audit.AppServer)
					return err
				}))
				_, err := w.users.Reactivate(ctx, w.app, batch[1:], audit.AppServer)
				bad.check(err)
				if i%3 == 0 {
					_, err = w.users.Reactivate(ctx, w.app, batch, audit.AppServer)
					bad.check(err)
				}
			}
		})
		both.Wait()
		w.consistent()
	}, people...)
}

// TestDelete_LeavesNoRelations checks the same for deleted users, whose rows are removed too.
func TestDelete_LeavesNoRelations(t *testing.T) {
	each(t, func(w *world) {
		bad := &surprises{w: w}
		for round := range 10 {
			id := fmt.Sprint("gone", round)
			w.register(id)
			together(6, func(i int) {
				var err error
				switch i {
				case 0:
					_, err = w.relations.AddFriend(ctx, w.app, "ann", id, nil)
				case 1:
					_, err = w.relations.AddToBlocklist(ctx, w.app, "bob", []string{id, "ann"})
				case 2:
					_, err = w.relations.AddToWhitelist(ctx, w.app, id, []string{"ann", "bob"})
				case 3:
					_, err = w.relations.SendFriendRequest(ctx, w.app, "cid", id, nil)
				case 4:
					_, err = w.relations.SendFriendRequest(ctx, w.app, id, "dan", nil)
				case 5:
					_, err = w.users.Delete(ctx, w.app, []string{id}, models.Actor{Name: "op"})
				}
				bad.check(err)
			})
		}
		w.consistent()
	}, "ann", "bob", "cid", "dan")
}
