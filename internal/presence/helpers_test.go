package presence

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fanout"
	"rollcall/internal/opaque"
	"rollcall/internal/page"
	"rollcall/internal/presence/circles"
	"rollcall/internal/presence/status"
	"rollcall/internal/redis"
	"rollcall/internal/relations"
	"rollcall/internal/subscriptions"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// patience bounds every wait for something that must happen.
const patience = 20 * time.Second

// world is a hub on a database with one app and some users.
type world struct {
	*Hub
	*subscriptions.Service
	t     testing.TB
	db    *database.DB
	bus   *bus.Bus
	clock *clock
	app   models.App
	users []*models.User
	// redis is the Redis that the world's node shares with others, or nil if it is the only node.
	redis *redis.Client
	log   *slog.Logger
	// recent are the users that RevokedSince returns.
	recent atomic.Pointer[[]bus.RevokedUser]
	// observer is the hub's, or nil.
	observer status.Observer
	// name is the hub's Options.Node.
	name string
}

// named makes RevokedSince return those users.
func (w *world) named(users ...bus.RevokedUser) { w.recent.Store(&users) }

func (w *world) revokedSince(context.Context, models.Time) ([]bus.RevokedUser, bool, error) {
	if users := w.recent.Load(); users != nil {
		return *users, true, nil
	}
	return nil, true, nil
}

// newWorld starts a hub and registers users u0, u1 …, who never logged in.
func newWorld(t testing.TB, db *database.DB, users int) *world {
	t.Helper()
	w := &world{t: t, db: db, clock: newClock(), log: slog.New(slog.DiscardHandler)}
	w.register(users)
	w.start()
	return w
}

// register creates the app and its users.
func (w *world) register(users int) {
	w.t.Helper()
	w.app = models.App{
		Key: "key", Name: "app", Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship,
		SecretHash: []byte("hash"), Settings: models.DefaultAppSettings(), CreatedAt: 1,
	}
	for i := range users {
		w.users = append(w.users, &models.User{ExternalID: fmt.Sprint("u", i), Name: "name", CreatedAt: 1, UpdatedAt: 1})
	}
	err := w.db.Tx(context.Background(), func(tx *gorm.DB) error {
		if err := tx.Create(&w.app).Error; err != nil {
			return err
		}
		for _, u := range w.users {
			u.AppID = w.app.ID
		}
		if users == 0 {
			return nil
		}
		return tx.CreateInBatches(w.users, 500).Error
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// start starts a new hub on the world's database.
func (w *world) start() {
	w.t.Helper()
	w.bus = new(bus.Bus)
	hub := New(w.db, w.bus, circles.Interests{Friends: relations.Friends, Subscriptions: subscriptions.Lists},
		Options{Node: w.name, Clock: w.clock.Now, Logger: w.log, Redis: w.redis, RevokedSince: w.revokedSince, Observer: w.observer})
	w.Hub = hub
	w.Service = subscriptions.New(w.db, w.bus, hub, subscriptions.Options{Clock: w.clock.Now, Logger: w.log})
	if w.redis != nil {
		link := bus.NewLink(w.bus, w.redis, w.log)
		w.t.Cleanup(link.Close)
		if err := link.Settle(context.Background()); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := hub.Start(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { w.closeHub(hub) })
}

func (w *world) closeHub(hub *Hub) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := hub.Close(ctx); err != nil {
		w.t.Error(err)
	}
}

// crash ends the hub as kill -9 would: nothing more is written.
func (w *world) crash() {
	w.kill()
	w.Hub.close()
	if w.redis != nil {
		w.node().Abandon() // its messages start more background work
	}
	w.background.Wait()
	w.board.Close()
	w.board.Wait()
}

// circle begins a statusChanged operation of the user.
func (w *world) circle(i int, sink fanout.Sink) (stop func()) {
	w.t.Helper()
	row := w.row(i)
	stop, err := w.WatchCircle(context.Background(), w.appNow(), status.AccountOf(row), sink)
	if err != nil {
		w.t.Fatal(err)
	}
	return stop
}

// appNow returns the app as a request that arrives now reads it.
func (w *world) appNow() *models.App {
	w.t.Helper()
	var app models.App
	if err := w.db.Read(context.Background()).Take(&app, w.app.ID).Error; err != nil {
		w.t.Fatal(err)
	}
	return &app
}

// StatusOf, SetStatus, Devices, OnlineCount, Disconnect, WatchUsers and WatchApp are
// the hub's, which must not fail.
func (w *world) StatusOf(u *models.User) models.UserStatus {
	w.t.Helper()
	return must(w.Hub.StatusOf(context.Background(), u))(w.t)
}

func (w *world) SetStatus(acc status.Account, text string) (models.UserStatus, error) {
	return w.Hub.SetStatus(context.Background(), acc, text)
}

func (w *world) Devices(userID int64) []models.Device {
	w.t.Helper()
	return must(w.Hub.Devices(context.Background(), userID))(w.t)
}

func (w *world) OnlineCount(appID int64) int {
	w.t.Helper()
	return must(w.Hub.OnlineCount(context.Background(), appID))(w.t)
}

// operator is the actor that disconnects devices.
var operator = models.Actor{Name: "op", Address: "192.0.2.1"}

func (w *world) Disconnect(ctx context.Context, acc status.Account, ids []string) int {
	w.t.Helper()
	return must(w.Hub.Disconnect(ctx, acc, ids, operator))(w.t)
}

func (w *world) WatchUsers(accs []status.Account, sink fanout.Sink, snapshot bool) (stop func()) {
	w.t.Helper()
	return must(w.Hub.WatchUsers(context.Background(), accs, sink, snapshot))(w.t)
}

func (w *world) WatchApp(appID int64, sink fanout.Sink) (stop func()) {
	w.t.Helper()
	return must(w.Hub.WatchApp(context.Background(), appID, sink))(w.t)
}

// must returns the result of a call, which must not fail.
func must[T any](value T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// turn sets the app's switches like another process.
func (w *world) turn(queries, friends bool) {
	w.t.Helper()
	err := w.db.Tx(context.Background(), func(tx *gorm.DB) error {
		return tx.Model(&models.App{}).Where("id = ?", w.app.ID).
			Updates(map[string]any{"status_query_enabled": queries, "friend_status_notify_enabled": friends}).Error
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// turnHere is turn in this process; the circles have followed when it returns.
func (w *world) turnHere(queries, friends bool) {
	w.t.Helper()
	w.turn(queries, friends)
	w.bus.PublishAppChanged(context.Background(), bus.AppChanged{App: w.appNow()})
	w.followed()
}

// followed waits until the circles have loaded their lists.
func (w *world) followed() {
	w.t.Helper()
	w.eventually(func() bool { return w.stats().loading == 0 }, "the circles to be loaded")
}

func (w *world) subscribe(i int, targets ...int) *subscriptions.Subscribed {
	w.t.Helper()
	ids := make([]string, len(targets))
	for n, target := range targets {
		ids[n] = w.users[target].ExternalID
	}
	out, err := w.Subscribe(context.Background(), w.appNow(), w.row(i), ids)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// limit sets the app's statusSubscriptionLimit.
func (w *world) limit(n int) {
	w.t.Helper()
	err := w.db.Exec(context.Background(), "UPDATE apps SET status_subscription_limit = ? WHERE id = ?", n, w.app.ID)
	if err != nil {
		w.t.Fatal(err)
	}
}

// subscribed returns the users to which the user has subscribed, the newest first.
func (w *world) subscribed(i int) (ids []string) {
	w.t.Helper()
	list, err := w.List(context.Background(), w.row(i), page.Request{First: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range list.Nodes() {
		ids = append(ids, s.User.ExternalID)
	}
	if n, err := list.TotalCount(context.Background()); n != len(ids) || err != nil {
		w.t.Errorf("the list of u%d counts %d, %v, and has %v", i, n, err, ids)
	}
	return ids
}

// relations returns the rules about friends, which notify the world's hub.
func (w *world) relations() *relations.Service {
	return relations.New(w.db, w.bus, opaque.Secret{}, w.clock.Now)
}

func (w *world) befriend(a, b int) {
	w.t.Helper()
	_, err := w.relations().AddFriend(context.Background(), w.appNow(), w.users[a].ExternalID, w.users[b].ExternalID, nil)
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) unfriend(a, b int) {
	w.t.Helper()
	_, err := w.relations().RemoveFriend(context.Background(), w.appNow(), w.users[a].ExternalID, w.users[b].ExternalID)
	if err != nil {
		w.t.Fatal(err)
	}
}

// account returns the user's account as a request that arrives now reads it.
func (w *world) account(i int) status.Account {
	w.t.Helper()
	return status.AccountOf(w.row(i))
}

func (w *world) row(i int) *models.User {
	w.t.Helper()
	var u models.User
	if err := w.db.Read(context.Background()).Take(&u, w.users[i].ID).Error; err != nil {
		w.t.Fatal(err)
	}
	return &u
}

// allowed permits every connection.
func allowed(context.Context) error { return nil }

func (w *world) connect(i int) (*status.Device, *link) {
	w.t.Helper()
	l := new(link)
	d, err := w.Connect(context.Background(), w.account(i), models.PlatformWeb, l, allowed)
	if err != nil {
		w.t.Fatal(err)
	}
	return d, l
}

// logout logs devices of user i out and returns how many.
func (w *world) logout(i int, own *status.Device, all bool) int {
	w.t.Helper()
	n, err := w.Logout(context.Background(), w.account(i), own, all)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) presence(i int) models.Presence {
	w.t.Helper()
	return w.StatusOf(w.row(i)).Presence
}

func (w *world) wantPresence(i int, want models.Presence) {
	w.t.Helper()
	if got := w.presence(i); got != want {
		w.t.Fatalf("u%d is %s, want %s", i, got, want)
	}
}

// wantRow waits until the user's row holds the presence.
func (w *world) wantRow(i int, want models.Presence) {
	w.t.Helper()
	w.eventually(func() bool { return w.row(i).Presence == want }, "the row of u%d to hold %s", i, want)
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

// delivered waits until the watchers have received all changes so far.
func (w *world) delivered() {
	w.t.Helper()
	w.eventually(func() bool { return w.stats().delivering == 0 }, "the deliveries to end")
}

// written waits until the database holds everything so far.
func (w *world) written() {
	w.t.Helper()
	w.eventually(func() bool { return w.stats().unwritten == 0 }, "the writes to end")
}

// devicesOf counts a user's devices, including those whose login is being written.
func (w *world) devicesOf(i int) int {
	return w.stats().devices[w.users[i].ID]
}

// hold keeps the user's row locked until release is called.
func (w *world) hold(i int) (release func()) {
	w.t.Helper()
	locked, free, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		var once sync.Once
		ended <- w.db.Tx(context.Background(), func(tx *gorm.DB) error {
			if err := tx.Exec("UPDATE users SET name = name WHERE id = ?", w.users[i].ID).Error; err != nil {
				return err
			}
			once.Do(func() { close(locked) })
			<-free
			return nil
		})
	}()
	<-locked
	return sync.OnceFunc(func() {
		close(free)
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
}

// breakDatabase makes every write of a status fail until repair is called.
func (w *world) breakDatabase() (repair func()) {
	w.t.Helper()
	rename := func(from, to string) {
		w.t.Helper()
		err := w.db.Tx(context.Background(), func(tx *gorm.DB) error {
			return tx.Exec("ALTER TABLE " + from + " RENAME TO " + to).Error
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	rename("users", "users_away")
	return sync.OnceFunc(func() { rename("users_away", "users") })
}

// clock advances by a millisecond with each reading, so that no two changes of an
// account have the same time.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.ms.Store(1_700_000_000_000)
	return c
}

func (c *clock) Now() time.Time          { return time.UnixMilli(c.ms.Add(1)) }
func (c *clock) Advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// link remembers why it was cut.
type link struct {
	mu      sync.Mutex
	reasons []status.Reason
	// bannedUntil is the end of the ban in the last cause.
	bannedUntil *models.Time
	// client is what the link returns of its client.
	client status.Client
}

func (l *link) Client() status.Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.client
}

func (l *link) Cut(cause status.Cause) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reasons, l.bannedUntil = append(l.reasons, cause.Reason), cause.BannedUntil
}

func (l *link) want(t testing.TB, want ...status.Reason) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if fmt.Sprint(l.reasons) != fmt.Sprint(want) {
		t.Fatalf("the link was cut for %v, want %v", l.reasons, want)
	}
}

// wants waits until another node has cut the link for the reason.
func (l *link) wants(w *world, want status.Reason) {
	w.t.Helper()
	w.eventually(func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.reasons) > 0
	}, "the link to be cut")
	l.want(w.t, want)
}

// recorder is a sink that keeps everything.
type recorder struct {
	mu     sync.Mutex
	events []*fanout.Event
}

func (r *recorder) Deliver(ev *fanout.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, ev)
}

// statuses returns all delivered statuses, by users.id.
func (r *recorder) statuses() map[int64][]models.UserStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[int64][]models.UserStatus{}
	for _, ev := range r.events {
		all[ev.Key()] = append(all[ev.Key()], *ev.Value().(*models.UserStatus))
	}
	return all
}

// text returns all delivered statuses, such as "u0:ONLINE u0:ONLINE:away u0:OFFLINE".
func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := ""
	for i, ev := range r.events {
		if i > 0 {
			got += " "
		}
		status := ev.Value().(*models.UserStatus)
		got += status.UserID + ":" + status.Presence.String()
		if status.CustomStatus != "" {
			got += ":" + status.CustomStatus
		}
	}
	return got
}

func (r *recorder) String() string { return r.text() }

// want compares all delivered statuses.
func (r *recorder) want(t testing.TB, want string) {
	t.Helper()
	got := r.text()
	if got != want {
		t.Fatalf("delivered %q, want %q", got, want)
	}
}
