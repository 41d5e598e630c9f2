package users

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/fault"
	"rollcall/internal/page"
	"rollcall/models"
)

// ids returns the external IDs of users.
func ids(list []*models.User) []string {
	out := make([]string, len(list))
	for i, u := range list {
		if u != nil {
			out[i] = u.ExternalID
		}
	}
	return out
}

func (w *world) list(app *models.App, f Filter, r page.Request) *Connection {
	w.t.Helper()
	c, err := w.users.List(context.Background(), app, f, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
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

func TestList_StableWhileRowsChange(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		app := w.newApp("big", models.EnvironmentProduction, models.EditionFlagship)
		want := w.registerSome(app)
		slices.Reverse(want)
		var got []string
		request := page.Request{First: 10}
		for n := 0; ; n++ {
			c := w.list(app, Filter{}, request)
			got = append(got, ids(c.Nodes())...)
			w.register(app, fmt.Sprintf("new%d", n)) // newer than the page, so not in it
			if !c.PageInfo().HasNextPage {
				break
			}
			request.After = c.PageInfo().EndCursor
		}
		if !slices.Equal(got, want) {
			w.t.Errorf("got %q\nwant %q", got, want)
		}
		foreign := *w.list(app, Filter{}, page.Request{First: 1}).PageInfo().EndCursor
		for name, cursor := range map[string]string{"made up": "abc", "empty": "", "of another app": foreign} {
			if _, err := w.users.List(ctx, w.app, Filter{}, page.Request{First: 10, After: &cursor}); fault.CodeOf(err) != fault.InvalidArgument {
				w.t.Errorf("a cursor %s: %v", name, err)
			}
		}
	})
}

// TestList_Backwards goes to the end of a list and back, in both orders.
func TestList_Backwards(t *testing.T) {
	each(t, func(w *world) {
		app := w.newApp("big", models.EnvironmentProduction, models.EditionFlagship)
		for i := range 25 {
			w.register(app, fmt.Sprintf("u%02d", i))
			if i%3 == 0 {
				w.pass(time.Millisecond)
			}
		}
		for _, oldest := range []bool{false, true} {
			pages := [][]string{}
			r := page.Request{First: 10, OldestFirst: oldest}
			var c *Connection
			for {
				c = w.list(app, Filter{}, r)
				pages = append(pages, ids(c.Nodes()))
				if !c.PageInfo().HasNextPage {
					break
				}
				r.After = c.PageInfo().EndCursor
			}
			if len(pages) != 3 || len(pages[2]) != 5 {
				w.t.Fatalf("pages %q", pages)
			}
			r.After = nil
			for n := 1; n >= 0; n-- {
				r.Before = c.PageInfo().StartCursor
				c = w.list(app, Filter{}, r)
				if info := c.PageInfo(); !slices.Equal(ids(c.Nodes()), pages[n]) || info.HasPreviousPage != (n > 0) || !info.HasNextPage {
					w.t.Errorf("oldest first %t: page %d is %q, want %q; %+v", oldest, n, ids(c.Nodes()), pages[n], info)
				}
			}
			r.Before = c.PageInfo().StartCursor
			if c = w.list(app, Filter{}, r); len(c.Nodes()) != 0 || c.PageInfo().HasPreviousPage {
				w.t.Errorf("before the first page are %q", ids(c.Nodes()))
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
			"ann":      {"Ann2", "ann"},
			"NN":       {"Ann2", "ann"}, // any part of an ID or a name, in any case
			"n2":       {"Ann2"},
			"a_":       {"a_b"},
			"100%":     {"bob"},
			"EXAMPLE":  {"ann"},
			"ZOË":      {"Ann2"},
			"zoe":      {"Ann2"},
			"Ｚｏｅ":      {"Ann2"}, // full width
			"\u0301":   {},       // a mark alone is ignored, and selects no user
			"under\na": {},       // no text matches a name and an ID at once
			"丽":        {"li"},
			"%":        {"bob"},
			"nobody":   {},
		} {
			c := w.list(w.app, Filter{Search: search}, page.Request{First: 100})
			got := ids(c.Nodes())
			slices.Sort(got)
			if !slices.Equal(got, want) {
				w.t.Errorf("search %q: got %q, want %q", search, got, want)
			}
			if n, err := c.TotalCount(context.Background()); n != len(want) || err != nil {
				w.t.Errorf("search %q: total %d (%v), want %d", search, n, err, len(want))
			}
		}
	})
}

func TestDelete(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		var revoked []int64
		w.bus.OnAccessRevoked(func(_ context.Context, ev bus.AccessRevoked) {
			if ev.Reason == bus.ReasonDeleted && ev.User.AppID == w.app.ID {
				revoked = append(revoked, ev.User.ID)
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
		var entries []models.AuditEntry
		if err := w.db.Read(ctx).Where("action = ?", audit.ActionUserDelete).Order("id").Find(&entries).Error; err != nil || len(entries) != 2 ||
			entries[0].Target != "bob" || entries[0].Actor != "op" || entries[0].Address != "192.0.2.1" || *entries[0].AppID != w.app.ID {
			w.t.Errorf("audit %+v, %v", entries, err)
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
		for range 2 { // the second call finds nothing left to do
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
