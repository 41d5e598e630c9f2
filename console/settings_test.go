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
			"name": {"new & shiny"}, "edition": {"PREMIUM"}, "statusQueryEnabled": {"true"},
			"friendLimit": {"7"}, "blocklistLimit": {"8"}, "whitelistLimit": {"9"}, "statusSubscriptionLimit": {"10"}, "registeredUserLimit": {"11"},
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
			"friendLimit":             with("friendLimit", "many"),
			"blocklistLimit":          with("blocklistLimit", "100001"),
			"statusSubscriptionLimit": with("statusSubscriptionLimit", "-1"),
		} {
			b.post(path, form).want(t, http.StatusUnprocessableEntity, `id="`+field+`-error" role="alert"`, "!{max}")
		}
		if got := s.audited(s.prod); len(got) != 0 {
			t.Fatalf("refused, but audited: %v", got)
		}
		b.post(path, good).wantRedirect(t, path)
		b.get(path).want(t, http.StatusOK, "The settings of new &amp; shiny are saved", `value="PREMIUM" selected`, `value="7"`)
		b.post(path, good).wantRedirect(t, path)
		app, err := s.deps.Apps.ByKey(context.Background(), s.prod.Key)
		s.check(err)
		want := models.AppSettings{StatusQueryEnabled: true, FriendLimit: 7, BlocklistLimit: 8, WhitelistLimit: 9, StatusSubscriptionLimit: 10}
		if app.Settings != want || app.Name != "new & shiny" || app.Edition != models.EditionPremium || app.UserLimit == 11 {
			t.Errorf("%+v", app)
		}
		audit := "admin app.set " + s.prod.Key + " blocklistLimit=8 edition=PREMIUM friendLimit=7 name=new & shiny statusQueryEnabled=true statusSubscriptionLimit=10 whitelistLimit=9"
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

var shownSecret = regexp.MustCompile(`<code>([A-Za-z0-9_-]{43})</code>`)

func TestRotateSecret(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		token := s.register(s.dev, "bob", "Bob").Token
		b := s.as("admin")
		path := appPath(s.dev) + "/rotate-secret"
		b.get(path).want(t, http.StatusOK, "Rotate the app secret?", "every app token and user token")
		if _, _, err := s.users.Verify(context.Background(), token); err != nil {
			t.Fatal("asking rotated the secret")
		}
		answer := b.post(path, nil)
		answer.want(t, http.StatusOK, "shown this once")
		found := shownSecret.FindStringSubmatch(answer.body)
		if found == nil || answer.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("no secret, or one that is kept\n%s", answer.body)
		}
		if _, _, err := s.issue(s.dev.Key, found[1], time.Hour); err != nil {
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
		b.post(Root+"apps/nothing/rotate-secret", nil).want(t, http.StatusNotFound)
	})
}
