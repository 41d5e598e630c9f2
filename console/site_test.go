package console

import (
	"context"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"rollcall/internal/appconnections"
	"rollcall/internal/apps"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/figures"
	"rollcall/internal/jobs"
	"rollcall/internal/operators"
	"rollcall/internal/presence"
	"rollcall/internal/redis"
	"rollcall/internal/relations"
	"rollcall/internal/testenv"
	"rollcall/internal/users"
	"rollcall/internal/webhooks"
	"rollcall/models"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// password is the password of all operators.
const password = "tidy harbour"

// hostile is a user name that pages must show unchanged.
const hostile = `<script>alert(1)</script>"'&<img src=x onerror=alert(2)>`

// setup is the actor in the audit of what a site begins with.
var setup = models.Actor{Name: "setup"}

// NodeConfig is what a test gives a node. Adjust is node.Config.AdjustConsole.
type NodeConfig struct {
	DB     *database.DB
	Redis  *redis.Client // nil: a node of its own
	Clock  func() time.Time
	Logger *slog.Logger
	Adjust func(*Deps)
}

// NodeRules are the rules of a node that tests use.
type NodeRules struct {
	Apps      *apps.Service
	Users     *users.Service
	Relations *relations.Service
	Presence  *presence.Hub
	Figures   *figures.Recorder
	Jobs      *jobs.Service
}

// StartNode starts a node that ends with the test. It is set by node_test.go, which is outside of this
// package: a node has a console, so the tests in this package cannot import it.
var StartNode func(t *testing.T, cfg NodeConfig) NodeRules

// site is the console of a node with a real database. It has a DEVELOPMENT and a PRODUCTION app
// with a user "ann" each, and the operators "admin", an owner, and "viewer", both for all apps.
type site struct {
	t         *testing.T
	deps      Deps
	url       string
	apps      *apps.Service
	mu        sync.Mutex
	now       time.Time // the rules read it in goroutines of their own
	log       *testenv.Log
	db        *database.DB
	users     *users.Service
	relations *relations.Service
	jobs      *jobs.Service
	presence  *presence.Hub
	figures   *figures.Recorder
	// node records connections of App Servers.
	node      *appconnections.Node
	dev, prod *models.App
	anyJob    *models.Job
	anyHook   *models.WebhookEndpoint
	anyInvite *models.OperatorInvitation
	anyToken  string
	anyNote   *models.UserNote
	anyErased int64
}

func newSite(t *testing.T, db *database.DB) *site {
	t.Helper()
	return newSiteWith(t, db, nil)
}

// newSiteWith is newSite for a node with Redis.
func newSiteWith(t *testing.T, db *database.DB, client *redis.Client) *site {
	t.Helper()
	ctx := context.Background()
	s := &site{t: t, now: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC), log: &testenv.Log{}, db: db}
	n := StartNode(t, NodeConfig{
		DB: db, Redis: client, Clock: s.clock, Logger: slog.New(slog.NewTextHandler(s.log, nil)),
		Adjust: func(deps *Deps) {
			deps.Webhooks = webhooks.New(db, new(bus.Bus), webhooks.Options{
				Clock: s.clock, Logger: slog.New(slog.DiscardHandler), Version: "1.2.3", AllowPrivate: true,
				AwaitFresh: func(context.Context) error { return nil },
			})
			deps.ClientAddress = func(r *http.Request) string { return r.Header.Get("X-Test-Address") }
			deps.Secure = func(r *http.Request) bool { return r.Header.Get("X-Test-TLS") != "" }
			deps.PageTime = time.Minute // a busy machine may need longer than operators would wait
			s.deps = *deps
		},
	})
	s.apps, s.users, s.relations, s.presence, s.figures, s.jobs = n.Apps, n.Users, n.Relations, n.Presence, n.Figures, n.Jobs
	s.node = appconnections.NewNode(db, "node/1")
	s.operator("admin", models.RoleOwner)
	s.operator("viewer", models.RoleViewer)
	var err error
	s.dev, _, err = s.apps.Create(ctx, apps.NewApp{Name: "demo", Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship}, setup)
	s.check(err)
	s.prod, _, err = s.apps.Create(ctx, apps.NewApp{Name: "live", Environment: models.EnvironmentProduction, Edition: models.EditionFlagship}, setup)
	s.check(err)
	s.register(s.dev, "ann", "Ann")
	s.register(s.prod, "ann", "Ann")
	s.serve()
	return s
}

// onSQLite is newSite for tests that do not depend on the database.
func onSQLite(t *testing.T) *site {
	t.Helper()
	return newSite(t, testenv.Open(t, testenv.SQLiteURL(t)))
}

// serve starts the console with the current deps.
func (s *site) serve() { s.serveHandler(New(s.deps)) }

// inTime gives each request the time that it has outside tests.
func (s *site) inTime() *site {
	s.deps.PageTime = PageTime
	s.serve()
	return s
}

func (s *site) serveHandler(h http.Handler) {
	server := httptest.NewServer(h)
	s.t.Cleanup(server.Close)
	s.url = server.URL
}

// operator creates an operator for these apps, or for all if there are none.
func (s *site) operator(name string, role models.Role, apps ...*models.App) {
	s.t.Helper()
	grant := models.Grant{Role: role, AllApps: len(apps) == 0}
	for _, app := range apps {
		grant.AppIDs = append(grant.AppIDs, app.ID)
	}
	s.create(name, grant)
}

// create creates an operator.
func (s *site) create(name string, grant models.Grant) {
	s.t.Helper()
	_, err := s.deps.Operators.(*operators.Service).Create(context.Background(), name, grant, password, setup)
	s.check(err)
}

// invitation returns the ID and the token of an open invitation of "ivy", as used in paths. It is
// made when it is first asked for.
func (s *site) invitation() (id, token string) {
	s.t.Helper()
	if s.anyInvite == nil {
		var err error
		grant := models.Grant{Role: models.RoleModerator, AppIDs: models.IDs{s.dev.ID}}
		s.anyInvite, s.anyToken, err = s.deps.Operators.Invite(context.Background(), "ivy", grant, setup)
		s.check(err)
	}
	return strconv.FormatInt(s.anyInvite.ID, 10), s.anyToken
}

func (s *site) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// pass moves the clock forward.
func (s *site) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func (s *site) register(app *models.App, id, name string) *users.Registered {
	s.t.Helper()
	registered, err := s.users.Register(context.Background(), app, users.Registration{ID: id, Name: name})
	s.check(err)
	return registered
}

// there reports whether the app has the user.
func (s *site) there(app *models.App, id string) bool {
	s.t.Helper()
	u, err := s.users.ByID(context.Background(), app.ID, id)
	s.check(err)
	return u != nil
}

// browser keeps cookies and does not follow redirects.
type browser struct {
	*site
	client *http.Client
	// head is sent with every request.
	head http.Header
}

func (s *site) browser() *browser {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	s.check(err)
	return &browser{site: s, head: http.Header{}, client: &http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// as returns a browser that is logged in and has confirmed the password for the whole test, or one
// that is not logged in if operator is "".
func (s *site) as(operator string) *browser {
	s.t.Helper()
	b := s.browser()
	if operator == "" {
		return b
	}
	if got := b.login(operator, password); got.StatusCode != http.StatusSeeOther {
		s.t.Fatalf("login of %s: %d %s", operator, got.StatusCode, got.body)
	}
	s.check(s.db.Tx(context.Background(), func(tx *gorm.DB) error {
		return tx.Model(&models.OperatorSession{}).Where("confirmed_at = 0").
			Update("confirmed_at", models.TimeOf(s.clock()).Add(365*24*time.Hour)).Error
	}))
	return b
}

func (b *browser) login(name, password string) *answer {
	b.t.Helper()
	return b.post("/console/login", url.Values{"name": {name}, "password": {password}})
}

// answer is a response with its body.
type answer struct {
	*http.Response
	body string
}

func (b *browser) get(path string) *answer {
	b.t.Helper()
	return b.send(http.MethodGet, path, nil)
}

func (b *browser) post(path string, form url.Values) *answer {
	b.t.Helper()
	return b.send(http.MethodPost, path, form)
}

func (b *browser) send(method, path string, form url.Values) *answer {
	b.t.Helper()
	// Like a browser, treat dots in the path as steps, even if they are escaped.
	path = strings.NewReplacer("%2e", ".", "%2E", ".").Replace(path)
	base, err := url.Parse(b.url)
	b.check(err)
	reference, err := url.Parse(path)
	b.check(err)
	r, err := http.NewRequest(method, base.ResolveReference(reference).String(), strings.NewReader(form.Encode()))
	b.check(err)
	for name, values := range b.head {
		r.Header[name] = values
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := b.client.Do(r)
	b.check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	b.check(err)
	return &answer{response, string(body)}
}

// want fails the test unless the response has that status and its body contains each of the texts.
// A text that begins with "!" must not be in the body.
func (a *answer) want(t *testing.T, status int, texts ...string) {
	t.Helper()
	where := a.Request.Method + " " + a.Request.URL.RequestURI()
	if a.StatusCode != status {
		t.Fatalf("%s: status %d, want %d\n%s", where, a.StatusCode, status, a.body)
	}
	for _, text := range texts {
		text, absent := strings.CutPrefix(text, "!")
		if strings.Contains(a.body, text) == absent {
			t.Errorf("%s: page has %q: %v\n%s", where, text, !absent, a.body)
		}
	}
}

// wantRedirect fails the test unless the response redirects to target.
func (a *answer) wantRedirect(t *testing.T, target string) {
	t.Helper()
	if got := a.Header.Get("Location"); a.StatusCode != http.StatusSeeOther || got != target {
		t.Errorf("%s %s: %d to %q, want 303 to %q", a.Request.Method, a.Request.URL.RequestURI(), a.StatusCode, got, target)
	}
}

var hrefs = regexp.MustCompile(`<a[^>]* href="([^"]*)"`)

// links returns the targets of the page's links.
func (a *answer) links() []string {
	var list []string
	for _, match := range hrefs.FindAllStringSubmatch(a.body, -1) {
		list = append(list, strings.NewReplacer("&amp;", "&", "&#43;", "+").Replace(match[1]))
	}
	return list
}

var (
	inputs    = regexp.MustCompile(`<input[^>]*>`)
	options   = regexp.MustCompile(`<select[^>]* name="([^"]*)"|<option value="([^"]*)" selected`)
	attribute = regexp.MustCompile(`(type|name|value)="([^"]*)"`)
)

// form returns what the page's forms would send unchanged. Each name must occur once.
func (a *answer) form() url.Values {
	form := url.Values{}
	for _, input := range inputs.FindAllString(a.body, -1) {
		has := map[string]string{}
		for _, match := range attribute.FindAllStringSubmatch(input, -1) {
			has[match[1]] = html.UnescapeString(match[2])
		}
		if choice := has["type"] == "checkbox" || has["type"] == "radio"; !choice || strings.Contains(input, " checked") {
			form.Set(has["name"], has["value"])
		}
	}
	name := ""
	for _, match := range options.FindAllStringSubmatch(a.body, -1) {
		if match[1] != "" {
			name = match[1]
			continue
		}
		form.Set(name, html.UnescapeString(match[2]))
	}
	return form
}

// operatorID returns the ID of an operator, as used in paths.
func (s *site) operatorID(name string) string {
	s.t.Helper()
	list, err := s.deps.Operators.List(context.Background())
	s.check(err)
	for _, o := range list {
		if o.Name == name {
			return strconv.FormatInt(o.ID, 10)
		}
	}
	s.t.Fatalf("no operator %s", name)
	return ""
}

// jobID returns the ID of a job that is done, as used in paths.
func (s *site) jobID() string {
	s.t.Helper()
	if s.anyJob == nil {
		nothing := func(context.Context, jobs.Progress) error { return nil }
		var err error
		s.anyJob, err = s.jobs.Start(context.Background(), s.dev, models.JobClear, 0, setup, nothing)
		s.check(err)
	}
	return strconv.FormatInt(s.anyJob.ID, 10)
}

// hook returns the IDs of an endpoint of the development app and of a delivery to it, as used in
// paths. The endpoint is created when it is first asked for.
func (s *site) hook() (endpoint, delivery string) {
	s.t.Helper()
	if s.anyHook == nil {
		s.anyHook = s.addEndpoint(s.dev, "https://app.example/webhooks")
	}
	return strconv.FormatInt(s.anyHook.ID, 10), strconv.FormatInt(s.addDelivery(s.anyHook, models.Delivery{State: models.DeliveryFailed}), 10)
}

// noteID returns the ID of a note about the user ann of the DEVELOPMENT app, as used in paths.
func (s *site) noteID() string {
	s.t.Helper()
	if s.anyNote == nil {
		var err error
		s.anyNote, err = s.users.AddNote(context.Background(), s.dev, "ann", "polite", setup)
		s.check(err)
	}
	return strconv.FormatInt(s.anyNote.ID, 10)
}

// erasureID returns the ID of the audit entry about a user of the DEVELOPMENT app that was deactivated,
// as used in paths.
func (s *site) erasureID() string {
	s.t.Helper()
	if s.anyErased == 0 {
		s.register(s.dev, "gone", "Gone")
		_, err := s.users.Deactivate(context.Background(), s.dev, []string{"gone"}, setup)
		s.check(err)
		_, err = s.users.Delete(context.Background(), s.dev, []string{"gone"}, setup)
		s.check(err)
		s.check(s.db.Read(context.Background()).Model(&models.AuditEntry{}).Where("target = ?", "gone").Select("MIN(id)").Scan(&s.anyErased).Error)
	}
	return strconv.FormatInt(s.anyErased, 10)
}

// finish follows a redirect to a job, waits until the job has ended, and returns the job's page.
func (b *browser) finish(a *answer) *answer {
	b.t.Helper()
	target := a.Header.Get("Location")
	if a.StatusCode != http.StatusSeeOther || !strings.Contains(target, "/jobs/") {
		b.t.Fatalf("%s: %d to %q, want a job", a.Request.URL.Path, a.StatusCode, target)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if page := b.get(target); !strings.Contains(page.body, "<div hidden data-poll") || time.Now().After(deadline) {
			return page
		}
	}
}

// lacking returns the status of those paths of routes that have nothing to show, and 0 for others.
func lacking(path string) int {
	switch {
	case strings.HasSuffix(path, "nowhere"), strings.HasSuffix(path, "/sso"), path == SSOCallback, // SSO is off
		strings.HasSuffix(path, "/trusted-documents/document"): // without an ID
		return http.StatusNotFound
	case strings.HasPrefix(path, shownPath), strings.HasPrefix(path, Root+"confirm/"):
		return http.StatusGone
	}
	return 0
}

// path fills in a route's pattern with the user ann of the DEVELOPMENT app.
func (s *site) path(rt route) (method, path string) {
	method, path, spaced := strings.Cut(rt.pattern, " ")
	if !spaced {
		method, path = http.MethodGet, rt.pattern+"nowhere"
	}
	if strings.Contains(path, "{endpoint}") {
		endpoint, delivery := s.hook()
		path = strings.NewReplacer("{endpoint}", endpoint, "{delivery}", delivery).Replace(path)
	}
	for parameter, value := range map[string]func() string{"{note}": s.noteID, "{entry}": s.erasureID} {
		if before, after, found := strings.Cut(path, parameter); found {
			path = before + value() + after
		}
	}
	if strings.Contains(path, "{invitation}") || strings.Contains(path, "{token}") {
		invitation, token := s.invitation()
		path = strings.NewReplacer("{invitation}", invitation, "{token}", token).Replace(path)
	}
	return method, strings.NewReplacer("{$}", "", "{key}", s.dev.Key, "{id}", "ann", "{operator}", s.operatorID("viewer"), "{job}", s.jobID(), "{shown}", "nothing", "{form}", "nothing").Replace(path)
}

// reveal sends a form that makes a secret, and returns the page that shows it.
func (b *browser) reveal(path string, form url.Values) *answer {
	b.t.Helper()
	made := b.post(path, form)
	target := made.Header.Get("Location")
	if made.StatusCode != http.StatusSeeOther || !strings.HasPrefix(target, shownPath) && !strings.HasPrefix(target, explorerPath+"?shown=") {
		b.t.Fatalf("%s: %d to %q, want a page with a secret\n%s", path, made.StatusCode, target, made.body)
	}
	return b.get(target)
}
