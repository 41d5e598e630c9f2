package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/database"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/models"
)

// user returns a user's current row.
func (s *site) user(app *models.App, id string) *models.User {
	s.t.Helper()
	u, err := s.users.ByID(context.Background(), app.ID, id)
	s.check(err)
	return u
}

// audited returns "actor action target detail", without the detail of erasures, of what was done in the app since the site was set
// up, oldest first.
func (s *site) audited(app *models.App) []string {
	s.t.Helper()
	var entries []models.AuditEntry
	s.check(s.db.Read(context.Background()).Where("app_id = ? AND actor <> ?", app.ID, setup.Name).Order("id").Find(&entries).Error)
	lines := make([]string, len(entries))
	for i, e := range entries {
		if audit.IsErasure(&e) {
			e.Detail = "" // see TestCertificate_SaysWhatWasErased
		}
		lines[i] = strings.TrimSpace(strings.Join([]string{e.Actor, e.Action, e.Target, e.Detail}, " "))
	}
	return lines
}

func TestUserActions(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		link := make(cut, 1)
		s.connect(s.dev, "ann", link)
		b := s.as("admin")
		path := userPath(s.dev, "ann")
		ban := url.Values{"length": {"1440"}, "reason": {" spam & more "}}
		steps := []struct {
			action string
			form   url.Values
			// asked is a text on the page before, says one on the user's page afterwards.
			asked, says string
			state       models.UserState
		}{
			{"unban", nil, "ann is not banned", "ann is not banned", models.UserActive},
			{"disconnect", nil, "Disconnect all devices of ann?", "ann was disconnected.", models.UserActive},
			{"disconnect", nil, "ann has no connected device", "ann has no connected device", models.UserActive},
			{"ban", ban, "All devices are disconnected at once", "ann is banned.", models.UserBanned},
			{"ban", ban, "Change the ban of ann?", "The ban of ann was changed.", models.UserBanned},
			{"unban", nil, "Lift the ban of ann?", "The ban of ann was lifted.", models.UserActive},
			{"expire-tokens", nil, "End all tokens of ann?", "All tokens of ann have ended.", models.UserActive},
			{"expire-tokens", nil, "End all tokens of ann?", "had already ended", models.UserActive},
			{"reactivate", nil, "ann is not deactivated", "ann is not deactivated", models.UserActive},
			{"deactivate", nil, "erased permanently", "ann is erased and deactivated.", models.UserDeactivated},
			{"deactivate", nil, "was already deactivated", "was already deactivated", models.UserDeactivated},
			{"expire-tokens", nil, "had already ended", "had already ended", models.UserDeactivated},
			{"ban", ban, "the user must be reactivated first", "the user must be reactivated first", models.UserDeactivated},
			{"reactivate", nil, "Reactivate ann?", "ann is reactivated.", models.UserActive},
		}
		for _, step := range steps {
			before := s.user(s.dev, "ann").State(models.TimeOf(s.clock()))
			b.get(path+"/"+step.action).want(t, http.StatusOK, step.asked)
			if after := s.user(s.dev, "ann").State(models.TimeOf(s.clock())); after != before {
				t.Fatalf("%s: asking made the user %s", step.action, after)
			}
			if done := b.post(path+"/"+step.action, step.form); step.action == "deactivate" && before != models.UserDeactivated {
				done.wantCertificate(t)
			} else {
				done.wantRedirect(t, path)
			}
			b.get(path).want(t, http.StatusOK, step.says)
			b.get(path).want(t, http.StatusOK, "!"+step.says)
			u := s.user(s.dev, "ann")
			if got := u.State(models.TimeOf(s.clock())); got != step.state {
				t.Errorf("after %s the user is %s, want %s", step.action, got, step.state)
			}
			if step.state == models.UserBanned {
				if *u.BannedUntil != models.TimeOf(s.clock()).Add(24*time.Hour) || *u.BanReason != "spam & more" {
					t.Errorf("banned until %s for %q", u.BannedUntil, *u.BanReason)
				}
				b.get(path).want(t, http.StatusOK, "2026-11-21 08:00 UTC", "spam &amp; more", `id="open-change-ban" href="`+path+`/ban"`, "!open-ban")
				b.get(path+"/ban").want(t, http.StatusOK, `name="reason" value="spam &amp; more"`)
			}
		}
		if reason := <-link; reason != status.ReasonDisconnected {
			t.Errorf("the device was cut for %v", reason)
		}
		want := []string{
			"admin user.disconnect ann", "admin user.ban ann minutes=1440", "admin user.ban ann minutes=1440", "admin user.unban ann",
			"admin user.expire_tokens ann before=2026-11-20T08:00:00.001Z", "admin user.deactivate ann", "admin user.reactivate ann",
		}
		if got := s.audited(s.dev); !slices.Equal(got, want) {
			t.Errorf("audit\n%s", strings.Join(got, "\n"))
		}
		if got := s.audited(s.prod); len(got) != 0 {
			t.Errorf("audit of the other app %v", got)
		}
	})
}

// TestPermanentBan: the form offers a ban until it is lifted, and pages and the export have no end.
func TestPermanentBan(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	path := userPath(s.dev, "ann")
	b.get(path+"/ban").want(t, http.StatusOK, `name="length" value="permanent"> Until lifted`)
	b.post(path+"/ban", url.Values{"length": {"permanent"}, "amount": {"5"}, "unit": {"days"}}).
		want(t, http.StatusUnprocessableEntity, `value="permanent" checked`, "Another length is chosen above")
	b.post(path+"/ban", url.Values{"length": {"permanent"}, "reason": {"spam"}}).wantRedirect(t, path)
	if u := s.user(s.dev, "ann"); u.BannedUntil == nil || u.BanEnd() != nil {
		t.Errorf("banned until %s", u.BannedUntil)
	}
	b.get(path).want(t, http.StatusOK, "until lifted", "!9999")
	b.get(bannedList.path(s.dev)).want(t, http.StatusOK, `data-label="Until">Until lifted</td>`, "!9999")
	b.post(usersPath(s.dev)+".csv", nil).want(t, http.StatusOK, ",BANNED,", ",,spam,", "!9999")
	if got := s.audited(s.dev); !slices.Contains(got, "admin user.ban ann permanent") {
		t.Errorf("audit %q", got)
	}
}

func TestReactivatingWithoutRoom(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	path := userPath(s.dev, "ann")
	b.post(path+"/deactivate", nil)
	s.check(s.db.Exec(context.Background(), "UPDATE apps SET registered_user_count = 100 WHERE id = ?", s.dev.ID))
	b.post(path+"/reactivate", nil).wantRedirect(t, path)
	b.get(path).want(t, http.StatusOK, "the app has reached its limit of users", "Deactivated")
}

// TestSignOut_EndsTokensAndDevices: one button does both, with one entry in the audit.
func TestSignOut_EndsTokensAndDevices(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		first, second := make(cut, 1), make(cut, 1)
		s.connect(s.dev, "ann", first)
		s.connect(s.dev, "ann", second)
		b := s.as("admin")
		path := userPath(s.dev, "ann")
		b.get(path).want(t, http.StatusOK, `<form method="post" action="`+path+`/sign-out">`)
		b.post(path+"/sign-out", nil).wantRedirect(t, path)
		b.get(path).want(t, http.StatusOK, "ann was signed out everywhere.", "Offline")
		if one, other := <-first, <-second; one != status.ReasonDisconnected || other != status.ReasonDisconnected {
			t.Errorf("the devices were cut for %v and %v", one, other)
		}
		if got, want := s.user(s.dev, "ann").TokensValidFrom, models.TimeOf(s.clock())+1; got != want {
			t.Errorf("tokens are valid from %s, want %s", got, want)
		}
		// Again in the same millisecond, and without a device: there is nothing to lose.
		b.post(path+"/sign-out", nil).wantRedirect(t, path)
		b.post(path+"/deactivate", nil).wantCertificate(t)
		b.get(path).want(t, http.StatusOK, "!open-sign-out")
		b.post(path+"/sign-out", nil).wantRedirect(t, path)
		b.get(path).want(t, http.StatusOK, "the user’s tokens had already ended")
		want := []string{
			"admin user.sign_out ann before=2026-11-20T08:00:00.001Z", "admin user.sign_out ann before=2026-11-20T08:00:00.001Z",
			"admin user.deactivate ann",
		}
		if got := s.audited(s.dev); !slices.Equal(got, want) {
			t.Errorf("audit %v", got)
		}
	})
}

// noRegistry is a presence that cannot reach the devices.
type noRegistry struct{ Presence }

func (noRegistry) DisconnectAll(context.Context, status.Account) (int, error) {
	return 0, errors.New("Redis is away")
}

// TestSignOut_WithoutRedisLeavesDevicesToTheirNodes: the row tells the nodes which devices to close, and
// the page says so. A job does not fail.
func TestSignOut_WithoutRedisLeavesDevicesToTheirNodes(t *testing.T) {
	s := onSQLite(t)
	s.deps.Presence = noRegistry{s.deps.Presence}
	s.serve()
	b := s.as("admin")
	path := userPath(s.dev, "ann")
	b.post(path+"/sign-out", nil).wantRedirect(t, path)
	b.get(path).want(t, http.StatusOK, "each node closes the devices by itself within 5 seconds", "!signed out everywhere.")
	b.finish(b.post(appPath(s.dev)+"/bulk/sign-out", url.Values{"id": {"ann"}})).want(t, http.StatusOK, "Users signed out: 1.")
	if got := s.user(s.dev, "ann").DeviceGeneration; got != 2 {
		t.Errorf("the devices are of generation %d", got)
	}
	b.post(path+"/expire-tokens", nil)
	if got := s.user(s.dev, "ann").DeviceGeneration; got != 2 {
		t.Errorf("the end of tokens ends devices: generation %d", got)
	}
}

func TestDisconnectOneDevice(t *testing.T) {
	s := onSQLite(t)
	first, second := make(cut, 1), make(cut, 1)
	s.connect(s.dev, "ann", first)
	s.connect(s.dev, "ann", second)
	b := s.as("admin")
	path := userPath(s.dev, "ann")
	devices, err := s.presence.Devices(t.Context(), s.user(s.dev, "ann").ID)
	if err != nil {
		t.Fatal(err)
	}
	device := devices[1].ID
	b.get(path+"/devices").want(t, http.StatusOK, path+"/disconnect?device="+device)
	b.get(path+"/disconnect?device="+device).want(t, http.StatusOK, "Disconnect this device of ann?", `name="device" value="`+device+`"`)
	b.get(path+"/disconnect?device=NOBODYS").want(t, http.StatusOK, "Disconnect this device of ann?", "no longer has this connection")
	b.post(path+"/disconnect", url.Values{"device": {"NOBODYS"}}).wantRedirect(t, path+"/devices")
	b.get(path+"/devices").want(t, http.StatusOK, "no longer has this connection", device)
	b.post(path+"/disconnect", url.Values{"device": {device}}).wantRedirect(t, path+"/devices")
	b.get(path+"/devices").want(t, http.StatusOK, "A device of ann was disconnected.", "!"+device, "Online")
	if <-second; len(first) != 0 {
		t.Error("the other device was cut")
	}
	if got := s.audited(s.dev); !slices.Equal(got, []string{"admin user.disconnect ann devices=1"}) {
		t.Errorf("audit %v", got)
	}
}

func TestBanForm(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	path := userPath(s.dev, "ann") + "/ban"
	for name, form := range map[string]url.Values{
		"length is not chosen":   {},
		"length is none offered": {"length": {"61"}},
		"amount is missing":      {"length": {"own"}, "unit": {"days"}},
		"amount is zero":         {"length": {"own"}, "amount": {"0"}, "unit": {"days"}},
		"amount is too much":     {"length": {"own"}, "amount": {"31"}, "unit": {"days"}},
		"amount is in no unit":   {"length": {"own"}, "amount": {"1"}, "unit": {"years"}},
		"amount is not chosen":   {"length": {"1440"}, "amount": {"3"}, "unit": {"hours"}},
		"amount is huge":         {"length": {"own"}, "amount": {"9223372036854775807"}, "unit": {"days"}},
		"reason is long":         {"length": {"60"}, "reason": {strings.Repeat("长", 256)}},
		"reason has two lines":   {"length": {"60"}, "reason": {"a\nb"}},
	} {
		field, _, _ := strings.Cut(name, " ")
		b.post(path, form).want(t, http.StatusUnprocessableEntity, `id="`+field+`-error" role="alert"`, `aria-describedby="`)
		if s.user(s.dev, "ann").BannedUntil != nil {
			t.Fatalf("%s: banned all the same", name)
		}
	}
	b.post(path, url.Values{"length": {"1440"}, "amount": {"3"}, "unit": {"hours"}}).
		want(t, http.StatusUnprocessableEntity, "Another length is chosen above.", `value="1440" checked`, `value="3"`, `<option value="hours" selected>`)
	b.post(path, url.Values{"length": {"own"}, "amount": {"43201"}, "unit": {"minutes"}, "reason": {hostile}}).
		want(t, http.StatusUnprocessableEntity, `value="43201"`, "&lt;script&gt;", "!<script>alert", `<option value="minutes" selected>`)
	b.post(path, url.Values{"length": {"own"}, "amount": {" 90 "}, "unit": {"minutes"}, "reason": {strings.Repeat("长", 255)}}).
		wantRedirect(t, userPath(s.dev, "ann"))
	if until := *s.user(s.dev, "ann").BannedUntil; until != models.TimeOf(s.clock()).Add(90*time.Minute) {
		t.Errorf("banned until %s", until)
	}
}
