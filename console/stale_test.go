package console

import (
	"context"
	"net/http"
	"strconv"
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
	asked.want(t, http.StatusConflict, `id="friendLimit-error" role="alert"`, "<bdi>777</bdi>", "<bdi>are refused</bdi>", "Save them anyway", `value="5"`, `value="55"`, `!id="blocklistLimit-error"`)
	app := func() *models.App {
		app, err := s.deps.Apps.ByKey(context.Background(), s.prod.Key)
		s.check(err)
		return app
	}
	if got := app().Settings; got.FriendLimit != 777 || got.BlocklistLimit == 55 {
		t.Errorf("%+v", got)
	}
	b.post(path, asked.form()).wantRedirect(t, path)
	if got := app().Settings; got.FriendLimit != 5 || got.BlocklistLimit != 55 || got.FriendRequestPolicy != models.PolicyAnyone {
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
	asked.want(t, http.StatusConflict, "The app has 2 users, more than the limit of 1.", `name="registeredUserLimit" value="1"`)
	app := func() *models.App {
		app, err := s.deps.Apps.ByKey(context.Background(), s.prod.Key)
		s.check(err)
		return app
	}
	if app().Edition == models.EditionStandard {
		t.Error("changed without an answer")
	}
	// Another number is asked about again.
	other := asked.form()
	other.Set(registeredUserLimit, "0")
	b.post(path, other).want(t, http.StatusConflict, "the limit of 0")
	b.post(path, asked.form()).wantRedirect(t, path)
	if got := app(); got.Edition != models.EditionStandard || got.UserLimit != 1 {
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
