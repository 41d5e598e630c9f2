package users

import (
	"context"
	"slices"
	"strings"
	"testing"

	"rollcall/internal/page"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// searchText returns what is stored for searches about the user.
func (w *world) searchText(id string) (text string) {
	w.t.Helper()
	err := w.db.Read(context.Background()).Model(&models.User{}).Where("app_id = ? AND external_id = ?", w.app.ID, id).
		Select("search_name").Scan(&text).Error
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

func TestSearchName_FollowsNameUntilErased(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		is := func(when, id, want string) {
			t.Helper()
			if got := w.searchText(id); got != want {
				t.Errorf("%s, the search text of %s is %q, want %q", when, id, got, want)
			}
		}
		if _, err := w.users.Register(ctx, w.app, Registration{ID: "Ann@x", Name: "Zoë"}); err != nil {
			t.Fatal(err)
		}
		is("registered", "Ann@x", "zoe\nann@x")
		if _, err := w.users.Register(ctx, w.app, Registration{ID: "Ann@x", Name: "Zoé Ø"}); err != nil {
			t.Fatal(err)
		}
		is("registered again", "Ann@x", "zoe o\nann@x")
		if _, err := w.users.Update(ctx, w.app, "Ann@x", Change{Name: "Å"}); err != nil {
			t.Fatal(err)
		}
		is("renamed", "Ann@x", "a\nann@x")
		for _, name := range []string{"Bób", "Bôb É"} {
			if _, err := w.users.RegisterMany(ctx, w.app, []Registration{{ID: "B", Name: name}, {ID: "c", Name: "Č"}}); err != nil {
				t.Fatal(err)
			}
		}
		is("registered twice with others", "B", "bob e\nb")
		is("registered with others", "c", "c\nc")
		if _, err := w.users.Deactivate(ctx, w.app, []string{"Ann@x", "B"}, models.Actor{Name: "op"}); err != nil {
			t.Fatal(err)
		}
		is("deactivated", "Ann@x", models.SearchName("", "Ann@x"))
		is("deactivated", "B", models.SearchName("", "B"))
		if found := ids(w.list(w.app, Filter{Search: "NN@"}, page.Request{First: 10}).Nodes()); !slices.Equal(found, []string{"Ann@x"}) {
			t.Errorf("the ID of a deactivated user finds %q", found)
		}
	})
}

// TestSearch_PagesOfLargeApp goes through a search that finds users among the newest and older ones
// by their IDs, to the end and back, in both orders.
func TestSearch_PagesOfLargeApp(t *testing.T) {
	each(t, func(w *world) {
		w.users.reach = reach{ids: 100, names: 10}
		want := w.registerSome(w.app)
		if found := w.list(w.app, Filter{Search: "of u"}, page.Request{First: 100}); len(found.Nodes()) != 10 {
			t.Errorf("a part of the name finds %q, want the newest 10", ids(found.Nodes()))
		}
		for _, oldest := range []bool{true, false} {
			r := page.Request{First: 4, OldestFirst: oldest}
			var there, back []string
			c := w.list(w.app, Filter{Search: "u"}, r)
			if n, err := c.TotalCount(context.Background()); n != 25 || err != nil {
				t.Errorf("a total of %d, %v", n, err)
			}
			for there = ids(c.Nodes()); c.PageInfo().HasNextPage; there = append(there, ids(c.Nodes())...) {
				r.After = c.PageInfo().EndCursor
				c = w.list(w.app, Filter{Search: "u"}, r)
			}
			r.After = nil
			for back = ids(c.Nodes()); c.PageInfo().HasPreviousPage; back = append(ids(c.Nodes()), back...) {
				r.Before = c.PageInfo().StartCursor
				c = w.list(w.app, Filter{Search: "u"}, r)
			}
			if !slices.Equal(there, want) || !slices.Equal(back, want) {
				t.Errorf("oldest first %t: there %q, back %q, want %q", oldest, there, back, want)
			}
			slices.Reverse(want)
		}
	})
}

func TestFillSearch_OfUsersOfEarlierReleases(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		n := fillPage + fillChunk + 5
		if err := w.users.Seed(ctx, w.newApp("big", models.EnvironmentProduction, models.EditionFlagship), n, func(int) {}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.users.Register(ctx, w.app, Registration{ID: "Ann", Name: "Zoë"}); err != nil {
			t.Fatal(err)
		}
		if err := w.db.Exec(ctx, "UPDATE users SET search_name = LOWER(name)"); err != nil {
			t.Fatal(err)
		}
		w.register(w.app, "bob")
		for _, want := range []int{n + 1, 0} {
			var filled int
			var err error
			statements := testenv.Statements(w.t, w.db, func() { filled, err = w.users.FillSearch(ctx) })
			if filled != want || err != nil {
				t.Errorf("filled in %d, %v; want %d", filled, err, want)
			}
			reads := 0
			for _, s := range statements {
				if !strings.Contains(s.SQL, "INSTR(") {
					continue
				}
				reads++
				if rows, ok := testenv.RowsRead(w.t, w.db, s); ok && rows > fillPage+1 {
					t.Errorf("one statement reads %d rows\n%.300s", rows, s.SQL)
				}
				for _, step := range testenv.Explain(w.t, w.db, s) {
					if step.Scans || step.Sorts {
						t.Errorf("%s\n%.300s", step.Text, s.SQL)
					}
				}
			}
			if reads < 3 {
				t.Errorf("%d statements read the users", reads)
			}
		}
		if text := w.searchText("Ann"); text != models.SearchName("Zoë", "Ann") {
			t.Errorf("filled in %q", text)
		}
	})
}
