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
