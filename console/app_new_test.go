package console

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/testenv"
)

func TestCreateApp(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		b := s.as("admin")
		b.get(Root).want(t, http.StatusOK, `href="/console/apps/new"`)
		s.as("viewer").get(Root).want(t, http.StatusOK, "!New app")
		b.get(newAppPath).want(t, http.StatusOK, `value="DEVELOPMENT" checked`, "Standard: at most 10,000 users in production", "Create the app")

		form := func(name, environment, edition string) url.Values {
			return url.Values{"name": {name}, "environment": {environment}, "edition": {edition}}
		}
		for _, c := range []struct {
			form         url.Values
			field, words string
		}{
			{form("", "DEVELOPMENT", "STANDARD"), "name", "1 to 64 characters"},
			{form(strings.Repeat("x", 65), "DEVELOPMENT", "STANDARD"), "name", "1 to 64 characters"},
			{form("a\x00b", "DEVELOPMENT", "STANDARD"), "name", "not contain control characters"},
			{form("\u200b", "DEVELOPMENT", "STANDARD"), "name", "at least one visible character"},
			{form("a\u202eb", "DEVELOPMENT", "STANDARD"), "name", "not contain bidirectional overrides"},
			{form("demo", "PRODUCTION", "PREMIUM"), "name", "Another app has this name."},
			{form("new", "STAGING", "STANDARD"), "environment", "Choose one of these."},
			{form("new", "DEVELOPMENT", ""), "edition", "Choose one of these."},
		} {
			b.post(newAppPath, c.form).want(t, http.StatusUnprocessableEntity, `id="`+c.field+`-error" role="alert"`, c.words)
		}
		b.post(newAppPath, form("", "STAGING", "GOLD")).want(t, http.StatusUnprocessableEntity, `id="name-error"`, `id="environment-error"`, `id="edition-error"`)
		// The page keeps what was typed.
		b.post(newAppPath, form("demo", "PRODUCTION", "PREMIUM")).want(t, http.StatusUnprocessableEntity,
			`value="demo"`, `value="PRODUCTION" checked`, `value="PREMIUM" selected`)

		made := b.reveal(newAppPath, form(hostile, "PRODUCTION", "PREMIUM"))
		made.want(t, http.StatusOK, "The app was created", "shown here for 5 minutes", "&lt;script&gt;", "!<script>alert", "!Back to the settings")
		secret := shownSecret.FindStringSubmatch(made.body)[1]
		key := regexp.MustCompile(`<code>(rc[a-z0-9]{20})</code>`).FindStringSubmatch(made.body)[1]
		made.want(t, http.StatusOK, `href="/console/apps/`+key+`">To the app’s overview`)
		if _, _, err := s.apps.IssueToken(t.Context(), key, secret, time.Hour); err != nil {
			t.Error("the secret does not work:", err)
		}
		b.post(newAppPath, form(hostile, "PRODUCTION", "PREMIUM")).want(t, http.StatusUnprocessableEntity, "Another app has this name.")
		b.get(Root).want(t, http.StatusOK, key, "!<script>alert", "!"+secret)
		b.get(auditPath+"?actor=admin&action=app.create").want(t, http.StatusOK, "Created an app", key, "Environment: Production<", "Edition: Premium<", "!"+secret, "!<script>alert")
		if strings.Contains(s.log.String(), secret) {
			t.Error("the secret is in the log")
		}
	})
}
