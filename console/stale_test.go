package console

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/users"
	"rollcall/models"
)

func TestBan_AsksBeforeItReplacesABanThatTheFormDidNotShow(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	path := userPath(s.dev, "ann") + "/ban"
	form := b.get(path).form()
	form.Set("length", "60")
	reason := "colleague's"
	_, err := s.users.Ban(context.Background(), s.dev, []string{"ann"}, users.Sentence{Length: 30 * 24 * time.Hour, Reason: &reason}, models.Actor{Name: "olga"})
	s.check(err)
	until := *s.user(s.dev, "ann").BannedUntil
	asked := b.post(path, form)
	asked.want(t, http.StatusConflict, "Nothing was changed", "<bdi>olga</bdi>", "colleague&#39;s", `value="60" checked`)
	if got := *s.user(s.dev, "ann").BannedUntil; got != until {
		t.Errorf("the ban ends at %v, want %v", got, until)
	}
	again := asked.form()
	b.post(path, again).wantRedirect(t, userPath(s.dev, "ann"))
	if got := *s.user(s.dev, "ann").BannedUntil; got == until {
		t.Error("the ban was not replaced")
	}
	// A ban that was lifted, or has expired, is not what the form showed either.
	stale := b.get(path).form()
	s.pass(2 * time.Hour)
	b.post(path, stale).want(t, http.StatusConflict, "has ended since you opened")
	if state := s.user(s.dev, "ann").State(models.TimeOf(s.clock())); state != models.UserActive {
		t.Error(state)
	}
}

func TestSettings_AskBeforeTheyReplaceAnotherChange(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	path := settingsPath(s.prod)
	first, second := b.get(path).form(), b.get(path).form()
	second.Set("friendLimit", "777")
	second.Set("friendRequestPolicy", "NOBODY")
	b.post(path, second).wantRedirect(t, path)
	first.Set("friendLimit", "5")
	first.Set("friendRequestPolicy", "ANYONE")
	first.Set("blocklistLimit", "55")
	asked := b.post(path, first)
	asked.want(t, http.StatusConflict, `id="friendLimit-error" role="alert"`, "<bdi>777</bdi>", "<bdi>Are refused</bdi>", "Save them anyway",
		"The marked settings were changed since you opened this page.", "!nother operator", `value="5"`, `value="55"`, `!id="blocklistLimit-error"`)
	if got := s.appNow(s.prod).Settings; got.FriendLimit != 777 || got.BlocklistLimit == 55 {
		t.Errorf("%+v", got)
	}
	b.post(path, asked.form()).wantRedirect(t, path)
	if got := s.appNow(s.prod).Settings; got.FriendLimit != 5 || got.BlocklistLimit != 55 || got.FriendRequestPolicy != models.PolicyAnyone {
		t.Errorf("%+v", got)
	}
}

func TestSettings_ShowAllWrongFieldsAtOnce(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	form := b.get(settingsPath(s.prod)).form()
	for name, value := range map[string]string{"name": "", "friendLimit": "many", "deviceLimit": "0", "statusQueryEnabled": "true", "friendStatusNotifyEnabled": "true", "edition": "STANDARD"} {
		form.Set(name, value)
	}
	b.post(settingsPath(s.prod), form).want(t, http.StatusUnprocessableEntity, "5 settings cannot be saved",
		`id="name-error"`, `id="friendLimit-error"`, `id="deviceLimit-error"`, `id="statusQueryEnabled-error"`, `id="friendStatusNotifyEnabled-error"`, `value="many"`)
}

func TestSettings_AskBeforeTheyLimitAnAppThatHasMoreUsers(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	path := settingsPath(s.prod)
	s.register(s.prod, "bob", "Bob")
	form := b.get(path).form()
	if form.Has(registeredUserLimit) {
		t.Error("a limit is shown for an edition without one")
	}
	form.Set("edition", "STANDARD")
	form.Set(registeredUserLimit, "1")
	asked := b.post(path, form)
	asked.want(t, http.StatusConflict, "Save these limits?", "<dt>Users in the app: 1</dt>", "The app has 2 users.", `name="registeredUserLimit" value="1"`)
	if s.appNow(s.prod).Edition == models.EditionStandard {
		t.Error("changed without an answer")
	}
	// Another number is asked about again.
	other := asked.form()
	other.Set(registeredUserLimit, "0")
	b.post(path, other).want(t, http.StatusConflict, "<dt>Users in the app: 0</dt>")
	b.post(path, asked.form()).wantRedirect(t, path)
	if got := s.appNow(s.prod); got.Edition != models.EditionStandard || got.UserLimit != 1 {
		t.Errorf("%+v", got)
	}
	b.get(path).want(t, http.StatusOK, `name="registeredUserLimit" value="1"`)
	// Nothing is asked about what the form does not change, nor about a limit with room.
	form = b.get(path).form()
	form.Set("friendLimit", "5")
	b.post(path, form).wantRedirect(t, path)
	form = b.get(path).form()
	form.Set(registeredUserLimit, strconv.Itoa(apps.MaxUserLimit))
	b.post(path, form).wantRedirect(t, path)
}

func TestSettings_AskOnceBeforeTheyLowerLimitsOfUsers(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	path := settingsPath(s.prod)
	for _, id := range []string{"bob", "cid"} {
		s.register(s.prod, id, id)
		_, err := s.relations.AddFriend(t.Context(), s.prod, "ann", id, nil)
		s.check(err)
		_, err = s.deps.Subscriptions.Subscribe(t.Context(), s.prod, s.user(s.prod, "ann"), []string{id})
		s.check(err)
	}
	form := b.get(path).form()
	form.Set("name", "renamed")
	form.Set("banPresets", "3h Spam\n7d Fraud")
	form.Set("statusQueryEnabled", "true")
	for name, limit := range map[string]string{
		"friendLimit": "1", "blocklistLimit": "1", "whitelistLimit": "5000", "statusSubscriptionLimit": "0", "deviceLimit": "3", "friendRequestDailyLimit": "9",
	} {
		form.Set(name, limit)
	}
	asked := b.post(path, form)
	asked.want(t, http.StatusConflict, "Save these limits?",
		"<dt>Friends per user: 1 instead of 1,000</dt>", "<dd>1 user has more now.</dd>", "A user with more keeps all friends",
		"<dt>Status subscriptions per user: 0 instead of 200</dt>", "A user with more keeps all until",
		"<dt>Connected devices per user: 3 instead of 20</dt>", "Connected devices stay connected.",
		"<dt>Friend requests per user and day: 9 instead of 200</dt>",
		"!<dt>Blocklist entries", "!<dt>Whitelist entries") // no user has more, or the limit is higher
	if got := s.audited(s.prod); len(got) != 0 {
		t.Fatalf("changed without an answer: %v", got)
	}

	// The values can be changed, and are asked about again, in another language too.
	values := asked.form()
	values.Set(changeValues, "1")
	again := b.post(path, values)
	again.want(t, http.StatusOK, `name="friendLimit" value="1"`, "3h Spam\n7d Fraud", `name="statusQueryEnabled" value="true" checked`)
	other := again.form()
	other.Set("friendLimit", "0")
	b.post(path, other).want(t, http.StatusConflict, "Friends per user: 0 instead of 1,000", "3 users have more now.")
	if !strings.Contains(asked.body, `formaction="/console/language?`) {
		t.Error("another language would lose what was typed")
	}

	// Another operator changes a setting while the question is open.
	_, err := s.apps.Set(t.Context(), s.prod.Key, map[string]string{"name": "theirs"}, setup)
	s.check(err)
	stale := b.post(path, asked.form())
	stale.want(t, http.StatusConflict, `id="name-error" role="alert"`, "Save them anyway")
	form = stale.form()
	form.Set("banPresets", asked.form().Get("banPresets")) // form does not read text areas
	b.post(path, form).wantRedirect(t, path)
	want := models.DefaultAppSettings()
	want.StatusQueryEnabled, want.FriendLimit, want.BlocklistLimit, want.WhitelistLimit = true, 1, 1, 5000
	want.StatusSubscriptionLimit, want.DeviceLimit, want.FriendRequestDailyLimit = 0, 3, 9
	if got := s.appNow(s.prod); got.Settings != want || got.Name != "renamed" || got.BanPresets != "3h Spam\n7d Fraud" {
		t.Errorf("%+v", got)
	}
}

// appNow returns the app as it is stored.
func (s *site) appNow(app *models.App) *models.App {
	s.t.Helper()
	now, err := s.deps.Apps.ByKey(context.Background(), app.Key)
	s.check(err)
	return now
}

func TestEndpoint_AsksBeforeItReplacesAnotherChange(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	e := s.addEndpoint(s.dev, "https://app.example/hooks")
	path := endpointPath(s.dev, e.ID) + "/edit"
	first, second := b.get(path).form(), b.get(path).form()
	second.Set("description", "Theirs")
	b.post(path, second).wantRedirect(t, endpointPath(s.dev, e.ID))
	first.Set("description", "Mine")
	asked := b.post(path, first)
	asked.want(t, http.StatusConflict, "<bdi>Theirs</bdi>", `value="Mine"`)
	b.get(path).want(t, http.StatusOK, `value="Theirs"`)
	b.post(path, asked.form()).wantRedirect(t, endpointPath(s.dev, e.ID))
	b.get(path).want(t, http.StatusOK, `value="Mine"`)
}

func TestRole_AsksBeforeItReplacesAnotherChange(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	path := operatorsPath + "/" + s.operatorID("viewer") + "/role"
	first, second := b.get(path).form(), b.get(path).form()
	second.Set("role", "admin")
	b.post(path, second).wantRedirect(t, operatorsPath+"/"+s.operatorID("viewer"))
	first.Set("role", "moderator")
	asked := b.post(path, first)
	asked.want(t, http.StatusConflict, "It is now: admin", `value="moderator" checked`)
	b.post(path, asked.form()).wantRedirect(t, operatorsPath+"/"+s.operatorID("viewer"))
	b.get(path).want(t, http.StatusOK, `value="moderator" checked`)
}
