package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
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

func (silent) Cut(status.Cause) {}

// connect connects a device of the user.
func (s *site) connect(app *models.App, id string, link status.Link) {
	s.t.Helper()
	u, err := s.users.ByID(context.Background(), app.ID, id)
	s.check(err)
	acc := status.Account{ID: u.ID, AppID: app.ID, ExternalID: id}
	allowed := func(context.Context) error { return nil }
	_, err = s.presence.Connect(context.Background(), acc, models.PlatformHarmonyOS, link, allowed)
	s.check(err)
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
		want := []string{"ann"}
		for i := range 44 {
			id := fmt.Sprintf("user-%02d", i)
			s.pass(time.Millisecond * time.Duration(i%2)) // some in the same millisecond
			s.register(s.dev, id, "User")
			want = append(want, id)
		}
		slices.Reverse(want)
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
