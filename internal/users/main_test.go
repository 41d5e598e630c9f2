package users

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/relations"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/models"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// world is a Service on one database, with a clock that the test sets.
type world struct {
	t     *testing.T
	db    *database.DB
	bus   *bus.Bus
	apps  *apps.Service
	users *Service
	app   *models.App

	mu  sync.Mutex
	now time.Time
}

func each(t *testing.T, test func(w *world)) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := &world{t: t, db: db, bus: &bus.Bus{}, now: time.UnixMilli(1_790_000_000_000)}
		keys, err := token.OpenKeys(context.Background(), db, "", w.clock)
		if err != nil {
			t.Fatal(err)
		}
		w.apps = apps.New(db, w.bus, keys, w.clock)
		w.users = New(db, w.bus, keys, relations.New(db, w.bus, keys.Secret(), w.clock), Options{Clock: w.clock})
		w.app = w.newApp("app", models.EnvironmentDevelopment, models.EditionFlagship)
		test(w)
	})
}

// with returns the same world for a subtest.
func (w *world) with(t *testing.T) *world {
	return &world{t: t, db: w.db, bus: w.bus, apps: w.apps, users: w.users, app: w.app}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) newApp(name string, env models.Environment, edition models.Edition) *models.App {
	w.t.Helper()
	app, _, err := w.apps.Create(context.Background(), apps.NewApp{Name: name, Environment: env, Edition: edition}, models.Actor{})
	if err != nil {
		w.t.Fatal(err)
	}
	return app
}

func (w *world) register(app *models.App, id string) *Registered {
	w.t.Helper()
	r, err := w.users.Register(context.Background(), app, Registration{ID: id, Name: "Name of " + id})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// registerSome registers 25 users, several of which share a millisecond, and returns their IDs in the
// order of lists, the oldest first.
func (w *world) registerSome(app *models.App) []string {
	w.t.Helper()
	var users []*models.User
	for i := range 25 {
		users = append(users, w.register(app, fmt.Sprintf("u%02d", i)).User)
		if i%3 == 0 {
			w.pass(time.Millisecond)
		}
	}
	slices.SortFunc(users, func(a, b *models.User) int {
		return cmp.Or(cmp.Compare(a.CreatedAt, b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return ids(users)
}

// reload returns the app as it is in the database now.
func (w *world) reload(app *models.App) *models.App {
	w.t.Helper()
	app, err := w.apps.ByKey(context.Background(), app.Key)
	if err != nil || app == nil {
		w.t.Fatal(app, err)
	}
	return app
}

// set writes a column of a user directly, for states that later calls would make.
func (w *world) set(user *models.User, column string, value any) {
	w.t.Helper()
	if err := w.db.Exec(context.Background(), "UPDATE users SET "+column+" = ? WHERE id = ?", value, user.ID); err != nil {
		w.t.Fatal(err)
	}
}
