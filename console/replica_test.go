package console

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
)

// forget removes the cookie for prompt reads, as the browser does after a while.
func (b *browser) forget() {
	b.t.Helper()
	base, err := url.Parse(b.url)
	b.check(err)
	b.client.Jar.SetCookies(base, []*http.Cookie{{Name: promptCookie, Path: Root, MaxAge: -1}})
}

// TestReplica_OwnChangesAtOnce: lists come from the replica, except for an operator that has just sent a
// form.
func TestReplica_OwnChangesAtOnce(t *testing.T) {
	servers := testenv.NewReplicated(t)
	_, primary, _, replica := servers.Database(t)
	db, log := testenv.Open(t, primary), new(testenv.Log)
	err := db.UseReplica(t.Context(), replica, database.ReplicaOptions{MaxLag: time.Hour, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, db)
	admin, viewer := s.as("admin"), s.as("viewer")
	eventually := func(what string, holds func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s; log:\n%s", what, log)
			}
		}
	}
	eventually("the replica is not used", func() bool { return strings.Contains(log.String(), "use the replica") })
	list := usersPath(s.dev)
	admin.forget()
	viewer.forget()
	eventually("the replica lacks the first user", func() bool { return strings.Contains(viewer.get(list).body, "Ann") })

	s.check(servers.Replica.Exec("STOP SLAVE SQL_THREAD"))
	started := false
	start := func() {
		if !started {
			started = true
			s.check(servers.Replica.Exec("START SLAVE SQL_THREAD"))
		}
	}
	defer start()
	s.register(s.dev, "zoe", "Zoe")
	admin.get(list).want(t, http.StatusOK, "Ann", "!Zoe")
	admin.get(userPath(s.dev, "zoe")).want(t, http.StatusOK, "Zoe") // what a form is about is never late
	admin.get(userPath(s.dev, "zoe")+"/ban").want(t, http.StatusOK, "Zoe")

	notes := userPath(s.dev, "ann") + "/notes"
	if got := admin.post(notes, url.Values{"text": {"seen at once"}}); got.StatusCode != http.StatusSeeOther {
		t.Fatalf("adding a note: %d\n%s", got.StatusCode, got.body)
	}
	admin.get(notes).want(t, http.StatusOK, "seen at once")
	admin.get(list).want(t, http.StatusOK, "Zoe")
	viewer.get(notes).want(t, http.StatusOK, "!seen at once")
	admin.forget()
	admin.get(notes).want(t, http.StatusOK, "!seen at once")
	start()
	eventually("the replica does not catch up", func() bool { return strings.Contains(viewer.get(notes).body, "seen at once") })
}

// TestReplica_LateRoutes: only GETs may be late.
func TestReplica_LateRoutes(t *testing.T) {
	late := 0
	for _, rt := range routes {
		if !rt.access.late {
			continue
		}
		if late++; !strings.HasPrefix(rt.pattern, "GET ") || rt.access.confirm || rt.access.Role == "" {
			t.Errorf("%s may be late", rt.pattern)
		}
	}
	if late < 10 {
		t.Errorf("only %d routes may be late", late)
	}
}
