package console

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/operators"
	"rollcall/internal/testenv"
	"rollcall/internal/users"
	"rollcall/internal/vitals"
	"rollcall/models"
)

// record records the figures once.
func (s *site) record() {
	s.t.Helper()
	s.check(s.figures.Record(context.Background()))
}

func TestOverview(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		s := newSite(t, db)
		for _, id := range []string{"bob", "cat", "dan"} {
			s.register(s.dev, id, id)
		}
		s.connect(s.dev, "ann", silent{})
		by := models.Actor{Name: "test"}
		_, err := s.users.Ban(ctx, s.dev, []string{"bob", "cat"}, users.Sentence{Length: time.Hour}, by)
		s.check(err)
		_, err = s.users.Deactivate(ctx, s.dev, []string{"dan"}, by)
		s.check(err)
		s.record()
		schema, err := db.Version(ctx)
		s.check(err)
		b := s.as("viewer")
		path := "/console/apps/" + s.dev.Key
		now := []string{
			`<span>Registered</span> <strong>3</strong> <small>of 100</small>`, "<small>without deactivated users</small>", `<span>Online now</span> <strong>1</strong>`,
			`<span>Banned</span> <strong>2</strong>`, `<span>Deactivated</span> <strong>1</strong>`,
			"This node", "Running", fmt.Sprintf("Version %d, up to date", schema.Latest), "2026-11-20 08:00 UTC", "Rollcall <bdi>1.2.3</bdi>, <bdi>go",
		}
		series := []string{
			">4 in total, including users deactivated since<", ">1 at most<", `<time datetime="2026-11-20T00:00:00.000Z">2026-11-20</time></th><td>4</td><td>1</td>`,
			`<time datetime="2026-11-20T08:00:00.000Z">08:00 UTC</time></th><td>4</td><td>1</td>`,
		}
		b.get(path).want(t, http.StatusOK, append(append([]string{s.dev.Key, "Flagship", "Development"}, now...), series...)...)
		b.get(path+"/now").want(t, http.StatusOK, append(now, "!<html", "!Last hour")...)
		b.get(path+"/charts").want(t, http.StatusOK, append(series, "!<html", "!Online now")...)
		b.get("/console/apps/"+s.prod.Key).want(t, http.StatusOK, "no limit", "!<progress", "!>4 in total")
		for _, part := range []string{"", "/now", "/charts", "/counts"} {
			b.get("/console/apps/nothing"+part).want(t, http.StatusNotFound)
		}
	})
}

// TestOverview_HasARowForEachPart: nodes, the database and Redis have a state, since when, round trips,
// a version and a last sign of life. A node that was lost makes the number of online users uncertain.
func TestOverview_HasARowForEachPart(t *testing.T) {
	s := onSQLite(t)
	began := models.TimeOf(s.clock()).Add(-time.Hour)
	lost := vitals.Peer{Name: "host/3", Version: "1.2.2", State: vitals.Lost, Started: began, Seen: began.Add(30 * time.Minute), Devices: 1500, Fresh: true}
	health := vitals.Health{
		Database: vitals.Server{Product: "MariaDB 11.8.3", Since: began, Seen: began, RoundTrip: 300 * time.Microsecond},
		Redis:    &vitals.Server{Away: true, Since: began.Add(10 * time.Minute), Seen: began.Add(9 * time.Minute)},
		Self:     vitals.Peer{Name: "host/1", Version: "1.2.3", State: vitals.Running, Started: began, Seen: began, Devices: 3, Database: 2 * time.Millisecond},
		Others:   []vitals.Peer{{Name: "host/2", Version: "1.2.4", State: vitals.Stopping, Started: began, Seen: began}, lost},
	}
	s.deps.Health = func() vitals.Health { return health }
	s.serve()
	s.operator("local", models.RoleViewer, s.dev)
	path := overviewPath(s.dev)
	for _, part := range []string{path, path + "/now"} {
		s.as("viewer").get(part).want(t, http.StatusOK,
			"MariaDB 11.8.3", "0.3 ms", "2026-11-20 07:00 UTC",
			"Does not respond", "2026-11-20 07:10 UTC", "2026-11-20 07:09 UTC",
			"<code>host/1</code> <span class=\"badge\">This node", "Rollcall 1.2.3", "2 ms", "3 devices connected",
			`Redis <span class="muted">–</span>`,
			"<code>host/2</code>", "Rollcall 1.2.4", "Stopping",
			"<code>host/3</code>", "Lost", "2026-11-20 07:30 UTC", "1,500 devices were connected", "Uncertain: lost nodes had 1,500 devices")
		// The devices are those of all apps.
		s.as("local").get(part).want(t, http.StatusOK, "<code>host/3</code>", "Uncertain: a node was lost", "!1,500", "!devices connected")
	}
	s.as("viewer").get(usersPath(s.dev)).want(t, http.StatusOK, "Node host/3 was lost", "2026-11-20 07:30 UTC", "Redis does not respond", "2026-11-20 07:10 UTC", "!host/2")
	lost.Fresh = false
	health.Others = []vitals.Peer{lost}
	s.as("viewer").get(path).want(t, http.StatusOK, "<code>host/3</code>", "Lost", "!Uncertain", "!Node host/3 was lost")
}

// TestDaysOfTheReadersZone: a browser names its zone and gets the days of that zone.
func TestDaysOfTheReadersZone(t *testing.T) {
	s := onSQLite(t)
	b := s.as("viewer")
	path := "/console/apps/" + s.dev.Key + "/charts?zone="
	for zone, says := range map[string]string{
		"Asia/Shanghai":          `data-zone="Asia/Shanghai"|<time datetime="2026-11-19T16:00:00.000Z">2026-11-20</time>`,
		"America/New_York":       `data-zone="America/New_York"|<time datetime="2026-11-20T05:00:00.000Z">2026-11-20</time>`,
		"":                       `data-zone="UTC"|<time datetime="2026-11-20T00:00:00.000Z"`,
		"Local":                  `data-zone="UTC"|<time datetime="2026-11-20T00:00:00.000Z"`,
		"..%2F..%2Fetc%2Fpasswd": `data-zone="UTC"`,
		"%00%ff":                 `data-zone="UTC"`,
	} {
		b.get(path+zone).want(t, http.StatusOK, strings.Split(says, "|")...)
	}
}

func TestUsersAndUserAreLive(t *testing.T) {
	s := onSQLite(t)
	s.connect(s.dev, "ann", silent{})
	path := userPath(s.dev, "ann")
	b := s.as("admin")
	b.get("/console/apps/"+s.dev.Key+"/counts").want(t, http.StatusOK, "1 of 100 users registered, without deactivated ones", "1 online now", "!<html")
	b.get(path+"/now?tab=devices").want(t, http.StatusOK, "HarmonyOS", "Online", path+"/disconnect?device=", "Delete this user", "!<html", "!Friends")
	s.as("viewer").get(path+"/now?tab=devices").want(t, http.StatusOK, "HarmonyOS", "!Delete this user")
	b.get(userPath(s.dev, "nobody")+"/now").want(t, http.StatusNotFound)
}

// TestPolls_DoNotExtendSession: a page that is left open does not keep the session from expiring.
// When it has expired, polls get a 401 and no redirect.
func TestPolls_DoNotExtendSession(t *testing.T) {
	s := onSQLite(t)
	b := s.as("viewer")
	b.head.Set("HX-Request", "true")
	path := "/console/apps/" + s.dev.Key + "/counts"
	for used := time.Hour; used < operators.SessionIdle; used += time.Hour {
		s.pass(time.Hour)
		b.get(path).want(t, http.StatusOK)
	}
	s.pass(time.Hour)
	got := b.get(path)
	got.want(t, http.StatusUnauthorized)
	if to := got.Header.Get("HX-Redirect"); to != "" {
		t.Errorf("redirected to %s", to)
	}
	if got := b.get(usersPath(s.dev)).Header.Get("HX-Redirect"); got != "/console/login" {
		t.Errorf("a search is redirected to %q", got)
	}
}

// TestPollsAreQuietInTheLog: an open page does not fill the log.
func TestPollsAreQuietInTheLog(t *testing.T) {
	s := onSQLite(t)
	b := s.as("viewer")
	for _, part := range []string{"/now", "/charts", "/counts"} {
		b.get("/console/apps/"+s.dev.Key+part).want(t, http.StatusOK)
	}
	b.get("/console/apps/"+s.dev.Key).want(t, http.StatusOK)
	if log := s.log.String(); strings.Contains(log, "/counts") || !strings.Contains(log, `route="GET /console/apps/{key}"`) {
		t.Errorf("the log:\n%s", log)
	}
}

func TestMilliseconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "< 0.1", 99 * time.Microsecond: "< 0.1", 100 * time.Microsecond: "0.1", 1250 * time.Microsecond: "1.3", 12 * time.Millisecond: "12",
	} {
		if got := milliseconds(d); got != want {
			t.Errorf("milliseconds(%s) = %q, want %q", d, got, want)
		}
	}
}
