package console

import (
	"net/http"
	"net/url"
	"testing"

	"rollcall/internal/apps"
	"rollcall/models"
)

func TestDisableApp(t *testing.T) {
	s := onSQLite(t)
	s.operator("mo", models.RoleModerator)
	admin, viewer := s.as("admin"), s.as("viewer")
	disable, enable, settings := appPath(s.dev)+"/disable", appPath(s.dev)+"/enable", settingsPath(s.dev)

	admin.get(settings).want(t, http.StatusOK, disable, "!"+enable, "!This app is disabled")
	viewer.get(settings).want(t, http.StatusOK, "!"+disable)
	s.as("mo").get(disable).want(t, http.StatusForbidden)
	admin.get(enable).want(t, http.StatusOK, "is not disabled", "!<form class=\"fields\"")
	admin.get(disable).want(t, http.StatusOK, "Disable this app?", "Type the name of the app, “demo”, to confirm")
	admin.post(disable, url.Values{"name": {"live"}}).want(t, http.StatusUnprocessableEntity, "This is not the name of the app", `value="live"`)
	admin.get(settings).want(t, http.StatusOK, "!This app is disabled")

	admin.post(disable, url.Values{"name": {" demo "}}).wantRedirect(t, settings)
	admin.get(settings).want(t, http.StatusOK, "“demo” is disabled.", "This app is disabled:", enable, "!"+disable)
	admin.get(enable).want(t, http.StatusOK, "Enable this app?")
	viewer.get(usersPath(s.dev)).want(t, http.StatusOK, "This app is disabled:")
	viewer.get(usersPath(s.prod)).want(t, http.StatusOK, "!This app is disabled:")
	viewer.get(Root).want(t, http.StatusOK, `class="badge DISABLED"`)
	// A colleague has opened the page before.
	admin.post(disable, url.Values{"name": {"demo"}}).wantRedirect(t, settings)
	admin.get(settings).want(t, http.StatusOK, "“demo” is already disabled")

	admin.post(explorerPath, url.Values{"app": {s.dev.Key}}).want(t, http.StatusConflict, "The app is disabled")
	admin.post(explorerPath, url.Values{"app": {s.dev.Key}, "user": {"ann"}}).want(t, http.StatusConflict, "The app is disabled")
	admin.post(clearPath(s.dev), url.Values{"count": {"1"}}).want(t, http.StatusConflict, "no job can be started")

	admin.post(enable, nil).wantRedirect(t, settings)
	admin.get(settings).want(t, http.StatusOK, "“demo” is enabled.", "!This app is disabled:")
	admin.post(enable, nil).wantRedirect(t, settings)
	admin.get(settings).want(t, http.StatusOK, "“demo” is not disabled")
	admin.get(auditPath+"?app="+s.dev.Key).want(t, http.StatusOK, "Disabled the app", "Enabled the app")
}

func TestDeleteApp(t *testing.T) {
	s := onSQLite(t)
	s.operator("dora", models.RoleAdmin, s.dev)
	admin, dora := s.as("admin"), s.as("dora")
	path := appPath(s.dev) + "/delete"
	disable := func(app *models.App) {
		_, _, err := s.apps.Disable(t.Context(), app.Key, setup)
		s.check(err)
	}
	dora.get(path).want(t, http.StatusOK, "The app is not disabled", appPath(s.dev)+"/disable", "!Type the name")
	dora.post(path, url.Values{"name": {"demo"}, "users": {"1"}}).want(t, http.StatusConflict, "The app is not disabled")
	disable(s.dev)
	disable(s.prod)
	admin.get(appPath(s.prod)+"/delete").want(t, http.StatusOK, "This is a production app with users", "!Type the name")

	empty, _, err := s.apps.Create(t.Context(), apps.NewApp{Name: "empty", Environment: models.EnvironmentProduction, Edition: models.EditionStandard}, setup)
	s.check(err)
	disable(empty)
	admin.get(appPath(empty)+"/delete").want(t, http.StatusOK, "<p>The app has no users.</p>", "!0 users")

	form := dora.get(path).form()
	form.Set("name", "live")
	dora.post(path, form).want(t, http.StatusUnprocessableEntity, "This is not the name of the app")
	form.Set("name", "demo")
	s.register(s.dev, "bob", "Bob")
	stale := dora.post(path, form)
	stale.want(t, http.StatusConflict, "The number of users has changed: it is 2 now")
	if !s.there(s.dev, "ann") {
		t.Error("a stale form has deleted users")
	}
	dora.post(path, stale.form()).wantRedirect(t, Root)
	dora.get(Root).want(t, http.StatusOK, "“demo” is being deleted", "Being deleted", "!"+overviewPath(s.dev)+`"`)
	for _, path := range []string{overviewPath(s.dev), settingsPath(s.dev), path} {
		dora.get(path).want(t, http.StatusGone, "This app is being deleted.")
	}
	dora.post(appPath(s.dev)+"/enable", nil).want(t, http.StatusGone, "This app is being deleted.")

	s.check(s.apps.CompleteDeletions(t.Context()))
	dora.get(overviewPath(s.dev)).want(t, http.StatusNotFound)
	dora.get(Root).want(t, http.StatusOK, "!demo")
	admin.get(Root).want(t, http.StatusOK, "live", "!demo")
	// The audit still names the app, in all of its entries, and says that it is deleted.
	gone := "<bdi>" + s.dev.Key + `</bdi> <span class="muted"><bdi>demo</bdi></span> <span class="badge">deleted</span>`
	admin.get(auditPath+"?action=app.disable").want(t, http.StatusOK, gone, "<bdi>live</bdi></span></span>")
	admin.get(auditPath+"?action=app.delete").want(t, http.StatusOK, "Deleted the app", gone)
	of := auditPath + "?app=" + s.dev.Key
	admin.get(of).want(t, http.StatusOK, "Deleted the app", gone, `<option value="`+s.dev.Key+`" selected>demo · deleted</option>`, "!<bdi>live</bdi></span></span>")
	dora.get(of).want(t, http.StatusNotFound, "!demo")
	for _, row := range admin.post(auditPath+".csv", url.Values{"action": {"app.delete"}}).table(t)[1:] {
		if row[1] != s.dev.Key {
			t.Errorf("the export has no key: %q", row)
		}
	}
	if s.there(s.dev, "ann") {
		t.Error("a user is left")
	}
}
