package users

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/headcount"
	"rollcall/internal/page"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// crowd is an app with many users, few of which are banned, deactivated or online.
type crowd struct {
	*world
	app  *models.App
	size int
	// few is how many users are in each of these states.
	few int
}

func newCrowd(w *world, size int) *crowd {
	ctx := context.Background()
	c := &crowd{world: w, app: w.newApp("crowd", models.EnvironmentProduction, models.EditionFlagship), size: size, few: size / 1000}
	err := w.users.Seed(ctx, c.app, size, func(int) { w.pass(time.Second) })
	if err != nil {
		w.t.Fatal(err)
	}
	now := w.users.now()
	where := func(end string) string {
		return fmt.Sprintf(" WHERE app_id = %d AND external_id LIKE '%%%s'", c.app.ID, end)
	}
	for _, sql := range []string{
		fmt.Sprintf("UPDATE users SET banned_at = %d, banned_until = %d + 1 + id %% 100000", now, now) + where("501"),
		fmt.Sprintf("UPDATE users SET deactivated_at = %d - id %% 100000", now) + where("502"),
		fmt.Sprintf("UPDATE users SET presence = %d", models.PresenceOnline) + where("503"),
		fmt.Sprintf("UPDATE user_count_parts SET registered = 0 WHERE app_id = %d", c.app.ID),
		fmt.Sprintf("UPDATE apps SET registered_user_count = %d, deactivated_user_count = %d WHERE id = %d", size-c.few, c.few, c.app.ID),
	} {
		if err := w.db.Exec(ctx, sql); err != nil {
			w.t.Fatal(err)
		}
	}
	c.app = w.reload(c.app)
	return c
}

func TestPlans(t *testing.T) {
	each(t, func(w *world) {
		size := 20_000
		if w.db.Dialect() == database.SQLite {
			size = 2000 // the plan does not depend on it
		}
		c := newCrowd(w, size)
		if w.db.Dialect() == database.SQLite { // SQLite databases are not analyzed in production
			c.testPlans("unanalysed")
		}
		testenv.Analyse(w.t, w.db, "users")
		c.testPlans("analysed")
	})
}

func (c *crowd) testPlans(statistics string) {
	online := []models.Presence{models.PresenceOnline}
	others := []models.Presence{models.PresenceOffline, models.PresenceUnlogined}
	states := func(list ...models.UserState) Filter { return Filter{States: list} }
	list := func(f Filter) func(page.Request) (*Connection, error) {
		return func(r page.Request) (*Connection, error) { return c.users.List(context.Background(), c.app, f, r) }
	}
	const created, presence, banned, deactivated = "users_app_created", "users_app_presence", "users_app_banned", "users_app_deactivated"
	type want struct {
		list  func(page.Request) (*Connection, error)
		total int
		// indexes are the indexes that the page and the count may read.
		indexes []string
		// sorts means that the page may sort the few users that it finds.
		sorts bool
		// reads is the maximum number of rows that a page of 20 and a count may read.
		reads int
		by    Sort
	}
	named := 0
	for i := range c.size {
		if seedName(i) == "丽 Novak" {
			named++
		}
	}
	find := func(f Filter, total, matches int) want {
		// The texts of all users in the index, and the rows of those whose text matches.
		return want{list(f), total, []string{created, "PRIMARY"}, false, c.size + 2*matches + 30, ""}
	}
	// One cursor in the middle, where MySQL and MariaDB would rather scan from the start; and one
	// near the end, where SQLite would rather read the rest in two ranges.
	var positions []*models.User
	for _, id := range []string{fmt.Sprintf("user-%07d", c.size/2), "user-0000012"} {
		row, err := c.users.ByID(context.Background(), c.app.ID, id)
		if err != nil {
			c.t.Fatal(err)
		}
		if err := c.db.Read(context.Background()).Take(row, row.ID).Error; err != nil { // with the name for searches
			c.t.Fatal(err)
		}
		positions = append(positions, row)
	}
	sorted := func(f Filter, by Sort, total int, index string, reads int) want {
		return want{func(r page.Request) (*Connection, error) {
			return c.users.ListBy(context.Background(), c.app, f, by, r)
		}, total, []string{index, created, banned}, false, reads, by}
	}
	for name, want := range map[string]want{
		"all":                    {list(Filter{}), c.size, []string{created}, false, 30, ""},
		"active":                 {list(states(models.UserActive)), c.size - 2*c.few, []string{created, banned}, false, 100, ""},
		"banned":                 {list(states(models.UserBanned)), c.few, []string{banned}, true, 200, ""},
		"deactivated":            {list(states(models.UserDeactivated)), c.few, []string{deactivated}, true, 200, ""},
		"banned or deactivated":  {list(states(models.UserBanned, models.UserDeactivated)), 2 * c.few, []string{banned, deactivated, "PRIMARY"}, true, 900, ""},
		"active or banned":       {list(states(models.UserActive, models.UserBanned)), c.size - c.few, []string{created}, false, 30, ""},
		"active or deactivated":  {list(states(models.UserActive, models.UserDeactivated)), c.size - c.few, []string{created, banned}, false, 100, ""},
		"every state":            {list(states(models.UserActive, models.UserDeactivated, models.UserBanned)), c.size, []string{created}, false, 30, ""},
		"online":                 {list(Filter{Presences: online}), c.few, []string{presence}, false, 100, ""},
		"not online":             {list(Filter{Presences: others}), c.size - c.few, []string{created, presence}, false, 100, ""},
		"online and active":      {list(Filter{Presences: online, States: states(models.UserActive).States}), c.few, []string{presence}, false, 100, ""},
		"not online and banned":  {list(Filter{Presences: others, States: states(models.UserBanned).States}), c.few, []string{banned, presence}, true, 200, ""},
		"search by ID":           find(Filter{Search: "user-000012"}, 10, 10),
		"search by name":         find(Filter{Search: "丽 novak"}, named, named),
		"search without a match": find(Filter{Search: "nobody"}, 0, 0),
		"search the banned":      find(Filter{Search: "user-0000", States: states(models.UserBanned).States}, 1, 999),
		"bannedUsers": {func(r page.Request) (*Connection, error) { return c.users.Banned(context.Background(), c.app, r) },
			c.few, []string{banned}, false, 100, ""},
		"deactivatedUsers": {func(r page.Request) (*Connection, error) { return c.users.Deactivated(context.Background(), c.app, r) },
			c.few, []string{deactivated}, false, 30, ""},
		"by name":              sorted(Filter{}, ByName, c.size, "users_app_name", 30),
		"by id":                sorted(Filter{}, ByID, c.size, "users_app_external", 30),
		"by seen":              sorted(Filter{}, BySeen, c.size, "users_app_active", 30),
		"active users by seen": sorted(states(models.UserActive), BySeen, c.size-2*c.few, "users_app_active", 100),
		"active users by name": sorted(states(models.UserActive), ByName, c.size-2*c.few, "users_app_name", 100),
	} {
		c.t.Run(statistics+"/"+name, func(t *testing.T) {
			c := &crowd{c.world.with(t), c.app, c.size, c.few}
			check := func(sorts bool, do func()) {
				t.Helper()
				for _, s := range testenv.Statements(t, c.db, do) {
					c.check(s, want.indexes, sorts, want.reads)
				}
			}
			var first, later *Connection
			var err error
			check(want.sorts, func() { first, err = want.list(page.Request{First: 20}) })
			if err != nil {
				t.Fatal(err)
			}
			var total int
			check(false, func() { total, err = first.TotalCount(context.Background()) })
			if err != nil || total != want.total {
				t.Errorf("total %d, want %d; %v", total, want.total, err)
			}
			if total == 0 {
				return
			}
			var after []string
			for _, u := range positions {
				l := c.users.sorted(c.app, Filter{}, want.by)
				after = append(after, l.order.Cursor(l.key(u)))
			}
			if strings.HasSuffix(name, "Users") { // other lists have other orders
				after = []string{first.Edges()[len(first.Edges())-2].Cursor()}
			}
			for i, cursor := range after {
				check(want.sorts, func() { later, err = want.list(page.Request{First: 20, After: &cursor}) })
				if err != nil || i == 0 && len(later.Nodes()) == 0 {
					t.Errorf("%d users on a late page, %v", len(later.Nodes()), err)
				}
				check(want.sorts, func() { _, err = want.list(page.Request{First: 20, Before: &cursor}) })
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestSearchPlans_OfLargeApp checks that a search reads no more rows than its bounds, in an app with
// more users.
func TestSearchPlans_OfLargeApp(t *testing.T) {
	each(t, func(w *world) {
		c := newCrowd(w, 2000)
		w.users.reach = reach{ids: 100, names: 300}
		testenv.Analyse(t, w.db, "users")
		for _, search := range []string{"nobody", "user-00000", "丽 novak"} {
			var found *Connection
			for _, s := range testenv.Statements(t, w.db, func() { found = w.list(c.app, Filter{Search: search}, page.Request{First: 10}) }) {
				c.checkPlan(s, []string{"users_app_created", "users_app_external", "PRIMARY"}, true, 430)
			}
			for _, s := range testenv.Statements(t, w.db, func() { _, _ = found.TotalCount(context.Background()) }) {
				c.checkPlan(s, []string{"users_app_created", "users_app_external", "PRIMARY"}, false, 330)
			}
		}
	})
}

func (c *crowd) check(s testenv.Statement, indexes []string, sorts bool, reads int) {
	c.t.Helper()
	if strings.Contains(s.SQL, "OFFSET") {
		c.t.Errorf("an OFFSET\n%s", s.SQL)
	}
	c.checkPlan(s, indexes, sorts, reads)
}

func (c *crowd) checkPlan(s testenv.Statement, indexes []string, sorts bool, reads int) {
	c.t.Helper()
	plan := testenv.Explain(c.t, c.db, s)
	fail := func(what string) { c.t.Errorf("%s\n%s%s", what, s.SQL, plan) }
	found := false
	for _, step := range plan {
		if step.Sorts && !sorts {
			fail("a sort")
		}
		indexes := indexes
		switch step.Table {
		case "users", "found":
		case "parts": // the parts of the app's count
			indexes = []string{"PRIMARY"}
			reads = max(reads, headcount.Parts+10)
		default:
			continue
		}
		found = true
		if step.Scans {
			fail("a scan")
		}
		if !slices.Contains(indexes, step.Index) {
			fail("not the index " + strings.Join(indexes, " or "))
		}
	}
	if !found {
		fail("no index at all")
	}
	if n, ok := testenv.RowsRead(c.t, c.db, s); ok && n > reads {
		fail(fmt.Sprintf("%d rows read, at most %d expected", n, reads))
	}
}

// TestSearchBounds checks that a search examines as many IDs and names as documented.
func TestSearchBounds(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		if w.users.reach != (reach{10_000, 100_000}) {
			t.Errorf("a search looks at %+v", w.users.reach)
		}
		w.users.reach = reach{ids: 5, names: 20}
		if err := w.users.Seed(ctx, w.app, 30, func(int) {}); err != nil {
			t.Fatal(err)
		}
		for _, u := range []struct{ id, name string }{{"user-0000010", "Too Old"}, {"user-0000011", "Just Old"}, {"user-0000030", "Not Old"}} {
			if _, err := w.users.Update(ctx, w.app, u.id, Change{Name: u.name}); err != nil {
				t.Fatal(err)
			}
		}
		for search, want := range map[string]int{
			"old": 2, "too old": 0, // names: only those of the newest users
			"0000030": 1, "SER-0000030": 1, "0000010": 0, // a part of an ID, and another case: as names
			"user-0000001": 1, "user-0000010": 1, "user-0000030": 1, // IDs: of all users
			"user-000000": 5,      // and the first of them
			"user-00000":  20 + 5, // and those whose names are examined anyway
		} {
			list := w.list(w.app, Filter{Search: search}, page.Request{First: 100})
			if n, err := list.TotalCount(ctx); n != want || len(list.Nodes()) != want || err != nil {
				t.Errorf("search %q: %d on the page, total %d (%v), want %d", search, len(list.Nodes()), n, err, want)
			}
		}
	})
}

// TestLookupPlans checks that the reads of nearly every request find their rows by an index and
// read no others, however large the app is.
func TestLookupPlans(t *testing.T) {
	each(t, func(w *world) {
		ctx := context.Background()
		c := newCrowd(w, 5000)
		ids := make([]string, MaxIDs)
		for i := range ids {
			ids[i] = fmt.Sprintf("user-%07d", 7*i+1)
		}
		ann, err := w.users.ByID(ctx, c.app.ID, ids[0])
		if err != nil {
			t.Fatal(err)
		}
		const external, key = "users_app_external", "PRIMARY"
		check := func(statistics string) {
			for name, read := range map[string]struct {
				index string
				users int
				do    func() error
			}{
				"a user": {external, 1, func() error { _, err := w.users.ByID(ctx, c.app.ID, ids[1]); return err }},
				"a user and a secret": {external, 1, func() error {
					_, _, err := w.users.ByIDWithSecret(ctx, c.app.ID, ids[1], false)
					return err
				}},
				"a profile": {external, 1, func() error {
					_, _, err := w.users.ByIDWithSecret(ctx, c.app.ID, ids[1], true)
					return err
				}},
				"three users":         {external, 4, func() error { _, err := w.users.ByIDs(ctx, c.app.ID, ids[:3]); return err }},
				"500 users":           {external, MaxIDs, func() error { _, err := w.users.ByIDs(ctx, c.app.ID, ids); return err }},
				"the user of a token": {key, 1, func() error { _, _, err := w.users.Current(ctx, ann.ID); return err }},
			} {
				var err error
				list := testenv.Statements(w.t, w.db, func() { err = read.do() })
				if err != nil || len(list) != 1 {
					w.t.Fatalf("%s, %s: %d statements, %v", statistics, name, len(list), err)
				}
				// One row more for each: the end of its range, or its app.
				c.check(list[0], []string{read.index}, false, 2*read.users+2)
			}
		}
		check("unanalysed")
		testenv.Analyse(w.t, w.db, "users")
		check("analysed")
	})
}
