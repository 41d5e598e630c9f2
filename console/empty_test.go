package console

import (
	"context"
	"html"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"rollcall/internal/apps"
	"rollcall/internal/users"
	"rollcall/models"
)

// noApps is a service without apps.
type noApps struct{ Apps }

func (noApps) List(context.Context) ([]*models.App, error) { return nil, nil }

// emptyList is a list on a page that is empty.
type emptyList struct {
	path, key string
	// link is the page that the owner is led to, and label the key of its text, or "". open is true if
	// viewers are led there too.
	link, label string
	open        bool
	// elsewhere is true if the owner can act although there is no link.
	elsewhere bool
	args      []any
}

// TestEmptyLists_SayWhatToDo renders each list without entries in each language, as an owner and as a
// viewer. It fails for a new list until the list is here.
func TestEmptyLists_SayWhatToDo(t *testing.T) {
	s := onSQLite(t)
	s.operator("idle", models.RoleViewer)
	ctx := context.Background()
	app, _, err := s.apps.Create(ctx, apps.NewApp{Name: "empty", Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship}, setup)
	s.check(err)
	hook := endpointPath(s.dev, s.addEndpoint(s.dev, "https://app.example/webhooks").ID)
	s.trust(map[string]string{s.dev.Key + ".json": `{"a": "query Me { me { id } }"}`, s.prod.Key + ".json": `{}`})
	idle := operatorsPath + "/" + s.operatorID("idle")
	ann := userPath(s.dev, "ann")
	_, err = s.users.Register(ctx, s.dev, users.Registration{ID: "gone", Name: "Gone"})
	s.check(err)
	_, err = s.users.Deactivate(ctx, s.dev, []string{"gone"}, setup)
	s.check(err)
	gone := userPath(s.dev, "gone")
	lists := []emptyList{
		{path: auditPath + "?actor=admin&action=operator.login_failed&text=x", key: "audit.no_actor", label: "audit.no_actor.open", open: true,
			link: auditPath + "?action=operator.login_failed&target=admin&text=x", args: []any{"actor", "admin"}},
		{path: usersPath(app), key: "users.empty", link: explorerPath + "?app=" + app.Key, label: "users.empty.explorer"},
		{path: usersPath(app) + "?q=zoe", key: "users.nobody", link: usersPath(app), label: "users.all", open: true, args: []any{"search", "zoe"}},
		{path: bannedList.path(app), key: "states.banned.empty", link: usersPath(app), label: "users.all"},
		{path: deactivatedList.path(app), key: "states.deactivated.empty", link: usersPath(app), label: "users.all"},
		{path: jobsPath(app), key: "jobs.empty", link: usersPath(app), label: "bulk.back"},
		{path: connectionsPath(app), key: "connections.empty"},
		{path: webhooksPath(app), key: "webhooks.empty", link: webhooksPath(app) + "/new", label: "webhook.new"},
		{path: hook, key: "deliveries.empty", elsewhere: true},
		{path: hook + "?state=FAILED", key: "deliveries.not_found", link: hook, label: "deliveries.all", open: true},
		{path: trustedPath(app), key: "trusted.no_file", args: []any{"file", app.Key + ".json"}},
		{path: trustedPath(s.prod), key: "trusted.none"},
		{path: trustedPath(s.dev) + "?q=zoe", key: "trusted.not_found", link: trustedPath(s.dev), label: "trusted.all", open: true, args: []any{"search", "zoe"}},
		{path: ann, key: "notes.empty", elsewhere: true},
		{path: ann + "/notes", key: "notes.empty", elsewhere: true},
		{path: ann + "/devices", key: "devices.empty"},
		{path: ann + "/activity", key: "bans.empty"},
		{path: ann + "/activity", key: "user.audit.empty"},
		{path: ann + "/bans", key: "bans.empty", link: ann + "/activity", label: "list.back", open: true},
		{path: gone, key: "notes.none"},
		{path: gone + "/notes", key: "notes.none"},
		{path: gone + "/relationships", key: "relations.erased"},
		{path: gone + "/friends", key: "relations.erased", link: gone + "/relationships", label: "list.back", open: true},
		{path: gone + "/activity", key: "bans.erased"},
		{path: gone + "/bans", key: "bans.erased", link: gone + "/activity", label: "list.back", open: true},
		{path: auditPath + "?target=zoe", key: "audit.not_found", link: auditPath, label: "audit.all", open: true},
		{path: idle, key: "sessions.empty"},
		{path: idle, key: "logins.empty"},
		{path: accountPath, key: "api_keys.empty", link: accountPath + "/api-keys/new", label: "api_key.new", open: true},
	}
	for _, show := range (usersPage{}).Shows() {
		lists = append(lists, emptyList{path: usersPath(app) + "?show=" + show, key: "users.nobody." + show, link: usersPath(app), label: "users.all", open: true})
	}
	for _, l := range peopleLists {
		lists = append(lists, emptyList{path: ann + "/" + l.name, key: "list." + l.name + ".empty", link: ann + "/relationships", label: "list.back", open: true})
	}
	covered := map[string]bool{
		"trusted.unset":        true, // in TestTrustedDocuments_StateOfTheApp
		"users.nobody.unknown": true, // in TestAway_UnknownIsNotNone
		"audit.empty":          true, // every console has entries: of its operators, or of the first start
	}
	for _, language := range languages {
		l := loadEmbedded().localeByTag(language.tag)
		wants := func(e emptyList, b *browser, owner bool) {
			t.Helper()
			covered[e.key] = true
			may := e.link
			if !owner && !e.open {
				may = ""
			}
			if owner && e.elsewhere {
				may = e.path
			}
			want, err := l.empty(e.key, may, e.label, e.args...)
			s.check(err)
			texts := []string{">" + html.EscapeString(want.Title) + "<", ">" + html.EscapeString(want.Next) + "<"}
			if e.label != "" {
				label, err := l.text(e.label)
				s.check(err)
				button := `<a class="button" href="` + html.EscapeString(e.link) + `">` + label + "<"
				if may == "" {
					button = "!" + button
				}
				texts = append(texts, button)
			}
			page := b.get(e.path)
			page.want(t, http.StatusOK, texts...)
			if emptyRows.MatchString(page.body) {
				t.Errorf("%s has a table without rows", e.path)
			}
		}
		for name, owner := range map[string]bool{"admin": true, "viewer": false} {
			b := s.as(name)
			b.post("/console/language", url.Values{"language": {language.tag}})
			for _, e := range lists {
				wants(e, b, owner)
			}
			if owner {
				wants(emptyList{path: operatorsPath, key: "invitations.empty"}, b, owner)
				wants(emptyList{path: idle, key: "api_keys.empty"}, b, owner)
			}
			all := s.deps.Apps
			s.deps.Apps = noApps{all}
			before := s.url
			s.serve()
			b = s.as(name)
			b.post("/console/language", url.Values{"language": {language.tag}})
			wants(emptyList{path: Root, key: "apps.empty", link: newAppPath, label: "app.new"}, b, owner)
			if owner {
				wants(emptyList{path: explorerPath, key: "apps.empty", link: newAppPath, label: "app.new"}, b, owner)
			}
			none, err := l.text("scope.no_apps")
			s.check(err)
			link := `<a href="` + newAppPath + `">`
			if owner {
				b.get(operatorsPath).want(t, http.StatusOK, none, link)
			} else {
				link = "!" + link
			}
			b.get(newKeyPath).want(t, http.StatusOK, none, link)
			s.deps.Apps, s.url = all, before
		}
	}
	for _, key := range emptyKeys(t) {
		if !covered[key] {
			t.Errorf("no list here shows %q", key)
		}
	}
}

var (
	emptyRows = regexp.MustCompile(`<tbody[^>]*>\s*</tbody>`)
	emptyKey  = regexp.MustCompile(`\(empty "([^"]+)"`)
)

// emptyKeys returns the keys of the states of empty lists that templates name.
func emptyKeys(t *testing.T) (keys []string) {
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := templateFiles.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range emptyKey.FindAllStringSubmatch(string(text), -1) {
			keys = append(keys, match[1])
		}
		own := !strings.HasSuffix(file, layoutFile) && !strings.HasSuffix(file, "error.html")
		if own && strings.Contains(string(text), `class="card empty"`) {
			t.Errorf("%s has an empty state of its own", file)
		}
	}
	return keys
}
