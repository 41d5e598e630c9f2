package console

import (
	"cmp"
	"context"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/presence/status"
	"rollcall/internal/testenv"
	"rollcall/internal/users"
	"rollcall/models"
)

// silent is a device's link that does nothing.
type silent struct{}

func (silent) Cut(status.Cause)      {}
func (silent) Client() status.Client { return status.Client{} }

// connect connects a device of the user.
func (s *site) connect(app *models.App, id string, link status.Link) {
	s.t.Helper()
	u, err := s.users.ByID(context.Background(), app.ID, id)
	s.check(err)
	acc := status.Account{ID: u.ID, AppID: app.ID, ExternalID: id}
	allowed := func(context.Context) error { return nil }
	_, err = s.presence.Connect(context.Background(), acc, models.PlatformHarmonyOS, link, allowed)
	s.check(err)
	// Presence writes the status later; the test compares rows, or stops the database.
	for deadline := time.Now().Add(10 * time.Second); u.Presence != models.PresenceOnline; time.Sleep(2 * time.Millisecond) {
		if u, err = s.users.ByID(context.Background(), app.ID, id); err != nil || time.Now().After(deadline) {
			s.t.Fatalf("%s is not written as online: %v", id, err)
		}
	}
}

func TestApps(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		s.connect(s.dev, "ann", silent{})
		s.as("viewer").get("/console/").want(t, http.StatusOK,
			s.dev.Key, s.prod.Key, "Development", "Production", "Flagship", "1 <span class=\"muted\">/ 100</span>", "/ unlimited",
			`data-label="Online now" class="number">1</td>`)
	})
}

func TestUnknownAppsAndUsers(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		b := newSite(t, db).as("admin")
		for _, path := range []string{
			"apps/nothing/users", "apps/nothing/users/ann", "apps/%00/users", "apps/王/users",
			"apps/" + b.dev.Key + "/users/bob", "apps/" + b.dev.Key + "/users/ANN", "apps/" + b.dev.Key + "/users/ann%20",
			"apps/" + b.dev.Key + "/users/%00", "apps/" + b.dev.Key + "/users/王",
			"apps/" + b.dev.Key + "/users/bob/delete", "nothing",
		} {
			b.get("/console/"+path).want(t, http.StatusNotFound, "Not found", "Log out")
		}
		for _, path := range []string{"apps/%ff/users", "apps/" + b.dev.Key + "/users/%ff"} {
			b.get("/console/"+path).want(t, http.StatusNotFound, "Not found")
		}
		b.get("/console/apps/"+b.dev.Key+"/users?after=nonsense").want(t, http.StatusBadRequest)
	})
}

func TestUsersPaging(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		s.pass(time.Millisecond)
		var registered []*models.User
		for i := range 44 {
			id := fmt.Sprintf("user-%02d", i)
			s.pass(time.Millisecond * time.Duration(i%2)) // some in the same millisecond
			registered = append(registered, s.register(s.dev, id, "User").User)
		}
		slices.SortFunc(registered, func(a, b *models.User) int {
			return cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt), cmp.Compare(b.ID, a.ID))
		})
		var want []string
		for _, u := range registered {
			want = append(want, u.ExternalID)
		}
		want = append(want, "ann")
		b := s.as("viewer")
		root := "/console/apps/" + s.dev.Key + "/users"
		var got []string
		pages := 0
		for path := root; path != ""; pages++ {
			page := b.get(path)
			page.want(t, http.StatusOK, "45 of 100 users registered")
			path = ""
			for _, link := range page.links() {
				if id, ok := strings.CutPrefix(link, root+"/"); ok {
					got = append(got, id)
				}
				if strings.HasPrefix(link, root+"?after=") {
					path = link
				}
			}
		}
		if pages != 3 || !slices.Equal(got, want) {
			t.Errorf("%d pages: %v", pages, got)
		}
	})
}

func TestUsersOrder(t *testing.T) {
	s := onSQLite(t)
	ann, err := s.users.ByID(t.Context(), s.dev.ID, "ann")
	s.check(err)
	unseen := map[int64]string{ann.ID: "ann"}
	for _, u := range [][2]string{{"b-1", "Zoë"}, {"C-2", "émile"}, {"a-3", "Emil"}} {
		s.pass(time.Millisecond)
		if registered := s.register(s.dev, u[0], u[1]).User; u[0] != "C-2" {
			unseen[registered.ID] = u[0]
		}
	}
	var never []string // those that were never seen, by their keys
	for _, key := range slices.Sorted(maps.Keys(unseen)) {
		never = append(never, unseen[key])
	}
	first := strings.Join(never, " ")
	slices.Reverse(never)
	last := strings.Join(never, " ")
	s.connect(s.dev, "C-2", silent{})
	b := s.as("viewer")
	root := "/console/apps/" + s.dev.Key + "/users"
	listed := func(p *answer) (ids []string) {
		for _, link := range p.links() {
			if id, ok := strings.CutPrefix(link, root+"/"); ok {
				ids = append(ids, id)
			}
		}
		return ids
	}
	for order, want := range map[string]struct{ ids, head string }{
		"":       {"a-3 C-2 b-1 ann", `aria-sort="descending"><a href="` + root + `?order=oldest&amp;size=20">Registered`},
		"newest": {"a-3 C-2 b-1 ann", `aria-sort="descending"><a href="` + root + `?order=oldest&amp;size=20">Registered`},
		"oldest": {"ann b-1 C-2 a-3", `aria-sort="ascending"><a href="` + root + `?order=newest&amp;size=20">Registered`},
		"name":   {"ann a-3 C-2 b-1", `aria-sort="ascending"><a href="` + root + `?order=-name&amp;size=20">Name`},
		"-name":  {"b-1 C-2 a-3 ann", `aria-sort="descending"><a href="` + root + `?order=name&amp;size=20">Name`},
		"id":     {"C-2 a-3 ann b-1", `aria-sort="ascending"><a href="` + root + `?order=-id&amp;size=20">ID`},
		"-id":    {"b-1 ann a-3 C-2", `aria-sort="descending"><a href="` + root + `?order=id&amp;size=20">ID`},
		"seen":   {"C-2 " + last, `aria-sort="descending"><a href="` + root + `?order=-seen&amp;size=20">Status`},
		"-seen":  {first + " C-2", `aria-sort="ascending"><a href="` + root + `?order=seen&amp;size=20">Status`},
	} {
		p := b.get(root + "?size=20&order=" + order)
		p.want(t, http.StatusOK, want.head, "!has no other order")
		if got := strings.Join(listed(p), " "); got != want.ids || strings.Count(p.body, "aria-sort") != 1 {
			t.Errorf("order %q: %s, want %s\n%s", order, got, want.ids, p.body)
		}
	}
	b.get(root+"?order=name&show=active").want(t, http.StatusOK, `aria-sort="ascending"><a href="`+root+`?order=-name&amp;show=active">Name`)
	for _, few := range []string{"q=e", "show=banned", "show=online"} {
		b.get(root+"?order=name&"+few).want(t, http.StatusOK, "has no other order", `<option value="name" selected>`)
	}
	b.get(root+"?order=name&q=e").want(t, http.StatusOK, `<th scope="col" role="columnheader" >Name</th>`,
		`aria-sort="descending"><a href="`+root+`?order=oldest&amp;q=e">Registered`)
	b.get(root+"?order=size").want(t, http.StatusNotFound)
}

// TestUsersOrder_Paging follows the links to the next and the previous pages in the order of names.
func TestUsersOrder_Paging(t *testing.T) {
	s := onSQLite(t)
	for i := range 44 {
		s.register(s.dev, fmt.Sprintf("user-%02d", i), fmt.Sprintf("Name %02d", 99-i))
	}
	b := s.as("viewer")
	root := "/console/apps/" + s.dev.Key + "/users"
	var there, back []string
	path := root + "?order=name"
	follow := func(rel string) (ids []string) {
		p := b.get(path)
		p.want(t, http.StatusOK, `aria-sort="ascending"`)
		for _, link := range p.links() {
			if id, ok := strings.CutPrefix(link, root+"/"); ok {
				ids = append(ids, id)
			}
		}
		path = ""
		if found := regexp.MustCompile(`rel="` + rel + `" href="([^"]*)"`).FindStringSubmatch(p.body); found != nil {
			path = html.UnescapeString(found[1])
		}
		return ids
	}
	last := path
	for path != "" {
		last = path
		there = append(there, follow("next")...)
	}
	for path = last; path != ""; {
		back = append(follow("prev"), back...)
	}
	if len(there) != 45 || there[1] != "user-43" || there[44] != "user-00" || !slices.Equal(there, back) {
		t.Errorf("there %q, back %q", there, back)
	}
}

func TestUsersRowActions(t *testing.T) {
	s := onSQLite(t)
	for _, id := range []string{"bad", "gone"} {
		s.register(s.dev, id, "User")
	}
	_, err := s.users.Ban(context.Background(), s.dev, []string{"bad"}, users.Sentence{Length: time.Hour}, models.Actor{Name: "op"})
	s.check(err)
	_, err = s.users.Deactivate(context.Background(), s.dev, []string{"gone"}, models.Actor{Name: "op"})
	s.check(err)
	root := "/console/apps/" + s.dev.Key + "/users"
	link := func(id, action, text string) string {
		return `href="` + root + "/" + id + action + `">` + text + "</a>"
	}
	s.operator("mo", models.RoleModerator)
	s.as("mo").get(root).want(t, http.StatusOK, `aria-label="Actions on ann"`, link("ann", "", "Open"), link("ann", "/ban", "Ban this user"), "!/ann/unban",
		`form="row" class="small" formaction="`+root+`/ann/sign-out">Sign out everywhere`,
		link("bad", "/unban", "Lift the ban"), "!/gone/sign-out", "!/gone/ban", "!/gone/reactivate")
	s.as("admin").get(root).want(t, http.StatusOK, link("gone", "/reactivate", "Reactivate this user"))
	s.as("viewer").get(root).want(t, http.StatusOK, "!Actions on", "!/ann/sign-out", `!id="row"`)
}

func TestUsersSearch(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		s.register(s.dev, "bob", "王小明 100%")
		b := s.as("viewer")
		root := "/console/apps/" + s.dev.Key + "/users"
		for search, found := range map[string]string{"bo": "bob", "小明": "bob", "00%": "bob", " ann\x00\n ": "ann", "An": "ann"} {
			other := map[string]string{"ann": "bob", "bob": "ann"}[found]
			b.get(root+"?q="+url.QueryEscape(search)).want(t, http.StatusOK, root+"/"+found+`"`, "!"+root+"/"+other+`"`)
		}
		for _, search := range []string{"zzz", "0_0", hostile, "\xff\xfe,", strings.Repeat("x", 5000), "' OR 1=1 --"} {
			b.get(root+"?q="+url.QueryEscape(search)).want(t, http.StatusOK, "No user matches", "Show all users", "!<script>alert")
		}
		s.as("viewer").get("/console/apps/"+s.prod.Key+"/users?q=bob").want(t, http.StatusOK, "No user matches")
	})
}

func TestUsersSearch_Paging(t *testing.T) {
	s := onSQLite(t)
	for i := range 25 {
		s.pass(time.Millisecond)
		s.register(s.dev, fmt.Sprintf("x-%d", i), "User & Co")
	}
	b := s.as("viewer")
	root := "/console/apps/" + s.dev.Key + "/users"
	first := b.get(root + "?q=" + url.QueryEscape("r & C"))
	next := slices.IndexFunc(first.links(), func(link string) bool { return strings.Contains(link, "after=") })
	if next < 0 {
		t.Fatalf("no next page\n%s", first.body)
	}
	second := b.get(first.links()[next])
	second.want(t, http.StatusOK, `value="r &amp; C"`, "x-4", "!"+root+"/ann", "Newest")
	if back := root + "?q=r+%26+C"; !slices.Contains(second.links(), back) {
		t.Errorf("links %v, want %s", second.links(), back)
	}
}

func TestHostileNamesAreText(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		s.register(s.dev, "eve", hostile)
		b := s.as("admin")
		root := "/console/apps/" + s.dev.Key + "/users"
		for _, path := range []string{root, root + "/eve", root + "/eve/delete"} {
			b.get(path).want(t, http.StatusOK, "&lt;script&gt;alert(1)", "!<script>alert", "!<img src=x")
		}
	})
}

func TestEveryIDHasItsPage(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		ids := []string{".", "..", "...", "a.", "=2E", "ann@example.com", "a=b@c.d-e_f", "delete", strings.Repeat("x", 64)}
		for _, id := range ids {
			s.register(s.dev, id, "User")
		}
		b := s.as("admin")
		root := "/console/apps/" + s.dev.Key + "/users"
		list := b.get(root)
		for _, id := range ids {
			path := userPath(s.dev, id)
			if !slices.Contains(list.links(), path) {
				t.Errorf("no link to %q in %v", path, list.links())
			}
			b.get(path).want(t, http.StatusOK, "<dd><code>"+id+"</code></dd>")
			b.get(path+"/delete").want(t, http.StatusOK, "Delete "+id+"?")
			if to := b.post(path+"/delete", nil).Header.Get("Location"); !strings.HasPrefix(to, appPath(s.dev)+"/erasures/") {
				t.Errorf("deleting %q leads to %q", id, to)
			}
			if s.there(s.dev, id) {
				t.Errorf("%q was not deleted", id)
			}
		}
		if !s.there(s.dev, "ann") {
			t.Error("another user was deleted")
		}
	})
}

// TestUserPage_BadAvatar has an avatar URL that an earlier release accepted: it is shown, but not
// as a link.
func TestUserPage_BadAvatar(t *testing.T) {
	s := onSQLite(t)
	s.check(s.db.Exec(context.Background(), `UPDATE users SET avatar_url = 'https://ann:b@example.com:0/"x' WHERE external_id = 'ann'`))
	s.as("admin").get(userPath(s.dev, "ann")).want(t, http.StatusOK, `<bdi>https://ann:b@example.com:0/&#34;x</bdi>`, "!<a href=\"https://ann")
}

func TestUserPage(t *testing.T) {
	s := onSQLite(t)
	avatar := "https://example.com/a.png?b=c&d"
	_, err := s.users.Update(context.Background(), s.dev, "ann", users.Change{AvatarURL: avatar})
	s.check(err)
	s.connect(s.dev, "ann", silent{})
	b := s.as("admin")
	path := userPath(s.dev, "ann")
	b.get(path).want(t, http.StatusOK,
		`<a href="https://example.com/a.png?b=c&amp;d" rel="noopener noreferrer nofollow"`, "!<img src=\"http",
		`<time datetime="2026-11-20T08:00:00.000Z" title="2026-11-20 08:00:00 UTC">2026-11-20 08:00 UTC</time>`, "Online", "Active", "Delete this user")
	b.get(path+"/devices").want(t, http.StatusOK, "HarmonyOS")
	b.get(userPath(s.prod, "ann")+"/devices").want(t, http.StatusOK, "No device is connected<")
	b.get(userPath(s.prod, "ann")).want(t, http.StatusOK,
		"Users of a production app cannot be deleted", "!Delete this user", "Not logged in")
}
