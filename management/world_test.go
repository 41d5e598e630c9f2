package management_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/internal/operators"
	"rollcall/internal/page"
	"rollcall/internal/ratelimit"
	"rollcall/internal/testenv"
	"rollcall/management"
	"rollcall/models"
	"rollcall/node"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// setup is the actor in the audit of what a world begins with.
var setup = models.Actor{Name: "setup"}

// world is a node with the apps "demo" and "live", and the operator "carol", an owner.
type world struct {
	t          *testing.T
	node       *node.Node
	db         *database.DB
	url        string
	log        *testenv.Log
	demo, live *models.App
	carol      *models.Operator

	mu  sync.Mutex
	now time.Time
}

// newWorld starts a node. adjust may change its configuration.
func newWorld(t *testing.T, db *database.DB, adjust ...func(*node.Config)) *world {
	t.Helper()
	ctx := context.Background()
	w := &world{t: t, db: db, log: &testenv.Log{}, now: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)}
	cfg := node.Config{
		DB: db, Logger: slog.New(slog.NewTextHandler(w.log, nil)), Clock: w.clock, Version: "1.2.3",
		LoginFailureTime: time.Millisecond, Rates: ratelimit.Unlimited{},
	}
	for _, f := range adjust {
		f(&cfg)
	}
	n, err := node.New(ctx, cfg)
	w.check(err)
	t.Cleanup(func() {
		if err := n.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	w.check(n.Start(ctx))
	server := httptest.NewServer(n.Console)
	t.Cleanup(server.Close)
	w.node, w.url = n, server.URL
	w.demo, w.live = w.app("demo", models.EnvironmentDevelopment), w.app("live", models.EnvironmentProduction)
	w.carol = w.operator("carol", models.Grant{Role: models.RoleOwner, AllApps: true})
	return w
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
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

func (w *world) app(name string, environment models.Environment) *models.App {
	w.t.Helper()
	w.pass(time.Second) // apps are ordered by time
	app, _, err := w.node.Apps.Create(context.Background(), apps.NewApp{Name: name, Environment: environment, Edition: models.EditionFlagship}, setup)
	w.check(err)
	return app
}

func (w *world) operator(name string, grant models.Grant) *models.Operator {
	w.t.Helper()
	ctx := context.Background()
	_, err := w.node.Operators.Create(ctx, name, grant, "tidy harbour", setup)
	w.check(err)
	o, err := w.node.Operators.ByName(ctx, name)
	w.check(err)
	return o
}

// key makes a key of the operator that may do all that the operator may.
func (w *world) key(o *models.Operator, name string) string {
	w.t.Helper()
	return w.keyWith(o, name, o.Grant)
}

func (w *world) keyWith(o *models.Operator, name string, grant models.Grant) string {
	w.t.Helper()
	_, text, err := w.node.Operators.CreateKey(context.Background(), o, operators.NewKey{Name: name, Lifetime: 24 * time.Hour, Grant: grant}, setup)
	w.check(err)
	return text
}

// entries returns the newest entries of the audit.
func (w *world) entries(n int) []*models.AuditEntry {
	w.t.Helper()
	found, err := w.node.Audit.List(context.Background(), audit.Filter{}, page.Request{First: n})
	w.check(err)
	return found.Nodes()
}

// response is a response of the API.
type response struct {
	status int
	header http.Header
	text   string
	Data   map[string]any
	Errors []struct {
		Message    string
		Path       []any
		Extensions map[string]any
	}
}

// code returns the code of the first error, or "".
func (r *response) code() string {
	if len(r.Errors) == 0 {
		return ""
	}
	code, _ := r.Errors[0].Extensions["code"].(string)
	return code
}

// wantData fails the test unless the response is that JSON, without errors.
func (r *response) wantData(t *testing.T, want string) {
	t.Helper()
	var data map[string]any
	if err := json.Unmarshal([]byte(want), &data); err != nil {
		t.Fatal(err)
	}
	if r.status != http.StatusOK || len(r.Errors) > 0 || !reflect.DeepEqual(r.Data, data) {
		t.Errorf("%d %s, want %s", r.status, r.text, want)
	}
}

// wantRefused fails the test unless the response has one error with that code, field and rule; "" means
// none.
func (r *response) wantRefused(t *testing.T, code, field, rule string) {
	t.Helper()
	text := func(key string) string {
		value, _ := r.Errors[0].Extensions[key].(string)
		return value
	}
	if len(r.Errors) != 1 || text("code") != code || text("field") != field || text("rule") != rule || text("requestId") == "" {
		t.Errorf("%d %s, want %s of %q by %q", r.status, r.text, code, field, rule)
	}
}

// request describes an HTTP request to the API.
type request struct {
	method, key, contentType, body string
	header                         map[string]string
}

func (w *world) send(in request) *response {
	w.t.Helper()
	if in.method == "" {
		in.method = http.MethodPost
	}
	r, err := http.NewRequest(in.method, w.url+management.Path, strings.NewReader(in.body))
	w.check(err)
	if in.contentType == "" {
		in.contentType = "application/json"
	}
	r.Header.Set("Content-Type", in.contentType)
	if in.key != "" {
		r.Header.Set("Authorization", "Bearer "+in.key)
	}
	for name, value := range in.header {
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	w.check(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	w.check(err)
	out := &response{status: answer.StatusCode, header: answer.Header, text: string(body)}
	if err := json.Unmarshal(body, out); err != nil {
		w.t.Fatalf("%d %s: %v", out.status, out.text, err)
	}
	return out
}

// do executes a document with a key. variables are a JSON object, or "" for none.
func (w *world) do(key, document, variables string) *response {
	w.t.Helper()
	body := map[string]any{"query": document}
	if variables != "" {
		body["variables"] = json.RawMessage(variables)
	}
	var text bytes.Buffer
	w.check(json.NewEncoder(&text).Encode(body))
	return w.send(request{key: key, body: text.String()})
}

// onSQLite is newWorld for tests that do not depend on the database.
func onSQLite(t *testing.T, adjust ...func(*node.Config)) *world {
	t.Helper()
	return newWorld(t, testenv.Open(t, testenv.SQLiteURL(t)), adjust...)
}
