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

func TestBulk(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		s.register(s.dev, "bob", hostile)
		s.register(s.dev, "eve", "Eve")
		link := make(cut, 2)
		s.connect(s.dev, "bob", link)
		b := s.as("admin")
		root, bulk := usersPath(s.dev), bulkPath(s.dev)
		b.get(root).want(t, http.StatusOK, `form="bulk" name="id" value="bob"`, `formaction="`+bulk+`/ban"`, `formaction="`+bulk+`/delete"`, "All 3 that match", "Delete all test users")
		b.get(usersPath(s.prod)).want(t, http.StatusOK, bulkPath(s.prod)+"/ban", "!"+bulkPath(s.prod)+"/delete", "!Delete all")
		s.as("viewer").get(root).want(t, http.StatusOK, "!checkbox", "!"+bulk, "!Delete all")

		// Without a tick, the list says what to do first, on the same page.
		from := root + "?order=id&q=b"
		b.get(from).want(t, http.StatusOK, `name="from" value="`+strings.ReplaceAll(from, "&", "&amp;")+`"`, "Tick users to act on them. Exports without ticks have all")
		b.get(bulk+"/ban?from="+url.QueryEscape(from)).wantRedirect(t, from)
		b.get(from).want(t, http.StatusOK, "Tick users in the list first")
		b.get(bulk+"/ban?from="+url.QueryEscape("https://evil.example/")).wantRedirect(t, root)
		b.get(bulk+"/ban?id=bob&from="+url.QueryEscape(from)).want(t, http.StatusOK, `href="`+strings.ReplaceAll(from, "&", "&amp;")+`">Go back`)
		b.get(bulk+"/ban?id=nobody&id=%ff&id=王").want(t, http.StatusOK, "No user is chosen")
		b.get(bulk+"/ban?id=bob&id=ann&id=nobody").want(t, http.StatusOK, "Ban 2 users?", `name="id" value="bob"`, "&lt;script&gt;", "!<script>alert")
		b.get(bulk+"/delete?id=bob").want(t, http.StatusOK, "Delete 1 user?")
		b.get(bulk+"/delete?"+strings.Repeat("id=bob&", 101)).want(t, http.StatusBadRequest)
		b.get(bulkPath(s.prod)+"/delete?id=ann").want(t, http.StatusForbidden, "Users of a production app cannot be deleted")
		b.post(bulkPath(s.prod)+"/delete", url.Values{"id": {"ann"}}).want(t, http.StatusForbidden, "Users of a production app cannot be deleted")

		both := url.Values{"id": {"bob", "ann", "nobody"}, "length": {"60"}, "reason": {"spam"}}
		b.post(bulk+"/ban", url.Values{"id": {"bob"}, "length": {"x"}}).want(t, http.StatusUnprocessableEntity, "Choose how long", "Ban 1 user?")
		b.post(bulk+"/ban", url.Values{"id": {"bob"}, "length": {"1440"}, "amount": {"3"}, "unit": {"hours"}}).
			want(t, http.StatusUnprocessableEntity, "Another length is chosen above.", "Ban 1 user?", `value="3"`)
		b.finish(b.post(bulk+"/ban", both)).want(t, http.StatusOK, "Users banned: 2.", "2 of 2 users", "Done", "!The others")
		for id, want := range map[string]models.UserState{"bob": models.UserBanned, "ann": models.UserBanned, "eve": models.UserActive} {
			if got := s.user(s.dev, id).State(models.TimeOf(s.clock())); got != want {
				t.Errorf("%s is %s", id, got)
			}
		}
		if reason := <-link; reason != status.ReasonBanned {
			t.Errorf("the device was cut for %v", reason)
		}
		_, err := s.users.Deactivate(context.Background(), s.dev, []string{"ann"}, models.Actor{Name: "test"})
		s.check(err)
		b.finish(b.post(bulk+"/ban", both)).want(t, http.StatusOK, "Users banned: 1. The others are deactivated or no longer exist.")
		b.finish(b.post(bulk+"/delete", both)).want(t, http.StatusOK, "Users deleted: 2.", "!The others")
		b.get(root).want(t, http.StatusOK, `value="eve"`, `!value="bob"`)
		b.post(bulk+"/delete", both).want(t, http.StatusUnprocessableEntity, "No user is chosen")
		if s.there(s.dev, "bob") || s.there(s.dev, "ann") || !s.there(s.dev, "eve") || !s.there(s.prod, "ann") {
			t.Error("others were deleted than chosen")
		}
		want := []string{
			"admin user.ban ann minutes=60", "admin user.ban bob minutes=60", "admin user.ban bob minutes=60",
			"admin user.delete ann", "admin user.delete bob", "test user.deactivate ann",
		}
		if got := slices.Sorted(slices.Values(s.audited(s.dev))); !slices.Equal(got, want) {
			t.Errorf("audit\n%s", strings.Join(got, "\n"))
		}
	})
}

// TestBulkBar_OnlyForWhatMayBeDone is about deactivated users: an admin can delete them in a development
// app, and only export them in others.
func TestBulkBar_OnlyForWhatMayBeDone(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		s.operator("mo", models.RoleModerator)
		for _, app := range []*models.App{s.dev, s.prod} {
			s.register(app, "gone", hostile)
			_, err := s.users.Deactivate(context.Background(), app, []string{"gone"}, models.Actor{Name: "test"})
			s.check(err)
		}
		b := s.as("admin")
		b.get(deactivatedList.path(s.dev)).want(t, http.StatusOK, `name="id" value="gone"`, "Tick users to act on them.", "!Tick users to export")
		b.get(deactivatedList.path(s.prod)).want(t, http.StatusOK, `name="id" value="gone"`, "Tick users to export only them.", "!Tick users to act")
		s.as("mo").get(deactivatedList.path(s.dev)).want(t, http.StatusOK, "gone", "!checkbox", "!Tick users")
	})
}

func TestBulkUnban(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		by := models.Actor{Name: "test"}
		for _, id := range []string{"bob", "eve", "late"} {
			s.register(s.dev, id, hostile)
		}
		_, err := s.users.Ban(context.Background(), s.dev, []string{"bob", "eve", "late"}, users.Sentence{Length: time.Hour}, by)
		s.check(err)
		b := s.as("admin")
		list, bulk := bannedList.path(s.dev), bulkPath(s.dev)+"/unban"
		b.get(list).want(t, http.StatusOK, `form="bulk" name="id" value="bob"`, `action="`+bulk+`"`, "Lift bans", "All 3 that match")
		s.as("viewer").get(list).want(t, http.StatusOK, "!checkbox", "!Lift bans")
		s.as("viewer").post(bulk, url.Values{"id": {"bob"}}).want(t, http.StatusForbidden)
		b.get(deactivatedList.path(s.dev)).want(t, http.StatusOK, "!checkbox", "!Lift bans")

		back := `href="` + list + `">Go back`
		b.get(bulk+"?id=nobody&from="+list).want(t, http.StatusOK, "No user is chosen", back)
		b.get(bulk+"?id=bob&id=eve&id=nobody").want(t, http.StatusOK, "Lift the bans of 2 users?", `name="id" value="eve"`, "!<script>alert", "!Custom length")
		b.get(bulk+"?"+strings.Repeat("id=bob&", 101)).want(t, http.StatusBadRequest, "Too many users are chosen one by one.")
		b.get(bulk+"?all=1&show=x").want(t, http.StatusBadRequest, "The value of “show” in the address is invalid.")
		// ann is not banned.
		nothing := "None of the chosen users is banned; there is nothing to do."
		b.get(bulk+"?id=ann&from="+list).want(t, http.StatusOK, "The chosen user is not banned; there is nothing to do.", back, "!<form class=\"fields\"")
		b.get(bulk+"?all=1&q=ann").want(t, http.StatusOK, "The chosen user is not banned")
		b.get(bulk+"?all=1&show=active").want(t, http.StatusOK, "The chosen user is not banned")
		b.get(bulk+"?all=1").want(t, http.StatusOK, "Lift the bans of 4 users?", "!nothing to do")
		s.register(s.dev, "ann-2", "Ann")
		b.get(bulk+"?id=ann&id=ann-2").want(t, http.StatusOK, nothing)
		b.post(bulk, url.Values{"id": {"ann", "ann-2"}}).want(t, http.StatusUnprocessableEntity, nothing)
		if state := s.user(s.dev, "bob").State(models.TimeOf(s.clock())); state != models.UserBanned {
			t.Fatalf("asking made the user %s", state)
		}
		b.post(bulk, url.Values{"id": {"nobody"}, "from": {list}}).want(t, http.StatusUnprocessableEntity, "No user is chosen", back)
		// ann is not banned: she stays as she is, and no audit entry is written.
		done := b.finish(b.post(bulk, url.Values{"id": {"bob", "eve", "ann", "nobody"}}))
		done.want(t, http.StatusOK, "Lifting bans", "Bans lifted: 2.", "The others were no longer banned", "action=user.unban")
		for id, want := range map[string]models.UserState{"bob": models.UserActive, "eve": models.UserActive, "late": models.UserBanned} {
			if got := s.user(s.dev, id).State(models.TimeOf(s.clock())); got != want {
				t.Errorf("%s is %s", id, got)
			}
		}
		want := []string{"admin user.unban bob", "admin user.unban eve", "test user.ban bob minutes=60", "test user.ban eve minutes=60", "test user.ban late minutes=60"}
		if got := slices.Sorted(slices.Values(s.audited(s.dev))); !slices.Equal(got, want) {
			t.Errorf("audit\n%s", strings.Join(got, "\n"))
		}
	})
}

// TestBulkAll_ActsOnAllThatMatch: an action on all users that a search and a filter select reaches
// those on other pages and no others. One that cannot be undone needs their number.
func TestBulkAll_ActsOnAllThatMatch(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		for i := range 30 {
			s.register(s.dev, fmt.Sprintf("test-%02d", i), "Test")
		}
		b := s.as("admin")
		root, bulk := usersPath(s.dev), bulkPath(s.dev)
		b.get(root+"?q=test-").want(t, http.StatusOK, "All 30 that match", "30 users", `name="q" value="test-"`)
		all := func(pairs ...string) url.Values {
			return form(append([]string{"all", "1", "q", "test-"}, pairs...)...)(s)
		}
		states := func() (n map[models.UserState]int) {
			n = map[models.UserState]int{}
			for i := range 30 {
				n[s.user(s.dev, fmt.Sprintf("test-%02d", i)).State(models.TimeOf(s.clock()))]++
			}
			return n
		}
		// None of the 20 users that a page shows is banned, and then the oldest is.
		b.get(bulk+"/unban?all=1&q=test-").want(t, http.StatusOK, "None of the chosen users is banned")
		_, err := s.users.Ban(context.Background(), s.dev, []string{"test-00"}, users.Sentence{Length: time.Hour}, models.Actor{Name: "test"})
		s.check(err)
		b.get(bulk+"/unban?all=1&q=test-").want(t, http.StatusOK, "Lift the bans of 30 users?", "!None of the chosen")
		b.get(bulk+"/unban?all=1&q=test-&show=active").want(t, http.StatusOK, "None of the chosen users is banned")
		_, err = s.users.Unban(context.Background(), s.dev, []string{"test-00"}, models.Actor{Name: "test"})
		s.check(err)
		b.get(bulk+"/ban?all=1&q=test-&show=active").want(t, http.StatusOK, "Ban 30 users?", "match “test-”", "Only users that are active", "and 10 more")
		b.finish(b.post(bulk+"/ban", all("length", "180"))).want(t, http.StatusOK, "Users banned: 30.", "30 of 30 users")
		b.finish(b.post(bulk+"/unban", all("show", "banned"))).want(t, http.StatusOK, "Bans lifted: 30.")
		b.finish(b.post(bulk+"/expire-tokens", all())).want(t, http.StatusOK, "Users whose tokens have ended: 30.")
		link := make(cut, 1)
		s.connect(s.dev, "test-03", link)
		b.finish(b.post(bulk+"/disconnect", all())).want(t, http.StatusOK, "Users disconnected: 1.", "Users that are not counted were not connected")
		<-link
		s.connect(s.dev, "test-03", link)
		b.finish(b.post(bulk+"/sign-out", all())).want(t, http.StatusOK, "Users signed out: 30.")
		<-link
		b.get(bulk+"/deactivate?all=1&q=test-").want(t, http.StatusOK, "Type 30 to confirm")
		b.post(bulk+"/deactivate", all("count", "29")).want(t, http.StatusUnprocessableEntity, "The number is not 30")
		if n := states(); n[models.UserActive] != 30 {
			t.Fatalf("before the number was typed: %v", n)
		}
		b.finish(b.post(bulk+"/deactivate", all("count", "30"))).want(t, http.StatusOK, "Users erased and deactivated: 30.")
		b.finish(b.post(bulk+"/delete", all("count", "30", "show", "deactivated"))).want(t, http.StatusOK, "Users deleted: 30.")
		if !s.there(s.dev, "ann") || s.there(s.dev, "test-00") || s.there(s.dev, "test-29") {
			t.Error("others were deleted than those that match")
		}
		b.get(bulk+"/ban?all=1&show=nonsense").want(t, http.StatusBadRequest)
		b.post(bulk+"/deactivate", all("count", "0")).want(t, http.StatusUnprocessableEntity, "No user is chosen")
		b.get(bulkPath(s.prod)+"/delete?all=1").want(t, http.StatusForbidden)
		if n := len(s.audited(s.dev)); n != 6*30+3 {
			t.Errorf("%d audit entries, want %d", n, 6*30+3)
		}
	})
}

func TestClear(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		for i := range 30 {
			s.register(s.dev, fmt.Sprintf("u%d", i), "User")
		}
		b := s.as("admin")
		path := clearPath(s.dev)
		b.post(userPath(s.dev, "u1")+"/deactivate", nil)
		b.get(path).want(t, http.StatusOK, "31 users", "Type 31 to confirm")
		for _, typed := range []string{"", "30", "32", "31x", "-31"} {
			b.post(path, url.Values{"count": {typed}}).want(t, http.StatusUnprocessableEntity, "The number is not 31", `id="count-error" role="alert"`)
		}
		if !s.there(s.dev, "ann") {
			t.Fatal("deleted without the number")
		}
		b.get(clearPath(s.prod)).want(t, http.StatusForbidden, "Users of a production app cannot be deleted")
		b.post(clearPath(s.prod), url.Values{"count": {"1"}}).want(t, http.StatusForbidden, "Users of a production app cannot be deleted")
		b.finish(b.post(path, url.Values{"count": {" 31 "}})).want(t, http.StatusOK, "Users deleted: 31.", "31 of 31 users", "!Delete the rest")
		b.get(usersPath(s.dev)).want(t, http.StatusOK, "No users yet", "0 of 100")
		b.get(path).want(t, http.StatusOK, "The app has no users.", "!Type")
		if !s.there(s.prod, "ann") {
			t.Error("a user of another app is gone")
		}
		deletions := 0
		for _, line := range s.audited(s.dev) {
			if strings.HasPrefix(line, "admin user.delete ") {
				deletions++
			}
		}
		if deletions != 31 {
			t.Errorf("%d deletions in the audit", deletions)
		}
	})
}

func TestFiltersAndStates(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		s := newSite(t, db)
		by := models.Actor{Name: "test"}
		for _, id := range []string{"online", "banned", "gone"} {
			s.register(s.dev, "user-"+id, id)
		}
		s.connect(s.dev, "user-online", silent{})
		reason := hostile
		_, err := s.users.Ban(context.Background(), s.dev, []string{"user-banned"}, users.Sentence{Length: time.Hour, Reason: &reason}, by)
		s.check(err)
		_, err = s.users.Deactivate(context.Background(), s.dev, []string{"user-gone"}, by)
		s.check(err)
		b := s.as("viewer")
		root := usersPath(s.dev)
		link := func(id string) string { return userPath(s.dev, id) + `"` }
		for show, want := range map[string][]string{
			"online":      {link("user-online"), "!" + link("user-banned"), "!" + link("user-gone"), "!" + link("ann")},
			"active":      {link("user-online"), "!" + link("user-banned"), "!" + link("user-gone"), link("ann")},
			"banned":      {"!" + link("user-online"), link("user-banned"), "!" + link("user-gone")},
			"deactivated": {"!" + link("user-online"), "!" + link("user-banned"), link("user-gone")},
		} {
			b.get(root+"?show="+show).want(t, http.StatusOK, append(want, `<option value="`+show+`" selected>`)...)
		}
		b.get(root+"?show=banned&q=user-on").want(t, http.StatusOK, "No user matches")
		b.get(usersPath(s.prod)+"?show=banned").want(t, http.StatusOK, "No user is banned", "Show all users")
		b.get(root+"?show=nonsense").want(t, http.StatusNotFound)
		b.get(bannedList.path(s.dev)).want(t, http.StatusOK, link("user-banned"), "2026-11-20 09:00 UTC", "&lt;script&gt;", "!<script>alert", "!"+link("ann"))
		b.get(deactivatedList.path(s.dev)).want(t, http.StatusOK, link("user-gone"), "!"+link("ann"), "!"+link("user-banned"))
		b.get(bannedList.path(s.prod)).want(t, http.StatusOK, "No user is banned")
		b.get(deactivatedList.path(s.prod)).want(t, http.StatusOK, "No user is deactivated")
		b.get(bannedList.path(s.dev)+"?after=nonsense").want(t, http.StatusBadRequest)
	})
}
