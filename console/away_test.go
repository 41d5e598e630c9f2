package console

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"rollcall/internal/vitals"
	"rollcall/models"
)

// hungPresence and hungUsers respond only when the caller gives up.
type hungPresence struct{ Presence }

func (hungPresence) StatusesOf(ctx context.Context, _ []*models.User) ([]models.UserStatus, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (hungPresence) OnlineCount(ctx context.Context, _ int64) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func (hungPresence) Devices(ctx context.Context, _ int64) ([]models.Device, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

type hungUsers struct{ Users }

func (hungUsers) ByID(ctx context.Context, _ int64, _ string) (*models.User, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// within requests a page, which must respond in that time.
func (b *browser) within(limit time.Duration, path string) *answer {
	b.t.Helper()
	begun := time.Now()
	got := b.get(path)
	if took := time.Since(begun); took > limit {
		b.t.Errorf("%s took %v", path, took)
	}
	return got
}

func TestAway_EveryPageNamesWhatIsAwayAndSinceWhen(t *testing.T) {
	s := onSQLite(t)
	self := vitals.Peer{Name: "host/1", State: vitals.Running}
	down := vitals.Health{Self: self}
	s.deps.Health = func() vitals.Health { return down }
	s.deps.Presence = hungPresence{s.presence}
	s.serve()
	s.connect(s.dev, "ann", silent{})
	admin, guest := s.as("admin"), s.as("")
	since := models.TimeOf(s.clock())
	down = vitals.Health{Self: self, Redis: &vitals.Server{Away: true, Since: since}}
	pages := []string{Root, overviewPath(s.dev), usersPath(s.dev), userPath(s.dev, "ann"), userPath(s.dev, "ann") + "/devices", operatorsPath, auditPath, accountPath, Root + "nothing"}
	for _, path := range pages {
		admin.within(time.Second, path).want(t, map[bool]int{true: http.StatusNotFound, false: http.StatusOK}[path == Root+"nothing"],
			"Redis does not respond", "2026-11-20 08:00 UTC")
	}
	// The overview shows the health of the service before the charts.
	if page := admin.get(overviewPath(s.dev)); strings.Index(page.body, `id="health"`) > strings.Index(page.body, `id="days"`) {
		t.Error("the health of the service is below the charts")
	}
	// What is unknown is not shown as something else.
	admin.get(userPath(s.dev, "ann")).want(t, http.StatusOK, "status UNKNOWN", "Unknown", "!No device is connected", "!Not logged in")
	admin.get(userPath(s.dev, "ann")+"/devices").want(t, http.StatusOK,
		"HarmonyOS", "These are the devices of the node that shows this page", "!/disconnect?device=", "!No device is connected")
	admin.get(userPath(s.prod, "ann")+"/devices").want(t, http.StatusOK, "Which devices are connected is unknown", "!No device is connected")
	down = vitals.Health{Database: vitals.Server{Away: true, Since: since}}
	for _, path := range append(pages, "/console/login") {
		for _, b := range []*browser{admin, guest} {
			b.within(time.Second, path).want(t, http.StatusServiceUnavailable, "The database does not respond", "2026-11-20 08:00 UTC")
		}
	}
	down = vitals.Health{Self: self}
	guest.get("/console/login").want(t, http.StatusOK, "!does not respond")
}

// TestPollAway_FollowsOutagesOnOpenPages: an open page polls what a page that is opened then has. The
// poll responds during an outage of the database too, and before an operator has a password of its own.
func TestPollAway_FollowsOutagesOnOpenPages(t *testing.T) {
	s := onSQLite(t)
	since := models.TimeOf(s.clock())
	away := &vitals.Server{Away: true, Since: since}
	var health vitals.Health
	s.deps.Health = func() vitals.Health { return health }
	s.serve()
	admin, guest := s.as("admin"), s.as("")
	const polling = `role="status" data-poll hx-get="/console/now" hx-trigger="every 2s, refresh">`
	for _, path := range []string{Root, overviewPath(s.dev), usersPath(s.dev), explorerPath, Root + "nothing"} {
		if page := admin.get(path).body; strings.Count(page, polling+"</div>") != 1 || !strings.Contains(page, "htmx.min") {
			t.Errorf("%s does not poll what is away once", path)
		}
	}
	guest.get("/console/login").want(t, http.StatusOK, "!/console/now")
	poll := Root + "now"
	lost := vitals.Peer{Name: "host/3", State: vitals.Lost, Seen: since, Fresh: true}
	for _, health = range []vitals.Health{{}, {Redis: away}, {Redis: away, Others: []vitals.Peer{lost}}} {
		part := admin.get(poll)
		part.want(t, http.StatusOK)
		admin.get(Root).want(t, http.StatusOK, polling+part.body+"</div>")
		guest.get(poll).wantRedirect(t, "/console/login?next=%2Fconsole%2Fnow")
	}
	admin.get(poll).want(t, http.StatusOK, "Redis does not respond", "Node host/3 was lost", "!<html")
	// Nodes behind a balancer notice an outage at different moments, which must not change the page.
	first := admin.get(poll).body
	away.Since = since.Add(2 * time.Second)
	if later := admin.get(poll).body; later != first {
		t.Errorf("2 s later: %s, want %s", later, first)
	}
	health = vitals.Health{Database: *away}
	for _, b := range []*browser{admin, guest} {
		b.get(poll).want(t, http.StatusOK, "The database does not respond", "!<html")
	}
	health = vitals.Health{}
	s.check(s.db.Exec(t.Context(), "UPDATE operators SET password_temporary = ?", true))
	admin.get(poll).want(t, http.StatusOK)
}

// TestAway_PagesRespondBeforeTheOutageIsKnown: an outage is known after a moment only.
func TestAway_PagesRespondBeforeTheOutageIsKnown(t *testing.T) {
	s := onSQLite(t).inTime()
	s.deps.Presence = hungPresence{s.presence}
	s.serve()
	b := s.as("admin")
	b.within(3*time.Second, userPath(s.dev, "ann")).want(t, http.StatusOK, "status UNKNOWN")
	s.deps.Users = hungUsers{s.deps.Users}
	s.serve()
	b.within(3*time.Second, userPath(s.dev, "ann")).want(t, http.StatusServiceUnavailable)
}

// TestAway_UnknownIsNotNone: while Redis is away, no page says that no user is online or no device is
// connected.
func TestAway_UnknownIsNotNone(t *testing.T) {
	s := onSQLite(t)
	self := vitals.Peer{Name: "host/1", State: vitals.Running}
	down := vitals.Health{Self: self, Redis: &vitals.Server{Away: true, Since: models.TimeOf(s.clock())}}
	s.deps.Health = func() vitals.Health { return down }
	s.deps.Presence = hungPresence{s.presence}
	s.serve()
	b := s.as("admin")
	online := usersPath(s.dev) + "?show=online"
	for _, path := range []string{online, online + "&q=ann"} {
		b.get(path).want(t, http.StatusOK, "<h2>Which users are online is unknown</h2>", `data-announce="Which users`, "!No user")
	}
	b.get(usersPath(s.dev)).want(t, http.StatusOK, "online now: unknown", "!Which users are online is unknown</h2>")
	b.get(Root).want(t, http.StatusOK, `class="number"><span class="muted">Unknown</span>`)
	b.get(overviewPath(s.dev)).want(t, http.StatusOK, "<strong>–</strong> <small>unknown at the moment")
	b.get(appPath(s.dev)+"/disable").want(t, http.StatusOK, "How many users are online is unknown")
	disconnect := userPath(s.dev, "ann") + "/disconnect"
	for _, path := range []string{disconnect, disconnect + "?device=1"} {
		b.get(path).want(t, http.StatusOK, "Which devices are connected is unknown", "!nothing to do")
	}
	b.post(disconnect, nil).want(t, http.StatusServiceUnavailable, "so none was disconnected")
	// A user whose last known change was a connection.
	s.check(s.db.Exec(t.Context(), "UPDATE users SET presence = ? WHERE external_id = ?", models.PresenceOnline, "ann"))
	b.get(online).want(t, http.StatusOK, "ann", "These are the users that were online at the last known change")
	b.get(bulkPath(s.dev)+"/ban?all=1&show=online").want(t, http.StatusOK, "at the last known change are chosen")
	down = vitals.Health{Self: self}
	s.deps.Presence = s.presence
	s.serve()
	b.get(online).want(t, http.StatusOK, "!at the last known change")
}

// TestAway_ABanSaysThatNodesCloseTheDevices: a change that the database has is complete only when each node
// has noticed it.
func TestAway_ABanSaysThatNodesCloseTheDevices(t *testing.T) {
	s := onSQLite(t)
	s.register(s.dev, "bob", "Bob")
	s.register(s.dev, "cid", "Cid")
	self := vitals.Peer{Name: "host/1", State: vitals.Running}
	down := vitals.Health{Self: self, Redis: &vitals.Server{Away: true, Since: models.TimeOf(s.clock())}}
	s.deps.Health = func() vitals.Health { return down }
	s.serve()
	b := s.as("admin")
	path := userPath(s.dev, "ann")
	const later = "Redis does not respond, so each node closes the devices by itself within 5 seconds."
	hour := url.Values{"length": {"60"}}
	b.post(path+"/ban", hour).wantRedirect(t, path)
	b.get(path).want(t, http.StatusOK, `<p class="notice warn" role="status">ann is banned. `+later)
	// No device is left to close.
	b.post(path+"/ban", hour).wantRedirect(t, path)
	b.get(path).want(t, http.StatusOK, "The ban of ann was changed.", "!"+later)
	b.post(path+"/unban", nil).wantRedirect(t, path)
	b.get(path).want(t, http.StatusOK, `<p class="notice good" role="status">The ban of ann was lifted.`, "!"+later)
	for _, erasure := range []string{path + "/deactivate", userPath(s.dev, "cid") + "/delete"} {
		erased := b.post(erasure, nil)
		erased.wantCertificate(t)
		b.get(erased.Header.Get("Location")).want(t, http.StatusOK, later)
	}
	bulk := func(kind string) *answer {
		return b.finish(b.post(bulkPath(s.dev)+"/"+kind, url.Values{"id": {"bob"}, "length": {"60"}}))
	}
	bulk("ban").want(t, http.StatusOK, `notice warn`, "Users banned: 1.", later)
	bulk("unban").want(t, http.StatusOK, `notice good`, "!"+later)
	down = vitals.Health{Self: self}
	b.post(userPath(s.dev, "bob")+"/ban", hour)
	b.get(userPath(s.dev, "bob")).want(t, http.StatusOK, `<p class="notice good" role="status">bob is banned.</p>`)
}
