package console

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/internal/presence"
	"rollcall/internal/presence/status"
	"rollcall/models"
)

// from is the link of a device with that client.
type from status.Client

func (from) Cut(status.Cause)        {}
func (f from) Client() status.Client { return status.Client(f) }

// silentNode is a presence with one device whose node does not respond.
type silentNode struct {
	Presence
	address string
}

func (p silentNode) Clients(ctx context.Context, userID int64, deviceIDs []string) map[string]presence.Client {
	found := p.Presence.Clients(ctx, userID, deviceIDs)
	for id, client := range found {
		if client.Address == p.address {
			delete(found, id)
		}
	}
	<-ctx.Done()
	return found
}

func TestUserDevices_HaveClientAddressAndLastSignOfLife(t *testing.T) {
	s := onSQLite(t)
	s.operator("mo", models.RoleModerator)
	firefox := "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	heard := s.clock().Add(-3*time.Minute - 20*time.Second)
	s.connect(s.dev, "ann", from{Address: "192.0.2.7", UserAgent: firefox, HeardAt: models.TimeOf(heard)})
	s.connect(s.dev, "ann", from{Address: "2001:db8::8", UserAgent: "<b>okhttp/4.12.0"}) // an event stream
	mo, viewer, admin := s.as("mo"), s.as("viewer"), s.as("admin")
	path := userPath(s.dev, "ann")
	poll := path + "/now?tab=devices"

	shown := []string{
		"Firefox on Linux", `title="2026-11-20 07:56:40 UTC" data-local>3 minutes ago</time>`, "Not known for event streams",
		"<bdi>&lt;b&gt;okhttp", "/disconnect?device=", "!unknown",
	}
	mo.get(path+"/devices").want(t, http.StatusOK, append(shown, "<code>192.0.2.7</code>", "<code>2001:db8::8</code>", poll)...)
	mo.get(poll).want(t, http.StatusOK, append(shown, "<code>192.0.2.7</code>", "!<html")...)
	devices, err := s.presence.Devices(t.Context(), s.user(s.dev, "ann").ID)
	s.check(err)
	mo.get(path+"/disconnect?device="+devices[0].ID).want(t, http.StatusOK, "Firefox on Linux", "192.0.2.7")
	// The addresses of users are not for viewers, and other tabs do not ask for them.
	for _, page := range []string{path + "/devices", poll} {
		viewer.get(page).want(t, http.StatusOK, "Firefox on Linux", "3 minutes ago", "!192.0.2.7", "!2001:db8::8")
	}
	for _, page := range []string{path, path + "/now", path + "/now?tab=overview"} {
		mo.get(page).want(t, http.StatusOK, "!192.0.2.7", "!devices-now")
	}

	var file struct {
		Devices []struct{ Address, UserAgent, LastHeardAt *string }
	}
	got := admin.post(path+"/data.json", nil)
	s.check(json.Unmarshal([]byte(got.body), &file))
	if d := file.Devices; len(d) != 2 || *d[0].Address != "192.0.2.7" || *d[0].UserAgent != firefox ||
		*d[0].LastHeardAt != "2026-11-20T07:56:40.000Z" || *d[1].Address != "2001:db8::8" || d[1].LastHeardAt != nil {
		t.Errorf("the file has %s", got.body)
	}
	if log := s.log.String(); strings.Contains(log, "192.0.2.7") {
		t.Errorf("the log has the address:\n%s", log)
	}
}

func TestUserDevices_OfNodesThatDoNotRespondAreUnknownInTime(t *testing.T) {
	s := onSQLite(t).inTime()
	s.connect(s.dev, "ann", from{Address: "192.0.2.7", HeardAt: models.TimeOf(s.clock())})
	s.connect(s.dev, "ann", from{Address: "192.0.2.8", HeardAt: models.TimeOf(s.clock())})
	s.deps.Presence = silentNode{s.presence, "192.0.2.8"}
	s.serve()
	admin := s.as("admin")
	path := userPath(s.dev, "ann")
	missing := "A node did not respond"
	got := admin.within(3*time.Second, path+"/devices")
	got.want(t, http.StatusOK, "192.0.2.7", "Less than a minute ago", "!192.0.2.8", missing)
	if n := strings.Count(got.body, "/disconnect?device="); n != 2 {
		t.Errorf("%d devices can be disconnected, want 2", n)
	}
	admin.within(3*time.Second, path+"/now?tab=devices").want(t, http.StatusOK, "192.0.2.7", "!192.0.2.8", missing)
	admin.post(path+"/data.json", nil).want(t, http.StatusOK, `"address": "192.0.2.7"`, `"address": null`)
}

func TestAgeOf(t *testing.T) {
	for d, want := range map[time.Duration]age{
		-time.Hour:                   {},
		59 * time.Second:             {},
		time.Minute:                  {"minutes", 1},
		59*time.Minute + time.Second: {"minutes", 59},
		time.Hour:                    {"hours", 1},
		23*time.Hour + time.Minute:   {"hours", 23},
	} {
		if got := ageOf(d); got != want {
			t.Errorf("ageOf(%v) = %v, want %v", d, got, want)
		}
	}
}
