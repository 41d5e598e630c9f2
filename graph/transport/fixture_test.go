package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"gorm.io/gorm"

	"rollcall/graph/auth"
	"rollcall/graph/requestid"
	"rollcall/graph/stream"
	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/fanout"
	"rollcall/internal/fault"
	"rollcall/internal/outage"
	"rollcall/internal/presence"
	"rollcall/internal/presence/circles"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// patience limits every wait for something that must happen.
const patience = 20 * time.Second

const testSchema = `
type Query {
	who: String!
	requestId: String!
	device: String!
	text(kilobytes: Int!): String!
	fail: String
	away: String
	needed: String!
	wait: String!
	reads(key: Int!): String!
}
type Mutation { logout(all: Boolean = false): Boolean! }
type Status { userId: ID!  presence: String!  padding(kilobytes: Int!): String! }
type Subscription {
	statuses(ids: [ID!]!): Status!
	captured: Status!
	disabled: Status!
	away: Status!
	crash: Status!
}`

// world is a Server on a hub with users u0, u1 …, behind a web server. The executor is gqlgen's;
// the schema's resolvers are written by hand, so that a test decides when they return.
type world struct {
	t      testing.TB
	server *Server
	http   *httptest.Server
	bus    *bus.Bus
	hub    *presence.Hub
	auth   *fakeAuth
	schema *fakeSchema
	log    *testenv.Log
}

type worldOptions struct {
	users     int
	origins   []string
	heartbeat time.Duration
	ping      time.Duration
	limits    Limits
	tls       bool
	// requests and requestsPerApp are Config.MaxRequests and MaxRequestsPerApp.
	requests, requestsPerApp int
	// persistedOff switches persisted queries off.
	persistedOff bool
}

func newWorld(t testing.TB, opts worldOptions) *world {
	t.Helper()
	db := testenv.Open(t, testenv.SQLiteURL(t))
	app := &models.App{
		Key: "key", Name: "app", Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship,
		SecretHash: []byte("hash"), Settings: models.DefaultAppSettings(), CreatedAt: 1,
	}
	users := make([]*models.User, max(opts.users, 2))
	for i := range users {
		users[i] = &models.User{ExternalID: fmt.Sprint("u", i), Name: "name", CreatedAt: 1, UpdatedAt: 1}
	}
	err := db.Tx(context.Background(), func(tx *gorm.DB) error {
		if err := tx.Create(app).Error; err != nil {
			return err
		}
		for _, u := range users {
			u.AppID = app.ID
		}
		return tx.CreateInBatches(users, 500).Error
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, bus: new(bus.Bus), log: new(testenv.Log)}
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.hub = presence.New(db, w.bus, circles.Interests{}, presence.Options{Logger: log})
	if err := w.hub.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.auth = &fakeAuth{app: app, users: users, refused: make(map[string]error), asked: make(map[string]bool)}
	w.schema = &fakeSchema{
		definition: gqlparser.MustLoadSchema(&ast.Source{Input: testSchema}), world: w,
		waiting: make(chan struct{}, 1000), proceed: make(chan struct{}), sinks: make(chan fanout.Sink, 1),
	}
	exec := executor.New(w.schema)
	exec.SetErrorPresenter(present)
	w.server = New(Config{
		Executor: exec, Auth: w.auth, Presence: w.hub, Present: present, Logger: log,
		SharedByAll:      func(*ast.OperationDefinition) bool { return true },
		PersistedQueries: !opts.persistedOff,
		AllowedOrigins:   opts.origins, HeartbeatTimeout: opts.heartbeat, PingInterval: opts.ping, Limits: opts.limits,
		Metrics: prometheus.NewRegistry(), MaxRequests: opts.requests, MaxRequestsPerApp: opts.requestsPerApp,
	})
	w.http = httptest.NewUnstartedServer(w.server)
	w.http.Config.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelError)
	if opts.tls {
		w.http.EnableHTTP2 = true
		w.http.StartTLS()
	} else {
		w.http.Start()
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := w.server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		w.http.Close()
		if err := w.hub.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return w
}

func TestMain(m *testing.M) { testenv.Main(m) }

// account returns the account of the user with that number.
func (w *world) account(i int) status.Account {
	p := auth.Principal{Kind: auth.User, App: w.auth.app, User: w.auth.users[i]}
	return p.Account()
}

// ids returns the IDs of the first n users as a GraphQL list.
func (w *world) ids(n int) string {
	var list []string
	for _, u := range w.auth.users[:n] {
		list = append(list, `"`+u.ExternalID+`"`)
	}
	return "[" + strings.Join(list, ",") + "]"
}

// online connects a device that belongs to no transport, until offline is called or the test ends.
func (w *world) online(i int) (offline func()) {
	w.t.Helper()
	d, err := w.hub.Connect(context.Background(), w.account(i), models.PlatformOther, noLink{}, allowed)
	if err != nil {
		w.t.Fatal(err)
	}
	return d.Gone
}

type noLink struct{}

func (noLink) Cut(status.Cause)      {}
func (noLink) Client() status.Client { return status.Client{} }

// allowed lets every device connect.
func allowed(context.Context) error { return nil }

// devices returns how many devices the user has.
func (w *world) devices(i int) int { return len(w.devicesOf(i)) }

func (w *world) devicesOf(i int) []models.Device {
	devices, err := w.hub.Devices(context.Background(), w.auth.users[i].ID)
	if err != nil {
		w.t.Error(err)
	}
	return devices
}

// disconnect ends the user's devices as disconnectUser does.
func (w *world) disconnect(i int) {
	if _, err := w.hub.Disconnect(context.Background(), w.account(i), nil, audit.AppServer); err != nil {
		w.t.Error(err)
	}
}

// revoke ends the user's devices as a ban without an end, a deactivation or a deletion does.
func (w *world) revoke(i int, reason bus.Reason) {
	w.bus.PublishAccessRevoked(context.Background(), bus.AccessRevoked{User: w.auth.users[i], Reason: reason})
}

// ban ends the user's devices as a ban until then does.
func (w *world) ban(i int, until models.Time) {
	w.bus.PublishAccessRevoked(context.Background(), bus.AccessRevoked{
		User: w.auth.users[i], Reason: bus.ReasonBanned, BannedUntil: &until,
	})
}

// until waits until ok returns true.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
	}
}

// present presents errors like a server's presenter, as far as the transports need it.
func present(ctx context.Context, err error) *gqlerror.Error {
	out := &gqlerror.Error{Message: err.Error(), Extensions: map[string]any{}}
	if from, ok := errors.AsType[*gqlerror.Error](err); ok {
		out.Message, out.Path = from.Message, from.Path
		if code, ok := from.Extensions["code"]; ok {
			out.Extensions["code"] = code
		}
	}
	if refusal, ok := errors.AsType[*fault.Error](err); ok {
		out.Message = refusal.Message
	}
	if out.Extensions["code"] == nil {
		out.Extensions["code"] = string(outage.CodeOf(err))
	}
	out.Extensions["requestId"] = requestid.From(ctx)
	return out
}

// errAway is an error of a database or a Redis that is unreachable.
var errAway = fmt.Errorf("reading users: %w", io.EOF)

// fakeAuth accepts the tokens "app" and "other", of two apps, and "u0", "u1" … of users of the
// first app. It refuses the tokens in refused.
type fakeAuth struct {
	app   *models.App
	users []*models.User

	mu        sync.Mutex
	refused   map[string]error // by token, on Authenticate
	again     error            // on Authenticate with a token that was accepted before
	asked     map[string]bool  // tokens that were accepted
	refreshed error            // on Refresh
	checks    counter          // of Ended
	hang      chan struct{}    // Authenticate with the token "hangs" waits until it is closed
}

func (a *fakeAuth) Authenticate(_ context.Context, authorization string) (*auth.Principal, error) {
	if authorization == "Bearer hangs" {
		<-a.hang
		authorization = "Bearer u0"
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if authorization == "" {
		return &auth.Principal{Kind: auth.Guest}, nil
	}
	token, ok := strings.CutPrefix(authorization, "Bearer ")
	if !ok {
		return nil, fault.New(fault.Unauthenticated, "not a Bearer token")
	}
	if err := a.refused[token]; err != nil {
		return nil, err
	}
	if a.asked[token] && a.again != nil {
		return nil, a.again
	}
	a.asked[token] = true
	if token == "app" {
		return &auth.Principal{Kind: auth.AppServer, App: a.app}, nil
	}
	if token == "other" {
		return &auth.Principal{Kind: auth.AppServer, App: &models.App{ID: a.app.ID + 1, Key: "other"}}, nil
	}
	for _, u := range a.users {
		if u.ExternalID == token {
			return &auth.Principal{Kind: auth.User, App: a.app, User: u}, nil
		}
	}
	return nil, fault.New(fault.Unauthenticated, "the token is invalid")
}

func (a *fakeAuth) Reauthenticate(ctx context.Context, p *auth.Principal) (*auth.Principal, bool, error) {
	now, err := a.Refresh(ctx, p)
	code := fault.CodeOf(err)
	return now, code == fault.Unauthenticated || code == fault.UserBanned, err
}

func (a *fakeAuth) Ended(_ context.Context, appServers []*auth.Principal) ([]auth.Ending, error) {
	a.checks.add()
	return make([]auth.Ending, len(appServers)), nil
}

func (a *fakeAuth) Refresh(_ context.Context, p *auth.Principal) (*auth.Principal, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return p, a.refreshed
}

func (a *fakeAuth) refuse(token string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused[token] = err
}

// refuseAgain makes Authenticate refuse a token that it has accepted before.
func (a *fakeAuth) refuseAgain(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.asked)
	a.again = err
}

func (a *fakeAuth) refuseRefresh(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refreshed = err
}

// fakeSchema executes operations of testSchema.
type fakeSchema struct {
	definition *ast.Schema
	world      *world
	// waiting receives each `wait` operation that has begun; each ends with one value from proceed.
	waiting, proceed chan struct{}
	// sinks receives the sinks of `captured`.
	sinks chan fanout.Sink
	// encoded counts the executions for events.
	encoded counter
}

func (s *fakeSchema) Schema() *ast.Schema { return s.definition }

func (s *fakeSchema) Complexity(context.Context, string, string, int, map[string]any) (int, bool) {
	return 0, false
}

func (s *fakeSchema) Exec(ctx context.Context) graphql.ResponseHandler {
	op := graphql.GetOperationContext(ctx)
	fields := graphql.CollectFields(op, op.Operation.SelectionSet, nil)
	if op.Operation.Operation == ast.Subscription {
		return s.subscription(ctx, op, fields[0])
	}
	return func(ctx context.Context) *graphql.Response { return s.once(ctx, op, fields) }
}

func (s *fakeSchema) once(ctx context.Context, op *graphql.OperationContext, fields []graphql.CollectedField) *graphql.Response {
	out := graphql.NewFieldSet(fields)
	for i, f := range fields {
		value, err := s.field(ctx, f, f.ArgumentMap(op.Variables))
		if err != nil {
			graphql.AddError(ctx, err)
			value = nil
			if f.Definition.Type.NonNull {
				return response(graphql.Null)
			}
		}
		out.Values[i] = marshal(value)
	}
	return response(out)
}

func marshal(value any) graphql.Marshaler {
	switch v := value.(type) {
	case string:
		return graphql.MarshalString(v)
	case bool:
		return graphql.MarshalBoolean(v)
	}
	return graphql.Null
}

func response(m graphql.Marshaler) *graphql.Response {
	var b strings.Builder
	m.MarshalGQL(&b)
	return &graphql.Response{Data: []byte(b.String())}
}

func (s *fakeSchema) field(ctx context.Context, f graphql.CollectedField, args map[string]any) (any, error) {
	switch f.Name {
	case "__typename":
		return f.ObjectDefinition.Name, nil
	case "who":
		return auth.From(ctx).Kind.String(), nil
	case "requestId":
		return requestid.From(ctx), nil
	case "device":
		if d := auth.DeviceFrom(ctx); d != nil {
			return string(d.Info().Platform), nil
		}
		return "", nil
	case "text":
		return strings.Repeat("x", kilobytes(args)), nil
	case "fail":
		return nil, fault.New(fault.Forbidden, "no")
	case "away", "needed":
		return nil, errAway
	case "wait", "reads":
		if f.Name == "reads" {
			key, _ := graphql.UnmarshalInt64(args["key"])
			fanout.WillRead(ctx, key)
		}
		s.waiting <- struct{}{}
		select {
		case <-s.proceed:
			return "done", nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	case "logout":
		p := auth.From(ctx)
		_, err := s.world.hub.Logout(ctx, p.Account(), auth.DeviceFrom(ctx), args["all"].(bool))
		return true, err
	}
	return nil, nil
}

func kilobytes(args map[string]any) int {
	n, _ := graphql.UnmarshalInt(args["kilobytes"])
	return n << 10
}

func (s *fakeSchema) subscription(ctx context.Context, op *graphql.OperationContext, f graphql.CollectedField) graphql.ResponseHandler {
	if f.Name == "crash" {
		panic("crash")
	}
	events, err := stream.From[*models.UserStatus](ctx, func(sink fanout.Sink) (func(), error) {
		switch f.Name {
		case "disabled":
			return nil, fault.New(fault.FeatureDisabled, "switched off").With("number", 72001)
		case "away":
			return nil, errAway
		case "captured":
			s.sinks <- sink
			return func() {}, nil
		}
		var accounts []status.Account
		for i, u := range s.world.auth.users {
			for _, id := range f.ArgumentMap(op.Variables)["ids"].([]any) {
				if u.ExternalID == id {
					accounts = append(accounts, s.world.account(i))
				}
			}
		}
		return s.world.hub.WatchUsers(ctx, accounts, sink, true)
	})
	if err != nil {
		graphql.AddError(ctx, err)
		return nil
	}
	return func(context.Context) *graphql.Response {
		status, ok := <-events
		if !ok {
			return nil
		}
		s.encoded.add()
		fields := graphql.CollectFields(op, f.Selections, nil)
		inner := graphql.NewFieldSet(fields)
		for i, field := range fields {
			switch field.Name {
			case "userId":
				inner.Values[i] = graphql.MarshalString(status.UserID)
			case "presence":
				inner.Values[i] = graphql.MarshalString(status.Presence.String())
			case "padding":
				inner.Values[i] = graphql.MarshalString(strings.Repeat("x", kilobytes(field.ArgumentMap(op.Variables))))
			}
		}
		outer := graphql.NewFieldSet([]graphql.CollectedField{f})
		outer.Values[0] = graphql.WriterFunc(func(w io.Writer) { inner.MarshalGQL(w) })
		return response(outer)
	}
}

type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) add() {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
}

func (c *counter) get() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}
