package relations

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"gorm.io/gorm"

	"rollcall/internal/database"
	"rollcall/internal/page"
	"rollcall/internal/retention"
	"rollcall/internal/testenv"
	"rollcall/internal/userlock"
	"rollcall/models"
)

// populate creates n users directly and returns their keys.
func (w *world) populate(n int) []int64 {
	w.t.Helper()
	rows := make([]*models.User, n)
	for i := range rows {
		rows[i] = &models.User{AppID: w.app.ID, ExternalID: fmt.Sprint("u", i), CreatedAt: 1, UpdatedAt: 1, Presence: models.PresenceUnlogined}
	}
	w.ok(w.db.Tx(ctx, func(tx *gorm.DB) error { return tx.CreateInBatches(rows, 1000).Error }))
	keys := make([]int64, n)
	for i, u := range rows {
		keys[i] = u.ID
	}
	return keys
}

// TestPlans checks that frequent reads use only indexes and read few rows for each user that they
// concern, however many other users there are.
func TestPlans(t *testing.T) {
	each(t, func(w *world) {
		const n, many = 2000, 480
		keys := w.populate(n)
		at := models.TimeOf(w.clock())
		w.ok(w.relations.Seed(ctx, w.app, keys, 6, func(int) {}))
		w.ok(w.db.Tx(ctx, func(tx *gorm.DB) error {
			for i := range 20 { // a single app would be scanned
				app := *w.app
				app.ID, app.Key, app.Name = 0, fmt.Sprint("key", i), fmt.Sprint("app ", i)
				if err := tx.Create(&app).Error; err != nil {
					return err
				}
			}
			var friends []models.Friendship
			var blocks []models.Block
			var allowed []models.WhitelistEntry
			var requests []*models.FriendRequest
			for i, key := range keys {
				steps := 3
				if i == 7 {
					steps = many // a user with nearly the maximum of entries
				}
				for step := 1; step <= steps; step++ {
					other := keys[(i+step)%n]
					if step > 3 {
						friends = append(friends, models.Friendship{UserID: key, CreatedAt: at, FriendID: other},
							models.Friendship{UserID: other, CreatedAt: at, FriendID: key})
					}
					blocks = append(blocks, models.Block{UserID: key, CreatedAt: at, BlockedID: other})
					allowed = append(allowed, models.WhitelistEntry{UserID: key, CreatedAt: at, AllowedID: other})
					requests = append(requests, &models.FriendRequest{FromID: key, ToID: other, CreatedAt: at, ExpiresAt: at + 1})
				}
			}
			for _, rows := range []any{friends, blocks, allowed} {
				if err := tx.CreateInBatches(rows, 1000).Error; err != nil {
					return err
				}
			}
			return createRequests(tx, requests)
		}))

		owner := w.user("u7")
		blocker := *owner
		blocker.BlockCount = many
		pairs := make([]Pair, MaxPairs)
		for i := range pairs {
			pairs[i] = Pair{fmt.Sprint("u", i), fmt.Sprint("u", 2*i)}
		}
		requests := func(incoming bool) func() error {
			return func() error {
				c, err := w.relations.Requests(ctx, owner, incoming, first(50))
				if err == nil {
					_, err = c.TotalCount(ctx)
				}
				return err
			}
		}
		apart, accepted, blocked := 0, 0, 0
		further := func(owner *models.User) error {
			c, err := w.relations.Friends(ctx, owner, first(3))
			if err == nil {
				r := first(3)
				r.After = c.PageInfo().EndCursor
				_, err = w.relations.Friends(ctx, owner, r)
			}
			return err
		}
		reads := map[string]func() error{
			"a decision":       func() error { _, err := w.relations.Permission(ctx, w.app, pairs[1]); return err },
			"two decisions":    func() error { _, err := w.relations.Permissions(ctx, w.app, pairs[:2]); return err },
			"500 decisions":    func() error { _, err := w.relations.Permissions(ctx, w.app, pairs); return err },
			"friends":          func() error { _, err := w.relations.Friends(ctx, owner, first(50)); return err },
			"friends, blocked": func() error { _, err := w.relations.Friends(ctx, &blocker, first(50)); return err },
			"friends' profiles": func() error {
				_, err := w.relations.Friends(ctx, owner, page.Request{First: 50, Profiles: true})
				return err
			},
			"friends, oldest first": func() error {
				_, err := w.relations.Friends(ctx, owner, page.Request{First: 50, OldestFirst: true})
				return err
			},
			"friendships": func() error {
				_, err := w.relations.Friendships(ctx, w.app, owner, names("u", 500))
				return err
			},
			"the request with a user": func() error {
				_, err := w.relations.RequestWith(ctx, w.app, owner, "u8")
				return err
			},
			"friend IDs":        func() error { _, err := w.relations.FriendIDs(ctx, owner); return err },
			"a friendship":      func() error { _, err := w.relations.Friendship(ctx, w.app, owner, "u8"); return err },
			"the blocklist":     func() error { _, err := w.relations.Blocklist(ctx, owner, first(50)); return err },
			"blocked IDs":       func() error { _, err := w.relations.BlockedIDs(ctx, owner); return err },
			"the whitelist":     func() error { _, err := w.relations.Whitelist(ctx, owner, first(50)); return err },
			"incoming requests": requests(true),
			"outgoing requests": requests(false),
			"a friend request": func() error {
				_, err := w.relations.SendFriendRequest(ctx, w.app, "u7", "u1700", nil)
				return err
			},
			"an accepted request": func() error {
				accepted++
				other := fmt.Sprint("u", 1100+accepted)
				_, err := w.relations.AcceptFriendRequest(ctx, w.app, other, w.request("u7", other))
				return err
			},
			"blocked users": func() error {
				blocked += 2
				_, err := w.relations.AddToBlocklist(ctx, w.app, "u7", []string{fmt.Sprint("u", 1500+blocked), fmt.Sprint("u", 1501+blocked)})
				return err
			},
			"expired requests": func() error {
				_, err := retention.New(w.db, w.clock, slog.Default(), Expiring()...).Sweep(ctx)
				return err
			},
			"becoming friends": func() error {
				_, err := w.relations.AddFriend(ctx, w.app, "u7", "u1000", nil)
				return err
			},
			"many becoming friends": func() error {
				var wanted []*addition
				for i := range addBatch {
					wanted = append(wanted, &addition{limit: n, owner: keys[i], friend: keys[n/2+i+apart], held: &heldUsers{Held: new(userlock.Held), times: w.relations.times}})
				}
				apart += addBatch // other users the next time
				made, err := w.relations.adder.addAll(ctx, wanted)
				if err == nil && len(made) == 0 {
					err = errors.New("no pair became friends")
				}
				return err
			},
			"further friends":          func() error { return further(owner) },
			"further friends, blocked": func() error { return further(&blocker) },
		}
		check := func() {
			for name, read := range reads {
				for _, s := range w.statements(read) {
					if !strings.HasPrefix(s.SQL, "INSERT") { // an INSERT reads no rows
						w.usesIndexes(name, s)
					}
				}
			}
		}
		check() // on a database that was never analyzed
		w.analyse()
		check()
	})
}

func (w *world) analyse() {
	testenv.Analyse(w.t, w.db, "users", "friendships", "friend_requests", "sent_friend_requests", "blocks", "whitelist_entries")
}

// statements returns the statements that read runs.
func (w *world) statements(read func() error) []testenv.Statement {
	w.t.Helper()
	list := testenv.Statements(w.t, w.db, func() { w.ok(read()) })
	if len(list) == 0 {
		w.t.Fatal("no statement was seen")
	}
	return list
}

// usesIndexes checks that a statement scans no table and sorts no list, except one that a limit
// bounds, read from the smaller index that covers it. The questions of a decision are a derived
// table, which is scanned.
func (w *world) usesIndexes(name string, s testenv.Statement) {
	w.t.Helper()
	sqlite := w.db.Dialect() == database.SQLite
	for _, step := range testenv.Explain(w.t, w.db, s) {
		bad := step.Index == "" || step.Scans || step.Rows > 600 || step.Sorts && !strings.HasSuffix(step.Index, "_pair")
		if sqlite {
			questions := slices.Contains([]string{"SCAN q", "SCAN CONSTANT ROW"}, step.Text) ||
				strings.HasPrefix(step.Text, "SCAN (subquery") || strings.HasSuffix(step.Text, "-ROW VALUES CLAUSE")
			bad = step.Scans && !questions || step.Sorts || strings.Contains(step.Text, "AUTOMATIC")
		} else if step.Table == "" || strings.HasPrefix(step.Table, "<") {
			continue
		}
		if bad {
			w.t.Errorf("%s: %s\n%.500s", name, step.Text, s.SQL)
		}
	}
}

// TestPages_DeepPagesReadNoMore checks that a late page of a long list costs as much as the first
// one, also on a database that would rather scan the list from its start.
func TestPages_DeepPagesReadNoMore(t *testing.T) {
	w := newWorld(t, testenv.Open(t, testenv.MySQLURL(t)))
	const n, size = 3000, 20
	keys := w.populate(n + 1)
	at := models.TimeOf(w.clock())
	w.ok(w.db.Tx(ctx, func(tx *gorm.DB) error {
		var friends []models.Friendship
		var blocks []models.Block
		var allowed []models.WhitelistEntry
		var requests []*models.FriendRequest
		for i, other := range keys[1:] {
			moment := at + models.Time(i)
			friends = append(friends, models.Friendship{UserID: keys[0], CreatedAt: moment, FriendID: other})
			blocks = append(blocks, models.Block{UserID: keys[0], CreatedAt: moment, BlockedID: other})
			allowed = append(allowed, models.WhitelistEntry{UserID: keys[0], CreatedAt: moment, AllowedID: other})
			requests = append(requests, &models.FriendRequest{FromID: keys[0], ToID: other, CreatedAt: moment, ExpiresAt: at + 1_000_000},
				&models.FriendRequest{FromID: other, ToID: keys[0], CreatedAt: moment, ExpiresAt: at + 1_000_000})
		}
		for _, rows := range []any{friends, blocks, allowed} {
			if err := tx.CreateInBatches(rows, 1000).Error; err != nil {
				return err
			}
		}
		return createRequests(tx, requests)
	}))
	owner := w.user("u0")
	blocker := *owner
	blocker.BlockCount = n
	check := func(statistics string, owner *models.User) {
		for name, read := range map[string]func(r page.Request) (int, error){
			"friends": func(r page.Request) (int, error) {
				c, err := w.relations.Friends(ctx, owner, r)
				return len(c.Nodes()), err
			},
			"friends, oldest first": func(r page.Request) (int, error) {
				r.OldestFirst = true
				c, err := w.relations.Friends(ctx, owner, r)
				return len(c.Nodes()), err
			},
			"blocklist": func(r page.Request) (int, error) {
				c, err := w.relations.Blocklist(ctx, owner, r)
				return len(c.Nodes()), err
			},
			"whitelist": func(r page.Request) (int, error) {
				c, err := w.relations.Whitelist(ctx, owner, r)
				return len(c.Nodes()), err
			},
			"incoming": func(r page.Request) (int, error) {
				c, err := w.relations.Requests(ctx, owner, true, r)
				return len(c.Nodes()), err
			},
			"outgoing": func(r page.Request) (int, error) {
				c, err := w.relations.Requests(ctx, owner, false, r)
				return len(c.Nodes()), err
			},
		} {
			for _, depth := range []int{n / 2, n - size} {
				order, moment := page.Order{List: name, Owner: owner.ID, Secret: w.secret}, at+models.Time(n-depth)
				if list, oldest := strings.CutSuffix(name, ", oldest first"); oldest {
					order.List, order.OldestFirst, moment = list, true, at+models.Time(depth-3)
				}
				cursor := order.Cursor(page.Key{At: moment, ID: 1})
				for _, s := range w.statements(func() error {
					found, err := read(page.Request{First: size, After: &cursor})
					if err == nil && found != size {
						err = fmt.Errorf("%d on the page", found)
					}
					return err
				}) {
					// Each entry, its user, and the relations between the two.
					if got, _ := testenv.RowsRead(w.t, w.db, s); got < size || got > 4*(size+1)+10 {
						w.t.Errorf("%s, %s: a page behind %d reads %d rows\n%s", statistics, name, depth, got, s.SQL)
					}
				}
			}
		}
	}
	check("unanalysed", owner)
	check("unanalysed, blocks", &blocker)
	w.analyse()
	check("analysed", owner)
	check("analysed, blocks", &blocker)
}
