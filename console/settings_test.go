package console

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestSettings(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		b := s.as("admin")
		path := settingsPath(s.prod)
		good := url.Values{
			"name": {"new & shiny"}, "edition": {"PREMIUM"}, "statusQueryEnabled": {"true"}, "friendRequestPolicy": {"NOBODY"},
			"friendLimit": {"7"}, "blocklistLimit": {"8"}, "whitelistLimit": {"9"}, "statusSubscriptionLimit": {"10"}, "friendRequestDailyLimit": {"212"}, "deviceLimit": {"113"}, "registeredUserLimit": {"11"},
		}
		with := func(name, value string) url.Values {
			form := maps.Clone(good)
			form.Set(name, value)
			return form
		}
		for field, form := range map[string]url.Values{
			"name":                    with("name", "demo"),
			"edition":                 with("edition", "GOLD"),
			"statusQueryEnabled":      with("edition", "STANDARD"),
			"friendRequestPolicy":     with("friendRequestPolicy", "FRIENDS"),
			"friendLimit":             with("friendLimit", "many"),
			"blocklistLimit":          with("blocklistLimit", "100001"),
			"statusSubscriptionLimit": with("statusSubscriptionLimit", "-1"),
			"deviceLimit":             with("deviceLimit", "0"),
			"friendRequestDailyLimit": with("friendRequestDailyLimit", "many"),
		} {
			b.post(path, form).want(t, http.StatusUnprocessableEntity, `id="`+field+`-error" role="alert"`, "!{max}")
		}
		b.post(path, with("friendLimit", "100001")).want(t, http.StatusUnprocessableEntity, "Enter a whole number from 0 to 100,000.")
		b.post(path, with("friendRequestPolicy", "")).want(t, http.StatusUnprocessableEntity, `id="friendRequestPolicy-error" role="alert"`, "Choose one of these.")
		b.post(path, with("name", "")).want(t, http.StatusUnprocessableEntity, `id="name-error" role="alert"`, "A name has 1 to 64 characters")
		b.post(path, with("name", "\u200b")).want(t, http.StatusUnprocessableEntity, `id="name-error" role="alert"`, "at least one visible character")
		if got := s.audited(s.prod); len(got) != 0 {
			t.Fatalf("refused, but audited: %v", got)
		}
		b.get(path).want(t, http.StatusOK, `<option value="APPROVAL" selected>Wait for approval</option>`)
		b.post(path, good).wantRedirect(t, path)
		b.get(path).want(t, http.StatusOK, `<option value="NOBODY" selected>Are refused</option>`, "The settings of “new &amp; shiny” were saved", `value="PREMIUM" selected`, `value="7"`)
		b.post(path, good).wantRedirect(t, path)
		app, err := s.deps.Apps.ByKey(context.Background(), s.prod.Key)
		s.check(err)
		want := models.AppSettings{StatusQueryEnabled: true, FriendRequestPolicy: models.PolicyNobody, FriendLimit: 7, BlocklistLimit: 8, WhitelistLimit: 9, StatusSubscriptionLimit: 10, FriendRequestDailyLimit: 212, DeviceLimit: 113}
		if app.Settings != want || app.Name != "new & shiny" || app.Edition != models.EditionPremium || app.UserLimit == 11 {
			t.Errorf("%+v", app)
		}
		audit := "admin app.set " + s.prod.Key + " blocklistLimit=8 (was 500) deviceLimit=113 (was 20) edition=PREMIUM (was FLAGSHIP) friendLimit=7 (was 1000) friendRequestDailyLimit=212 (was 200) friendRequestPolicy=NOBODY (was APPROVAL) name=new & shiny (was live)" +
			" statusQueryEnabled=true (was false) statusSubscriptionLimit=10 (was 200) whitelistLimit=9 (was 3000)"
		if got := s.audited(s.prod); !slices.Equal(got, []string{audit}) {
			t.Errorf("audit\n%s", strings.Join(got, "\n"))
		}
		standard := with("edition", "STANDARD")
		standard.Del("statusQueryEnabled")
		b.post(path, standard).wantRedirect(t, path)
		if app, _ = s.deps.Apps.ByKey(context.Background(), s.prod.Key); app.UserLimit != 11 || app.Edition != models.EditionStandard {
			t.Errorf("%+v", app)
		}
		s.as("viewer").get(path).want(t, http.StatusOK, "disabled", "!Save the settings", "!Rotate the secret")
		b.get(settingsPath(s.dev)).want(t, http.StatusOK, "!registeredUserLimit")
	})
}

// TestSettingsInTwoTabs: only fields that were changed in a form are written, so that it keeps what
// another form has saved since.
func TestSettingsInTwoTabs(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		b := s.as("admin")
		path := settingsPath(s.prod)
		app := func() *models.App {
			app, err := s.deps.Apps.ByKey(context.Background(), s.prod.Key)
			s.check(err)
			return app
		}
		first, second := b.get(path).form(), b.get(path).form()

		second.Set("friendLimit", "777")
		second.Set("statusQueryEnabled", "true")
		second.Set("name", "renamed")
		b.post(path, second).wantRedirect(t, path)
		b.get(path).want(t, http.StatusOK, "The settings of “renamed” were saved")
		first.Set("blocklistLimit", "many")
		refused := b.post(path, first)
		refused.want(t, http.StatusUnprocessableEntity, `id="blocklistLimit-error" role="alert"`)
		first = refused.form() // the form shown again still has the values it was loaded with
		first.Set("blocklistLimit", "55")
		b.post(path, first).wantRedirect(t, path)
		b.get(path).want(t, http.StatusOK, "The settings of “renamed” were saved")
		want := models.DefaultAppSettings()
		want.FriendLimit, want.BlocklistLimit, want.StatusQueryEnabled = 777, 55, true
		if got := app(); got.Settings != want || got.Name != "renamed" {
			t.Errorf("%+v", got)
		}
		audit := []string{
			"admin app.set " + s.prod.Key + " blocklistLimit=55 (was 500)",
			"admin app.set " + s.prod.Key + " friendLimit=777 (was 1000) name=renamed (was live) statusQueryEnabled=true (was false)",
		}
		if got := s.audited(s.prod); !slices.Equal(slices.Sorted(slices.Values(got)), audit) {
			t.Errorf("audit\n%s", strings.Join(got, "\n"))
		}

		// A switch that was on stays on if the form did not contain it.
		first = b.get(path).form()
		b.post(path, first).wantRedirect(t, path)
		b.get(path).want(t, http.StatusOK, "You changed nothing", "!were saved")
		first.Del("statusQueryEnabled")
		b.post(path, first).wantRedirect(t, path)
		if got := app(); got.Settings.StatusQueryEnabled {
			t.Error("the switch is on")
		}
		if got := s.audited(s.prod); len(got) != 3 {
			t.Errorf("audit\n%s", strings.Join(got, "\n"))
		}

		// A limit that the edition no longer has, because the edition was changed concurrently.
		first = b.get(path).form()
		first.Set("edition", "STANDARD")
		b.post(path, first).wantRedirect(t, path)
		first, second = b.get(path).form(), b.get(path).form()
		second.Set("edition", "PREMIUM")
		b.post(path, second).wantRedirect(t, path)
		first.Set("registeredUserLimit", "5")
		b.post(path, first).want(t, http.StatusUnprocessableEntity, `id="registeredUserLimit-error" role="alert"`, "has been changed")
	})
}

var shownSecret = regexp.MustCompile(`<code data-copy[^>]*>([A-Za-z0-9_-]{43})</code>`)

// TestSettings_EachHasOneField: a setting in no section could not be changed.
func TestSettings_EachHasOneField(t *testing.T) {
	s := onSQLite(t)
	_, err := s.deps.Apps.Change(t.Context(), s.prod.Key, map[string]string{"edition": "STANDARD"}, nil, setup)
	s.check(err)
	page := s.as("admin").get(settingsPath(s.prod))
	page.want(t, http.StatusOK, "<legend><h2>Event feed</h2></legend>")
	fields := 0
	for name := range page.form() {
		setting, found := strings.CutPrefix(name, loadedPrefix)
		if !found {
			continue
		}
		fields++
		if n := strings.Count(page.body, ` name="`+setting+`"`); n != 1 {
			t.Errorf("%s has %d fields", setting, n)
		}
	}
	if fields != 17 {
		t.Errorf("%d settings", fields)
	}
}

func TestRotateSecret(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		token := s.register(s.dev, "bob", "Bob").Token
		b := s.as("admin")
		path := appPath(s.dev) + "/rotate-secret"
		b.get(path).want(t, http.StatusOK, "Rotate the app secret?", "all app tokens and user tokens")
		if _, _, err := s.users.Verify(context.Background(), token); err != nil {
			t.Fatal("asking rotated the secret")
		}
		answer := b.reveal(path, url.Values{"overlap": {"0"}})
		answer.want(t, http.StatusOK, "shown here for 5 minutes")
		found := shownSecret.FindStringSubmatch(answer.body)
		if found == nil || answer.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("no secret, or one that is kept\n%s", answer.body)
		}
		if _, _, err := s.apps.IssueToken(t.Context(), s.dev.Key, found[1], time.Hour); err != nil {
			t.Errorf("the secret shown does not work: %v", err)
		}
		if _, _, err := s.users.Verify(context.Background(), token); err == nil {
			t.Error("an old token works")
		}
		for _, page := range []string{path, settingsPath(s.dev), auditPath, usersPath(s.dev)} {
			b.get(page).want(t, http.StatusOK, "!"+found[1])
		}
		if strings.Contains(s.log.String(), found[1]) {
			t.Error("the secret is in the log")
		}
		if got := s.audited(s.dev); !slices.Equal(got, []string{"admin app.rotate_secret " + s.dev.Key}) {
			t.Errorf("audit %v", got)
		}
		b.post(Root+"apps/nothing/rotate-secret", url.Values{"overlap": {"0"}}).want(t, http.StatusNotFound)
	})
}

func TestRotateSecret_Overlap(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		b := s.as("admin")
		path := appPath(s.dev) + "/rotate-secret"
		b.get(path).want(t, http.StatusOK, `name="overlap" value="0" checked`, "It ends at once", "24 hours", "!previous secret")
		for name, form := range map[string]url.Values{
			"nothing chosen":    {},
			"unknown":           {"overlap": {"61"}},
			"no number":         {"overlap": {"own"}, "unit": {"hours"}},
			"zero":              {"overlap": {"own"}, "amount": {"0"}, "unit": {"hours"}},
			"too long":          {"overlap": {"own"}, "amount": {"31"}, "unit": {"days"}},
			"unknown unit":      {"overlap": {"own"}, "amount": {"1"}, "unit": {"years"}},
			"number unchosen":   {"overlap": {"0"}, "amount": {"5"}, "unit": {"hours"}},
			"a negative choice": {"overlap": {"-60"}},
		} {
			t.Run(name, func(t *testing.T) {
				b.post(path, form).want(t, http.StatusUnprocessableEntity, `role="alert"`, "Rotate the app secret?", "!The new app secret")
			})
		}
		rotate := func(form url.Values, texts ...string) string {
			t.Helper()
			answer := b.reveal(path, form)
			answer.want(t, http.StatusOK, append(texts, "shown here for 5 minutes")...)
			return shownSecret.FindStringSubmatch(answer.body)[1]
		}
		works := func(secret string, want bool) {
			t.Helper()
			if _, _, err := s.apps.IssueToken(t.Context(), s.dev.Key, secret, time.Hour); (err == nil) != want {
				t.Errorf("the secret works: %v, want %t", err, want)
			}
		}
		first := rotate(url.Values{"overlap": {"1440"}}, "The previous secret and its tokens are valid until")
		b.get(settingsPath(s.dev)).want(t, http.StatusOK, "The previous secret and its tokens are valid until")
		b.get(path).want(t, http.StatusOK, "A new secret ends the previous one at once.")
		second := rotate(url.Values{"overlap": {"own"}, "amount": {"90"}, "unit": {"minutes"}}, "The previous secret")
		works(first, true)
		s.pass(90 * time.Minute)
		works(first, false)
		works(second, true)
		b.get(settingsPath(s.dev)).want(t, http.StatusOK, "!previous secret")
		third := rotate(url.Values{"overlap": {"0"}}, "!previous secret")
		works(second, false)
		works(third, true)
		entry := "admin app.rotate_secret " + s.dev.Key
		want := []string{entry + " overlap=24h0m0s", entry + " overlap=1h30m0s", entry}
		if got := s.audited(s.dev); !slices.Equal(got, want) {
			t.Errorf("audit %v", got)
		}
		b.get(auditPath).want(t, http.StatusOK, "stays valid for: 1 day<", "stays valid for: 90 minutes<")
		b.get(settingsPath(s.dev)).want(t, http.StatusOK, "!"+first, "!"+second, "!"+third)
	})
}
