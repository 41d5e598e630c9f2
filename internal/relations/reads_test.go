package relations

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/fault"
	"rollcall/internal/page"
	"rollcall/internal/testenv"
	"rollcall/internal/users"
	"rollcall/models"
)

// first returns the request for the first page of a list.
func first(n int) page.Request { return page.Request{First: n} }

// list is one of the four lists in a form that tests can compare: the IDs of a page, its position,
// and the total.
type list struct {
	name string
	read func(w *world, owner *models.User, r page.Request) ([]string, *page.Info, func() (int, error), error)
	// add adds a user to x's list, and remove removes it.
	add, remove func(w *world, id string)
}

// listOf returns a list, given the function that reads a page and the function that returns the
// user of an item.
func listOf[T any](name string, read func(w *world, owner *models.User, r page.Request) (*page.Connection[T], error), who func(T) *models.User,
	add, remove func(w *world, id string)) list {
	return list{name, func(w *world, owner *models.User, r page.Request) ([]string, *page.Info, func() (int, error), error) {
		c, err := read(w, owner, r)
		if err != nil {
			return nil, nil, nil, err
		}
		for i, edge := range c.Edges() {
			if who(edge.Node).ID != who(c.Nodes()[i]).ID {
				w.t.Errorf("edge and node %d of %s differ", i, name)
			}
		}
		return collect(c.Nodes(), func(item T) string { return who(item).ExternalID }), c.PageInfo(),
			func() (int, error) { return c.TotalCount(ctx) }, nil
	}, add, remove}
}

var lists = []list{
	listOf("friends", func(w *world, o *models.User, r page.Request) (*FriendshipConnection, error) {
		return w.relations.Friends(ctx, o, r)
	}, func(f *Friendship) *models.User { return f.User },
		func(w *world, id string) { w.befriend("x", id) },
		func(w *world, id string) { _, err := w.relations.RemoveFriend(ctx, w.app, "x", id); w.ok(err) }),
	listOf("blocklist", func(w *world, o *models.User, r page.Request) (*BlockConnection, error) {
		return w.relations.Blocklist(ctx, o, r)
	}, func(b *Block) *models.User { return b.User },
		func(w *world, id string) { w.block("x", id) },
		func(w *world, id string) {
			_, err := w.relations.RemoveFromBlocklist(ctx, w.app, "x", []string{id})
			w.ok(err)
		}),
	listOf("whitelist", func(w *world, o *models.User, r page.Request) (*WhitelistEntryConnection, error) {
		return w.relations.Whitelist(ctx, o, r)
	}, func(e *WhitelistEntry) *models.User { return e.User },
		func(w *world, id string) { w.allow("x", id) },
		func(w *world, id string) {
			_, err := w.relations.RemoveFromWhitelist(ctx, w.app, "x", []string{id})
			w.ok(err)
		}),
	listOf("incoming", func(w *world, o *models.User, r page.Request) (*FriendRequestConnection, error) {
		return w.relations.Requests(ctx, o, true, r)
	}, func(r *FriendRequest) *models.User { return r.From },
		func(w *world, id string) { w.request(id, "x") },
		func(w *world, id string) { w.deactivate(id) }),
	listOf("outgoing", func(w *world, o *models.User, r page.Request) (*FriendRequestConnection, error) {
		return w.relations.Requests(ctx, o, false, r)
	}, func(r *FriendRequest) *models.User { return r.To },
		func(w *world, id string) { w.request("x", id) },
		func(w *world, id string) { w.deactivate(id) }),
}

// TestPages_Stable checks that every entry comes exactly once, newest first, while other entries
// are added and removed.
func TestPages_Stable(t *testing.T) {
	ids := names("u", 12)
	want := slices.Clone(ids)
	slices.Reverse(want)
	each(t, func(w *world) {
		for n, list := range lists {
			for _, id := range ids {
				list.add(w, id)
			}
			var got []string
			request := first(5)
			for i := 0; ; i++ {
				some, info, total, err := list.read(w, w.user("x"), request)
				w.ok(err)
				got = append(got, some...)
				if n, err := total(); n != 12+i || err != nil {
					w.t.Errorf("%s: total %d, %v", list.name, n, err)
				}
				if info.HasPreviousPage != (i > 0) || info.HasNextPage != (i < 2) {
					w.t.Errorf("%s: page %d has %+v", list.name, i, info)
				}
				late := fmt.Sprintf("late%d-%d", n, i)
				w.register(late)
				list.add(w, late) // newer than the pages being read
				if !info.HasNextPage {
					break
				}
				request.After = info.EndCursor
			}
			if !slices.Equal(got, want) {
				w.t.Errorf("%s: got %q\nwant %q", list.name, got, want)
			}
			// A page continues behind a cursor whose entry has been removed.
			_, info, _, err := list.read(w, w.user("x"), first(4))
			w.ok(err)
			last := "u11"
			list.remove(w, last)
			behind, _, _, err := list.read(w, w.user("x"), page.Request{First: 2, After: info.EndCursor})
			w.ok(err)
			if !slices.Equal(behind, []string{"u10", "u9"}) {
				w.t.Errorf("%s: behind a removed entry: %q", list.name, behind)
			}
			_, err = w.users.Reactivate(ctx, w.app, []string{last}, audit.AppServer)
			w.ok(err)
			w.clear()
			for i := range 3 {
				w.deactivate(fmt.Sprintf("late%d-%d", n, i))
			}
		}
	}, append(ids, "x")...)
}

func TestPages_RefuseForeignCursors(t *testing.T) {
	each(t, func(w *world) {
		cursors := make([]*string, len(lists))
		for i, list := range lists {
			w.clear()
			list.add(w, "ann")
			_, info, _, err := list.read(w, w.user("x"), first(1))
			w.ok(err)
			cursors[i] = info.EndCursor
		}
		empty, garbage := "", "AAAA"
		for i, list := range lists {
			for j, cursor := range append(cursors, &empty, &garbage) {
				_, _, _, err := list.read(w, w.user("x"), page.Request{First: 1, After: cursor})
				if i == j {
					w.ok(err)
				} else if fault.CodeOf(err) != fault.InvalidArgument {
					w.t.Errorf("%s accepted cursor %d: %v", list.name, j, err)
				}
			}
			_, _, _, err := list.read(w, w.user("ann"), page.Request{First: 1, After: cursors[i]})
			if e := w.refused(err, fault.InvalidArgument); e.Extensions["field"] != "after" {
				w.t.Errorf("%s: %+v", list.name, e)
			}
		}
	}, "x", "ann")
}

func TestPages_EmptyList(t *testing.T) {
	each(t, func(w *world) {
		for _, list := range lists {
			ids, info, total, err := list.read(w, w.user("x"), first(10))
			w.ok(err)
			n, err := total()
			if len(ids) != 0 || n != 0 || err != nil || *info != (page.Info{}) {
				w.t.Errorf("%s: %q, %d, %+v, %v", list.name, ids, n, info, err)
			}
		}
		if ids := w.friends("x"); ids == nil || len(ids) != 0 {
			w.t.Errorf("friend IDs: %#v", ids)
		}
	}, "x")
}

// TestPages_OneQuery checks that a page of any size takes one query, and its total at most one
// more.
func TestPages_OneQuery(t *testing.T) {
	ids := names("u", 60)
	each(t, func(w *world) {
		for _, list := range lists {
			w.clear()
			for _, id := range ids {
				list.add(w, id)
			}
			x := w.user("x")
			queries := testenv.Queries(w.t, w.db)
			for _, size := range []int{1, 10, 50} {
				before := queries.Load()
				_, _, total, err := list.read(w, x, first(size))
				w.ok(err)
				if n := queries.Load() - before; n != 1 {
					w.t.Errorf("a page of %d of %s took %d queries", size, list.name, n)
				}
				n, err := total()
				w.ok(err)
				if n != 60 {
					w.t.Errorf("%s: total %d", list.name, n)
				}
				if n := queries.Load() - before; n > 2 || n > 1 && list.name != "incoming" && list.name != "outgoing" {
					w.t.Errorf("%s: page and total took %d queries", list.name, n)
				}
			}
		}
	}, append(ids, "x")...)
}

// TestPages_Profiles checks that with Request.Profiles only the columns of profiles are read.
func TestPages_Profiles(t *testing.T) {
	each(t, func(w *world) {
		w.befriend("x", "ann")
		_, err := w.users.Ban(ctx, w.app, []string{"ann"}, users.Sentence{Length: time.Minute}, audit.AppServer)
		w.ok(err)
		ann := w.user("ann")
		for _, profiles := range []bool{false, true} {
			c, err := w.relations.Friends(ctx, w.user("x"), page.Request{First: 1, Profiles: profiles})
			w.ok(err)
			got := c.Nodes()[0].User
			if got.ID != ann.ID || got.AppID != ann.AppID || got.ExternalID != "ann" || got.Name != ann.Name ||
				got.Presence != ann.Presence || (got.BannedUntil == nil) != profiles {
				w.t.Errorf("with Profiles %v: %+v", profiles, got)
			}
		}
	}, "x", "ann")
}

// TestFriends_OldestFirst checks that every friend comes exactly once, oldest first, those that were
// added after the first page too, and that the cursors of the two orders differ.
func TestFriends_OldestFirst(t *testing.T) {
	ids := names("u", 12)
	each(t, func(w *world) {
		for _, blocks := range []bool{false, true} {
			w.clear()
			w.befriend("x", ids[:11]...)
			if blocks {
				w.block("x", "u3")
			}
			var got, blocked []string
			r := page.Request{First: 5, OldestFirst: true}
			for i := 0; ; i++ {
				c, err := w.relations.Friends(ctx, w.user("x"), r)
				w.ok(err)
				for _, f := range c.Nodes() {
					got = append(got, f.User.ExternalID)
					if f.Blocked {
						blocked = append(blocked, f.User.ExternalID)
					}
				}
				info := c.PageInfo()
				if info.HasPreviousPage != (i > 0) || info.HasNextPage != (i < 2) {
					w.t.Errorf("page %d has %+v", i, info)
				}
				if i == 0 {
					w.befriend("x", "u11")
					other := page.Request{First: 5, After: info.EndCursor}
					_, err := w.relations.Friends(ctx, w.user("x"), other)
					w.refused(err, fault.InvalidArgument)
				}
				if !info.HasNextPage {
					break
				}
				r.After = info.EndCursor
			}
			if !slices.Equal(got, ids) || (len(blocked) == 1) != blocks {
				w.t.Errorf("got %q, blocked %q", got, blocked)
			}
		}
	}, append(ids, "x")...)
}

// TestFriendships checks the order, duplicates, users that are not friends, and the number of queries.
func TestFriendships(t *testing.T) {
	each(t, func(w *world) {
		w.befriend("ann", "bob", "cid")
		w.block("ann", "cid")
		_, err := w.relations.SetFriendRemark(ctx, w.app, "ann", "bob", "Bobby")
		w.ok(err)
		ann := w.user("ann")
		asked := []string{"cid", "dan", "nobody", "bob", "Bob", "bob ", "丽", "cid", "ann"}
		queries := testenv.Queries(w.t, w.db)
		got, err := w.relations.Friendships(ctx, w.app, ann, asked)
		w.ok(err)
		if n := queries.Load(); n != 1 {
			w.t.Errorf("%d queries", n)
		}
		for i, id := range asked {
			want := w.friendship("ann", id)
			if (got[i] == nil) != (want == nil) {
				w.t.Errorf("with %q: %+v", id, got[i])
				continue
			}
			if want != nil && (got[i].ID() != want.ID() || got[i].User.Name != want.User.Name || text(got[i].Remark) != text(want.Remark) ||
				got[i].CreatedAt != want.CreatedAt || got[i].Blocked != want.Blocked) {
				w.t.Errorf("with %q: %+v, want %+v", id, got[i], want)
			}
		}
		for _, none := range [][]string{nil, {"丽"}} {
			got, err := w.relations.Friendships(ctx, w.app, ann, none)
			w.ok(err)
			if got == nil || len(got) != len(none) {
				w.t.Errorf("with %q: %#v", none, got)
			}
		}
		other := *w.app
		other.ID++
		got, err = w.relations.Friendships(ctx, &other, ann, []string{"bob"})
		w.ok(err)
		if got[0] != nil {
			w.t.Errorf("in another app: %+v", got[0])
		}
	}, "ann", "bob", "cid", "dan")
}

func TestRequestWith(t *testing.T) {
	each(t, func(w *world) {
		id := w.request("ann", "bob")
		between := func(owner, with, want string) {
			w.t.Helper()
			got, err := w.relations.RequestWith(ctx, w.app, w.user(owner), with)
			w.ok(err)
			if want == "" && got != nil || want != "" && (got == nil || got.ID != want || got.From.ExternalID != "ann" || got.To.ExternalID != "bob") {
				w.t.Errorf("%s with %s: %+v, want %q", owner, with, got, want)
			}
		}
		between("ann", "bob", id)
		between("bob", "ann", id)
		between("ann", "cid", "")
		between("ann", "nobody", "")
		between("ann", "ann", "")
		w.pass(RequestLifetime)
		between("ann", "bob", "")
	}, "ann", "bob", "cid")
}
