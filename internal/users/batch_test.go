package users

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/batch"
	"rollcall/internal/fault"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// registrations returns n registrations of the users u<first>, u<first+1> and so on.
func registrations(first, n int) []Registration {
	out := make([]Registration, n)
	for i := range out {
		out[i] = Registration{ID: fmt.Sprint("u", first+i), Name: fmt.Sprint("U ", first+i)}
	}
	return out
}

func idsOf(in []Registration) []string {
	out := make([]string, len(in))
	for i, r := range in {
		out[i] = r.ID
	}
	return out
}

// TestBatch_Statements checks that a batch of a hundred runs as many statements as a batch of two.
func TestBatch_Statements(t *testing.T) {
	each(t, func(w *world) {
		ctx, by := context.Background(), models.Actor{Name: "operator"}
		count := func(name string, ids []string) map[string]int {
			out := make(map[string]int)
			in := make([]Registration, len(ids))
			for i, id := range ids {
				in[i] = Registration{ID: id, Name: name}
			}
			for _, op := range []struct {
				name string
				do   func() (any, error)
			}{
				{"register", func() (any, error) { return w.users.RegisterMany(ctx, w.app, in) }},
				{"register again", func() (any, error) { return w.users.RegisterMany(ctx, w.app, in) }},
				{"ban", func() (any, error) {
					return w.users.Ban(ctx, w.app, ids, Sentence{Length: time.Minute}, audit.AppServer)
				}},
				{"unban", func() (any, error) { return w.users.Unban(ctx, w.app, ids, audit.AppServer) }},
				{"expire", func() (any, error) { return w.users.ExpireTokens(ctx, w.app, ids, w.users.now(), audit.AppServer) }},
				{"deactivate", func() (any, error) { return w.users.Deactivate(ctx, w.app, ids, audit.AppServer) }},
				{"reactivate", func() (any, error) { return w.users.Reactivate(ctx, w.app, ids, audit.AppServer) }},
				{"read", func() (any, error) { return w.users.ByIDs(ctx, w.app.ID, ids) }},
				{"delete", func() (any, error) { return w.users.Delete(ctx, w.app, ids, by) }},
			} {
				done := testenv.Statements(w.t, w.db, func() {
					if _, err := op.do(); err != nil {
						t.Errorf("%s: %v", op.name, err)
					}
				})
				// The endpoints are read once in a while, whatever the operation.
				done = slices.DeleteFunc(done, func(s testenv.Statement) bool { return strings.Contains(s.SQL, "webhook_endpoints") })
				out[op.name] = len(done)
			}
			return out
		}
		two := count("A", idsOf(registrations(0, 2)))
		hundred := count("B", idsOf(registrations(0, 100)))
		for name, n := range hundred {
			if n != two[name] || n == 0 || n > 32 {
				t.Errorf("%s: %d statements for 100 users and %d for two", name, n, two[name])
			}
		}
	})
}

// TestBatch_ResultsHaveTheUsersAsTheyAreNow compares the user in each result with the user's row.
func TestBatch_ResultsHaveTheUsersAsTheyAreNow(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		since := w.users.now() + 1000 // the status's time may be ahead of the clock
		for i, id := range []string{"ann", "bob"} {
			user := w.register(w.app, id).User
			w.set(user, "avatar_url", "https://a/b.png")
			w.set(user, "presence", models.PresenceOffline)
			w.set(user, "presence_at", since)
			w.set(user, "friend_count", i)
		}
		reason := "spam"
		ids := []string{"ann", "nobody", "bob", "ann"}
		for _, op := range []struct {
			name string
			do   func() ([]*batch.Result, error)
		}{
			{"ban", func() ([]*batch.Result, error) {
				return w.users.Ban(ctx, w.app, ids, Sentence{Length: time.Minute, Reason: &reason}, audit.AppServer)
			}},
			{"ban again", func() ([]*batch.Result, error) {
				return w.users.Ban(ctx, w.app, ids, Sentence{Length: time.Hour}, audit.AppServer)
			}},
			{"unban", func() ([]*batch.Result, error) { return w.users.Unban(ctx, w.app, ids, audit.AppServer) }},
			{"expire", func() ([]*batch.Result, error) {
				return w.users.ExpireTokens(ctx, w.app, ids, w.users.now(), audit.AppServer)
			}},
			{"deactivate", func() ([]*batch.Result, error) { return w.users.Deactivate(ctx, w.app, ids, audit.AppServer) }},
			{"ban deactivated users", func() ([]*batch.Result, error) {
				return w.users.Ban(ctx, w.app, ids, Sentence{Length: time.Minute}, audit.AppServer)
			}},
			{"reactivate", func() ([]*batch.Result, error) { return w.users.Reactivate(ctx, w.app, ids, audit.AppServer) }},
		} {
			w.pass(time.Second)
			results, err := op.do()
			if err != nil {
				w.t.Fatalf("%s: %v", op.name, err)
			}
			for i, r := range results {
				row := new(models.User)
				w.db.Read(ctx).Where("app_id = ? AND external_id = ?", w.app.ID, ids[i]).Limit(1).Find(row)
				if row.ID == 0 {
					row = nil
				}
				if r.UserID != ids[i] || !reflect.DeepEqual(r.User, row) {
					w.t.Errorf("%s: the result for %s has %+v, want %+v", op.name, ids[i], r.User, row)
				}
			}
		}
	})
}

// TestRegisterMany_HoldsTheLimit checks that concurrent batches that cross the limit, with some IDs
// in common, register exactly as many users as there is room for.
func TestRegisterMany_HoldsTheLimit(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		const rounds = 3
		for round := range rounds {
			app := w.newApp(fmt.Sprint("round ", round), models.EnvironmentDevelopment, models.EditionFlagship)
			var mu sync.Mutex
			created := make(map[string]int)
			refused := make(map[string]bool)
			var wg sync.WaitGroup
			for i := range 12 {
				in := registrations(15*i, 40) // a third are in the neighboring batch too
				rand.Shuffle(len(in), func(a, b int) { in[a], in[b] = in[b], in[a] })
				wg.Go(func() {
					items, err := w.users.RegisterMany(ctx, app, in)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					defer mu.Unlock()
					for j, item := range items {
						switch {
						case item.Err == nil && item.Created:
							created[in[j].ID]++
						case item.Err != nil && item.Err.Code == fault.UserLimitReached:
							refused[in[j].ID] = true
						case item.Err != nil:
							t.Errorf("%s: %v", in[j].ID, item.Err)
						case item.User.ExternalID != in[j].ID || w.verify(item.Token) != "":
							t.Errorf("%s: %+v", in[j].ID, item.User)
						}
					}
				})
				wg.Go(func() { // and a single one
					_, err := w.users.Register(ctx, app, Registration{ID: in[0].ID, Name: "Alone"})
					if code := fault.CodeOf(err); code != "" && code != fault.UserLimitReached {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			w.checkCount(app, 100)
			for id, n := range created {
				if n != 1 {
					t.Errorf("%s was created %d times", id, n)
				}
			}
		}
	})
}

// TestHeadcount_UnderConcurrency checks that registering, deactivating, reactivating and deleting
// users concurrently never counts a user twice, and never exceeds the limit.
func TestHeadcount_UnderConcurrency(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		if _, err := w.users.RegisterMany(ctx, w.app, registrations(0, 95)); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 12 {
					in := registrations(rand.IntN(110), 10)
					var err error
					switch rand.IntN(4) {
					case 0:
						_, err = w.users.RegisterMany(ctx, w.app, in)
					case 1:
						_, err = w.users.Deactivate(ctx, w.app, idsOf(in), audit.AppServer)
					case 2:
						_, err = w.users.Reactivate(ctx, w.app, idsOf(in), audit.AppServer)
					case 3:
						_, err = w.users.Delete(ctx, w.app, idsOf(in[:3]), models.Actor{Name: "operator"})
					}
					if err != nil {
						t.Error(err)
					}
					if n := w.counts(w.app).Registered; n > 100 || n < 0 {
						t.Errorf("the counter is %d", n)
					}
				}
			})
		}
		wg.Wait()
		if counts, rows := w.counts(w.app), w.rows(w.app); counts != rows {
			t.Errorf("the counters are %+v, the rows %+v", counts, rows)
		}
	})
}

// TestRegister_LimitChangedConcurrently checks that the present limit counts if an operator changes
// the app's edition after the caller has read the app.
func TestRegister_LimitChangedConcurrently(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		before := w.newApp("production", models.EnvironmentProduction, models.EditionFlagship)
		w.register(before, "gone")
		if _, err := w.users.Deactivate(ctx, before, []string{"gone"}, audit.AppServer); err != nil {
			t.Fatal(err)
		}
		if _, err := w.apps.Set(ctx, before.Key, map[string]string{"edition": "standard", "registeredUserLimit": "1"}, audit.AppServer); err != nil {
			t.Fatal(err)
		}
		items, err := w.users.RegisterMany(ctx, before, registrations(0, 2))
		if _, alone := w.users.Register(ctx, before, Registration{ID: "alone", Name: "Alone"}); fault.CodeOf(alone) != fault.UserLimitReached {
			t.Errorf("registering one more: %v", alone)
		}
		if err != nil || items[0].Err != nil || items[1].Err == nil || items[1].Err.Extensions["limit"] != 1 {
			t.Errorf("registering two: %+v, %v", items, err)
		}
		results, err := w.users.Reactivate(ctx, before, []string{"gone"}, audit.AppServer)
		if err != nil || results[0].Outcome != models.OutcomeRefused || results[0].Error.Code != fault.UserLimitReached {
			t.Errorf("reactivating: %+v, %v", results, err)
		}
		w.checkCount(before, 1)
	})
}

// TestRegister_WhileDeleted checks that registering an ID while it is deleted returns the old user
// or a new one, never an error.
func TestRegister_WhileDeleted(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		for range 20 {
			w.register(w.app, "ann")
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					r, err := w.users.Register(ctx, w.app, Registration{ID: "ann", Name: "Ann"})
					if err != nil || r.User.Name != "Ann" {
						t.Errorf("registering: %+v, %v", r, err)
					}
				})
			}
			wg.Go(func() {
				if _, err := w.users.Delete(ctx, w.app, []string{"ann"}, models.Actor{Name: "operator"}); err != nil {
					t.Error(err)
				}
			})
			wg.Wait()
		}
		w.checkCount(w.app, w.counts(w.app).Registered)
	})
}

// TestExpireTokens_LaterTokensAreValid checks that tokens issued after an expiry are valid, even if
// the clock stands still or is set back.
func TestExpireTokens_LaterTokensAreValid(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		old := w.register(w.app, "ann").Token
		if _, err := w.users.ExpireTokens(ctx, w.app, []string{"ann"}, w.users.now()+1_000_000, audit.AppServer); err != nil {
			t.Fatal(err)
		}
		same := w.register(w.app, "ann").Token
		w.pass(-time.Hour)
		back, err := w.users.RegisterMany(ctx, w.app, []Registration{{ID: "ann", Name: "Ann", TokenTTL: time.Minute}})
		if err != nil {
			t.Fatal(err)
		}
		for name, token := range map[string]string{"in the same millisecond": same, "by a clock set back": back[0].Token} {
			if code := w.verify(token); code != "" {
				t.Errorf("a token issued %s: %s", name, code)
			}
		}
		if want := w.users.now().Add(time.Minute); *back[0].ExpiresAt != want {
			t.Errorf("it expires at %s, want %s", back[0].ExpiresAt, want)
		}
		if code := w.verify(old); code != fault.Unauthenticated {
			t.Errorf("the old token: %q", code)
		}
	})
}

// TestDeactivate_OneTransaction checks that nothing is left to be written after Deactivate has
// returned, so a crash then loses nothing.
func TestDeactivate_OneTransaction(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		loginAt := w.users.now()
		for id, presence := range map[string]models.Presence{"on": models.PresenceOnline, "off": models.PresenceOffline, "out": models.PresenceUnlogined} {
			u := w.register(w.app, id).User
			w.set(u, "presence", presence)
			w.set(u, "presence_at", loginAt)
		}
		never := w.register(w.app, "never").User
		w.pass(time.Second)
		ids := []string{"on", "off", "out", "never"}
		if _, err := w.users.Deactivate(ctx, w.app, ids, audit.AppServer); err != nil {
			t.Fatal(err)
		}
		now := w.users.now()
		found, err := w.users.ByIDs(ctx, w.app.ID, ids)
		if err != nil {
			t.Fatal(err)
		}
		for i, at := range []*models.Time{&now, &now, &loginAt, nil} {
			u := found[i]
			if u.Presence != models.PresenceUnlogined || (u.PresenceAt == nil) != (at == nil) || at != nil && *u.PresenceAt != *at {
				t.Errorf("%s is %s since %v, want UNLOGINED since %v", u.ExternalID, u.Presence, u.PresenceAt, at)
			}
			if u.State(now) != models.UserDeactivated || u.TokenGeneration != never.TokenGeneration+1 {
				t.Errorf("%s: %+v", u.ExternalID, u)
			}
		}
	})
}
