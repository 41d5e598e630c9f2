package console

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/testenv"
	"rollcall/internal/users"
	"rollcall/models"
)

var filledHeaders = regexp.MustCompile(`data-headers="([^"]*)"`)

// filledToken returns the token that the explorer was given, or "" if there is none.
func filledToken(a *answer) string {
	found := filledHeaders.FindStringSubmatch(a.body)
	if found == nil {
		return ""
	}
	headers := html.UnescapeString(found[1])
	return strings.TrimSuffix(strings.TrimPrefix(headers, `{"Authorization":"Bearer `), `"}`)
}

func TestExplorerToken(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		s := newSite(t, db)
		b := s.as("admin")
		b.head.Set("X-Test-Address", "192.0.2.7")
		b.get(explorerPath).want(t, http.StatusOK, "Fill in a token", "!data-headers")
		s.as("viewer").get(explorerPath).want(t, http.StatusOK, "!Fill in a token", "!<form class", "Headers pane")

		ofApp := b.reveal(explorerPath, url.Values{"app": {s.dev.Key}, "user": {""}})
		ofApp.want(t, http.StatusOK, "An app token of “demo” was filled in", `value="`+s.dev.Key+`" selected`, `role="status"`)
		ofUser := b.reveal(explorerPath, url.Values{"app": {s.dev.Key}, "user": {" ann "}})
		ofUser.want(t, http.StatusOK, "A token of the user Ann (ann) of “demo” was filled in", `value="ann"`, "2026-11-20 09:00 UTC")
		appToken, userToken := filledToken(ofApp), filledToken(ofUser)
		if app, user, err := s.users.Verify(ctx, appToken); err != nil || app.ID != s.dev.ID || user != nil {
			t.Errorf("the app's token: %v, %v, %v", app, user, err)
		}
		if app, user, err := s.users.Verify(ctx, userToken); err != nil || app.ID != s.dev.ID || user == nil || user.ExternalID != "ann" {
			t.Errorf("the user's token: %v, %v, %v", app, user, err)
		}

		// The token is in that response only.
		if where := ofUser.Header.Get("Location") + strings.Join(ofUser.Header.Values("Set-Cookie"), ""); where != "" {
			t.Errorf("the answer leads on, or sets a cookie: %s", where)
		}
		for _, token := range []string{appToken, userToken} {
			b.get(explorerPath).want(t, http.StatusOK, "!"+token)
			b.get(auditPath).want(t, http.StatusOK, "!"+token, "Made an app token", "Made a user token", "1 hour")
			if strings.Contains(s.log.String(), token) {
				t.Error("the token is in the log")
			}
		}

		by := models.Actor{Name: setup.Name}
		s.register(s.dev, "loud", "Lou")
		s.register(s.dev, "gone", "Gus")
		_, err := s.users.Ban(ctx, s.dev, []string{"loud"}, users.Sentence{Length: time.Hour}, by)
		s.check(err)
		_, err = s.users.Deactivate(ctx, s.dev, []string{"gone"}, by)
		s.check(err)
		for user, words := range map[string]string{
			"nobody": "No user with the ID or name nobody was found.", hostile: "the ID or name &lt;script&gt;", "王": "the ID or name 王",
			"loud": "loud is banned", "gone": "gone is deactivated",
		} {
			b.post(explorerPath, url.Values{"app": {s.dev.Key}, "user": {user}}).want(t, http.StatusUnprocessableEntity,
				`id="user-error" role="alert"`, words, "!data-headers", "!<script>alert")
		}
		b.post(explorerPath, url.Values{"app": {"nothing"}}).want(t, http.StatusNotFound)
		const kept = `{"Authorization": "Bearer <old>"}`
		b.post(explorerPath, url.Values{"app": {s.dev.Key}, "user": {"nobody"}, "headers": {kept}}).want(t,
			http.StatusUnprocessableEntity, `data-headers="`+html.EscapeString(kept)+`"`)
		replaced := b.reveal(explorerPath, url.Values{"app": {s.prod.Key}, "user": {""}, "headers": {kept}})
		if token := filledToken(replaced); token == "" || strings.ContainsAny(token, `<\"`) {
			t.Errorf("a new token in the place of an old one: %q", token)
		}
		want := []string{"admin app.grant_token " + s.dev.Key + " minutes=60", "admin user.grant_token ann minutes=60"}
		if got := s.audited(s.dev); !slices.Equal(got, want) {
			t.Errorf("audit %q", got)
		}

		// A token expires, and it ends with the app's secret.
		_, _, err = s.deps.Apps.RotateSecret(ctx, s.dev.Key, 0, by)
		s.check(err)
		for _, token := range []string{appToken, userToken} {
			if _, _, err := s.users.Verify(ctx, token); fault.CodeOf(err) != fault.Unauthenticated {
				t.Errorf("after a new secret: %v", err)
			}
		}
		fresh := filledToken(b.reveal(explorerPath, url.Values{"app": {s.dev.Key}, "user": {"ann"}}))
		if _, _, err := s.users.Verify(ctx, fresh); err != nil {
			t.Error(err)
		}
		s.pass(time.Hour)
		if _, _, err := s.users.Verify(ctx, fresh); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("after an hour: %v", err)
		}
	})
}

func TestExplorerChoosesApp(t *testing.T) {
	s := onSQLite(t)
	b := s.as("admin")
	for _, app := range []*models.App{s.dev, s.prod} {
		b.get(explorerPath+"?app="+app.Key).want(t, http.StatusOK, `value="`+app.Key+`" selected`)
	}
	b.get(explorerPath+"?app=nothing").want(t, http.StatusOK, "demo · Development", "live · Production", "! selected")
	s.as("viewer").get(explorerPath+"?app="+s.dev.Key).want(t, http.StatusOK, "!<option")
}
