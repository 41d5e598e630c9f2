package users

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"rollcall/internal/fault"
	"rollcall/internal/page"
	"rollcall/models"
)

// TestListBy_PagesAreCompleteWhileUsersAreAdded goes through each order to the end, while users register
// at all positions, and back.
func TestListBy_PagesAreCompleteWhileUsersAreAdded(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		app := w.newApp("big", models.EnvironmentProduction, models.EditionFlagship)
		names := []string{"Zoë", "zoe", "Émile", "emil", "王小明", "Ann", "ann", "😀"}
		rows := map[string]*models.User{}
		for i := range 24 {
			r := Registration{ID: fmt.Sprintf("%c%02d", "uUx-"[i%4], i), Name: names[i%len(names)]}
			got, err := w.users.Register(ctx, app, r)
			if err != nil {
				t.Fatal(err)
			}
			rows[r.ID] = got.User
			if i%5 == 0 {
				w.pass(time.Millisecond)
			}
			if i%3 > 0 { // a third was never seen, and some at the same time
				got.User.Presence, got.User.PresenceAt = models.Presence(i%3), new(w.users.now().Add(-time.Duration(i/4)*time.Hour))
				if i%6 == 1 {
					got.User.Presence = models.PresenceUnlogined // has logged out
				}
				w.set(got.User, "presence", got.User.Presence)
				w.set(got.User, "presence_at", *got.User.PresenceAt)
			}
		}
		added := 0
		for _, by := range []Sort{ByRegistration, ByName, ByID, BySeen} {
			for _, ascending := range []bool{true, false} {
				what := fmt.Sprintf("by %s, ascending %t", by, ascending)
				l := w.users.sorted(app, Filter{}, by)
				var want []string
				for id := range rows {
					want = append(want, id)
				}
				slices.SortFunc(want, func(a, b string) int {
					order := compareKeys(l.key(rows[a]), l.key(rows[b]))
					if !ascending {
						return -order
					}
					return order
				})
				r := page.Request{First: 5, OldestFirst: ascending}
				read := func() *Connection {
					t.Helper()
					c, err := w.users.ListBy(ctx, app, Filter{}, by, r)
					if err != nil {
						t.Fatal(what, err)
					}
					return c
				}
				known := func(c *Connection) (list []string) {
					for _, id := range ids(c.Nodes()) {
						if rows[id] != nil {
							list = append(list, id)
						}
					}
					return list
				}
				c := read()
				there := known(c)
				for c.PageInfo().HasNextPage {
					for _, start := range []string{"A", "u1", "zz"} {
						added++
						if _, err := w.users.Register(ctx, app, Registration{ID: fmt.Sprint(start, added, "new"), Name: start}); err != nil {
							t.Fatal(err)
						}
					}
					r.After = c.PageInfo().EndCursor
					c = read()
					there = append(there, known(c)...)
				}
				if !slices.Equal(there, want) {
					t.Errorf("%s: there %q, want %q", what, there, want)
				}
				r.After = nil
				back := known(c)
				for c.PageInfo().HasPreviousPage {
					r.Before = c.PageInfo().StartCursor
					c = read()
					back = append(known(c), back...)
				}
				if !slices.Equal(back, want) {
					t.Errorf("%s: back %q, want %q", what, back, want)
				}
			}
		}
	})
}

func compareKeys(a, b page.Key) int {
	return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Text, b.Text), cmp.Compare(a.ID, b.ID))
}

func TestListBy_RefusesSearchesAndFewUsers(t *testing.T) {
	each(t, func(w *world) {
		for _, f := range []Filter{
			{Search: "a"}, {Presences: []models.Presence{models.PresenceOnline}}, {States: []models.UserState{models.UserBanned}},
		} {
			if _, err := w.users.ListBy(t.Context(), w.app, f, ByName, page.Request{First: 1}); fault.CodeOf(err) != fault.InvalidArgument {
				t.Errorf("%+v: %v", f, err)
			}
		}
	})
}
