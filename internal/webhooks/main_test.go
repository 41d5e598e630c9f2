package webhooks

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"gorm.io/gorm"

	"rollcall/internal/apps"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/outbox"
	"rollcall/internal/relations"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/internal/users"
	"rollcall/models"
)

func TestMain(m *testing.M) {
	OtherMain()
	testenv.Main(m)
}

var ctx = context.Background()

// world is a Service with the rules that record events, on one database, with a clock that the test
// sets.
type world struct {
	t         *testing.T
	db        *database.DB
	bus       *bus.Bus
	webhooks  *Service
	apps      *apps.Service
	users     *users.Service
	relations *relations.Service
	app       *models.App

	mu  sync.Mutex
	now time.Time
}

func each(t *testing.T, test func(w *world)) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		w := &world{t: t, db: db, bus: new(bus.Bus), now: time.UnixMilli(1_790_000_000_000)}
		keys, err := token.OpenKeys(ctx, db, "", w.clock)
		if err != nil {
			t.Fatal(err)
		}
		w.webhooks = w.node()
		w.apps = apps.New(db, w.bus, keys, w.clock).Renewing(RenewSecrets)
		created, _, err := w.apps.Create(ctx, apps.NewApp{Name: "app", Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship}, models.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		w.app = created
		w.relations = relations.New(db, w.bus, keys.Secret(), w.clock)
		w.users = users.New(db, w.bus, keys, users.Erasers{w.relations}, users.Options{Clock: w.clock})
		test(w)
	})
}

// node returns the Service of another node.
func (w *world) node() *Service { return w.nodeWith("", slog.New(slog.DiscardHandler)) }

// nodeWith returns the Service of a node with configured token keys.
func (w *world) nodeWith(tokenKey string, log *slog.Logger) *Service {
	s := New(w.db, w.bus, Options{Clock: w.clock, Logger: log, Version: "test", AllowPrivate: true, TokenKey: tokenKey})
	// Endpoints are created before the rules have read any.
	s.awaitFresh = func(context.Context) error { return nil }
	s.timing.poll, s.timing.pace = 20*time.Millisecond, 10*time.Millisecond
	return s
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

// must fails the test for an error.
func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) register(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		_, err := w.users.Register(ctx, w.app, users.Registration{ID: id, Name: "Name of " + id})
		w.must(err)
	}
}

// endpoint creates an endpoint.
func (w *world) endpoint(url string, types ...outbox.Type) (*models.WebhookEndpoint, string) {
	w.t.Helper()
	e, secret, err := w.webhooks.Create(ctx, w.app, NewEndpoint{URL: url, Types: types}, models.Actor{Name: "test"})
	w.must(err)
	return e, secret
}

// row returns an endpoint as it is stored.
func (w *world) row(id int64) *models.WebhookEndpoint {
	w.t.Helper()
	e := &models.WebhookEndpoint{}
	w.must(w.db.Read(ctx).Take(e, id).Error)
	return e
}

// distribute distributes the events that are recorded.
func (w *world) distribute() {
	w.t.Helper()
	for more := true; more; {
		var err error
		more, err = w.webhooks.distributeAll(ctx)
		w.must(err)
	}
}

// deliveries returns the deliveries to an endpoint, the oldest first.
func (w *world) deliveries(id int64) []*Sent {
	w.t.Helper()
	w.distribute()
	list, err := w.webhooks.Deliveries(ctx, w.app, Filter{EndpointID: id, Limit: MaxDeliveries})
	w.must(err)
	slices.Reverse(list)
	return list
}

// run runs a Service until the test ends or stop is called.
func (w *world) run(s *Service) (stop func()) {
	running, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(running, time.Second)
	}()
	stop = func() { cancel(); <-done }
	w.t.Cleanup(stop)
	return stop
}

// audited returns the number of audit entries with an action and a detail.
func (w *world) audited(action, detail string) (n int64) {
	w.t.Helper()
	w.must(w.db.Read(ctx).Model(&models.AuditEntry{}).Where("action = ? AND detail = ?", action, detail).Count(&n).Error)
	return n
}

// received is a request to a receiver.
type received struct {
	id, kind string
	header   http.Header
	body     []byte
	event    struct {
		ID, Type, Timestamp, AppKey string
		Data                        outbox.Data
	}
}

// receiver is an App Server.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	list []*received
	// respond, if set, responds to a request; otherwise all are accepted.
	respond func(w http.ResponseWriter, r *received)
}

// newReceiver starts a receiver, which ends with the test.
func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		got := &received{id: req.Header.Get("webhook-id"), header: req.Header}
		var err error
		if got.body, err = io.ReadAll(req.Body); err == nil {
			err = json.Unmarshal(got.body, &got.event)
		}
		if err != nil {
			t.Error(err)
		}
		got.kind = got.event.Type
		r.mu.Lock()
		r.list = append(r.list, got)
		respond := r.respond
		r.mu.Unlock()
		if respond != nil {
			respond(w, got)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// answer makes the receiver respond with a status from now on.
func (r *receiver) answer(status int, header ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.respond = func(w http.ResponseWriter, _ *received) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "a response\x00 of the receiver")
	}
}

// got returns what was received.
func (r *receiver) got() []*received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// kinds returns the types of what was received about a user, in their order.
func (r *receiver) kinds(user string) (kinds []string) {
	for _, one := range r.got() {
		if one.event.Data.User.ID == user {
			kinds = append(kinds, one.kind)
		}
	}
	return kinds
}

// await waits until n requests were received.
func (r *receiver) await(t *testing.T, n int) []*received {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if got := r.got(); len(got) >= n {
			return got
		}
		if time.Now().After(end) {
			t.Fatalf("%d requests, want %d", len(r.got()), n)
		}
	}
}

// verify checks the signature of a request with the library of Standard Webhooks.
func (r *received) verify(secret string) error {
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return err
	}
	return wh.Verify(r.body, r.header)
}

// addEvents records events of a user directly.
func (w *world) addEvents(n int, subject func(i int) string) {
	w.t.Helper()
	box := outbox.New(w.db)
	w.must(w.db.Tx(ctx, func(tx *gorm.DB) error {
		_, err := box.Write(tx, w.app.ID, func() ([]outbox.Event, error) {
			events := make([]outbox.Event, n)
			for i := range events {
				events[i] = outbox.Event{Type: outbox.UserUnbanned, Subject: subject(i), At: w.webhooks.now()}
			}
			return events, nil
		})
		return err
	}))
}
