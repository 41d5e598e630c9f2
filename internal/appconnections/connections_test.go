package appconnections

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/page"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/models"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var by = models.Actor{Name: "admin", Address: "192.0.2.9"}

// world is a service with two apps.
type world struct {
	*Service
	t          *testing.T
	db         *database.DB
	rules      *apps.Service
	app, other *models.App
}

func each(t *testing.T, test func(w *world)) {
	t.Helper()
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		events := &bus.Bus{}
		keys, err := token.OpenKeys(ctx, db, "", time.Now)
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, db: db, Service: New(db, events, time.Now), rules: apps.New(db, events, keys, time.Now)}
		for name, app := range map[string]**models.App{"app": &w.app, "other": &w.other} {
			*app, _, err = w.rules.Create(ctx, apps.NewApp{
				Name: name, Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship,
			}, by)
			if err != nil {
				t.Fatal(err)
			}
		}
		test(w)
	})
}

// connection returns a connection of the app with that address, opened at that moment.
func connection(app *models.App, address string, at models.Time) *models.AppConnection {
	return &models.AppConnection{
		AppID: app.ID, Transport: "websocket", Address: address, UserAgent: "test", Generation: app.ConnectionGeneration, ConnectedAt: at,
	}
}

// list returns the addresses of the app's connections, the newest first.
func (w *world) list(app *models.App) (addresses []string) {
	w.t.Helper()
	found, err := w.List(context.Background(), app, page.Request{First: 10_000})
	w.check(err)
	for _, o := range found.Nodes() {
		addresses = append(addresses, o.Address)
	}
	return addresses
}

func (w *world) want(app *models.App, addresses ...string) {
	w.t.Helper()
	if got := w.list(app); !slices.Equal(got, addresses) {
		w.t.Errorf("listed %q, want %q", got, addresses)
	}
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) rows(table string) (n int64) {
	w.t.Helper()
	w.check(w.db.Read(context.Background()).Table(table).Count(&n).Error)
	return n
}

// age makes the database believe that nothing was heard of any node for d more.
func (w *world) age(d time.Duration) {
	w.t.Helper()
	w.check(w.db.Exec(context.Background(), "UPDATE connection_nodes SET seen_at = seen_at - ?", d.Milliseconds()))
}

// beat makes the next Sync of n report that the node is alive, and look for dead ones.
func beat(n *Node) { n.beatAt = time.Time{} }

func TestSync_RecordsWhatIsOpen(t *testing.T) {
	each(t, func(w *world) {
		ctx := t.Context()
		one, two := NewNode(w.db, "one"), NewNode(w.db, "two")
		a, b, c := connection(w.app, "a", 1), connection(w.app, "b", 2), connection(w.app, "c", 3)
		foreign := connection(w.other, "x", 4)
		w.check(one.Sync(ctx, []*models.AppConnection{a, c, foreign}))
		w.check(two.Sync(ctx, []*models.AppConnection{b}))
		w.want(w.app, "c", "b", "a")
		w.want(w.other, "x")
		w.check(one.Sync(ctx, []*models.AppConnection{c, foreign}))
		w.want(w.app, "c", "b")
		w.check(two.Leave(ctx))
		w.want(w.app, "c")
		// A node without connections leaves nothing behind.
		beat(one)
		w.check(one.Sync(ctx, nil))
		if n := w.rows("app_connections") + w.rows("connection_nodes"); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}

// TestSync_ClipsWhatClientsSend: a header is longer than any column, or of other bytes.
func TestSync_ClipsWhatClientsSend(t *testing.T) {
	each(t, func(w *world) {
		c := connection(w.app, "fe80::1%\u00e9"+strings.Repeat("z", 100), 1)
		c.UserAgent = "\xff" + strings.Repeat("\U0001F600", 300)
		w.check(NewNode(w.db, strings.Repeat("n", 300)).Sync(t.Context(), []*models.AppConnection{c}))
		found, err := w.List(t.Context(), w.app, page.Request{First: 1})
		w.check(err)
		o := found.Nodes()[0]
		if len(o.Address) != addressLength || len(o.Node) != nameLength || o.UserAgent != "\uFFFD"+strings.Repeat("\U0001F600", userAgentLength-1) {
			t.Errorf("recorded as %q %q %q", o.Address, o.Node, o.UserAgent)
		}
	})
}

// TestSync_FloodCostsBoundedWork: many connections at once are written a part at a time, by as many
// statements as one is.
func TestSync_FloodCostsBoundedWork(t *testing.T) {
	each(t, func(w *world) {
		ctx := t.Context()
		n := NewNode(w.db, "one")
		open := []*models.AppConnection{connection(w.app, "first", 1)}
		w.check(n.Sync(ctx, open))
		for i := range 2*insertsPerSync + 10 {
			open = append(open, connection(w.app, fmt.Sprint(i), models.Time(i)))
		}
		queries := testenv.Queries(t, w.db)
		for want := int64(insertsPerSync); want <= 3*insertsPerSync; want += insertsPerSync {
			before := queries.Load()
			w.check(n.Sync(ctx, open))
			if cost := queries.Load() - before; cost > 4 {
				t.Errorf("%d statements", cost)
			}
			if got := w.rows("app_connections"); got != min(want+1, int64(len(open))) {
				t.Errorf("%d rows", got)
			}
		}
		w.check(n.Sync(ctx, nil))
		if got := w.rows("app_connections"); got != int64(len(open)-deletesPerSync) {
			t.Errorf("%d rows after the end of the flood", got)
		}
		w.check(n.Sync(ctx, nil))
		if got := w.rows("app_connections"); got != 0 {
			t.Errorf("%d rows at last", got)
		}
		before := queries.Load()
		for range 10 {
			w.check(n.Sync(ctx, nil))
		}
		if cost := queries.Load() - before; cost != 0 {
			t.Errorf("%d statements about nothing", cost)
		}
	})
}

// TestDeadNode_DisappearsAndMayComeBack: rows of a node of which nothing is heard are not listed, and
// another node deletes them. If it was only cut off, it records its connections once more.
func TestDeadNode_DisappearsAndMayComeBack(t *testing.T) {
	each(t, func(w *world) {
		ctx := t.Context()
		lost, other := NewNode(w.db, "lost"), NewNode(w.db, "other")
		var open []*models.AppConnection
		for i := range 3 {
			open = append(open, connection(w.app, fmt.Sprint(i), models.Time(i)))
		}
		w.check(lost.Sync(ctx, open))
		w.age(silence - beatInterval)
		beat(other)
		w.check(other.Sync(ctx, nil))
		w.want(w.app, "2", "1", "0") // it is only late
		w.age(beatInterval + time.Second)
		w.want(w.app)
		found, err := w.List(ctx, w.app, page.Request{First: 1})
		w.check(err)
		if n, err := found.TotalCount(ctx); n != 0 || err != nil {
			t.Errorf("%d are counted, %v", n, err)
		}

		back := func() {
			t.Helper()
			beat(lost)
			w.check(lost.Sync(ctx, open))
			w.want(w.app, "2", "1", "0")
		}
		back() // before its rows were deleted, which it does by itself
		if got := w.rows("app_connections") + w.rows("connection_nodes"); got != 4 {
			t.Errorf("%d rows, want those of the node that came back only", got)
		}
		w.age(silence + time.Second)
		beat(other)
		w.check(other.Sync(ctx, nil))
		if got := w.rows("app_connections") + w.rows("connection_nodes"); got != 0 {
			t.Errorf("%d rows of a dead node are left", got)
		}
		back() // after that
	})
}

// TestDeadNode_ManyConnections: what a dead node leaves is deleted some rows at a time. A node that
// comes back in between records all of its connections.
func TestDeadNode_ManyConnections(t *testing.T) {
	each(t, func(w *world) {
		ctx := t.Context()
		lost, other := NewNode(w.db, "lost"), NewNode(w.db, "other")
		var open []*models.AppConnection
		for i := range deletesPerSync + insertsPerSync {
			open = append(open, connection(w.app, fmt.Sprint(i), models.Time(i)))
		}
		for range 3 {
			w.check(lost.Sync(ctx, open))
		}
		sweep := func(want int) {
			t.Helper()
			w.age(silence + time.Second)
			beat(other)
			w.check(other.Sync(ctx, nil))
			if got := w.rows("app_connections") + w.rows("connection_nodes"); got != int64(want) {
				t.Errorf("%d rows, want %d", got, want)
			}
		}
		sweep(insertsPerSync + 1)
		for range 3 {
			beat(lost)
			w.check(lost.Sync(ctx, open))
		}
		if got := len(w.list(w.app)); got != len(open) {
			t.Errorf("%d are listed", got)
		}
		sweep(insertsPerSync + 1)
		sweep(0)
	})
}

func TestClose_MarksOneForItsNode(t *testing.T) {
	each(t, func(w *world) {
		ctx := t.Context()
		one, two := NewNode(w.db, "one"), NewNode(w.db, "two")
		a, b := connection(w.app, "a", 1), connection(w.app, "b", 2)
		w.check(one.Sync(ctx, []*models.AppConnection{a, b}))
		w.check(two.Sync(ctx, []*models.AppConnection{connection(w.app, "c", 3)}))
		notified := 0
		w.OnClosing(func() { notified++ })
		id := one.recorded[b]
		for name, attempt := range map[string]func() (bool, error){
			"another app's": func() (bool, error) { return w.Close(ctx, w.other, id, by) },
			"unknown":       func() (bool, error) { return w.Close(ctx, w.app, 1, by) },
		} {
			if done, err := attempt(); done || err != nil {
				t.Errorf("%s: %v, %v", name, done, err)
			}
		}
		for _, want := range []bool{true, false} {
			if done, err := w.Close(ctx, w.app, id, by); done != want || err != nil {
				t.Errorf("closed: %v, %v", done, err)
			}
		}
		if notified != 1 {
			t.Errorf("notified %d times", notified)
		}
		if o, err := w.ByID(ctx, w.app, id); err != nil || !o.IsClosing(w.app) || o.Node != "one" {
			t.Errorf("%+v, %v", o, err)
		}
		if got, err := one.Closing(ctx); err != nil || !slices.Equal(got, []*models.AppConnection{b}) {
			t.Errorf("its node must close %v, %v", got, err)
		}
		if got, err := two.Closing(ctx); err != nil || len(got) != 0 {
			t.Errorf("another must close %v, %v", got, err)
		}
		w.check(one.Sync(ctx, []*models.AppConnection{a}))
		w.want(w.app, "c", "a")
		if got, err := one.Closing(ctx); err != nil || len(got) != 0 {
			t.Errorf("afterwards %v, %v", got, err)
		}
		w.wantAudit(audit.ActionAppCloseConnection, "transport=websocket address=b node=one")
	})
}

func TestCloseAll_MarksAllOfTheApp(t *testing.T) {
	each(t, func(w *world) {
		ctx := t.Context()
		w.check(NewNode(w.db, "one").Sync(ctx, []*models.AppConnection{connection(w.app, "a", 1), connection(w.other, "x", 2)}))
		if done, err := w.CloseAll(ctx, w.app, by); !done || err != nil {
			t.Fatal(done, err)
		}
		for app, want := range map[*models.App]bool{w.app: true, w.other: false} {
			now, err := w.rules.ByKey(ctx, app.Key)
			w.check(err)
			found, err := w.List(ctx, now, page.Request{First: 10})
			w.check(err)
			if got := found.Nodes()[0].IsClosing(now); got != want {
				t.Errorf("%s is closing: %v", app.Name, got)
			}
		}
		w.wantAudit(audit.ActionAppCloseConnections, "")
		gone := *w.app
		gone.ID = 12345
		if done, err := w.CloseAll(ctx, &gone, by); done || err != nil {
			t.Errorf("an app that is gone: %v, %v", done, err)
		}
	})
}

func (w *world) wantAudit(action, detail string) {
	w.t.Helper()
	found, err := audit.New(w.db, time.Now).List(context.Background(), audit.Filter{App: w.app, Action: action}, page.Request{First: 10})
	w.check(err)
	if list := found.Nodes(); len(list) != 1 || list[0].Detail != detail || list[0].Target != w.app.Key || list[0].Actor != by.Name || list[0].Address != by.Address {
		w.t.Errorf("the audit of %s has %+v", action, list)
	}
}

func TestList_Pages(t *testing.T) {
	each(t, func(w *world) {
		ctx := t.Context()
		var open []*models.AppConnection
		for i := range 7 {
			open = append(open, connection(w.app, fmt.Sprint(i), models.Time(i/2))) // two of each moment
		}
		w.check(NewNode(w.db, "one").Sync(ctx, open))
		var got []string
		r := page.Request{First: 3}
		for {
			found, err := w.List(ctx, w.app, r)
			w.check(err)
			for _, o := range found.Nodes() {
				got = append(got, o.Address)
			}
			if n, err := found.TotalCount(ctx); n != 7 || err != nil {
				t.Errorf("%d in all, %v", n, err)
			}
			if !found.PageInfo().HasNextPage {
				break
			}
			r.After = found.PageInfo().EndCursor
		}
		if slices.Sort(got); strings.Join(got, "") != "0123456" {
			t.Errorf("the pages have %q", got)
		}
		if _, err := w.List(ctx, w.other, r); fault.CodeOf(err) != fault.InvalidArgument {
			t.Errorf("another app's cursor: %v", err)
		}
	})
}

// TestPlans: no statement reads all connections.
func TestPlans(t *testing.T) {
	each(t, func(w *world) {
		ctx := t.Context()
		n := NewNode(w.db, "one")
		var open []*models.AppConnection
		for i := range 400 {
			open = append(open, connection(w.app, fmt.Sprint(i), models.Time(i)))
		}
		w.check(n.Sync(ctx, open))
		own := NewNode(w.db, "two")
		mine := []*models.AppConnection{connection(w.other, "x", 1), connection(w.other, "y", 2)}
		w.check(own.Sync(ctx, mine))
		testenv.Analyse(t, w.db, "app_connections", "connection_nodes")
		for name, do := range map[string]func() error{
			"list": func() error { _, err := w.List(ctx, w.app, page.Request{First: 5}); return err },
			"by ID": func() error {
				_, err := w.ByID(ctx, w.app, n.recorded[open[0]])
				return err
			},
			"close":   func() error { _, err := w.Close(ctx, w.app, n.recorded[open[0]], by); return err },
			"closing": func() error { _, err := own.Closing(ctx); return err },
			"sync":    func() error { beat(own); return own.Sync(ctx, mine[:1]) },
			"leave":   func() error { return own.Leave(ctx) },
		} {
			for _, s := range testenv.Statements(t, w.db, func() { w.check(do()) }) {
				if !strings.HasPrefix(s.SQL, "SELECT") {
					continue
				}
				if read, ok := testenv.RowsRead(t, w.db, s); ok && read > 20 {
					t.Errorf("to %s, it reads %d rows: %s", name, read, s.SQL)
				}
			}
		}
	})
}
