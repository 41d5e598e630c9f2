package subscriptions

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fanout"
	"rollcall/internal/page"
	"rollcall/internal/presence"
	"rollcall/internal/presence/circles"
	"rollcall/internal/presence/status"
	"rollcall/internal/relations"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

// world is a Service beside a hub, on a database with one app and some users.
type world struct {
	*Service
	t     testing.TB
	db    *database.DB
	bus   *bus.Bus
	hub   *presence.Hub
	clock *clock
	app   models.App
	users []*models.User
}

// newWorld registers the users u0, u1 …, which never logged in, and starts a hub. The Service is not
// started.
func newWorld(t testing.TB, db *database.DB, users int) *world {
	t.Helper()
	w := &world{t: t, db: db, clock: new(clock)}
	w.clock.ms.Store(1_700_000_000_000)
	w.app = models.App{
		Key: "key", Name: "app", Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship,
		SecretHash: []byte("hash"), Settings: models.DefaultAppSettings(), CreatedAt: 1,
	}
	w.app.Settings.StatusQueryEnabled = true
	for i := range users {
		w.users = append(w.users, &models.User{ExternalID: fmt.Sprint("u", i), Name: "name", CreatedAt: 1, UpdatedAt: 1})
	}
	w.check(db.Tx(t.Context(), func(tx *gorm.DB) error {
		if err := tx.Create(&w.app).Error; err != nil {
			return err
		}
		for _, u := range w.users {
			u.AppID = w.app.ID
		}
		return tx.CreateInBatches(w.users, 500).Error
	}))
	w.start()
	return w
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// start starts a hub and a Service on the world's database. An earlier hub of the world changes
// nothing more, like one whose process was killed, unless it is used.
func (w *world) start() {
	w.t.Helper()
	w.bus = new(bus.Bus)
	log := slog.New(slog.DiscardHandler)
	hub := presence.New(w.db, w.bus, circles.Interests{Friends: relations.Friends, Subscriptions: Lists},
		presence.Options{Clock: w.clock.Now, Logger: log})
	w.hub = hub
	w.Service = New(w.db, w.bus, hub, Options{Clock: w.clock.Now, Logger: log})
	w.check(hub.Start(w.t.Context()))
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := hub.Close(ctx); err != nil {
			w.t.Error(err)
		}
	})
}

// clock advances by a millisecond with each reading.
type clock struct{ ms atomic.Int64 }

func (c *clock) Now() time.Time          { return time.UnixMilli(c.ms.Add(1)) }
func (c *clock) Advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// appNow returns the app as a request that arrives now reads it.
func (w *world) appNow() *models.App {
	w.t.Helper()
	var app models.App
	w.check(w.db.Read(context.Background()).Take(&app, w.app.ID).Error)
	return &app
}

// row returns the user as a request that arrives now reads it.
func (w *world) row(i int) *models.User {
	w.t.Helper()
	var u models.User
	w.check(w.db.Read(context.Background()).Take(&u, w.users[i].ID).Error)
	return &u
}

// limit sets the app's statusSubscriptionLimit.
func (w *world) limit(n int) {
	w.t.Helper()
	w.check(w.db.Exec(context.Background(), "UPDATE apps SET status_subscription_limit = ? WHERE id = ?", n, w.app.ID))
}

// noLink is a device's connection that is never used.
type noLink struct{}

func (noLink) Cut(status.Cause)      {}
func (noLink) Client() status.Client { return status.Client{} }

func (w *world) connect(i int) *status.Device {
	w.t.Helper()
	d, err := w.hub.Connect(context.Background(), status.AccountOf(w.row(i)), models.PlatformWeb, noLink{},
		func(context.Context) error { return nil })
	w.check(err)
	return d
}

func (w *world) subscribe(i int, targets ...int) *Subscribed {
	w.t.Helper()
	ids := make([]string, len(targets))
	for n, target := range targets {
		ids[n] = w.users[target].ExternalID
	}
	out, err := w.Subscribe(context.Background(), w.appNow(), w.row(i), ids)
	w.check(err)
	return out
}

// list returns the user's list, the newest first, as "u1 u2".
func (w *world) list(i int) string {
	w.t.Helper()
	var all []string
	request := page.Request{First: 2}
	for {
		c, err := w.List(context.Background(), w.users[i], request)
		w.check(err)
		for _, s := range c.Nodes() {
			all = append(all, s.User.ExternalID)
		}
		if !c.PageInfo().HasNextPage {
			return strings.Join(all, " ")
		}
		request.After = c.PageInfo().EndCursor
	}
}

// wantList compares the user's list and its count.
func (w *world) wantList(i int, want string) {
	w.t.Helper()
	if got := w.list(i); got != want {
		w.t.Fatalf("u%d has subscribed to %q, want %q", i, got, want)
	}
	c, err := w.List(context.Background(), w.users[i], page.Request{First: 1})
	w.check(err)
	if n, err := c.TotalCount(context.Background()); n != len(strings.Fields(want)) || err != nil {
		w.t.Fatalf("the list counts %d, %v, want %q", n, err, want)
	}
}

// eventually waits until the condition holds.
func (w *world) eventually(happened func() bool, what string, args ...any) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain for "+what, args...)
		}
	}
}

// statusLog is a sink that stores the statuses that it receives.
type statusLog struct {
	mu       sync.Mutex
	statuses []models.UserStatus
}

func (l *statusLog) Deliver(ev *fanout.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.statuses = append(l.statuses, *ev.Value().(*models.UserStatus))
}

// text returns the statuses so far, such as "u0:ONLINE u0:OFFLINE".
func (l *statusLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	texts := make([]string, len(l.statuses))
	for i, s := range l.statuses {
		texts[i] = s.UserID + ":" + s.Presence.String()
	}
	return strings.Join(texts, " ")
}

// follow begins a statusChanged operation of the user.
func (w *world) follow(i int) *statusLog {
	w.t.Helper()
	received := new(statusLog)
	_, err := w.hub.WatchCircle(context.Background(), w.appNow(), status.AccountOf(w.row(i)), received)
	w.check(err)
	return received
}

// followAll begins an operation that receives the changes of all users. The hub hands it a change
// after those that follow the user.
func (w *world) followAll() *statusLog {
	w.t.Helper()
	received := new(statusLog)
	_, err := w.hub.WatchApp(context.Background(), w.app.ID, received)
	w.check(err)
	return received
}

// wantCount waits until the operation has received that many statuses.
func (w *world) wantCount(l *statusLog, n int) {
	w.t.Helper()
	w.eventually(func() bool { return len(strings.Fields(l.text())) == n }, "%d changes", n)
}
