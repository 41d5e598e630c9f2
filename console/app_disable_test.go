package console

import (
	"net/http"
	"net/url"
	"testing"

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
	admin.get(disable).want(t, http.StatusOK, "Disable this app?", "Type the name of the app, demo, to confirm")
	admin.post(disable, url.Values{"name": {"live"}}).want(t, http.StatusUnprocessableEntity, "This is not the name of the app", `value="live"`)
	admin.get(settings).want(t, http.StatusOK, "!This app is disabled")

	admin.post(disable, url.Values{"name": {" demo "}}).wantRedirect(t, settings)
	admin.get(settings).want(t, http.StatusOK, "demo is disabled.", "This app is disabled.", enable, "!"+disable)
	admin.get(enable).want(t, http.StatusOK, "Enable this app?")
	viewer.get(usersPath(s.dev)).want(t, http.StatusOK, "This app is disabled.")
	viewer.get(usersPath(s.prod)).want(t, http.StatusOK, "!This app is disabled.")
	viewer.get(Root).want(t, http.StatusOK, `class="badge DISABLED"`)
	// A colleague has opened the page before.
	admin.post(disable, url.Values{"name": {"demo"}}).wantRedirect(t, settings)
	admin.get(settings).want(t, http.StatusOK, "demo was disabled already")

	admin.post(explorerPath, url.Values{"app": {s.dev.Key}}).want(t, http.StatusConflict, "The app is disabled")
	admin.post(explorerPath, url.Values{"app": {s.dev.Key}, "user": {"ann"}}).want(t, http.StatusConflict, "The app is disabled")
	admin.post(clearPath(s.dev), url.Values{"count": {"1"}}).want(t, http.StatusConflict, "no job can be started")

	admin.post(enable, nil).wantRedirect(t, settings)
	admin.get(settings).want(t, http.StatusOK, "demo is enabled.", "!This app is disabled.")
	admin.post(enable, nil).wantRedirect(t, settings)
	admin.get(settings).want(t, http.StatusOK, "demo was not disabled")
	admin.get(auditPath+"?app="+s.dev.Key).want(t, http.StatusOK, "Disabled the app", "Enabled the app")
}
