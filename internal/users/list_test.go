package users

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"rollcall/internal/bus"
	"rollcall/internal/fault"
	"rollcall/models"
)

// ids answers the external IDs of users.
func ids(list []*models.User) []string {
	out := make([]string, len(list))
	for i, u := range list {
		if u != nil {
			out[i] = u.ExternalID
		}
	}
	return out
}

func TestByIDs(t *testing.T) {
	each(t, func(w *world) {
		other := w.newApp("other", models.EnvironmentDevelopment, models.EditionFlagship)
		w.register(w.app, "ann")
		w.register(w.app, "bob")
		w.register(other, "eve")
		got, err := w.users.ByIDs(context.Background(), w.app.ID, []string{"bob", "eve", "ann", "Bob", "bob"})
		if err != nil || !slices.Equal(ids(got), []string{"bob", "", "ann", "", "bob"}) {
			w.t.Errorf("%q, %v", ids(got), err)
		}
		if u, err := w.users.ByID(context.Background(), w.app.ID, "eve"); u != nil || err != nil {
			w.t.Errorf("another app's user: %v, %v", u, err)
		}
	})
}

func TestPageIsStableWhileRowsComeAndGo(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		app := w.newApp("big", models.EnvironmentProduction, models.EditionFlagship)
		var want []string
		for i := range 25 {
			id := fmt.Sprintf("u%02d", i)
			w.register(app, id)
			want = append(want, id)
			if i%3 == 0 { // several share a millisecond
				w.pass(time.Millisecond)
			}
		}
		slices.Reverse(want)
		var got []string
		after := ""
		for page := 0; ; page++ {
			p, err := w.users.Page(ctx, app, Query{First: 10, After: after})
			if err != nil {
				w.t.Fatal(err)
			}
			got = append(got, ids(p.Users)...)
			w.register(app, fmt.Sprintf("new%d", page)) // newer than the page: not seen
			if after = p.Next; after == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			w.t.Errorf("got %q\nwant %q", got, want)
		}
		foreign, err := w.users.Page(ctx, app, Query{First: 1})
		if err != nil {
			w.t.Fatal(err)
		}
		for name, cursor := range map[string]string{"made up": "abc", "of another app": foreign.Next} {
			if _, err := w.users.Page(ctx, w.app, Query{First: 10, After: cursor}); fault.CodeOf(err) != fault.InvalidArgument {
				w.t.Errorf("a cursor %s: %v", name, err)
			}
		}
	})
}

func TestSearch(t *testing.T) {
	each(t, func(w *world) {
		for id, name := range map[string]string{"ann": "Ann Example", "Ann2": "Zoë", "bob": "Bob 100%", "li": "林丽 Lin", "a_b": "under", "axb": "no"} {
			if _, err := w.users.Register(context.Background(), w.app, Registration{ID: id, Name: name}); err != nil {
				w.t.Fatal(err)
			}
		}
		for search, want := range map[string][]string{
			"ann":     {"ann"},
			"Ann":     {"Ann2", "ann"}, // an ID's prefix with regard to case, a name without
			"a_":      {"a_b"},
			"100%":    {"bob"},
			"EXAMPLE": {"ann"},
			"ZOË":     {"Ann2"},
			"丽":       {"li"},
			"%":       {"bob"},
			"nobody":  {},
		} {
			p, err := w.users.Page(context.Background(), w.app, Query{First: 100, Search: search})
			if err != nil {
				w.t.Fatal(err)
			}
			got := ids(p.Users)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				w.t.Errorf("search %q: got %q, want %q", search, got, want)
			}
		}
	})
}

func TestDelete(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		var revoked []int64
		w.bus.OnAccessRevoked(func(_ context.Context, ev bus.AccessRevoked) {
			if ev.Reason == bus.ReasonDeleted && ev.AppID == w.app.ID {
				revoked = append(revoked, ev.UserID)
			}
		})
		ann, bob := w.register(w.app, "ann").User, w.register(w.app, "bob").User
		w.register(w.app, "stays")
		got, err := w.users.Delete(ctx, w.app, []string{"bob", "nobody", "ann", "bob"}, models.Actor{Name: "op", Address: "192.0.2.1"})
		if err != nil {
			w.t.Fatal(err)
		}
		want := []models.Outcome{models.OutcomeDone, models.OutcomeNotFound, models.OutcomeDone, models.OutcomeNotFound}
		for i, r := range got {
			if r.Outcome != want[i] || (r.Error != nil) != (want[i] == models.OutcomeNotFound) {
				w.t.Errorf("item %d: %+v", i, r)
			}
		}
		if !slices.Equal(revoked, []int64{bob.ID, ann.ID}) {
			w.t.Errorf("revoked %v", revoked)
		}
		w.checkCount(w.app, 1)
		var audit []models.AuditEntry
		if err := w.db.Read(ctx).Order("id").Find(&audit).Error; err != nil || len(audit) != 2 ||
			audit[0].Target != "bob" || audit[0].Actor != "op" || audit[0].Address != "192.0.2.1" || *audit[0].AppID != w.app.ID {
			w.t.Errorf("audit %+v, %v", audit, err)
		}

		production := w.newApp("production", models.EnvironmentProduction, models.EditionStandard)
		w.register(production, "ann")
		if _, err := w.users.Delete(ctx, production, []string{"ann"}, models.Actor{Name: "op"}); fault.CodeOf(err) != fault.Forbidden {
			w.t.Errorf("deleting in PRODUCTION: %v", err)
		}
		w.checkCount(production, 1)
	})
}

func TestSeed(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		app := w.newApp("big", models.EnvironmentProduction, models.EditionFlagship)
		for range 2 { // the second time nothing is left to do
			last := 0
			if err := w.users.Seed(ctx, app, 1200, func(done int) { last = done }); err != nil || last != 1200 {
				w.t.Fatal(last, err)
			}
			w.checkCount(app, 1200)
		}
		if err := w.users.Seed(ctx, w.app, 101, func(int) {}); fault.CodeOf(err) != fault.UserLimitReached {
			w.t.Errorf("seeding past the limit: %v", err)
		}
		w.checkCount(w.app, 0)
	})
}
